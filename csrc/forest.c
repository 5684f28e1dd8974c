/* Growing trees for a target on columns of bins. */
#include <math.h>
#include <string.h>

#include "forest_split.h"
#include "philox.h"

enum { MOST_CLASSES = 65535, MOST_ROWS = 1 << 30 };

/* Last word of a draw's counter, so that no two uses share a stream. */
enum { DRAW_BOOTSTRAP = 0, DRAW_SPLIT = 2 };

/* ---- work space ---- */

/* A node that waits for its turn. */
typedef struct {
    int32_t node, start, stop, depth;
    int32_t n_constant; /* columns known to have one value only, from its ancestors */
} open_node;

typedef struct {
    uint32_t *row, *row_out; /* rows of the tree, node by node */
    jp_item *item, *item_out;
    int32_t *next;
    uint8_t *side;
    int32_t *columns; /* a permutation, constant ones first: candidates are drawn from the rest */
    open_node *stack;
    double *counts, *left, *known, *missing;
    jp_tally *tally;
} workspace;

static int64_t aligned(int64_t size) { return (size + 63) / 64 * 64; }

static int64_t lay_out(workspace *w, char *at, int64_t n, int64_t n_columns, int64_t n_classes)
{
    int64_t used = 0;
#define TAKE(field, count)                                                                        \
    do {                                                                                          \
        if (at) w->field = (void *)(at + used);                                                   \
        used += aligned((int64_t)sizeof(*w->field) * (count));                                    \
    } while (0)
    TAKE(row, n);
    TAKE(row_out, n);
    TAKE(item, n);
    TAKE(item_out, n);
    TAKE(next, n);
    TAKE(side, n);
    TAKE(columns, n_columns);
    TAKE(stack, n + 2);
    TAKE(counts, n_classes);
    TAKE(left, n_classes);
    TAKE(known, n_classes);
    TAKE(missing, n_classes);
    TAKE(tally, 1);
#undef TAKE
    return used;
}

int64_t jp_forest_work_size(const jp_bins *bins, int64_t n_bagged, int64_t n_classes)
{
    workspace unused;
    return lay_out(&unused, 0, n_bagged, bins->n_columns, n_classes) + 64;
}

/* ---- random numbers ---- */

int jp_forest_bootstrap(const uint64_t key[2], int64_t tree, int64_t n_rows, int64_t n_drawn,
                        uint8_t *restrict times)
{
    if (n_rows < 1 || n_rows > UINT32_MAX || n_drawn < 1) return JP_ERR_SIZE;
    memset(times, 0, (size_t)n_rows);
    for (int64_t i = 0; i < n_drawn; i += 8) {
        jp_philox64 draw = jp_philox4x64((uint64_t)i, (uint64_t)tree, JP_STAGE_FOREST,
                                         DRAW_BOOTSTRAP, key[0], key[1]);
        int64_t m = n_drawn - i < 8 ? n_drawn - i : 8;
        for (int64_t k = 0; k < m; k++) {
            uint64_t word = (draw.word[k / 2] >> (32 * (k & 1))) & UINT32_MAX;
            uint8_t *t = times + (word * (uint64_t)n_rows >> 32);
            *t += *t < 255;
        }
    }
    return JP_OK;
}

/* A stream of 32-bit words for one node. */
typedef struct {
    const uint64_t *key;
    uint64_t node, tree, next;
    jp_philox64 block;
} stream;

static stream open_stream(const uint64_t *key, int64_t tree, int64_t node)
{
    return (stream){key, (uint64_t)node, (uint64_t)tree, 0, {{0}}};
}

static uint32_t draw(stream *s)
{
    uint64_t i = s->next++;
    if (i % 8 == 0)
        s->block = jp_philox4x64(s->node, s->tree | (i / 8 + 1) << 40, JP_STAGE_FOREST, DRAW_SPLIT,
                                 s->key[0], s->key[1]);
    return (uint32_t)(s->block.word[i % 8 / 2] >> (32 * (i & 1)));
}

