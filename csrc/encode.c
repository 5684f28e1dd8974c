/* Marginal transform of numeric columns. Rows go in tiles: every loop over a tile is branch-free
   and vectorises (gathers from the knots); the rare rows in the tails are mended one by one. A few
   rows make a short tile: the size n of a tile is one of two constants wherever it is inlined. */
#include "encode.h"
#include "jp.h"

#include <math.h>
#include <string.h>

enum { TILE = 128, SHORT_TILE = 8 };

static const double X_LIMIT = 1e300;    /* leaves room to subtract and to multiply by 2 */
static const double MIN_SLOPE = 1e-12;  /* of a piece, relative; below it rounding decides */

/* log of a positive normal number, absolute error below 1e-10; vectorises, libm's does not. */
JP_INLINE double log_positive(double value)
{
    const uint64_t sqrt_half = 0x3fe6a09e667f3bcd, mantissa = 0x000fffffffffffff;
    uint64_t bits;
    memcpy(&bits, &value, 8);
    const uint64_t shifted = bits - sqrt_half;
    const uint64_t fraction_bits = (shifted & mantissa) + sqrt_half;
    /* exponent + 2^11 placed in the mantissa of 2^52: an int to double conversion by subtraction,
       unsigned because AVX2 has no arithmetic shift of 64 bits */
    const uint64_t exponent_bits = ((shifted + ((uint64_t)1 << 63)) >> 52) | 0x4330000000000000;
    double fraction, exponent;
    memcpy(&fraction, &fraction_bits, 8);
    memcpy(&exponent, &exponent_bits, 8);
    exponent -= 4503599627370496.0 + 2048.0;
    const double s = (fraction - 1.0) / (fraction + 1.0), s2 = s * s;
    const double series = 1.0 + s2 * (1.0 / 3 + s2 * (1.0 / 5 + s2 * (1.0 / 7 + s2 * (1.0 / 9
                          + s2 * (1.0 / 11 + s2 * (1.0 / 13))))));
    return exponent * 0.6931471805599453 + 2.0 * s * series;
}

JP_INLINE double clip(double value, double low, double high)
{
    value = value < low ? low : value;  /* this order keeps NaN */
    return value > high ? high : value;
}

/* position[i] = the last key <= x[i]; halving steps outside, rows inside. */
JP_INLINE void search_tile(int n, const double *restrict x, const jp_marginal *restrict marginal,
                           int64_t *restrict position)
{
    const double *restrict keys = marginal->keys;
    for (int i = 0; i < n; i++)
        position[i] = 0;
    for (int64_t half = marginal->n_keys / 2; half > 0; half /= 2)
        for (int i = 0; i < n; i++)
            position[i] += keys[position[i] + half] <= x[i] ? half : 0;
}

JP_INLINE void cubic_tile(int n, const double *restrict x, const int64_t *restrict position,
                          const jp_marginal *restrict marginal,
                          double *restrict z, double *restrict log_slope)
{
    const double *restrict pieces = (const double *)marginal->pieces;
    for (int i = 0; i < n; i++) {
        const int64_t p = 8 * position[i];  /* x0, 1/dx, -log dx, z0, c1, c2, c3: see jp_piece */
        const double t = (x[i] - pieces[p]) * pieces[p + 1];
        const double c1 = pieces[p + 4], c2 = pieces[p + 5], c3 = pieces[p + 6];
        z[i] = pieces[p + 3] + t * (c1 + t * (c2 + t * c3));
        const double slope = c1 + t * (2.0 * c2 + t * (3.0 * c3));
        const double log_dz_dx = log_positive(slope < MIN_SLOPE ? MIN_SLOPE : slope) + pieces[p + 2];
        log_slope[i] = x[i] == x[i] ? log_dz_dx : x[i];
    }
}

/* log(1 + slope * excess / scale) even where the product overflows. */
static inline double log_stretch(const jp_tail *tail, double excess)
{
    const double q = tail->slope / tail->scale * excess;
    return q < 1e300 ? log1p(q) : log(tail->slope) - log(tail->scale) + log(excess);
}

