/* Boosted trees: histograms of slopes, and the best division of a leaf by them. */
#ifndef JP_FOREST_BOOST_SPLIT_H
#define JP_FOREST_BOOST_SPLIT_H

#include <math.h>
#include <string.h>

#include "forest_node.h"

enum { MOST_LEVELS_LEFT = 32 };

typedef struct {
    int64_t node, start, stop, depth, histogram;
    double sums[JP_SLOPES_MANY];
    jp_split best;
} open_leaf;

typedef struct {
    uint32_t *row, *row_out;
    float *histograms; /* (most_leaves, n_cells, width) */
    int64_t *first;    /* first cell of each column */
    open_leaf *leaves;
} workspace;

typedef struct {
    const jp_bins *bins;
    const jp_boosting *how;
    const float *slopes;
    int64_t width, n_cells;
    workspace w;
} boost_view;

/* ---- histograms ---- */

static float *histogram(const boost_view *v, int64_t which)
{
    return v->w.histograms + which * v->n_cells * v->width;
}

typedef float slopes2 __attribute__((vector_size(8), aligned(4), may_alias));
typedef float slopes8 __attribute__((vector_size(32), aligned(4), may_alias));

/* A cell's slopes are added as one vector. The rows' own sums are added in double on the way: a
   column takes longer than they do. */
#define FILL(WIDTH, VECTOR)                                                                       \
    double total[WIDTH] = {0};                                                                    \
    VECTOR *restrict cells = (VECTOR *)out;                                                       \
    for (int64_t i = start; i < stop; i++) {                                                      \
        int64_t row = rows[i];                                                                    \
        VECTOR slope = ((const VECTOR *)v->slopes)[row];                                          \
        for (int k = 0; k < WIDTH; k++) total[k] += slope[k];                                     \
        const uint8_t *restrict bin = v->bins->by_row + row * n_columns;                          \
        for (int64_t j = 0; j < n_columns; j++) cells[first[j] + bin[j]] += slope;                \
    }                                                                                             \
    memcpy(sums, total, sizeof total);

JP_CLONES
static void fill(const boost_view *v, int64_t start, int64_t stop, float *restrict out,
                 double *restrict sums)
{
    const uint32_t *restrict rows = v->w.row;
    const int64_t *restrict first = v->w.first;
    int64_t n_columns = v->bins->n_columns;
    memset(out, 0, (size_t)(v->n_cells * v->width) * sizeof *out);
    if (v->width == JP_SLOPES_ONE) {
        FILL(JP_SLOPES_ONE, slopes2)
    } else {
        FILL(JP_SLOPES_MANY, slopes8)
    }
}

/* The sibling's histogram is what is left of the parent's. */
JP_CLONES
static void subtract(float *restrict parent, const float *restrict child, int64_t n)
{
    for (int64_t i = 0; i < n; i++) parent[i] -= child[i];
}

/* ---- splits ---- */

typedef struct {
    double sums[JP_SLOPES_MANY];
} slopes;

static inline slopes plus(slopes a, slopes b, int64_t width)
{
    for (int64_t k = 0; k < width; k++) a.sums[k] += b.sums[k];
    return a;
}

static inline slopes minus(slopes a, slopes b, int64_t width)
{
    for (int64_t k = 0; k < width; k++) a.sums[k] -= b.sums[k];
    return a;
}

static inline slopes cell(const float *histogram, int64_t at, int64_t width)
{
    slopes s = {{0}};
    for (int64_t k = 0; k < width; k++) s.sums[k] = histogram[at * width + k];
    return s;
}

static inline double score(const slopes *s, int64_t width, double penalty)
{
    double square = 0;
    for (int64_t k = 0; k < width - 1; k++) square += s->sums[k] * s->sums[k];
    return square / (s->sums[width - 1] + penalty);
}

