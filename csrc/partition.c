#include "partition.h"

#include <math.h>
#include <string.h>

#include "panel.h"

enum { LANES = JP_PANEL_LANES, ROWS = 32 };

JP_INLINE int64_t n_panels(int64_t n) { return (n + LANES - 1) / LANES; }

/* ---- k-means ---- */

int64_t jp_kmeans_packed_size(int64_t n_features, int64_t n_subsets)
{
    return n_panels(n_subsets) * (n_features + 1) * LANES;
}

int jp_kmeans_pack(const float *restrict centers, int64_t n_features, int64_t n_subsets,
                   float *restrict packed)
{
    if (n_features < 0 || n_subsets < 1) return JP_ERR_SIZE;
    for (int64_t s = 0; s < n_panels(n_subsets) * LANES; s++) {
        float *panel = packed + s / LANES * (n_features + 1) * LANES + s % LANES;
        double norm = 0;
        for (int64_t j = 0; j < n_features; j++) {
            float c = s < n_subsets ? centers[s * n_features + j] : 0;
            panel[j * LANES] = c;
            norm += (double)c * c;
        }
        panel[n_features * LANES] = s < n_subsets ? (float)(-norm / 2) : -INFINITY;
    }
    return JP_OK;
}

/* x . c - |c|^2 / 2 is largest where |x - c|^2 is smallest. Each lane keeps its own best panel. */
JP_INLINE void better_of_panel(int64_t n_rows, const float *scores, const float *offset,
                               int32_t panel, float *best, int32_t *which)
{
    for (int64_t i = 0; i < n_rows; i++) {
#pragma omp simd
        for (int l = 0; l < LANES; l++) {
            float score = scores[i * LANES + l] + offset[l], old = best[i * LANES + l];
            which[i * LANES + l] = score > old ? panel : which[i * LANES + l];
            best[i * LANES + l] = score > old ? score : old;
        }
    }
}

/* The first centre among the lanes' best; 0 if nothing compares (a NaN). */
JP_INLINE int32_t best_center(const float *best, const int32_t *which)
{
    float top = -INFINITY;
    int32_t center = INT32_MAX;
#pragma omp simd reduction(max : top)
    for (int l = 0; l < LANES; l++) top = best[l] > top ? best[l] : top;
#pragma omp simd reduction(min : center)
    for (int l = 0; l < LANES; l++) {
        int32_t here = best[l] == top ? which[l] * LANES + l : INT32_MAX;
        center = here < center ? here : center;
    }
    return center == INT32_MAX ? 0 : center;
}

JP_INLINE float squared_distance(const float *x, const float *y, int64_t n_features)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n_features; j++) sum += (x[j] - y[j]) * (x[j] - y[j]);
    return sum;
}

/* A tile of rows stays in cache while the panels of centres pass by. */
JP_INLINE void assign_tile(int64_t n_rows, const float *points, int64_t n_features,
                           const float *centers, int64_t n_subsets, const float *packed,
                           int32_t *labels, float *distances)
{
    float scores[ROWS * LANES], best[ROWS * LANES];
    int32_t which[ROWS * LANES];
    for (int l = 0; l < ROWS * LANES; l++) best[l] = -INFINITY, which[l] = 0;
    for (int64_t p = 0; p < n_panels(n_subsets); p++) {
        const float *panel = packed + p * (n_features + 1) * LANES;
        jp_times_panel(n_rows, n_features, points, n_features, 1, panel, scores);
        better_of_panel(n_rows, scores, panel + n_features * LANES, (int32_t)p, best, which);
    }
    for (int64_t i = 0; i < n_rows; i++) {
        labels[i] = best_center(best + i * LANES, which + i * LANES);
        distances[i] = squared_distance(points + i * n_features,
                                        centers + labels[i] * n_features, n_features);
    }
}

JP_CLONES
int jp_kmeans_assign(const float *restrict points, int64_t n_features,
                     const float *restrict centers, int64_t n_subsets,
                     const float *restrict packed, int64_t start, int64_t stop,
                     int32_t *restrict labels, float *restrict distances)
{
    if (n_features < 0 || n_subsets < 1 || start < 0) return JP_ERR_SIZE;
    for (int64_t i = start; i < stop; i += ROWS)
        assign_tile(stop - i < ROWS ? stop - i : ROWS, points + i * n_features, n_features,
                    centers, n_subsets, packed, labels + i, distances + i);
    return JP_OK;
}