static void mend_tails(int n, const double *restrict x, const jp_marginal *restrict marginal,
                       double *restrict z, double *restrict log_slope)
{
    const jp_tail *lower = marginal->tails, *upper = marginal->tails + 1;
    for (int i = 0; i < n; i++) {
        if (!(x[i] < lower->x) && !(x[i] > upper->x))
            continue;
        const jp_tail *tail = x[i] < lower->x ? lower : upper;
        const double stretch = log_stretch(tail, fabs(x[i] - tail->x));
        z[i] = tail->z + (tail == upper ? tail->scale : -tail->scale) * stretch;
        log_slope[i] = log(tail->slope) - stretch;
    }
}

/* x holds n values within +-X_LIMIT or NaN. */
JP_INLINE void forward_tile(int n, const double *restrict x, const jp_marginal *restrict marginal,
                            double *restrict z, double *restrict log_slope)
{
    const double low = marginal->tails[0].x, high = marginal->tails[1].x;
    double inside[TILE];
    int64_t position[TILE];
    int outside = 0;
    for (int i = 0; i < n; i++) {
        inside[i] = clip(x[i], low, high);
        outside |= (x[i] < low) | (x[i] > high);
    }
    search_tile(n, inside, marginal, position);
    cubic_tile(n, inside, position, marginal, z, log_slope);
    if (outside)
        mend_tails(n, x, marginal, z, log_slope);
}

/* A tile is filled up with its first row, so that kernels see whole tiles only. */
JP_INLINE void load_tile(int n, const double *restrict x, int64_t n_rows, double *restrict tile)
{
    for (int64_t i = 0; i < n_rows; i++)
        tile[i] = clip(x[i], -X_LIMIT, X_LIMIT);
    for (int64_t i = n_rows; i < n; i++)
        tile[i] = tile[0];
}

JP_INLINE int64_t rows_of_tile(int64_t row, int64_t stop) { return stop - row < TILE ? stop - row : TILE; }

static int check_marginal(const jp_marginal *marginal, int64_t start, int64_t stop)
{
    const int64_t n_keys = marginal->n_keys;
    if (start < 0 || stop < start || marginal->n_pieces < 1 || n_keys < marginal->n_pieces
        || (n_keys & (n_keys - 1)) != 0)
        return JP_ERR_SIZE;
    return JP_OK;
}

JP_INLINE void encode_forward(int n, const double *restrict x, int64_t n_rows,
                              const jp_marginal *restrict marginal,
                              double *restrict z, double *restrict log_slope)
{
    double tile[TILE], tile_z[TILE], tile_slope[TILE];
    load_tile(n, x, n_rows, tile);
    forward_tile(n, tile, marginal, tile_z, tile_slope);
    memcpy(z, tile_z, 8 * (size_t)n_rows);
    memcpy(log_slope, tile_slope, 8 * (size_t)n_rows);
}

JP_CLONES
int jp_encode_forward(const double *restrict x, int64_t start, int64_t stop,
                      const jp_marginal *restrict marginal,
                      double *restrict z, double *restrict log_slope)
{
    if (check_marginal(marginal, start, stop) != JP_OK)
        return JP_ERR_SIZE;
    for (int64_t row = start; row < stop; row += TILE) {
        const int64_t n = rows_of_tile(row, stop);
        if (n > SHORT_TILE) encode_forward(TILE, x + row, n, marginal, z + row, log_slope + row);
        else encode_forward(SHORT_TILE, x + row, n, marginal, z + row, log_slope + row);
    }
    return JP_OK;
}

/* codes: 0 = continuous, 1.. = atom, -1 = missing; atoms turn into NaN. */
JP_INLINE void find_atoms(int n, const double *restrict atoms, int64_t n_atoms,
                          double *restrict tile, int32_t *restrict codes)
{
    for (int i = 0; i < n; i++)
        codes[i] = tile[i] == tile[i] ? 0 : -1;
    for (int64_t a = 0; a < n_atoms; a++)
        for (int i = 0; i < n; i++)
            codes[i] = tile[i] == atoms[a] ? (int32_t)a + 1 : codes[i];
    for (int i = 0; i < n; i++)
        tile[i] = codes[i] > 0 ? (double)NAN : tile[i];
}