/* Gain of a division over the undivided leaf, or -1 where a side is too small. */
static inline double gain_of(const boost_view *v, const slopes *left, const slopes *all,
                             double least, double penalty)
{
    int64_t width = v->width;
    slopes right = minus(*all, *left, width);
    if (left->sums[width - 1] < least || right.sums[width - 1] < least) return -1;
    return score(left, width, penalty) + score(&right, width, penalty)
        - score(all, width, v->how->penalty);
}

enum { CHAINS = 4, MOST_BINS = 256 };

/* Slopes of the bins up to each threshold, below (width, MOST_BINS). Four stretches at a time: sums
   of one stretch need not wait for those of another. */
JP_INLINE void sum_up(const float *restrict h, int n_bins, int width, double *restrict below)
{
    double sum[CHAINS][JP_SLOPES_MANY] = {{0}};
    int stretch = (n_bins + CHAINS - 1) / CHAINS;
    for (int i = 0; i < stretch; i++)
        for (int c = 0; c < CHAINS; c++) {
            /* what stands beyond the last bin is added, and never looked at */
            int b = c * stretch + i, read = b < n_bins ? b : n_bins - 1;
            for (int k = 0; k < width; k++)
                below[MOST_BINS * k + b] = sum[c][k] += h[read * width + k];
        }
    for (int c = 1; c < CHAINS; c++)
        for (int k = 0; k < width; k++) {
            double before = below[MOST_BINS * k + c * stretch - 1];
            for (int i = 0; i < stretch; i++) below[MOST_BINS * k + c * stretch + i] += before;
        }
}

/* Gains of all thresholds at once, -1 where a side is too small; returns the largest. below
   (width, MOST_BINS): slopes of the bins up to each threshold; extra, of the missing cells if these
   go left. One division for both sides: it is what a threshold costs. */
JP_INLINE double threshold_gains(const double *restrict below, const double *restrict extra,
                                 const double *restrict all, int n, int width, double least,
                                 double penalty, double undivided, double *restrict gain)
{
    const double *restrict h = below + MOST_BINS * (width - 1);
    double most = -1;
#pragma omp simd reduction(max : most)
    for (int b = 0; b < n; b++) {
        double left_square = 0, right_square = 0;
        for (int k = 0; k < width - 1; k++) {
            double left = below[MOST_BINS * k + b] + extra[k], right = all[k] - left;
            left_square += left * left;
            right_square += right * right;
        }
        double left = h[b] + extra[width - 1], right = all[width - 1] - left;
        double left_curve = left + penalty, right_curve = right + penalty;
        double total = (left_square * right_curve + right_square * left_curve)
            / (left_curve * right_curve);
        total = left < least || right < least ? -1 : total - undivided;
        gain[b] = total;
        most = total > most ? total : most;
    }
    return most;
}

JP_INLINE void try_thresholds(const boost_view *v, const float *h, int width, int64_t column,
                              const slopes *all, double least, jp_split *best)
{
    int n_bins = v->bins->n_bins[column];
    slopes missing = cell(h, n_bins, width), none = {{0}};
    int seen = fabs(missing.sums[width - 1]) > 1e-6 * all->sums[width - 1];
    double below[JP_SLOPES_MANY * MOST_BINS], gain[MOST_BINS];
    sum_up(h, n_bins, width, below);
    double undivided = score(all, width, v->how->penalty);
    for (int missing_left = 0; missing_left <= seen; missing_left++) {
        /* The last threshold tells missing cells, on the right, from all others. */
        int n = n_bins - !(seen && !missing_left);
        double most = threshold_gains(below, missing_left ? missing.sums : none.sums, all->sums, n,
                                      width, least, v->how->penalty, undivided, gain);
        if (!(most > best->score)) continue;
        int b = 0;
        while (gain[b] < most) b++;
        double left = below[MOST_BINS * (width - 1) + b];
        *best = (jp_split){.score = most, .column = column, .threshold = b,
                           .missing_left = seen ? missing_left
                                                : left > 0.5 * all->sums[width - 1],
                           .missing_seen = seen};
    }
}

