/* The two loops of the density stage that meet many subsets at a time, one lane each. Every vector width has
   its own; the CPU is asked which (see panel.h). Rounding in a lane never depends on the width. */
#ifndef JP_GAUSS_LANES_H
#define JP_GAUSS_LANES_H

#include "density.h"
#include "panel.h"

#include <math.h>

typedef double jp_double8 __attribute__((vector_size(64), aligned(8), may_alias));
typedef double jp_double4 __attribute__((vector_size(32), aligned(8), may_alias));
typedef double jp_double2 __attribute__((vector_size(16), aligned(8), may_alias));

enum { JP_GAUSS_ROWS = 4, JP_ABANDON_EVERY = 8 /* columns */ };

JP_INLINE int64_t triangle(int64_t d) { return d * (d + 1) / 2; }
JP_INLINE int64_t at(int64_t i, int64_t j) { return i * (i + 1) / 2 + j; }

/* One set of observed columns: its whitening in lanes. */
typedef struct {
    int64_t d;
    const int32_t *observed;
    const float *whitening;
    const float *log_norm;
    float negligible; /* nats below a row's best state at which a state is given up */
} jp_pattern;

/* In place: covariance triangle -> inverse of its Cholesky factor. product: of the inverse's diagonal, which
   is exp of minus half the log determinant. */
#define JP_DEFINE_WHITEN(NAME, VEC)                                                               \
    JP_INLINE void NAME(int64_t d, double *triangles, double *product)                            \
    {                                                                                             \
        enum { LANES = sizeof(VEC) / sizeof(double) };                                            \
        VEC *a = (VEC *)triangles, row[JP_MAX_GAUSS_COLUMNS], diagonal = (VEC){0} + 1;            \
        for (int64_t i = 0; i < d; i++) {                                                         \
            VEC pivot = a[at(i, i)];                                                              \
            for (int64_t j = 0; j < i; j++) {                                                     \
                VEC sum = a[at(i, j)];                                                            \
                for (int64_t k = 0; k < j; k++) sum -= a[at(i, k)] * a[at(j, k)];                 \
                a[at(i, j)] = sum * a[at(j, j)]; /* the diagonal already holds 1 / L_jj */        \
                pivot -= a[at(i, j)] * a[at(i, j)];                                               \
            }                                                                                     \
            for (int l = 0; l < LANES; l++) pivot[l] = 1 / sqrt(pivot[l] > 1e-12 ? pivot[l] : 1e-12); \
            a[at(i, i)] = pivot;                                                                  \
            diagonal *= pivot;                                                                    \
        }                                                                                         \
        for (int64_t i = 1; i < d; i++) {                                                         \
            for (int64_t j = 0; j < i; j++) {                                                     \
                VEC sum = {0};                                                                    \
                for (int64_t k = j; k < i; k++) sum += a[at(i, k)] * a[at(k, j)];                 \
                row[j] = -a[at(i, i)] * sum;                                                      \
            }                                                                                     \
            for (int64_t j = 0; j < i; j++) a[at(i, j)] = row[j];                                 \
        }                                                                                         \
        *(VEC *)product = diagonal;                                                               \
    }

JP_DEFINE_WHITEN(whiten_8, jp_double8)
JP_DEFINE_WHITEN(whiten_4, jp_double4)
JP_DEFINE_WHITEN(whiten_2, jp_double2)

/* Whitening of the observed columns of every state, into lanes of n_padded; work: (triangle, 8) doubles. */
JP_INLINE void whiten_observed(const jp_gauss *g, const int32_t *observed, int64_t d, float *whitening,
                               float *log_norm, double *work)
{
    int lanes = jp_vector_lanes() / 2;
    for (int64_t s = 0; s < g->n_padded; s += lanes) {
        double product[8];
        for (int64_t i = 0; i < d; i++)
            for (int64_t j = 0; j <= i; j++)
                for (int l = 0; l < lanes; l++)
                    work[at(i, j) * lanes + l] = g->covariance_lanes[at(observed[i], observed[j]) * g->n_padded + s + l];
        if (lanes == 8) whiten_8(d, work, product);
        else if (lanes == 4) whiten_4(d, work, product);
        else whiten_2(d, work, product);
        for (int64_t e = 0; e < triangle(d); e++)
            for (int l = 0; l < lanes; l++) whitening[e * g->n_padded + s + l] = (float)work[e * lanes + l];
        for (int l = 0; l < lanes; l++)
            log_norm[s + l] = s + l < g->n_states ? (float)(log(product[l]) - 0.9189385332046727 * (double)d) : -1e30f;
    }
}

JP_INLINE float largest_of(const float *x, int64_t n)
{
    float largest = -INFINITY; /* not x[0], which may be NaN in a row beyond all floats */
#pragma omp simd reduction(max : largest)
    for (int64_t j = 0; j < n; j++) largest = x[j] > largest ? x[j] : largest;
    return largest;
}

