/* Rows going down trees, and the leaf values they gather. */
#include <stdlib.h>

#include "forest_node.h"

enum { GROUP = 8, STEPS = 4, MOST_OPEN = 4096 };

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

/* ---- many rows at once ----

   A step is a word of 64 bits: child << 32 | (255 - threshold) << 24 | 2 column + missing left?
   Adding bin << 24 carries into the child, and so makes it the right one, where the bin is above
   the threshold. Rows are copied with each bin b followed by b + 1, in which a missing cell is 0:
   the one to compare where it goes left. A leaf's threshold is 255 and its child itself.

   Siblings share a cache line: the root stands in slot 0, pairs of children in 2, 4, .. Where some
   tree divides levels, four words make a pair: two steps, and the levels that go right of each,
   none where a threshold divides; level b is bit b, missing is bit 63.

   The levels next to the root are not descended: there, 256 rows are compared at every node, a
   vector of them at a time, and paths are chosen from below. */

enum {
    TOP_LEVELS = 5, N_TOP = (1 << TOP_LEVELS) - 1, LANES = 256, MOST_RUNS = 33, QUICK_STEPS = 3,
    FEW_ROWS = 128, STEP_LEVELS = 63
};

/* Runs of bins that go right at one of the first nodes: the first and how many more. */
typedef struct {
    uint32_t column;
    int n_runs;
    uint8_t first[MOST_RUNS], more[MOST_RUNS];
} top_node;

typedef struct {
    uint32_t row, at;
} open_row;

/* A block of rows, and room for what a tree does with it. */
typedef struct {
    int64_t n, n_columns;
    uint8_t *by_column;  /* (n_columns, JP_DESCENT_ROWS) */
    uint8_t *wide;       /* (JP_DESCENT_ROWS + 1, n_columns, 2) */
    open_row open[JP_DESCENT_ROWS + GROUP];
    int32_t leaf[JP_DESCENT_ROWS + 1];
    uint8_t exit[JP_DESCENT_ROWS];
} row_block;

static int64_t slot_of(int64_t node) { return node + (node > 0); }

static int64_t step_at(int64_t slot, int has_sets)
{
    return has_sets ? slot / 2 * 4 + slot % 2 : slot;
}

/* Rows with levels from STEP_LEVELS on do not go by steps, see fill_block. */
static uint64_t levels_right(const uint32_t *set)
{
    uint64_t low = set[0] | (uint64_t)set[1] << 32, missing = set[JP_SET_WORDS - 1] >> 31;
    return (low & ~(UINT64_C(1) << STEP_LEVELS)) | missing << STEP_LEVELS;
}

static void make_step(const jp_forest *f, int64_t tree, int64_t i, jp_steps *steps)
{
    int has_sets = f->n_sets > 0;
    int64_t first = f->node_at[tree] + tree, slot = slot_of(i);
    const jp_node *node = f->node + f->node_at[tree] + i;
    uint64_t *step = steps->word + first * (1 + has_sets) + step_at(slot, has_sets);
    uint64_t child = (uint64_t)step_at(slot_of(node->child), has_sets);
    uint64_t column = node->test >> 16, threshold = node->test >> 8 & 255;
    if (node->child == i) {
        step[0] = child << 32;
        steps->leaf[first + slot] = node->u.leaf;
    } else if (node->test & JP_TEST_LEVELS) {
        step[0] = child << 32 | 2 * column;
        step[2] = levels_right(f->sets + (int64_t)node->set * JP_SET_WORDS);
        steps->by_levels[column] = 1;
    } else {
        step[0] = child << 32 | (255 - threshold) << 24 | 2 * column | (node->test >> 1 & 1);
    }
}

jp_steps *jp_forest_new_steps(const jp_forest *f)
{
    int64_t n_nodes = f->node_at[f->n_trees], n_slots = n_nodes + f->n_trees;
    for (int64_t i = 0; i < n_nodes; i++)
        if (f->node[i].test >> 16 >= JP_STEP_COLUMNS) return NULL;
    size_t n_words = (size_t)n_slots * (f->n_sets ? 2 : 1);
    size_t room = n_words * sizeof(uint64_t) + (size_t)n_slots * sizeof(int32_t);
    jp_steps *s = calloc(1, sizeof *s + room);
    if (!s) return NULL;
    s->word = (uint64_t *)(s + 1);
    s->leaf = (int32_t *)(s->word + n_words);
    for (int64_t tree = 0; tree < f->n_trees; tree++)
        for (int64_t i = 0; i < f->node_at[tree + 1] - f->node_at[tree]; i++)
            make_step(f, tree, i, s);
    return s;
}

void jp_forest_free_steps(jp_steps *steps) { free(steps); }

