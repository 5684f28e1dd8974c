/* Rows going down trees, and the leaf values they gather. */
#include <stdlib.h>

#include "forest_block.h"
#include "forest_node.h"

enum { GROUP = JP_GROUP, STEPS = 4 };

typedef struct {
    const jp_node *node;
    const uint32_t *sets;
} tree_view;

static tree_view view_tree(const jp_forest *f, int64_t tree)
{
    return (tree_view){f->node + f->node_at[tree], f->sets};
}

int jp_forest_thresholds(uint32_t *restrict sets)
{
    for (int set = 0; set < JP_THRESHOLD_SETS; set++) {
        uint32_t *right = sets + set * JP_SET_WORDS;
        int missing_left = set >= 256;
        memset(right, 0, JP_SET_WORDS * sizeof *right);
        for (int bin = set % 256 + 1; bin < JP_MISSING_BIN; bin++) jp_add_level(right, bin);
        if (!missing_left) jp_add_level(right, JP_MISSING_BIN);
    }
    return JP_OK;
}

/* One level down. Where no tree divides levels, a comparison is quicker than a look-up; where
   some do, looking up thresholds as well saves a branch that would be badly guessed. */
JP_INLINE int32_t step(const tree_view *t, int has_sets, const uint8_t *restrict bins, int32_t at)
{
    const jp_node *node = t->node + at;
    uint32_t bin = bins[node->test >> 16];
    if (has_sets) return node->child + (int32_t)jp_goes_right(node, t->sets, bin);
    uint32_t shifted = (bin + (node->test >> 1 & 1)) & 255;
    return node->child + (int32_t)(shifted > (node->test >> 8 & 255));
}

/* Some levels down for GROUP rows, a level of all of them at a time: each waits for memory at every
   level, and so they wait together. */
JP_INLINE void advance(const tree_view *t, int has_sets, const uint8_t *restrict bins,
                       int64_t n_columns, const int32_t *restrict row, int32_t *restrict at)
{
    const uint8_t *own[GROUP];
    for (int g = 0; g < GROUP; g++) own[g] = bins + row[g] * n_columns;
    for (int k = 0; k < STEPS; k++)
        for (int g = 0; g < GROUP; g++) at[g] = step(t, has_sets, own[g], at[g]);
}

/* Leaves of n rows. Rows that are not there yet stay on a list; each of its passes takes every row
   on it some levels down. No step depends on another row's, nor on a branch, so the CPU works on
   many rows at once. */
JP_INLINE void descend(const tree_view *t, int has_sets, const uint8_t *restrict bins,
                       int64_t n_columns, int64_t n, int32_t *restrict leaf)
{
    int32_t row[JP_DESCENT_ROWS + GROUP], at[JP_DESCENT_ROWS + GROUP];
    const jp_node *nodes = t->node;
    /* Those beyond the end of the list go along with its last group. */
    for (int64_t i = 0; i < n + GROUP; i++) {
        row[i] = i < n ? (int32_t)i : 0;
        at[i] = 0;
    }
    for (int64_t open = n; open;) {
        int64_t still = 0;
        for (int64_t i = 0; i < open; i += GROUP) {
            int32_t a[GROUP];
            memcpy(a, at + i, sizeof a);
            advance(t, has_sets, bins, n_columns, row + i, a);
            int64_t m = open - i < GROUP ? open - i : GROUP;
            for (int64_t g = 0; g < m; g++) {
                int32_t r = row[i + g];
                leaf[r] = nodes[a[g]].u.leaf; /* of no meaning until the row has arrived */
                row[still] = r;
                at[still] = a[g];
                still += nodes[a[g]].child != a[g];
            }
        }
        open = still;
    }
}

static void reach(const tree_view *t, int64_t n_sets, const uint8_t *bins, int64_t n_columns,
                  int64_t n, int32_t *leaf)
{
    if (n_sets) descend(t, 1, bins, n_columns, n, leaf);
    else descend(t, 0, bins, n_columns, n, leaf);
}

static int checked(const jp_forest *f, int64_t n_columns, int64_t start, int64_t stop)
{
    return f->n_trees < 1 || n_columns < 1 || n_columns > 65535 || start < 0 || stop < start
        ? JP_ERR_SIZE : JP_OK;
}

static int64_t shorter(int64_t left) { return left < JP_DESCENT_ROWS ? left : JP_DESCENT_ROWS; }

int jp_forest_leaves(const jp_forest *forest, int64_t tree, const uint8_t *restrict by_row,
                     int64_t n_columns, int64_t start, int64_t stop, int32_t *restrict leaves)
{
    if (checked(forest, n_columns, start, stop) || tree < 0 || tree >= forest->n_trees)
        return JP_ERR_SIZE;
    tree_view t = view_tree(forest, tree);
    for (int64_t row = start; row < stop; row += JP_DESCENT_ROWS)
        reach(&t, forest->n_sets, by_row + row * n_columns, n_columns, shorter(stop - row),
              leaves + row - start);
    return JP_OK;
}

