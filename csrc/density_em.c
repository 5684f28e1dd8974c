#include "density.h"
#include "gauss_lanes.h"

#include <math.h>
#include <string.h>

/* ---- expected sums ------------------------------------------------------------------------- */

/* In place: Cholesky factor of the m x m matrix a (row-major, lower triangle used). */
JP_INLINE void cholesky(int64_t m, double *a)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j <= i; j++) {
            double sum = a[i * m + j];
            for (int64_t k = 0; k < j; k++) sum -= a[i * m + k] * a[j * m + k];
            a[i * m + j] = i == j ? sqrt(sum > 1e-12 ? sum : 1e-12) : sum / a[j * m + j];
        }
}

/* In place: lower factor -> its inverse. */
JP_INLINE void invert_lower(int64_t m, double *a)
{
    for (int64_t i = 0; i < m; i++) {
        double row[JP_MAX_GAUSS_COLUMNS];
        for (int64_t j = 0; j < i; j++) {
            double sum = 0;
            for (int64_t k = j; k < i; k++) sum += a[i * m + k] * a[k * m + j];
            row[j] = -sum / a[i * m + i];
        }
        for (int64_t j = 0; j < i; j++) a[i * m + j] = row[j];
        a[i * m + i] = 1 / a[i * m + i];
    }
}

/* x: the row with its missing cells at their conditional mean in state s; covariance (m, m) of those cells
   given the rest. From the precision's blocks: cov = P_mm^-1, mean_m - P_mm^-1 P_mo (x_o - mean_o). */
JP_INLINE void complete_row(const jp_gauss *g, int64_t s, const float *z, const int32_t *missing, int64_t m,
                            double *x, double *covariance)
{
    int64_t d = g->n_columns, n = g->n_padded;
    double y[JP_MAX_GAUSS_COLUMNS], v[JP_MAX_GAUSS_COLUMNS], pull[JP_MAX_GAUSS_COLUMNS];
    double factor[JP_MAX_GAUSS_COLUMNS * JP_MAX_GAUSS_COLUMNS];
    const float *w = g->whitening_lanes + s, *mean = g->mean_lanes + s;
    for (int64_t j = 0; j < d; j++) v[j] = z[j] == z[j] ? (double)z[j] - (double)mean[j * n] : 0;
    for (int64_t i = 0; i < d; i++) {
        y[i] = 0;
        for (int64_t j = 0; j <= i; j++) y[i] += (double)w[at(i, j) * n] * v[j];
    }
    for (int64_t a = 0; a < m; a++) {
        pull[a] = 0;
        for (int64_t i = missing[a]; i < d; i++) pull[a] += (double)w[at(i, missing[a]) * n] * y[i];
        for (int64_t b = 0; b <= a; b++) {
            double sum = 0;
            for (int64_t i = missing[a]; i < d; i++)
                sum += (double)w[at(i, missing[a]) * n] * (double)w[at(i, missing[b]) * n];
            factor[a * m + b] = sum;
        }
    }
    cholesky(m, factor);
    invert_lower(m, factor);
    for (int64_t a = 0; a < m; a++)
        for (int64_t b = 0; b < m; b++) {
            double sum = 0;
            for (int64_t i = a > b ? a : b; i < m; i++) sum += factor[i * m + a] * factor[i * m + b];
            covariance[a * m + b] = sum;
        }
    for (int64_t j = 0; j < d; j++) x[j] = (double)z[j];
    for (int64_t a = 0; a < m; a++) {
        double shift = 0;
        for (int64_t b = 0; b < m; b++) shift += covariance[a * m + b] * pull[b];
        x[missing[a]] = (double)mean[missing[a] * n] - shift;
    }
}

JP_INLINE void add_square(int64_t d, double weight, const double *x, double *square)
{
    for (int64_t i = 0; i < d; i++) {
        double scaled = weight * x[i];
        double *row = square + at(i, 0);
#pragma omp simd
        for (int64_t j = 0; j <= i; j++) row[j] += scaled * x[j];
    }
}

JP_INLINE void add_row(const jp_gauss *g, int64_t s, double weight, const float *z, const int32_t *missing,
                       int64_t m, jp_gauss_sums *sums)
{
    int64_t d = g->n_columns;
    double x[JP_MAX_GAUSS_COLUMNS], covariance[JP_MAX_GAUSS_COLUMNS * JP_MAX_GAUSS_COLUMNS];
    double *square = sums->square + s * triangle(d);
    if (m)
        complete_row(g, s, z, missing, m, x, covariance);
    else
        for (int64_t j = 0; j < d; j++) x[j] = (double)z[j];
    sums->weight[s] += weight;
    for (int64_t j = 0; j < d; j++) sums->sum[s * d + j] += weight * x[j];
    add_square(d, weight, x, square);
    for (int64_t a = 0; a < m; a++)
        for (int64_t b = 0; b <= a; b++) square[at(missing[a], missing[b])] += weight * covariance[a * m + b];
}

/* States with less of a row leave their share to the others (sparse EM, Neal & Hinton 1998). */
#define LEAST_SHARE 3e-4f