JP_INLINE uint64_t quick_step(int has_sets, const uint64_t *word, const uint8_t *bins, uint64_t at)
{
    uint64_t step = word[at], bin = bins[step & 65535];
    uint64_t next = (step + (bin << 24)) >> 32;
    return has_sets ? next + (word[at + 2] >> (bin & 63) & 1) : next;
}

/* As descend: the list is filled up with rows that are in the tree's last node, a leaf. */
JP_INLINE void descend_quickly(int has_sets, const uint64_t *word, int64_t n_slots, row_block *b)
{
    const uint8_t *wide = b->wide;
    open_row *restrict list = b->open;
    int32_t *restrict leaf = b->leaf;
    uint64_t stride = 2 * (uint64_t)b->n_columns;
    open_row nobody = {(uint32_t)b->n, (uint32_t)step_at(n_slots - 1, has_sets)};
    for (int64_t open = b->n; open;) {
        int64_t still = 0;
        for (int g = 0; g < GROUP; g++) list[open + g] = nobody;
        for (int64_t i = 0; i < open; i += GROUP) {
            const uint8_t *own[GROUP];
            uint64_t at[GROUP];
            for (int g = 0; g < GROUP; g++) {
                own[g] = wide + list[i + g].row * stride;
                at[g] = list[i + g].at;
            }
            for (int k = 0; k < QUICK_STEPS; k++)
                for (int g = 0; g < GROUP; g++) at[g] = quick_step(has_sets, word, own[g], at[g]);
            for (int g = 0; g < GROUP; g++) {
                uint32_t row = list[i + g].row;
                leaf[row] = (int32_t)at[g];
                list[still] = (open_row){row, (uint32_t)at[g]};
                still += word[at[g]] >> 32 != at[g];
            }
        }
        open = still;
    }
}

JP_CLONES
static void reach_quickly(int has_sets, const uint64_t *word, const int32_t *leaf, int64_t n_slots,
                          row_block *b)
{
    if (has_sets) descend_quickly(1, word, n_slots, b);
    else descend_quickly(0, word, n_slots, b);
    for (int64_t i = 0; i < b->n; i++) {
        int32_t at = b->leaf[i];
        b->leaf[i] = leaf[has_sets ? at / 4 * 2 + at % 4 : at];
    }
}

static void add_run(top_node *top, int first, int last)
{
    if (first > last) return;
    top->first[top->n_runs] = (uint8_t)first;
    top->more[top->n_runs++] = (uint8_t)(last - first);
}

/* Bins that go right as runs. Every other level of STEP_LEVELS makes 32 runs, and missing
   is one more. */
static void find_runs(uint64_t step, uint64_t set, top_node *top)
{
    int threshold = 255 - (int)(step >> 24 & 255), missing_left = step & 1;
    top->column = (uint32_t)(step & 65535) / 2;
    top->n_runs = 0;
    if (!set) {
        add_run(top, threshold + !missing_left, JP_MISSING_BIN - missing_left);
        return;
    }
    for (int bin = 0; bin < STEP_LEVELS; bin++) {
        int first = bin;
        while (bin < STEP_LEVELS && (set >> bin & 1)) bin++;
        add_run(top, first, bin - 1);
    }
    if (set >> STEP_LEVELS) add_run(top, JP_MISSING_BIN, JP_MISSING_BIN);
}

/* The first nodes as a full tree, children of k at 2 k + 1 and 2 k + 2, and where it is left. A
   leaf among them stands for its descendants on the left; on the right nobody goes. */
static void find_top(int has_sets, const uint64_t *word, top_node *top, uint32_t *exits)
{
    uint32_t at[2 * N_TOP + 1] = {0};
    for (int k = 0; k < N_TOP; k++) {
        uint64_t step = word[at[k]];
        uint32_t child = (uint32_t)(step >> 32);
        find_runs(step, has_sets ? word[at[k] + 2] : 0, top + k);
        at[2 * k + 1] = child;
        at[2 * k + 2] = child + (child != at[k]);
    }
    memcpy(exits, at + N_TOP, (N_TOP + 1) * sizeof *exits);
}

/* 255 for the rows that go right, 0 for the others. */
JP_INLINE void compare(const top_node *node, const uint8_t *restrict bin, uint8_t *restrict right)
{
    memset(right, 0, LANES);
    for (int k = 0; k < node->n_runs; k++) {
        uint8_t first = node->first[k], more = node->more[k];
        for (int i = 0; i < LANES; i++)
            right[i] |= (uint8_t)(bin[i] - first) <= more ? 255 : 0;
    }
}

