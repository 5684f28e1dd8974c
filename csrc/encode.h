/* Encode: marginal transform of numeric columns, x -> z with log dz/dx, and back. */
#ifndef JP_ENCODE_H
#define JP_ENCODE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One monotone cubic piece: z = z0 + t (c1 + t (c2 + t c3)), t = (x - x0) / dx in [0, 1].
   Coefficients are in units of z, so columns of any magnitude neither overflow nor underflow.
   Eight doubles: a piece is one cache line. */
typedef struct {
    double x0, inv_dx, log_inv_dx, z0, c1, c2, c3, dx;
} jp_piece;

/* Beyond the knot (x, z): |z - z_knot| = scale log(1 + slope |x - x_knot| / scale). */
typedef struct {
    double x, z, slope, scale;
} jp_tail;

typedef struct {
    const double *keys;    /* [n_keys] left ends of the pieces, padded with infinity */
    int64_t n_keys;        /* power of two, at least n_pieces */
    const jp_piece *pieces;
    int64_t n_pieces;
    const jp_tail *tails;  /* [2] lower, upper */
} jp_marginal;

/* z and log dz/dx of rows [start, stop); NaN stays NaN. */
int jp_encode_forward(const double *x, int64_t start, int64_t stop,
                      const jp_marginal *marginal,
                      double *z, double *log_slope);

/* x of rows [start, stop), clipped to +-1e300; NaN stays NaN. */
int jp_encode_inverse(const double *z, int64_t start, int64_t stop,
                      const jp_marginal *marginal, double *x);

/* One table column into its column of z, and of codes when it has atoms (codes may be NULL).
   z is NaN and log_jacobian unchanged where x is missing or an atom. */
int jp_encode_column(const double *x, int64_t start, int64_t stop,
                     const jp_marginal *marginal,
                     const double *atoms, int64_t n_atoms,
                     int32_t *codes, int64_t codes_stride,
                     float *z, int64_t z_stride, double *log_jacobian);

#ifdef __cplusplus
}
#endif

#endif