static int64_t draw_below(stream *s, int64_t n)
{
    return (int64_t)((uint64_t)draw(s) * (uint64_t)n >> 32);
}

/* ---- splits ---- */

typedef struct {
    const jp_bins *bins;
    const jp_growth *growth;
    int64_t n_outputs, n_classes; /* n_classes is 0 where rows are divided by sums */
    workspace w;
} grower;

typedef struct {
    jp_split split;
    double score, left_weight;
} division;

static void describe(const jp_tally *t, const jp_cut *cut, double weight, jp_split *split)
{
    split->missing_left = cut->missing_left;
    split->missing_seen = t->misses;
    if (split->levels) jp_levels_at(t, cut->at, 2 * cut->left_weight > weight, split->set);
    else split->threshold = jp_threshold_at(t, cut->at);
}

/* Find the best division by one column; 0 where it has one value only. */
JP_INLINE int try_best(const grower *g, const jp_grown_node *node, int64_t column, int by_lists,
                       int counted, division *best)
{
    jp_tally *t = g->w.tally;
    const uint8_t *bins = g->bins->by_column + column * g->bins->n_rows;
    int levels = g->bins->categorical[column];
    if (by_lists) jp_tally_lists(t, node, bins, counted);
    else jp_tally_sums(t, node, bins, counted);
    jp_list_bins(t, g->bins->n_bins[column]);
    jp_list_tallies(t, node, by_lists, levels, counted);
    int varies = t->n && t->n + t->misses > 1;
    if (varies) {
        jp_cut cut = {.score = best->score, .at = -1};
        if (levels) jp_order_levels(t, node->all);
        if (by_lists) jp_cut_lists(t, node, counted, &cut);
        else jp_cut_sums(t, node, counted, &cut);
        if (cut.at >= 0) {
            *best = (division){{.column = column, .levels = levels}, cut.score, cut.left_weight};
            describe(t, &cut, node->all.weight, &best->split);
        }
    }
    if (by_lists) jp_clear_lists(t);
    return varies;
}

/* Draw a threshold between two bins that occur, or a set of levels. */
static void draw_sides(jp_split *split, int n_bins, jp_range range, int64_t n,
                       uint8_t *restrict side, stream *s)
{
    if (split->levels) {
        for (int k = 0; k * 32 < n_bins; k++) split->set[k] = draw(s);
        split->set[JP_SET_WORDS - 1] &= ~(UINT32_C(1) << 31);
        for (int64_t i = 0; i < n; i++) {
            uint8_t missing = side[i] == JP_MISSING_BIN ? JP_SIDE_MISSING : 0;
            side[i] = (uint8_t)jp_has_level(split->set, side[i]) | missing;
        }
        return;
    }
    int spread = range.high - range.low;
    split->threshold = range.low + (spread ? (int)draw_below(s, spread) : 0);
    uint8_t most = (uint8_t)split->threshold;
    for (int64_t i = 0; i < n; i++) {
        uint8_t missing = side[i] == JP_MISSING_BIN ? JP_SIDE_MISSING : 0;
        side[i] = (uint8_t)(side[i] <= most) | missing;
    }
}

/* Judge one division by one column, drawn at random; 0 where it has one value only. */
static int try_random(const grower *g, const jp_grown_node *node, int64_t column, stream *s,
                      division *best)
{
    uint8_t *side = g->w.side;
    jp_range range = jp_gather(node, g->bins->by_column + column * g->bins->n_rows, side);
    if (range.high < range.low || (range.high == range.low && !range.misses)) return 0;
    jp_split split = {.column = column, .levels = g->bins->categorical[column],
                      .missing_seen = range.misses};
    draw_sides(&split, g->bins->n_bins[column], range, node->n_rows, side, s);
    jp_cut cut = {.score = best->score, .at = -1};
    jp_judge_sides(node, side, range.misses, &cut);
    if (cut.at >= 0) {
        split.missing_left = cut.missing_left;
        *best = (division){split, cut.score, cut.left_weight};
    }
    return 1;
}