/* Number of the exit that each of LANES rows takes. */
JP_CLONES
static void pass_top(const top_node *top, const uint8_t *by_column, uint8_t *restrict exit)
{
    uint8_t right[LANES], taken[N_TOP][LANES];
    for (int k = N_TOP; k--;) {
        compare(top + k, by_column + (int64_t)top[k].column * JP_DESCENT_ROWS, right);
        if (k >= N_TOP / 2) {
            uint8_t first = (uint8_t)(2 * k + 1 - N_TOP);
            for (int i = 0; i < LANES; i++) taken[k][i] = (uint8_t)(first - right[i]);
        } else {
            const uint8_t *a = taken[2 * k + 1], *b = taken[2 * k + 2];
            for (int i = 0; i < LANES; i++)
                taken[k][i] = (uint8_t)((a[i] & ~right[i]) | (b[i] & right[i]));
        }
    }
    memcpy(exit, taken[0], LANES);
}

static const int32_t *block_leaves(const jp_forest *f, const jp_steps *s, int64_t tree,
                                   row_block *b)
{
    int has_sets = f->n_sets > 0;
    int64_t first = f->node_at[tree] + tree, n_slots = f->node_at[tree + 1] + tree + 1 - first;
    const uint64_t *word = s->word + first * (1 + has_sets);
    top_node top[N_TOP];
    uint32_t exits[N_TOP + 1];
    find_top(has_sets, word, top, exits);
    for (int64_t i = 0; i < b->n; i += LANES) pass_top(top, b->by_column + i, b->exit + i);
    for (int64_t i = 0; i < b->n; i++) b->open[i] = (open_row){(uint32_t)i, exits[b->exit[i]]};
    reach_quickly(has_sets, word, s->leaf + first, n_slots, b);
    return b->leaf;
}

/* Copy n rows; 0 where one has a level that no step knows. */
static int fill_block(row_block *b, const jp_steps *s, const uint8_t *restrict bins, int64_t n)
{
    int unknown = 0;
    b->n = n;
    for (int64_t i = 0; i < n * b->n_columns; i++) {
        b->wide[2 * i] = bins[i];
        b->wide[2 * i + 1] = (uint8_t)(bins[i] + 1);
    }
    for (int64_t j = 0; j < b->n_columns; j++) {
        uint8_t *restrict cell = b->by_column + j * JP_DESCENT_ROWS;
        for (int64_t i = 0; i < n; i++) cell[i] = bins[i * b->n_columns + j];
        if (!s->by_levels[j]) continue;
        for (int64_t i = 0; i < n; i++)
            unknown |= cell[i] >= STEP_LEVELS && cell[i] != JP_MISSING_BIN;
    }
    return !unknown;
}

/* NULL where copies of the rows do not pay, or there is no room for them. */
static row_block *make_block(const jp_forest *f, const jp_steps *s, int64_t n_columns, int64_t n)
{
    if (!s || n < FEW_ROWS || n_columns > JP_STEP_COLUMNS || n_columns > 8 * f->n_trees)
        return NULL;
    int64_t cells = n_columns * JP_DESCENT_ROWS;
    row_block *b = calloc(1, sizeof *b + (size_t)(3 * cells + 2 * n_columns));
    if (!b) return NULL;
    b->n_columns = n_columns;
    b->by_column = (uint8_t *)(b + 1);
    b->wide = b->by_column + cells;
    return b;
}

/* ---- sums ---- */

/* Add a row's value from its leaf to its sums. */
#define ADD_VALUES(N_OUTPUTS, SCALE)                                                              \
    for (int64_t i = 0; i < n; i++)                                                               \
        for (int64_t k = 0; k < (N_OUTPUTS); k++)                                                 \
            sums[i * (N_OUTPUTS) + k] += table[(int64_t)leaf[i] * (N_OUTPUTS) + k] SCALE;

JP_CLONES
static void add_numbers(const float *restrict table, int64_t n_outputs,
                        const int32_t *restrict leaf, int64_t n, float *restrict sums)
{
    if (n_outputs == 1) {
        ADD_VALUES(1, )
    } else {
        ADD_VALUES(n_outputs, )
    }
}

JP_CLONES
static void add_units(const uint16_t *restrict table, int64_t n_outputs,
                      const int32_t *restrict leaf, int64_t n, float *restrict sums)
{
    if (n_outputs == 1) {
        ADD_VALUES(1, *(1.0f / 65535))
    } else {
        ADD_VALUES(n_outputs, *(1.0f / 65535))
    }
}

