/* A tree that was read from a file: its tables lie inside their arrays, and hold probabilities. */
#include <string.h>

#include "joint.h"

#define TURN 16 /* columns compared together: a cache line of the transposed table's rows each */

/* Whether all of n numbers are in 0..limit; adds them to *sum. NaN is in no range. */
JP_INLINE int in_range(const float *restrict x, int64_t n, double limit, double *restrict sum)
{
    const float most = (float)limit;
    double total = 0;
    int outside = 0;
#pragma omp simd reduction(+ : total) reduction(| : outside)
    for (int64_t i = 0; i < n; i++) {
        outside |= !(x[i] >= 0 && x[i] <= most);
        total += x[i];
    }
    *sum = total;
    return !outside;
}

/* Rows of probabilities that add up to 1. */
JP_CLONES static int check_rows(const float *restrict table, int64_t n_rows, int64_t n, double rounding)
{
    for (int64_t i = 0; i < n_rows; i++) {
        double sum;
        if (!in_range(table + i * n, n, 1 + rounding, &sum)) return 0;
        if (sum < 1 - rounding || sum > 1 + rounding) return 0;
    }
    return 1;
}

JP_CLONES static int check_turned(const float *restrict table, const float *restrict turned, int64_t n_rows,
                                  int64_t n)
{
    int differ = 0;
    for (int64_t j = 0; j < n; j += TURN) {
        const int64_t end = j + TURN < n ? j + TURN : n;
        for (int64_t i = 0; i < n_rows; i++)
            for (int64_t k = j; k < end; k++) differ |= table[i * n + k] != turned[k * n_rows + i];
    }
    return !differ;
}

/* The levels of a state's cell share at most 1: those that fit did not see have the rest. */
JP_CLONES static int check_emission(const float *restrict emission, const int32_t *restrict cell,
                                    int64_t n_levels, int64_t n_cells, int64_t width, double rounding,
                                    double *restrict sums)
{
    memset(sums, 0, (size_t)(n_cells * width) * sizeof *sums);
    for (int64_t v = 0; v < n_levels; v++) {
        double sum;
        const float *row = emission + v * width;
        double *to = sums + cell[v] * width;
        if (!in_range(row, width, 1 + rounding, &sum)) return 0;
        for (int64_t k = 0; k < width; k++) to[k] += row[k];
    }
    for (int64_t s = 0; s < n_cells * width; s++)
        if (sums[s] > 1 + rounding) return 0;
    return 1;
}

static int check_cells(const int32_t *cell, int64_t n_levels, int64_t n_cells)
{
    for (int64_t v = 0; v < n_levels; v++)
        if (cell[v] < 0 || cell[v] >= n_cells) return 0;
    return 1;
}

/* Whether (n, m) numbers from `at` on lie inside `size`. */
static int inside(int64_t at, int64_t n, int64_t m, int64_t size)
{
    return at >= 0 && at <= size && (n == 0 || m <= (size - at) / n);
}

static int check_levels(const jp_tree *t, const jp_tree_sizes *sizes, int64_t b, int64_t above,
                        double rounding, double *work)
{
    const int64_t v = t->n_levels[b], width = t->n_states[b] / t->n_cells[b], at = t->message_at[b];
    double sum;
    if (!inside(t->cell_at[b], v, 1, sizes->cell)
        || !check_cells(t->cell + t->cell_at[b], v, t->n_cells[b])) return JP_TABLE_CELL;
    if (!inside(t->emission_at[b], v, width, sizes->emission)
        || !check_emission(t->emission + t->emission_at[b], t->cell + t->cell_at[b], v, t->n_cells[b], width,
                           rounding, work)) return JP_TABLE_EMISSION;
    if (at != -1 && (!inside(at, v, above, sizes->message)
                     || !in_range(t->message + at, v * above, 1 + rounding, &sum))) return JP_TABLE_MESSAGE;
    return 0;
}

static int check_block(const jp_tree *t, const jp_tree_sizes *sizes, int64_t b, double rounding, double *work)
{
    const int64_t h = t->n_states[b], above = t->parent[b] < 0 ? 1 : t->n_states[t->parent[b]];
    const int64_t at = t->transition_at[b];
    if (!inside(at, above, h, sizes->transition) || !check_rows(t->transition + at, above, h, rounding))
        return JP_TABLE_TRANSITION;
    if (!check_turned(t->transition + at, t->transposed + at, above, h)) return JP_TABLE_TRANSPOSED;
    if (!t->n_levels[b]) return t->message_at[b] == -1 ? 0 : JP_TABLE_MESSAGE;
    return check_levels(t, sizes, b, above, rounding, work);
}

int jp_tree_check(const jp_tree *tree, const jp_tree_sizes *sizes, double rounding, int64_t first, int64_t last,
                  double *work, int64_t *block)
{
    for (int64_t b = first; b < last; b++) {
        const int table = check_block(tree, sizes, b, rounding, work);
        *block = b;
        if (table) return table;
    }
    return 0;
}