/* By lists: of more than two classes. Counted: where leaves need more than one row. */
JP_INLINE int try_column(const grower *g, const jp_grown_node *node, int64_t column, stream *s,
                         division *best)
{
    int counted = node->least_rows > 1;
    if (g->growth->random_splits) return try_random(g, node, column, s, best);
    if (!counted && !g->n_classes) return try_best(g, node, column, 0, 0, best);
    if (!counted) return try_best(g, node, column, 1, 0, best);
    if (!g->n_classes) return try_best(g, node, column, 0, 1, best);
    return try_best(g, node, column, 1, 1, best);
}

/* The best division by some columns drawn at random; those with one value only do not count. */
static division find_split(const grower *g, const jp_grown_node *node, open_node *open, stream *s)
{
    division best = {.split = {.column = -1}, .score = -1};
    int32_t *columns = g->w.columns;
    int64_t tried = 0, d = g->bins->n_columns;
    for (int64_t k = open->n_constant; k < d && tried < g->growth->n_candidates; k++) {
        int64_t j = k + draw_below(s, d - k);
        int32_t column = columns[j];
        columns[j] = columns[k];
        columns[k] = column;
        if (try_column(g, node, column, s, &best)) {
            tried++;
        } else {
            columns[k] = columns[open->n_constant];
            columns[open->n_constant++] = column;
        }
    }
    return best;
}

/* ---- growing ---- */

/* Written to both places; only one of the two cursors moves on. */
#define DIVIDE(GOES_LEFT)                                                                         \
    for (int64_t i = open->start; i < open->stop; i++) {                                          \
        uint32_t r = row[i], b = bins[r];                                                         \
        jp_item own = item[i];                                                                    \
        int goes_left = (GOES_LEFT);                                                              \
        row_out[end] = r;                                                                         \
        item_out[end] = own;                                                                      \
        row[at] = r;                                                                              \
        item[at] = own;                                                                           \
        at += goes_left;                                                                          \
        end += !goes_left;                                                                        \
    }

/* Rows that go left first, both sides in their old order; returns where the right side starts. */
static int32_t divide(const grower *g, const open_node *open, const jp_split *s)
{
    const workspace *w = &g->w;
    const uint8_t *restrict bins = g->bins->by_column + s->column * g->bins->n_rows;
    uint32_t *restrict row = w->row, *restrict row_out = w->row_out;
    jp_item *restrict item = w->item, *restrict item_out = w->item_out;
    int64_t at = open->start, end = 0;
    if (s->levels) {
        uint32_t set[JP_SET_WORDS];
        memcpy(set, s->set, sizeof set);
        if (s->missing_left) jp_add_level(set, JP_MISSING_BIN);
        DIVIDE((int)jp_has_level(set, b))
    } else {
        uint32_t shift = s->missing_left != 0, most = (uint32_t)s->threshold + shift;
        DIVIDE(((b + shift) & 255) <= most)
    }
    memcpy(row + at, row_out, (size_t)end * sizeof *row);
    memcpy(item + at, item_out, (size_t)end * sizeof *item);
    return (int32_t)at;
}

/* Totals of a node's rows, and its value; is it pure? */
static int weigh_classes(const grower *g, jp_grown_node *node, float *value)
{
    double *restrict counts = g->w.counts;
    int n_present = 0;
    for (int64_t k = 0; k < g->n_classes; k++) counts[k] = 0;
    node->all = (jp_sums){0, 0};
    node->square = 0;
    for (int64_t i = 0; i < node->n_rows; i++)
        counts[node->item[i].is.label] += node->item[i].weight;
    for (int64_t k = 0; k < g->n_classes; k++) {
        value[k] = (float)counts[k];
        node->all.weight += counts[k];
        node->square += counts[k] * counts[k];
        n_present += counts[k] > 0;
    }
    return n_present < 2;
}

