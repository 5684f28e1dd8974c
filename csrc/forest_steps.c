/* Many rows at once down trees of any size.

   A step is a word of 64 bits: child << 32 | (255 - threshold) << 24 | 2 column + missing left?
   Adding bin << 24 carries into the child, and so makes it the right one, where the bin is above
   the threshold. Rows are copied with each bin b followed by b + 1, in which a missing cell is 0:
   the one to compare where it goes left. A leaf's threshold is 255 and its child itself.

   Siblings share a cache line: the root stands in slot 0, pairs of children in 2, 4, .. Where some
   tree divides levels, four words make a pair: two steps, and the levels that go right of each,
   none where a threshold divides; level b is bit b, missing is bit 63.

   The levels next to the root are not descended: there, 256 rows are compared at every node, a
   vector of them at a time, and paths are chosen from below. */

#include <stdlib.h>

#include "forest_block.h"
#include "forest_compare.h"

enum {
    TOP_LEVELS = 5, N_TOP = (1 << TOP_LEVELS) - 1, QUICK_STEPS = 3, FEW_ROWS = 128,
    STEP_LEVELS = 63
};

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

/* Small trees need no steps; where all are small, there are none at all. */
static int64_t count_stepping(const jp_forest *f)
{
    int64_t n = 0;
    for (int64_t tree = 0; tree < f->n_trees; tree++)
        n += f->node_at[tree + 1] - f->node_at[tree] >= 2 * JP_SMALL_LEAVES;
    return n;
}

