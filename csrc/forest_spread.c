/* Predictive distributions: the targets of the training rows in the leaves that a row reaches. */
#include "forest.h"

int jp_forest_spread(const int32_t *restrict leaf, int64_t n_rows, const int64_t *restrict first,
                     const uint8_t *restrict cell, const float *restrict weight,
                     float *restrict out)
{
    if (n_rows < 0) return JP_ERR_SIZE;
    for (int64_t i = 0; i < n_rows; i++) {
        float *own = out + i * JP_SPREAD_CELLS;
        for (int64_t k = first[leaf[i]]; k < first[leaf[i] + 1]; k++) own[cell[k]] += weight[k];
    }
    return JP_OK;
}