static int weigh_sums(jp_grown_node *node, int two_classes, float *value)
{
    float first = node->item[0].is.target;
    int pure = 1;
    jp_sums all = {0, 0};
    for (int64_t i = 0; i < node->n_rows; i++) {
        double weight = node->item[i].weight;
        all.weight += weight;
        all.sum += weight * node->item[i].is.target;
        pure &= node->item[i].is.target == first;
    }
    node->all = all;
    value[0] = (float)(two_classes ? all.weight - all.sum : all.weight);
    value[1] = (float)all.sum;
    return pure || (two_classes && !(all.sum > 0 && all.sum < all.weight));
}

/* A class drawn by its weight in the node. */
static uint32_t draw_class(const grower *g, double weight, stream *s)
{
    double left = weight * (draw(s) * 0x1p-32);
    for (int64_t k = 0; k < g->n_classes; k++) {
        left -= g->w.counts[k];
        if (left < 0) return (uint32_t)k;
    }
    return (uint32_t)g->n_classes - 1;
}

/* The division of a node, or column -1. */
static division divide_node(const grower *g, open_node *open, int two_classes,
                            const uint64_t key[2], int64_t tree, jp_grown *out)
{
    const workspace *w = &g->w;
    jp_grown_node node = {
        .n_rows = open->stop - open->start, .n_classes = g->n_classes, .row = w->row + open->start,
        .item = w->item + open->start, .counts = w->counts, .left = w->left, .known = w->known,
        .missing = w->missing, .least_rows = g->growth->least_rows};
    float *value = out->value + open->node * g->n_outputs;
    int pure = g->n_classes ? weigh_classes(g, &node, value)
                            : weigh_sums(&node, two_classes, value);
    if (pure || node.n_rows < 2 * node.least_rows || open->depth >= g->growth->most_depth
        || out->n_nodes + 2 > out->capacity)
        return (division){.split = {.column = -1}};
    stream random = open_stream(key, tree, open->node);
    if (g->n_classes) {
        node.by_class = draw_class(g, node.all.weight, &random);
        node.all.sum = w->counts[node.by_class];
    }
    division found = find_split(g, &node, open, &random);
    found.left_weight /= node.all.weight;
    return found;
}

static int grow(grower *g, int64_t n_rows, int two_classes, const uint64_t key[2], int64_t tree,
                jp_grown *out)
{
    open_node *stack = g->w.stack;
    int64_t waiting = 1;
    stack[0] = (open_node){.stop = (int32_t)n_rows};
    out->n_nodes = 1;
    out->n_sets = out->n_leaves = 0;
    while (waiting) {
        open_node open = stack[--waiting];
        division d = divide_node(g, &open, two_classes, key, tree, out);
        if (d.split.column < 0) {
            jp_make_leaf(out, open.node);
            continue;
        }
        int32_t middle = divide(g, &open, &d.split);
        open_node left = open, right = open;
        left.node = (int32_t)out->n_nodes;
        right.node = left.node + 1;
        left.stop = right.start = middle;
        left.depth = ++right.depth;
        jp_make_inner(out, open.node, &d.split, d.left_weight);
        stack[waiting++] = right;
        stack[waiting++] = left;
    }
    return JP_OK;
}

static int checked(const jp_bins *bins, int64_t n_bagged, const jp_growth *growth,
                   const jp_grown *out)
{
    if (bins->n_rows < 1 || bins->n_rows > UINT32_MAX || bins->n_columns < 1
        || bins->n_columns > 65535 || n_bagged < 1 || n_bagged > MOST_ROWS || out->capacity < 1
        || growth->least_rows < 1 || growth->n_candidates < 1)
        return JP_ERR_SIZE;
    return JP_OK;
}