JP_CLONES
int jp_kmeans_nearer(const float *restrict points, int64_t n_features,
                     const float *restrict center, int64_t start, int64_t stop,
                     float *restrict distances)
{
    if (n_features < 0 || start < 0) return JP_ERR_SIZE;
    for (int64_t i = start; i < stop; i++) {
        float distance = squared_distance(points + i * n_features, center, n_features);
        if (distance < distances[i]) distances[i] = distance;
    }
    return JP_OK;
}

JP_CLONES
int jp_kmeans_sums(const float *restrict points, int64_t n_features,
                   const double *restrict weight, const int32_t *restrict labels,
                   int64_t n_subsets, int64_t start, int64_t stop, double *restrict sums,
                   double *restrict mass)
{
    for (int64_t i = start; i < stop; i++) {
        if (labels[i] < 0 || labels[i] >= n_subsets) return JP_ERR_VALUE;
        const float *x = points + i * n_features;
        double *sum = sums + labels[i] * n_features, w = weight[i];
#pragma omp simd
        for (int64_t j = 0; j < n_features; j++) sum[j] += w * (double)x[j];
        mass[labels[i]] += w;
    }
    return JP_OK;
}

/* ---- mutual information ---- */

JP_INLINE double x_log_x(double x) { return x > 0 ? x * log(x) : 0; }

/* A table of counts (rows + 1, cols + 1); row 0 and column 0 hold missing labels. */
JP_INLINE void add_information(const double *table, int64_t rows, int64_t cols, double *col_sums,
                               double *information, double *mass)
{
    double total = 0, entropies = 0;
    int64_t occurring = 1;
    memset(col_sums, 0, (size_t)(cols + 1) * sizeof(double));
    for (int64_t a = 1; a <= rows; a++) {
        double sum = 0;
        for (int64_t b = 1; b <= cols; b++) {
            double count = table[a * (cols + 1) + b];
            if (!(count > 0)) continue;
            sum += count;
            col_sums[b] += count;
            entropies += x_log_x(count);
            occurring++;
        }
        total += sum;
        entropies -= x_log_x(sum);
        occurring -= sum > 0;
    }
    for (int64_t b = 1; b <= cols; b++) {
        entropies -= x_log_x(col_sums[b]);
        occurring -= col_sums[b] > 0;
    }
    if (!(total > 0)) return;
    *information += entropies + x_log_x(total) - (double)occurring / 2;
    *mass += total;
}

int jp_information_scatter(const int32_t *restrict labels, int64_t n_rows,
                           const int32_t *restrict n_states, int64_t n_columns,
                           const double *restrict weight, int64_t start, int64_t stop,
                           double *restrict work, double *restrict information,
                           double *restrict mass)
{
    if (start < 0 || stop > n_columns) return JP_ERR_SIZE;
    for (int64_t i = start; i < stop; i++) {
        const int32_t *left = labels + i * n_rows;
        for (int64_t j = i; j < n_columns; j++) {
            const int32_t *right = labels + j * n_rows;
            int64_t cols = n_states[j] + 1, size = (n_states[i] + 1) * cols;
            memset(work, 0, (size_t)size * sizeof(double));
            for (int64_t r = 0; r < n_rows; r++)
                work[(left[r] + 1) * cols + right[r] + 1] += weight[r];
            add_information(work, n_states[i], n_states[j], work + size,
                            information + i * n_columns + j, mass + i * n_columns + j);
        }
    }
    return JP_OK;
}

JP_INLINE int64_t panel_index(int64_t indicator, int64_t depth)
{
    return indicator / LANES * depth * LANES + indicator % LANES;
}

JP_INLINE void set_indicator(int64_t at, float weight, float *plain, float *weighted)
{
    plain[at] = 1;
    weighted[at] = weight;
}

