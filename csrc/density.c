#include "density.h"
#include "exp.h"
#include "gauss_lanes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- log densities ------------------------------------------------------------------------- */

JP_INLINE int32_t all_columns(const jp_gauss *g, int32_t *observed)
{
    for (int32_t j = 0; j < g->n_columns; j++) observed[j] = j;
    return (int32_t)g->n_columns;
}

JP_CLONES
int jp_gauss_derive(jp_gauss *gauss, void *work)
{
    int32_t observed[JP_MAX_GAUSS_COLUMNS];
    if (gauss->n_columns > JP_MAX_GAUSS_COLUMNS) return JP_ERR_SIZE;
    all_columns(gauss, observed);
    whiten_observed(gauss, observed, gauss->n_columns, gauss->whitening_lanes, gauss->log_norm,
                    (double *)(((uintptr_t)work + 63) & ~(uintptr_t)63));
    return JP_OK;
}

/* leaf = exp(log density - best), negligible subsets exactly zero. */
JP_INLINE void scale_leaf(const float *log_density, int64_t n, float best, float negligible, float *leaf)
{
#pragma omp simd
    for (int64_t s = 0; s < n; s++) {
        float x = log_density[s] - best;
        /* a factor, not a choice: the compiler would branch around the exponential and not vectorise */
        float kept = x > -negligible ? 1.0f : 0.0f;
        leaf[s] = kept * jp_exp_negative(x > -negligible ? x : -negligible);
    }
}

typedef struct { uint64_t missing; int64_t row; } keyed_row;

static int by_pattern(const void *a, const void *b)
{
    const keyed_row *x = a, *y = b;
    if (x->missing != y->missing) return x->missing < y->missing ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* The tile's rows sorted by the set of their missing columns. */
JP_INLINE void sort_rows(const jp_gauss *g, const float *z, const int64_t *rows, int64_t first, int64_t n,
                         keyed_row *keys)
{
    int sorted = 1;
    for (int64_t i = 0; i < n; i++) {
        const float *x = z + (rows ? rows[first + i] : first + i) * g->n_columns;
        uint64_t missing = 0;
        for (int64_t j = 0; j < g->n_columns; j++) missing |= (uint64_t)(x[j] != x[j]) << j;
        keys[i] = (keyed_row){missing, first + i};
        sorted &= i == 0 || keys[i - 1].missing == missing;
    }
    if (!sorted) qsort(keys, (size_t)n, sizeof(keyed_row), by_pattern);
}

typedef struct {
    double *factor;    /* (triangle, 8) */
    float *whitening;  /* (triangle, n_padded) */
    float *log_norm;   /* (n_padded) */
    float *scratch;    /* (JP_GAUSS_ROWS, n_padded) */
    keyed_row *keys;   /* (JP_GAUSS_TILE) */
} gauss_work;

static int64_t lay_out_gauss(const jp_gauss *g, char *base, gauss_work *w)
{
    int64_t used = 0, t = triangle(g->n_columns);
    w->factor = (double *)(base + used), used += t * 64;
    w->whitening = (float *)(base + used), used += t * g->n_padded * 4;
    w->log_norm = (float *)(base + used), used += g->n_padded * 4;
    w->scratch = (float *)(base + used), used += JP_GAUSS_ROWS * g->n_padded * 4;
    w->keys = (keyed_row *)(base + used), used += JP_GAUSS_TILE * (int64_t)sizeof(keyed_row);
    return used;
}

int64_t jp_gauss_work_size(const jp_gauss *gauss)
{
    gauss_work w;
    return lay_out_gauss(gauss, (char *)64, &w) + 64;
}

JP_INLINE jp_pattern pattern_of(const jp_gauss *g, uint64_t missing, int32_t *observed, gauss_work *w)
{
    int64_t d = 0;
    for (int32_t j = 0; j < g->n_columns; j++)
        if (!(missing >> j & 1)) observed[d++] = j;
    if (d == g->n_columns) return (jp_pattern){d, observed, g->whitening_lanes, g->log_norm, 0};
    whiten_observed(g, observed, d, w->whitening, w->log_norm, w->factor);
    return (jp_pattern){d, observed, w->whitening, w->log_norm, 0};
}

/* Rows keys[0 .. n) share one pattern; a short last group repeats its first row. */
JP_INLINE void leaf_of_pattern(const jp_gauss *g, const jp_pattern *p, const float *z, const int64_t *rows,
                               const keyed_row *keys, int64_t n, float *leaf, int64_t n_leaf,
                               int64_t leaf_at, double *log_scale, float *scratch)
{
    for (int64_t i = 0; i < n; i += JP_GAUSS_ROWS) {
        const float *x[JP_GAUSS_ROWS];
        float *out[JP_GAUSS_ROWS], best[JP_GAUSS_ROWS];
        int64_t taken = n - i < JP_GAUSS_ROWS ? n - i : JP_GAUSS_ROWS;
        for (int r = 0; r < JP_GAUSS_ROWS; r++) {
            int64_t row = keys[i + (r < taken ? r : 0)].row;
            x[r] = z + (rows ? rows[row] : row) * g->n_columns;
            out[r] = scratch + r * g->n_padded;
        }
        log_densities(g, p, x, best, out);
        for (int r = 0; r < taken; r++) {
            int64_t row = keys[i + r].row;
            scale_leaf(out[r], g->n_states, best[r], p->negligible, leaf + row * n_leaf + leaf_at);
            log_scale[row] += (double)best[r];
        }
    }
}

JP_CLONES
int jp_gauss_leaf(const jp_gauss *gauss, const float *z, const int64_t *rows, int64_t start, int64_t stop,
                  double negligible, float *leaf, int64_t n_leaf, int64_t leaf_at, double *log_scale,
                  void *work)
{
    gauss_work w;
    int32_t observed[JP_MAX_GAUSS_COLUMNS];
    if (gauss->n_columns > JP_MAX_GAUSS_COLUMNS) return JP_ERR_SIZE;
    lay_out_gauss(gauss, (char *)(((uintptr_t)work + 63) & ~(uintptr_t)63), &w);
    for (int64_t first = start; first < stop; first += JP_GAUSS_TILE) {
        int64_t n = stop - first < JP_GAUSS_TILE ? stop - first : JP_GAUSS_TILE;
        sort_rows(gauss, z, rows, first, n, w.keys);
        for (int64_t i = 0, end; i < n; i = end) {
            for (end = i + 1; end < n && w.keys[end].missing == w.keys[i].missing; end++) {}
            jp_pattern p = pattern_of(gauss, w.keys[i].missing, observed, &w);
            p.negligible = (float)negligible;
            leaf_of_pattern(gauss, &p, z, rows, w.keys + i, end - i, leaf, n_leaf, leaf_at, log_scale, w.scratch);
        }
    }
    return JP_OK;
}