JP_CLONES
static void best_threshold(const boost_view *v, const float *h, int64_t column, const slopes *all,
                           double least, jp_split *best)
{
    if (v->width == JP_SLOPES_ONE) try_thresholds(v, h, JP_SLOPES_ONE, column, all, least, best);
    else try_thresholds(v, h, JP_SLOPES_MANY, column, all, least, best);
}

/* Levels with rows enough, in the order of their slope along the direction that tells them apart
   best; returns how many. */
static int order_levels(const boost_view *v, const float *h, int64_t column, const slopes *all,
                        double rows_a_curvature, int *levels)
{
    int64_t width = v->width, direction = 0;
    int n_bins = v->bins->n_bins[column], n = 0;
    double smoothing = v->how->level_rows / rows_a_curvature, most = -1, slope[256];
    for (int64_t k = 0; k < width - 1; k++) {
        double spread = 0;
        for (int b = 0; b < n_bins; b++) {
            double weight = h[b * width + width - 1];
            if (weight <= 0) continue;
            double expected = all->sums[k] * weight / all->sums[width - 1];
            double excess = h[b * width + k] - expected;
            spread += excess * excess / (weight + smoothing);
        }
        if (spread > most) {
            most = spread;
            direction = k;
        }
    }
    for (int b = 0; b < n_bins; b++) {
        double weight = h[b * width + width - 1];
        if (weight * rows_a_curvature < v->how->level_rows) continue;
        slope[b] = h[b * width + direction] / (weight + smoothing);
        int j = n++;
        for (; j > 0 && slope[levels[j - 1]] > slope[b]; j--) levels[j] = levels[j - 1];
        levels[j] = b;
    }
    return n;
}

/* Sets of levels from either end of the order go left; all else, missing cells too, goes right. */
static void best_levels(const boost_view *v, const float *h, int64_t column, const slopes *all,
                        double least, double rows_a_curvature, jp_split *best)
{
    int levels[256];
    int64_t width = v->width;
    int n = order_levels(v, h, column, all, rows_a_curvature, levels);
    int n_bins = v->bins->n_bins[column];
    int seen = fabs(h[n_bins * width + width - 1]) > 1e-6 * all->sums[width - 1];
    double penalty = v->how->penalty + (n_bins > 4 ? v->how->level_penalty : 0);
    for (int backwards = 0; backwards < 2; backwards++) {
        slopes left = {{0}};
        uint32_t set[JP_SET_WORDS] = {0};
        int most = n < MOST_LEVELS_LEFT ? n : MOST_LEVELS_LEFT;
        for (int j = 0; j < most; j++) {
            int level = levels[backwards ? n - 1 - j : j];
            left = plus(left, cell(h, level, width), width);
            jp_add_level(set, level);
            double gain = gain_of(v, &left, all, least, penalty);
            if (gain <= best->score) continue;
            *best = (jp_split){.score = gain, .column = column, .levels = 1, .missing_seen = seen};
            memcpy(best->set, set, sizeof set);
        }
    }
}

static void find_split(const boost_view *v, open_leaf *leaf)
{
    int64_t width = v->width;
    leaf->best = (jp_split){.score = v->how->least_gain, .column = -1};
    if (leaf->depth >= v->how->most_depth) return;
    slopes all;
    memcpy(all.sums, leaf->sums, sizeof all.sums);
    double curvature = all.sums[width - 1];
    if (!(curvature > 0)) return;
    double rows_a_curvature = (double)(leaf->stop - leaf->start) / curvature;
    double least = v->how->least_rows / rows_a_curvature;
    if (curvature < 2 * least) return;
    for (int64_t j = 0; j < v->bins->n_columns; j++) {
        const float *h = histogram(v, leaf->histogram) + v->w.first[j] * width;
        if (v->bins->categorical[j])
            best_levels(v, h, j, &all, least, rows_a_curvature, &leaf->best);
        else
            best_threshold(v, h, j, &all, least, &leaf->best);
    }
}

#endif