JP_CLONES
int jp_gauss_expect(const jp_gauss *gauss, const float *z, const int64_t *rows, const float *posterior,
                    int64_t n_leaf, int64_t leaf_at, int64_t start, int64_t stop, jp_gauss_sums *sums)
{
    if (gauss->n_columns > JP_MAX_GAUSS_COLUMNS) return JP_ERR_SIZE;
    for (int64_t i = start; i < stop; i++) {
        const float *x = z + (rows ? rows[i] : i) * gauss->n_columns, *post = posterior + i * n_leaf + leaf_at;
        int32_t missing[JP_MAX_GAUSS_COLUMNS];
        int64_t m = 0;
        float total = 0, lost = 0;
        for (int32_t j = 0; j < gauss->n_columns; j++)
            if (x[j] != x[j]) missing[m++] = j;
#pragma omp simd reduction(+ : total)
        for (int64_t s = 0; s < gauss->n_states; s++) total += post[s];
#pragma omp simd reduction(+ : lost)
        for (int64_t s = 0; s < gauss->n_states; s++) lost += post[s] > LEAST_SHARE * total ? 0 : post[s];
        double scale = total > lost ? (double)total / ((double)total - (double)lost) : 0;
        for (int64_t s = 0; s < gauss->n_states; s++)
            if (post[s] > LEAST_SHARE * total) add_row(gauss, s, scale * (double)post[s], x, missing, m, sums);
    }
    return JP_OK;
}

/* ---- M-step --------------------------------------------------------------------------------- */

static void move(double *running, double *batch, int64_t n, double scale, double keep)
{
    for (int64_t i = 0; i < n; i++) {
        running[i] = keep * running[i] + scale * batch[i];
        batch[i] = 0;
    }
}

/* Within-subset covariance of state s from its running sums; a subset without rows gets zeros. */
JP_INLINE void subset_moments(const jp_gauss *g, const jp_gauss_sums *sums, int64_t s, double *mean,
                              double *covariance)
{
    int64_t d = g->n_columns;
    double weight = sums->weight[s], share = weight > 1e-12 ? 1 / weight : 0;
    for (int64_t j = 0; j < d; j++)
        mean[j] = share > 0 ? sums->sum[s * d + j] * share : (double)g->mean_lanes[j * g->n_padded + s];
    for (int64_t i = 0; i < d; i++)
        for (int64_t j = 0; j <= i; j++) {
            double c = sums->square[s * triangle(d) + at(i, j)] * share - (share > 0 ? mean[i] * mean[j] : 0);
            covariance[at(i, j)] = i == j && c < 0 ? 0 : c;
        }
}

/* Pooled within-subset covariance. N rows cannot tell d columns' correlations: these shrink by N^2 / (N^2 + d^2),
   which is next to nothing for tables of any size. */
static void pool(const jp_gauss *g, const jp_gauss_sums *sums, double rows, double *pooled, double *scratch)
{
    int64_t d = g->n_columns, t = triangle(d);
    double mean[JP_MAX_GAUSS_COLUMNS], total = 0;
    memset(pooled, 0, (size_t)t * sizeof(double));
    for (int64_t s = 0; s < g->n_states; s++) {
        subset_moments(g, sums, s, mean, scratch);
        for (int64_t e = 0; e < t; e++) pooled[e] += sums->weight[s] * scratch[e];
        total += sums->weight[s];
    }
    double n = total * rows, sure = n * n / (n * n + (double)(d * d));
    for (int64_t i = 0; i < d; i++)
        for (int64_t j = 0; j <= i; j++) pooled[at(i, j)] *= (i == j ? 1 : sure) / (total > 0 ? total : 1);
}

/* (n S + nu D^1/2 P D^1/2) / (n + nu) with the subset's own scales D and the pooled correlation P: a
   diagonal target would undo strong correlations. D itself leans on the pooled variance by one row. */
JP_INLINE void shrink(int64_t d, double n, const double *pooled, double shrinkage, double floor, const double *grain,
                      double *covariance)
{
    double scale[JP_MAX_GAUSS_COLUMNS];
    for (int64_t i = 0; i < d; i++)
        scale[i] = sqrt((n * covariance[at(i, i)] + pooled[at(i, i)]) / (n + 1) / (pooled[at(i, i)] + 1e-300));
    for (int64_t i = 0; i < d; i++)
        for (int64_t j = 0; j <= i; j++)
            covariance[at(i, j)] = (n * covariance[at(i, j)] + shrinkage * scale[i] * scale[j] * pooled[at(i, j)])
                                       / (n + shrinkage)
                                   + (i == j ? floor + (grain ? grain[i] : 0) : 0);
}

JP_CLONES
int jp_gauss_maximise(jp_gauss *gauss, jp_gauss_sums *batch, jp_gauss_sums *running, double batch_rows,
                      double step, double rows, double shrinkage, double floor, void *work)
{
    int64_t d = gauss->n_columns, t = triangle(d), h = gauss->n_states, n = gauss->n_padded;
    double mean[JP_MAX_GAUSS_COLUMNS];
    double *covariance = work, *pooled = covariance + t;
    if (d > JP_MAX_GAUSS_COLUMNS) return JP_ERR_SIZE;
    move(running->weight, batch->weight, h, step / batch_rows, 1 - step);
    move(running->sum, batch->sum, h * d, step / batch_rows, 1 - step);
    move(running->square, batch->square, h * t, step / batch_rows, 1 - step);
    pool(gauss, running, rows, pooled, covariance);
    for (int64_t s = 0; s < n; s++) {
        int64_t from = s < h ? s : 0; /* padding repeats a real state, so that its factor is sound */
        subset_moments(gauss, running, from, mean, covariance);
        shrink(d, running->weight[from] * rows, pooled, shrinkage, floor, gauss->grain, covariance);
        for (int64_t j = 0; j < d; j++) gauss->mean_lanes[j * n + s] = (float)mean[j];
        for (int64_t e = 0; e < t; e++) gauss->covariance_lanes[e * n + s] = covariance[e];
    }
    return jp_gauss_derive(gauss, work);
}
