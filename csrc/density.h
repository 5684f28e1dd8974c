/* The density stage: one Gaussian per subset, over one block of numeric columns.

   Tables of all states stand state by state in 16 lanes ("_lanes": element e of state s at
   [e * n_padded + s], n_padded a multiple of 16), so one row meets 16 subsets at a time. A lower triangle
   stores (i, j <= i) at i * (i + 1) / 2 + j. NaN marks a missing cell; it is integrated out. */
#ifndef JP_DENSITY_H
#define JP_DENSITY_H

#include "jp.h"

#ifdef __cplusplus
extern "C" {
#endif

#define JP_MAX_GAUSS_COLUMNS 64
#define JP_GAUSS_TILE 512 /* rows sorted by missing pattern together */

typedef struct {
    int64_t n_columns;
    int64_t n_states;
    int64_t n_padded;        /* n_states rounded up to 16 */
    float *mean_lanes;       /* (n_columns, n_padded) */
    float *whitening_lanes;  /* (triangle, n_padded) inverse Cholesky factor of the covariance */
    float *log_norm;         /* (n_padded) log density at the mean; -1e30 beyond n_states */
    double *covariance_lanes; /* (triangle, n_padded) */
    const double *grain;      /* (n_columns) variance that a grid's step is worth, or NULL for none */
} jp_gauss;

/* Sums over rows, weighted by responsibility: double, since variances may be 1e-6 of squares. */
typedef struct {
    double *weight; /* (n_states) */
    double *sum;    /* (n_states, n_columns) */
    double *square; /* (n_states, triangle) */
} jp_gauss_sums;

/* Work space in bytes for the calls below. */
int64_t jp_gauss_work_size(const jp_gauss *gauss);

/* leaf[i, leaf_at + s] = exp(log N(z_i; s) - scale_i), largest 1, and log_scale[i] += scale_i, for
   rows start..stop of this call; z (n_rows, n_columns), rows NULL or the row of z to read. States `negligible`
   nats (at most 80) below the row's best are exactly zero, and soon given up.
   FLOPs: 2 * triangle per row and state with every cell known. */
int jp_gauss_leaf(const jp_gauss *gauss, const float *z, const int64_t *rows, int64_t start, int64_t stop,
                  double negligible, float *leaf, int64_t n_leaf, int64_t leaf_at, double *log_scale, void *work);

/* Adds responsibility-weighted sums; missing cells enter by their conditional mean and covariance. */
int jp_gauss_expect(const jp_gauss *gauss, const float *z, const int64_t *rows, const float *posterior,
                    int64_t n_leaf, int64_t leaf_at, int64_t start, int64_t stop, jp_gauss_sums *sums);

/* Moves the running sums towards the batch's by `step`, sets the batch's to zero and derives all tables.
   Covariances shrink by `shrinkage` pseudo-rows to the pooled correlation at the subset's own scales;
   `floor` and the column's grain are added to every variance. rows turns shares into counts. */
int jp_gauss_maximise(jp_gauss *gauss, jp_gauss_sums *batch, jp_gauss_sums *running, double batch_rows,
                      double step, double rows, double shrinkage, double floor, void *work);

/* whitening_lanes and log_norm from mean_lanes and covariance_lanes. */
int jp_gauss_derive(jp_gauss *gauss, void *work);

#ifdef __cplusplus
}
#endif

#endif