/* ---- sums ---- */

/* Add each row's value from its leaf to its sums. */
#define ADD_VALUE(SCALE)                                                                          \
    for (int64_t i = 0; i < n; i++) sums[i] += table[leaf[i]] SCALE;

/* The same for many values, eight at a time: of so few, the compiler's own way with what is left
   over would take longer than all else. */
#define ADD_VALUES(SCALE)                                                                         \
    for (int64_t i = 0; i < n; i++, sums += n_outputs) {                                          \
        int64_t at = (int64_t)leaf[i] * n_outputs, k = 0;                                         \
        for (; k + 8 <= n_outputs; k += 8)                                                        \
            for (int j = 0; j < 8; j++) sums[k + j] += table[at + k + j] SCALE;                   \
        for (; k + 2 <= n_outputs; k += 2)                                                        \
            for (int j = 0; j < 2; j++) sums[k + j] += table[at + k + j] SCALE;                   \
        if (k < n_outputs) sums[k] += table[at + k] SCALE;                                        \
    }

JP_CLONES
static void add_numbers(const float *restrict table, int64_t n_outputs,
                        const int32_t *restrict leaf, int64_t n, float *restrict sums)
{
    if (n_outputs == 1) {
        ADD_VALUE()
    } else {
        ADD_VALUES()
    }
}

JP_CLONES
static void add_units(const uint16_t *restrict table, int64_t n_outputs,
                      const int32_t *restrict leaf, int64_t n, float *restrict sums)
{
    if (n_outputs == 1) {
        ADD_VALUE(*(1.0f / 65535))
    } else {
        ADD_VALUES(*(1.0f / 65535))
    }
}

/* Rows outside in blocks, trees inside: a block's rows and sums stay in cache. */
#define ADD_TREES(ADD)                                                                            \
    int32_t slow[JP_DESCENT_ROWS];                                                                \
    jp_row_block *block = jp_new_block(forest, steps, n_columns, stop - start);                        \
    for (int64_t row = start; row < stop; row += JP_DESCENT_ROWS) {                               \
        int64_t n = shorter(stop - row);                                                          \
        const uint8_t *bins = by_row + row * n_columns;                                           \
        int quick = block && jp_fill_block(block, steps, bins, n);                  \
        for (int64_t tree = first; tree < last; tree++) {                                         \
            const int32_t *leaf = slow;                                                           \
            tree_view t = view_tree(forest, tree);                                                \
            if (quick) leaf = jp_block_leaves(forest, steps, tree, block);                           \
            else reach(&t, forest->n_sets, bins, n_columns, n, slow);                             \
            ADD(values + forest->leaf_at[tree] * n_outputs, n_outputs, leaf, n,                   \
                out + (row - start) * n_outputs);                                                 \
        }                                                                                         \
    }                                                                                             \
    free(block);

int jp_forest_add_numbers(const jp_forest *forest, const jp_steps *steps, int64_t first,
                          int64_t last, const float *restrict values, int64_t n_outputs,
                          const uint8_t *restrict by_row, int64_t n_columns, int64_t start,
                          int64_t stop, float *restrict out)
{
    if (checked(forest, n_columns, start, stop) || n_outputs < 1 || first < 0
        || last > forest->n_trees)
        return JP_ERR_SIZE;
    ADD_TREES(add_numbers)
    return JP_OK;
}

int jp_forest_add(const jp_forest *forest, const float *restrict values, int64_t n_outputs,
                  const uint8_t *restrict by_row, int64_t n_columns, int64_t start, int64_t stop,
                  float *restrict out)
{
    if (checked(forest, n_columns, start, stop)) return JP_ERR_SIZE;
    jp_steps *steps = jp_forest_new_steps(forest);
    int status = jp_forest_add_numbers(forest, steps, 0, forest->n_trees, values, n_outputs,
                                       by_row, n_columns, start, stop, out);
    jp_forest_free_steps(steps);
    return status;
}

int jp_forest_add_shares(const jp_forest *forest, const jp_steps *steps, int64_t first,
                         int64_t last, const uint16_t *restrict values, int64_t n_outputs,
                         const uint8_t *restrict by_row, int64_t n_columns, int64_t start,
                         int64_t stop, float *restrict out)
{
    if (checked(forest, n_columns, start, stop) || n_outputs < 1 || first < 0
        || last > forest->n_trees)
        return JP_ERR_SIZE;
    ADD_TREES(add_units)
    return JP_OK;
}
