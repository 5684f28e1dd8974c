/* Leaves that go on counting: rows of each class, and the shares that leaves say after them. */
#include "forest.h"

/* A leaf's shares: those it said when it was grown are worth some rows beside the counted ones. */
JP_INLINE void say(const float *restrict counts, const float *restrict grown, float worth,
                   int64_t n_classes, float *restrict values)
{
    float total = 0;
    for (int64_t c = 0; c < n_classes; c++) total += counts[c];
    for (int64_t c = 0; c < n_classes; c++)
        values[c] = (counts[c] + worth * grown[c]) / (total + worth);
}

int jp_forest_say(const float *restrict counts, const float *restrict grown, float worth,
                  int64_t n_leaves, int64_t n_classes, float *restrict values)
{
    if (n_leaves < 0 || n_classes < 1) return JP_ERR_SIZE;
    for (int64_t at = 0; at < n_leaves * n_classes; at += n_classes)
        say(counts + at, grown + at, worth, n_classes, values + at);
    return JP_OK;
}

/* Rows of one tree's leaves. */
static void count_rows(const int32_t *restrict leaf, const int64_t *restrict label,
                       const double *restrict weight, int64_t n, const float *restrict grown,
                       float worth, int64_t n_classes, float *restrict counts,
                       float *restrict values)
{
    for (int64_t i = 0; i < n; i++) counts[leaf[i] * n_classes + label[i]] += (float)weight[i];
    for (int64_t i = 0; i < n; i++) {
        int64_t at = leaf[i] * n_classes;
        say(counts + at, grown + at, worth, n_classes, values + at);
    }
}

int jp_forest_count(const jp_forest *forest, const uint8_t *restrict by_row, int64_t n_columns,
                    int64_t n_rows, const int64_t *restrict label, const double *restrict weight,
                    const float *restrict grown, float worth, int64_t n_classes,
                    float *restrict counts, float *restrict values)
{
    int32_t leaf[JP_DESCENT_ROWS];
    for (int64_t i = 0; i < n_rows; i++)
        if (label[i] < 0 || label[i] >= n_classes) return JP_ERR_VALUE;
    for (int64_t row = 0; row < n_rows; row += JP_DESCENT_ROWS) {
        int64_t n = n_rows - row < JP_DESCENT_ROWS ? n_rows - row : JP_DESCENT_ROWS;
        for (int64_t tree = 0; tree < forest->n_trees; tree++) {
            int64_t at = forest->leaf_at[tree] * n_classes;
            int status = jp_forest_leaves(forest, tree, by_row, n_columns, row, row + n, leaf);
            if (status) return status;
            count_rows(leaf, label + row, weight + row, n, grown + at, worth, n_classes,
                       counts + at, values + at);
        }
    }
    return JP_OK;
}