static grower start(const jp_bins *bins, const uint32_t *rows, int64_t n_bagged,
                    int64_t n_outputs, int64_t n_classes, const jp_growth *growth, void *work)
{
    grower g = {bins, growth, n_outputs, n_classes, {0}};
    char *at = (char *)(((uintptr_t)work + 63) & ~(uintptr_t)63);
    lay_out(&g.w, at, n_bagged, bins->n_columns, n_classes);
    memcpy(g.w.row, rows, (size_t)n_bagged * sizeof *rows);
    for (int64_t j = 0; j < bins->n_columns; j++) g.w.columns[j] = (int32_t)j;
    memset(g.w.tally, 0, sizeof *g.w.tally);
    for (int b = 0; b < JP_BINS; b++) g.w.tally->first[b] = -1;
    g.w.tally->next = g.w.next;
    return g;
}

int jp_forest_grow_classes(const jp_bins *bins, const uint32_t *restrict rows, int64_t n_bagged,
                           const uint16_t *restrict label, const float *restrict weight,
                           const jp_growth *growth, const uint64_t key[2], int64_t tree,
                           jp_grown *out, void *work)
{
    int status = checked(bins, n_bagged, growth, out);
    if (status || out->n_outputs < 1 || out->n_outputs > MOST_CLASSES) return JP_ERR_SIZE;
    int two = out->n_outputs == 2;
    grower g = start(bins, rows, n_bagged, out->n_outputs, two ? 0 : out->n_outputs, growth, work);
    for (int64_t i = 0; i < n_bagged; i++) {
        if (label[i] >= out->n_outputs) return JP_ERR_VALUE;
        g.w.item[i].weight = weight[i];
        if (two) g.w.item[i].is.target = label[i];
        else g.w.item[i].is.label = label[i];
    }
    return grow(&g, n_bagged, two, key, tree, out);
}

int jp_forest_grow_means(const jp_bins *bins, const uint32_t *restrict rows, int64_t n_bagged,
                         const float *restrict target, const float *restrict weight,
                         const jp_growth *growth, const uint64_t key[2], int64_t tree,
                         jp_grown *out, void *work)
{
    int status = checked(bins, n_bagged, growth, out);
    if (status || out->n_outputs != 2) return JP_ERR_SIZE;
    grower g = start(bins, rows, n_bagged, 2, 0, growth, work);
    for (int64_t i = 0; i < n_bagged; i++)
        g.w.item[i] = (jp_item){weight[i], {.target = target[i]}};
    return grow(&g, n_bagged, 0, key, tree, out);
}

/* ---- shrinking ---- */

int jp_forest_shrink(const jp_grown *tree, const float *restrict prior, double strength,
                     float *restrict means)
{
    int64_t n = prior ? tree->n_outputs : 1;
    if (tree->n_nodes < 1 || (!prior && tree->n_outputs != 2)) return JP_ERR_SIZE;
    const float *value = tree->value;
    double weight = 0;
    for (int64_t k = 0; k < tree->n_outputs; k++) weight += value[k];
    if (!prior) {
        weight = value[0];
        means[0] = (float)(value[1] / weight);
    } else {
        for (int64_t k = 0; k < n; k++)
            means[k] = (float)((value[k] + 0.5 * prior[k]) / (weight + 0.5));
    }
    for (int64_t node = 0; node < tree->n_nodes; node++) {
        int64_t child = tree->node[node].child;
        if (child == node) continue;
        const float *parent = value + node * tree->n_outputs;
        double above = 0;
        for (int64_t k = 0; k < n; k++) above += parent[k];
        if (!prior) above = parent[0];
        double step = 1 / (1 + strength / above);
        for (int64_t side = child; side < child + 2; side++) {
            const float *own = value + side * tree->n_outputs;
            if (!prior) {
                double gain = own[1] / own[0] - parent[1] / parent[0];
                means[side] = (float)(means[node] + step * gain);
                continue;
            }
            double total = 0;
            for (int64_t k = 0; k < n; k++) total += own[k];
            for (int64_t k = 0; k < n; k++) {
                double m = means[node * n + k] + step * (own[k] / total - parent[k] / above);
                means[side * n + k] = (float)(m < 0 ? 0 : m > 1 ? 1 : m);
            }
        }
    }
    return JP_OK;
}