/* Rows outside in blocks, trees inside: a block's rows and sums stay in cache. */
#define ADD_TREES(ADD)                                                                            \
    int32_t slow[JP_DESCENT_ROWS];                                                                \
    row_block *block = make_block(forest, steps, n_columns, stop - start);                        \
    for (int64_t row = start; row < stop; row += JP_DESCENT_ROWS) {                               \
        int64_t n = shorter(stop - row);                                                          \
        const uint8_t *bins = by_row + row * n_columns;                                           \
        int quick = block && n >= FEW_ROWS && fill_block(block, steps, bins, n);                  \
        for (int64_t tree = 0; tree < forest->n_trees; tree++) {                                  \
            const int32_t *leaf = slow;                                                           \
            tree_view t = view_tree(forest, tree);                                                \
            if (quick) leaf = block_leaves(forest, steps, tree, block);                           \
            else reach(&t, forest->n_sets, bins, n_columns, n, slow);                             \
            ADD(values + forest->leaf_at[tree] * n_outputs, n_outputs, leaf, n,                   \
                out + (row - start) * n_outputs);                                                 \
        }                                                                                         \
    }                                                                                             \
    free(block);

int jp_forest_add_numbers(const jp_forest *forest, const jp_steps *steps,
                          const float *restrict values, int64_t n_outputs,
                          const uint8_t *restrict by_row, int64_t n_columns, int64_t start,
                          int64_t stop, float *restrict out)
{
    if (checked(forest, n_columns, start, stop) || n_outputs < 1) return JP_ERR_SIZE;
    ADD_TREES(add_numbers)
    return JP_OK;
}

int jp_forest_add(const jp_forest *forest, const float *restrict values, int64_t n_outputs,
                  const uint8_t *restrict by_row, int64_t n_columns, int64_t start, int64_t stop,
                  float *restrict out)
{
    if (checked(forest, n_columns, start, stop)) return JP_ERR_SIZE;
    jp_steps *steps = jp_forest_new_steps(forest);
    int status = jp_forest_add_numbers(forest, steps, values, n_outputs, by_row, n_columns, start,
                                       stop, out);
    jp_forest_free_steps(steps);
    return status;
}

int jp_forest_add_shares(const jp_forest *forest, const jp_steps *steps,
                         const uint16_t *restrict values, int64_t n_outputs,
                         const uint8_t *restrict by_row, int64_t n_columns, int64_t start,
                         int64_t stop, float *restrict out)
{
    if (checked(forest, n_columns, start, stop) || n_outputs < 1) return JP_ERR_SIZE;
    ADD_TREES(add_units)
    return JP_OK;
}

/* ---- both ways ---- */

typedef struct {
    int32_t node;
    float weight;
} open_node;

JP_INLINE int forks(uint32_t test, uint32_t bin, int everywhere)
{
    return bin == JP_MISSING_BIN && (everywhere || (test & JP_TEST_MISSING_UNSEEN));
}

/* One row in one tree: the weighted values of every leaf that it may reach. */
static void add_reachable(const tree_view *t, const uint8_t *bins, int everywhere,
                          const float *values, const uint16_t *shares, int64_t first,
                          int64_t n_outputs, float *sums)
{
    open_node open[MOST_OPEN];
    int n_open = 1;
    open[0] = (open_node){0, 1};
    while (n_open) {
        open_node o = open[--n_open];
        const jp_node *node = t->node + o.node;
        while (node->child != o.node) {
            uint32_t bin = bins[node->test >> 16];
            if (forks(node->test, bin, everywhere) && n_open < MOST_OPEN) {
                open[n_open++] = (open_node){node->child + 1, o.weight * (1 - node->u.share)};
                o = (open_node){node->child, o.weight * node->u.share};
            } else {
                o.node = node->child + (int32_t)jp_goes_right(node, t->sets, bin);
            }
            node = t->node + o.node;
        }
        int64_t at = (first + node->u.leaf) * n_outputs;
        for (int64_t k = 0; k < n_outputs; k++)
            sums[k] += o.weight * (values ? values[at + k] : shares[at + k] * (1.0f / 65535));
    }
}

int jp_forest_add_both_ways(const jp_forest *forest, const float *restrict values,
                            const uint16_t *restrict shares, int64_t n_outputs, int everywhere,
                            const uint8_t *restrict by_row, int64_t n_columns, int64_t start,
                            int64_t stop, float *restrict out)
{
    if (checked(forest, n_columns, start, stop) || n_outputs < 1 || !values == !shares)
        return JP_ERR_SIZE;
    for (int64_t tree = 0; tree < forest->n_trees; tree++) {
        tree_view t = view_tree(forest, tree);
        for (int64_t row = start; row < stop; row++)
            add_reachable(&t, by_row + row * n_columns, everywhere, values, shares,
                          forest->leaf_at[tree], n_outputs, out + (row - start) * n_outputs);
    }
    return JP_OK;
}