JP_INLINE void encode_column(int n, const double *restrict x, int64_t n_rows,
                             const jp_marginal *restrict marginal,
                             const double *restrict atoms, int64_t n_atoms,
                             int32_t *restrict codes, int64_t codes_stride,
                             float *restrict z, int64_t z_stride, double *restrict log_jacobian)
{
    double tile[TILE], tile_z[TILE], tile_slope[TILE];
    int32_t tile_codes[TILE];
    load_tile(n, x, n_rows, tile);
    if (codes) {
        find_atoms(n, atoms, n_atoms, tile, tile_codes);
        for (int64_t i = 0; i < n_rows; i++)
            codes[i * codes_stride] = tile_codes[i];
    }
    forward_tile(n, tile, marginal, tile_z, tile_slope);
    for (int64_t i = 0; i < n_rows; i++)
        log_jacobian[i] += tile[i] == tile[i] ? tile_slope[i] : 0.0;
    for (int64_t i = 0; i < n_rows; i++)
        z[i * z_stride] = (float)tile_z[i];
}

JP_CLONES
int jp_encode_column(const double *restrict x, int64_t start, int64_t stop,
                     const jp_marginal *restrict marginal,
                     const double *restrict atoms, int64_t n_atoms,
                     int32_t *restrict codes, int64_t codes_stride,
                     float *restrict z, int64_t z_stride, double *restrict log_jacobian)
{
    if (check_marginal(marginal, start, stop) != JP_OK || n_atoms < 0)
        return JP_ERR_SIZE;
    for (int64_t row = start; row < stop; row += TILE) {
        const int64_t n = rows_of_tile(row, stop);
        int32_t *own = codes ? codes + row * codes_stride : NULL;
        float *to = z + row * z_stride;
        if (n > SHORT_TILE)
            encode_column(TILE, x + row, n, marginal, atoms, n_atoms, own, codes_stride, to, z_stride,
                          log_jacobian + row);
        else
            encode_column(SHORT_TILE, x + row, n, marginal, atoms, n_atoms, own, codes_stride, to, z_stride,
                          log_jacobian + row);
    }
    return JP_OK;
}

/* Root in [0, 1] of the increasing cubic: Newton, or bisection where Newton leaves the bracket.
   Newton doubles the digits, so a step of 1e-9 leaves an error near rounding. */
static double solve_piece(const jp_piece *p, double z)
{
    const double target = z - p->z0;
    double low = 0.0, high = 1.0, t = target / (p->c1 + p->c2 + p->c3);
    for (int step = 0; step < 60; step++) {
        const double error = t * (p->c1 + t * (p->c2 + t * p->c3)) - target;
        const double slope = p->c1 + t * (2.0 * p->c2 + t * (3.0 * p->c3));
        if (error > 0.0)
            high = t;
        else
            low = t;
        const double newton = t - error / slope;
        if (fabs(newton - t) < 1e-9)
            return clip(newton, 0.0, 1.0);
        t = newton > low && newton < high ? newton : 0.5 * (low + high);
    }
    return t;
}

static int64_t find_piece(const jp_marginal *marginal, double z)
{
    int64_t first = 0, last = marginal->n_pieces - 1;
    while (first < last) {
        const int64_t middle = (first + last + 1) / 2;
        if (marginal->pieces[middle].z0 <= z)
            first = middle;
        else
            last = middle - 1;
    }
    return first;
}

static double invert(const jp_marginal *marginal, double z)
{
    const jp_tail *lower = marginal->tails, *upper = marginal->tails + 1;
    if (!(z < lower->z) && !(z > upper->z)) {
        const jp_piece *p = marginal->pieces + find_piece(marginal, z);
        return p->x0 + solve_piece(p, z) * p->dx;
    }
    const jp_tail *tail = z < lower->z ? lower : upper;
    const double stretch = expm1(fabs(z - tail->z) / tail->scale);
    const double excess = tail->scale / tail->slope * stretch;
    return clip(tail == upper ? tail->x + excess : tail->x - excess, -X_LIMIT, X_LIMIT);
}

int jp_encode_inverse(const double *restrict z, int64_t start, int64_t stop,
                      const jp_marginal *restrict marginal, double *restrict x)
{
    if (check_marginal(marginal, start, stop) != JP_OK)
        return JP_ERR_SIZE;
    for (int64_t row = start; row < stop; row++)
        x[row] = z[row] == z[row] ? invert(marginal, z[row]) : z[row];
    return JP_OK;
}