int jp_indicators(const int32_t *restrict labels, int64_t n_rows,
                  const int32_t *restrict n_states, int64_t n_columns,
                  const int64_t *restrict first, const int64_t *restrict known,
                  const double *restrict weight, int64_t n_indicators, int64_t start,
                  int64_t depth, float *restrict plain, float *restrict weighted)
{
    if (start < 0 || start + depth > n_rows || n_indicators % LANES) return JP_ERR_SIZE;
    memset(plain, 0, (size_t)(n_indicators * depth) * sizeof(float));
    memset(weighted, 0, (size_t)(n_indicators * depth) * sizeof(float));
    for (int64_t r = 0; r < depth; r++)
        set_indicator(r * LANES, (float)weight[start + r], plain, weighted);
    for (int64_t c = 0; c < n_columns; c++) {
        const int32_t *label = labels + c * n_rows + start;
        for (int64_t r = 0; r < depth; r++) {
            float w = (float)weight[start + r];
            if (label[r] < 0) continue;
            if (label[r] < n_states[c] - 1)
                set_indicator(panel_index(first[c] + label[r], depth) + r * LANES, w, plain,
                              weighted);
            if (known[c])
                set_indicator(panel_index(known[c], depth) + r * LANES, w, plain, weighted);
        }
    }
    return JP_OK;
}

JP_CLONES
int jp_indicator_gram(const float *restrict plain, const float *restrict weighted,
                      int64_t n_indicators, int64_t depth, int64_t start, int64_t stop,
                      double *restrict gram)
{
    float tile[LANES * LANES];
    if (start < 0 || stop * LANES > n_indicators) return JP_ERR_SIZE;
    for (int64_t j = start; j < stop; j++)
        for (int64_t i = 0; i <= j; i++) {
            const float *a = weighted + i * depth * LANES, *b = plain + j * depth * LANES;
            jp_times_panel(LANES, depth, a, 1, LANES, b, tile);
            for (int64_t r = 0; r < LANES; r++) {
                double *row = gram + (i * LANES + r) * n_indicators + j * LANES;
#pragma omp simd
                for (int64_t l = 0; l < LANES; l++) row[l] += tile[r * LANES + l];
            }
        }
    return JP_OK;
}

/* Counts of a pair from the Gram matrix; the last state of each column by subtraction. */
struct pair {
    const double *gram;
    int64_t n_indicators, first[2], known[2], n_states[2];
};

/* Indicator of state v, or of "not missing" for the last one; only i <= j is filled. */
JP_INLINE double pair_count(const struct pair *p, int64_t a, int64_t b)
{
    int64_t i = a < p->n_states[0] - 1 ? p->first[0] + a : p->known[0];
    int64_t j = b < p->n_states[1] - 1 ? p->first[1] + b : p->known[1];
    return i < j ? p->gram[i * p->n_indicators + j] : p->gram[j * p->n_indicators + i];
}

JP_INLINE void pair_table(const struct pair *p, double least, double *table)
{
    int64_t rows = p->n_states[0], cols = p->n_states[1], width = cols + 1;
    for (int64_t a = 0; a < rows; a++)
        for (int64_t b = 0; b < cols; b++) table[(a + 1) * width + b + 1] = pair_count(p, a, b);
    for (int64_t a = 1; a < rows; a++)
        for (int64_t b = 1; b <= cols; b++) table[rows * width + b] -= table[a * width + b];
    for (int64_t a = 1; a <= rows; a++) {
        double *row = table + a * width;
        for (int64_t b = 1; b < cols; b++) row[cols] -= row[b];
        for (int64_t b = 1; b <= cols; b++) row[b] = row[b] > least ? row[b] : 0;
    }
}

int jp_information_gram(const double *restrict gram, int64_t n_indicators,
                        const int32_t *restrict n_states, int64_t n_columns,
                        const int64_t *restrict first, const int64_t *restrict known,
                        double least, int64_t start, int64_t stop, double *restrict work,
                        double *restrict information, double *restrict mass)
{
    if (start < 0 || stop > n_columns) return JP_ERR_SIZE;
    for (int64_t i = start; i < stop; i++)
        for (int64_t j = i; j < n_columns; j++) {
            struct pair p = {gram, n_indicators, {first[i], first[j]}, {known[i], known[j]},
                             {n_states[i], n_states[j]}};
            pair_table(&p, least, work);
            add_information(work, n_states[i], n_states[j],
                            work + (n_states[i] + 1) * (n_states[j] + 1),
                            information + i * n_columns + j, mass + i * n_columns + j);
        }
    return JP_OK;
}
