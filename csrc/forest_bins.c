/* Cells to bins: a column's edges stay in the first-level cache while its rows are searched. */
#include "forest.h"

enum { TOGETHER = 16 };

/* How many edges lie below each of n cells. Halves are chosen by arithmetic and not by a branch,
   which would be guessed wrong every other time; many cells are searched together, as each waits
   for the edge before. */
JP_INLINE void search(const double *restrict cells, int64_t n, const double *restrict edges,
                      int64_t n_edges, uint8_t *restrict bins)
{
    int64_t below[TOGETHER] = {0};
    for (int64_t left = n_edges; left; left /= 2) {
        int64_t half = (left + 1) / 2;
        for (int64_t i = 0; i < n; i++) below[i] += edges[below[i] + half - 1] < cells[i] ? half : 0;
    }
    for (int64_t i = 0; i < n; i++)
        bins[i] = cells[i] == cells[i] ? (uint8_t)below[i] : JP_MISSING_BIN;
}

static void bin_numbers(const double *restrict cells, int64_t n, const jp_edges *edges,
                        uint8_t *restrict bins)
{
    int64_t i = 0;
    for (; i + TOGETHER <= n; i += TOGETHER)
        search(cells + i, TOGETHER, edges->edges, edges->n_edges, bins + i);
    search(cells + i, n - i, edges->edges, edges->n_edges, bins + i);
}

static void bin_levels(const int32_t *restrict cells, int64_t n, const jp_edges *edges,
                       uint8_t *restrict bins)
{
    const uint8_t *restrict bin_of = edges->edges;
    for (int64_t i = 0; i < n; i++)
        bins[i] = cells[i] >= 0 && cells[i] < edges->n_edges ? bin_of[cells[i]] : JP_MISSING_BIN;
}

int jp_forest_bin(const jp_edges *edges, const void *const *cells, int64_t n_columns,
                  int64_t n_rows, int64_t start, int64_t stop, uint8_t *restrict by_column)
{
    if (start < 0 || stop < start || n_rows < stop) return JP_ERR_SIZE;
    for (int64_t j = 0; j < n_columns; j++) {
        uint8_t *bins = by_column + j * n_rows + start;
        if (!edges[j].categorical && edges[j].n_edges >= JP_MISSING_BIN) return JP_ERR_SIZE;
        if (edges[j].categorical)
            bin_levels((const int32_t *)cells[j] + start, stop - start, edges + j, bins);
        else bin_numbers((const double *)cells[j] + start, stop - start, edges + j, bins);
    }
    return JP_OK;
}