jp_steps *jp_forest_new_steps(const jp_forest *f)
{
    int64_t n_nodes = f->node_at[f->n_trees];
    int64_t n_slots = count_stepping(f) ? n_nodes + f->n_trees : 0;
    for (int64_t i = 0; i < n_nodes; i++)
        if (f->node[i].test >> 16 >= JP_STEP_COLUMNS) return NULL;
    size_t n_words = (size_t)n_slots * (f->n_sets ? 2 : 1);
    size_t room = n_words * sizeof(uint64_t) + (size_t)n_slots * sizeof(int32_t);
    jp_steps *s = calloc(1, sizeof *s + room);
    if (!s) return NULL;
    s->n_words = (int64_t)n_words;
    s->word = (uint64_t *)(s + 1);
    s->leaf = (int32_t *)(s->word + n_words);
    for (int64_t tree = 0; n_slots && tree < f->n_trees; tree++)
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
JP_INLINE void descend_quickly(int has_sets, const uint64_t *word, int64_t n_slots, jp_row_block *b)
{
    const uint8_t *wide = b->wide;
    jp_open_row *restrict list = b->open;
    int32_t *restrict leaf = b->leaf;
    uint64_t stride = 2 * (uint64_t)b->n_columns;
    jp_open_row nobody = {(uint32_t)b->n, (uint32_t)step_at(n_slots - 1, has_sets)};
    for (int64_t open = b->n; open;) {
        int64_t still = 0;
        for (int g = 0; g < JP_GROUP; g++) list[open + g] = nobody;
        for (int64_t i = 0; i < open; i += JP_GROUP) {
            const uint8_t *own[JP_GROUP];
            uint64_t at[JP_GROUP];
            for (int g = 0; g < JP_GROUP; g++) {
                own[g] = wide + list[i + g].row * stride;
                at[g] = list[i + g].at;
            }
            for (int k = 0; k < QUICK_STEPS; k++)
                for (int g = 0; g < JP_GROUP; g++) at[g] = quick_step(has_sets, word, own[g], at[g]);
            for (int g = 0; g < JP_GROUP; g++) {
                uint32_t row = list[i + g].row;
                leaf[row] = (int32_t)at[g];
                list[still] = (jp_open_row){row, (uint32_t)at[g]};
                still += word[at[g]] >> 32 != at[g];
            }
        }
        open = still;
    }
}

JP_CLONES
static void reach_quickly(int has_sets, const uint64_t *word, const int32_t *leaf, int64_t n_slots,
                          jp_row_block *b)
{
    if (has_sets) descend_quickly(1, word, n_slots, b);
    else descend_quickly(0, word, n_slots, b);
    for (int64_t i = 0; i < b->n; i++) {
        int32_t at = b->leaf[i];
        b->leaf[i] = leaf[has_sets ? at / 4 * 2 + at % 4 : at];
    }
}

/* The first nodes as a full tree, children of k at 2 k + 1 and 2 k + 2, and the slots where it is
   left. A leaf among them stands for its descendants on the left; on the right nobody goes. */
static void find_top(const jp_node *node, const uint32_t *sets, int has_sets, jp_runs *top,
                     uint32_t *exits)
{
    int32_t at[2 * N_TOP + 1] = {0};
    for (int k = 0; k < N_TOP; k++) {
        int32_t child = node[at[k]].child;
        jp_find_runs(node + at[k], sets, top + k);
        at[2 * k + 1] = child;
        at[2 * k + 2] = child + (child != at[k]);
    }
    for (int k = 0; k <= N_TOP; k++) exits[k] = (uint32_t)step_at(slot_of(at[N_TOP + k]), has_sets);
}

/* Number of the exit that each of JP_LANES rows takes. */
JP_CLONES
static void pass_top(const jp_runs *top, const uint8_t *by_column, uint8_t *restrict exit)
{
    uint8_t right[JP_LANES], taken[N_TOP][JP_LANES];
    for (int k = N_TOP; k--;) {
        jp_compare(top + k, by_column + (int64_t)top[k].column * JP_DESCENT_ROWS, right);
        if (k >= N_TOP / 2) {
            uint8_t first = (uint8_t)(2 * k + 1 - N_TOP);
            for (int i = 0; i < JP_LANES; i++) taken[k][i] = (uint8_t)(first - right[i]);
        } else {
            const uint8_t *a = taken[2 * k + 1], *b = taken[2 * k + 2];
            for (int i = 0; i < JP_LANES; i++)
                taken[k][i] = (uint8_t)((a[i] & ~right[i]) | (b[i] & right[i]));
        }
    }
    memcpy(exit, taken[0], JP_LANES);
}

void jp_step_leaves(const jp_forest *f, const jp_steps *s, int64_t tree, jp_row_block *b)
{
    int has_sets = f->n_sets > 0;
    int64_t first = f->node_at[tree] + tree, n_slots = f->node_at[tree + 1] + tree + 1 - first;
    const uint64_t *word = s->word + first * (1 + has_sets);
    jp_fetch(word, n_slots * (1 + has_sets) * (int64_t)sizeof *word);
    jp_fetch(s->leaf + first, n_slots * (int64_t)sizeof *s->leaf);
    jp_runs top[N_TOP];
    uint32_t exits[N_TOP + 1];
    find_top(f->node + f->node_at[tree], f->sets, has_sets, top, exits);
    for (int64_t i = 0; i < b->n; i += JP_LANES) pass_top(top, b->by_column + i, b->exit + i);
    for (int64_t i = 0; i < b->n; i++) b->open[i] = (jp_open_row){(uint32_t)i, exits[b->exit[i]]};
    reach_quickly(has_sets, word, s->leaf + first, n_slots, b);
}

const int32_t *jp_block_leaves(const jp_forest *f, const jp_steps *s, int64_t tree,
                               jp_row_block *b)
{
    int64_t first = f->node_at[tree], n_nodes = f->node_at[tree + 1] - first;
    if (n_nodes < 2 * JP_SMALL_LEAVES)
        jp_small_leaves(f->node + first, n_nodes, f->sets, b->by_column, JP_DESCENT_ROWS, b->n,
                        b->leaf);
    else jp_step_leaves(f, s, tree, b);
    return b->leaf;
}

int jp_fill_block(jp_row_block *b, const jp_steps *s, const uint8_t *restrict bins, int64_t n)
{
    int unknown = 0;
    b->n = n;
    for (int64_t j = 0; j < b->n_columns; j++) {
        uint8_t *restrict cell = b->by_column + j * JP_DESCENT_ROWS;
        for (int64_t i = 0; i < n; i++) cell[i] = bins[i * b->n_columns + j];
        if (!s->by_levels[j]) continue;
        for (int64_t i = 0; i < n; i++)
            unknown |= cell[i] >= STEP_LEVELS && cell[i] != JP_MISSING_BIN;
    }
    for (int64_t i = 0; s->n_words && i < n * b->n_columns; i++) {
        b->wide[2 * i] = bins[i];
        b->wide[2 * i + 1] = (uint8_t)(bins[i] + 1);
    }
    return !unknown;
}

jp_row_block *jp_new_block(const jp_forest *f, const jp_steps *s, int64_t n_columns, int64_t n)
{
    if (!s || n < FEW_ROWS || n_columns > JP_STEP_COLUMNS || n_columns > 8 * f->n_trees)
        return NULL;
    int64_t cells = n_columns * JP_DESCENT_ROWS;
    jp_row_block *b = calloc(1, sizeof *b + (size_t)(3 * cells + 2 * n_columns));
    if (!b) return NULL;
    b->n_columns = n_columns;
    b->by_column = (uint8_t *)(b + 1);
    b->wide = b->by_column + cells;
    return b;
}