/* Log densities of a few rows at a vector of states: |W (z - mean)|^2, two rows of W at a time so that enough
   sums run side by side, given up as soon as every subset is negligible for every row. Rounding never depends
   on the company a row keeps. best: of the states so far, moved only where giving up is possible. */
#define JP_DEFINE_STATES(NAME, VEC)                                                               \
    JP_INLINE void NAME(const jp_gauss *g, const jp_pattern *p, const float *const *z, int64_t s, \
                        float *best, float *const *out)                                           \
    {                                                                                             \
        enum { LANES = sizeof(VEC) / sizeof(float), ROWS = JP_GAUSS_ROWS };                       \
        VEC centred[JP_MAX_GAUSS_COLUMNS][ROWS], square[ROWS], norm = *(const VEC *)(p->log_norm + s); \
        const float *w = p->whitening + s;                                                        \
        int64_t n = g->n_padded, i = 0;                                                           \
        for (int r = 0; r < ROWS; r++) square[r] = (VEC){0};                                      \
        for (int64_t j = 0; j < p->d; j++) {                                                      \
            VEC mean = *(const VEC *)(g->mean_lanes + p->observed[j] * n + s);                    \
            for (int r = 0; r < ROWS; r++) centred[j][r] = z[r][p->observed[j]] - mean;           \
        }                                                                                         \
        for (; i + 2 <= p->d; i += 2) {                                                           \
            VEC upper[ROWS], lower[ROWS];                                                         \
            const float *v = w + (i + 1) * n;                                                     \
            for (int r = 0; r < ROWS; r++) upper[r] = lower[r] = (VEC){0};                        \
            for (int64_t j = 0; j <= i; j++, w += n, v += n)                                      \
                for (int r = 0; r < ROWS; r++) {                                                  \
                    upper[r] += *(const VEC *)w * centred[j][r];                                  \
                    lower[r] += *(const VEC *)v * centred[j][r];                                  \
                }                                                                                 \
            for (int r = 0; r < ROWS; r++) {                                                      \
                lower[r] += *(const VEC *)v * centred[i + 1][r];                                  \
                square[r] += upper[r] * upper[r] + lower[r] * lower[r];                           \
            }                                                                                     \
            w = v + n;                                                                            \
            if ((i + 2) % JP_ABANDON_EVERY == 0 && i + 2 < p->d) {                                \
                float above[ROWS * LANES];                                                        \
                for (int r = 0; r < ROWS; r++)                                                    \
                    *(VEC *)(above + r * LANES) = norm - 0.5f * square[r] - best[r];              \
                if (largest_of(above, ROWS * LANES) <= -p->negligible) {                          \
                    for (int r = 0; r < ROWS; r++) *(VEC *)(out[r] + s) = (VEC){0} - 1e30f;       \
                    return;                                                                       \
                }                                                                                 \
            }                                                                                     \
        }                                                                                         \
        if (i < p->d) {                                                                           \
            VEC last[ROWS];                                                                       \
            for (int r = 0; r < ROWS; r++) last[r] = (VEC){0};                                    \
            for (int64_t j = 0; j <= i; j++, w += n)                                              \
                for (int r = 0; r < ROWS; r++) last[r] += *(const VEC *)w * centred[j][r];        \
            for (int r = 0; r < ROWS; r++) square[r] += last[r] * last[r];                        \
        }                                                                                         \
        for (int r = 0; r < ROWS; r++) {                                                          \
            *(VEC *)(out[r] + s) = norm - 0.5f * square[r];                                       \
            if (p->d <= JP_ABANDON_EVERY) continue;                                               \
            float top = largest_of(out[r] + s, LANES);                                            \
            best[r] = top > best[r] ? top : best[r];                                              \
        }                                                                                         \
    }

JP_DEFINE_STATES(log_densities_16, jp_vec16)
JP_DEFINE_STATES(log_densities_8, jp_vec8)
JP_DEFINE_STATES(log_densities_4, jp_vec4)

/* out[r][0 .. n_padded) of JP_GAUSS_ROWS rows; their largest goes to best. */
JP_INLINE void log_densities(const jp_gauss *g, const jp_pattern *p, const float *const *z, float *best,
                             float *const *out)
{
    int lanes = jp_vector_lanes();
    for (int r = 0; r < JP_GAUSS_ROWS; r++) best[r] = -1e30f;
    for (int64_t s = 0; s < g->n_padded; s += lanes) {
        if (lanes == 16) log_densities_16(g, p, z, s, best, out);
        else if (lanes == 8) log_densities_8(g, p, z, s, best, out);
        else log_densities_4(g, p, z, s, best, out);
    }
    for (int r = 0; r < JP_GAUSS_ROWS; r++) {
        float top = largest_of(out[r], g->n_padded);
        best[r] = top > best[r] ? top : best[r];
    }
}

#endif
