/* Boosted trees: the best leaf is divided first. */
#include "forest_boost_split.h"

static int64_t aligned(int64_t size) { return (size + 63) / 64 * 64; }

static int64_t count_cells(const jp_bins *bins)
{
    int64_t n = 0;
    for (int64_t j = 0; j < bins->n_columns; j++) n += bins->n_bins[j] + 1;
    return n;
}

static int64_t lay_out(workspace *w, char *at, const jp_bins *bins, int64_t n, int64_t width,
                       int64_t most_leaves)
{
    int64_t used = 0;
#define TAKE(field, count)                                                                        \
    do {                                                                                          \
        if (at) w->field = (void *)(at + used);                                                   \
        used += aligned((int64_t)sizeof(*w->field) * (count));                                    \
    } while (0)
    TAKE(row, n);
    TAKE(row_out, n);
    TAKE(histograms, most_leaves * count_cells(bins) * width);
    TAKE(first, bins->n_columns);
    TAKE(leaves, most_leaves);
#undef TAKE
    return used;
}

int64_t jp_boost_work_size(const jp_bins *bins, int64_t n_listed, int64_t width,
                           int64_t most_leaves)
{
    workspace unused;
    return lay_out(&unused, 0, bins, n_listed, width, most_leaves) + 64;
}

/* ---- growing ---- */

/* Written to both places; only one of the two cursors moves on. */
#define DIVIDE(GOES_LEFT)                                                                         \
    for (int64_t i = leaf->start; i < leaf->stop; i++) {                                          \
        uint32_t r = row[i], b = bins[r];                                                         \
        int goes_left = (GOES_LEFT);                                                              \
        out[end] = r;                                                                             \
        row[at] = r;                                                                              \
        at += goes_left;                                                                          \
        end += !goes_left;                                                                        \
    }

static int64_t divide(const boost_view *v, const open_leaf *leaf)
{
    const jp_split *s = &leaf->best;
    const uint8_t *restrict bins = v->bins->by_column + s->column * v->bins->n_rows;
    int64_t at = leaf->start, end = 0;
    uint32_t *restrict row = v->w.row, *restrict out = v->w.row_out;
    if (s->levels) {
        uint32_t set[JP_SET_WORDS];
        memcpy(set, s->set, sizeof set);
        if (s->missing_left) jp_add_level(set, JP_MISSING_BIN);
        DIVIDE((int)jp_has_level(set, b))
    } else {
        uint32_t shift = s->missing_left != 0, most = (uint32_t)s->threshold + shift;
        DIVIDE(((b + shift) & 255) <= most)
    }
    memcpy(row + at, out, (size_t)end * sizeof *row);
    return at;
}

static void weigh(const boost_view *v, open_leaf *leaf)
{
    memset(leaf->sums, 0, sizeof leaf->sums);
    for (int64_t i = leaf->start; i < leaf->stop; i++) {
        const float *slope = v->slopes + (int64_t)v->w.row[i] * v->width;
        for (int64_t k = 0; k < v->width; k++) leaf->sums[k] += slope[k];
    }
}

static void write_value(const boost_view *v, const open_leaf *leaf, jp_grown *out)
{
    out->value[2 * leaf->node] = (float)leaf->sums[v->width - 1];
    out->value[2 * leaf->node + 1] = (float)leaf->sums[0];
}

/* Divide a leaf: it becomes the left child, and the right one is written to `right`. The last
   division of a tree asks for no more. */
static void split_leaf(const boost_view *v, open_leaf *left, open_leaf *right, int64_t spare,
                       int last, jp_grown *out)
{
    int64_t middle = divide(v, left), child = out->n_nodes;
    open_leaf parent = *left;
    *right = *left;
    left->node = child;
    right->node = child + 1;
    left->stop = right->start = middle;
    left->depth = ++right->depth;
    int left_smaller = left->stop - left->start <= right->stop - right->start;
    open_leaf *smaller = left_smaller ? left : right, *larger = left_smaller ? right : left;
    smaller->histogram = spare;
    larger->histogram = parent.histogram;
    if (last) weigh(v, smaller);
    else fill(v, smaller->start, smaller->stop, histogram(v, spare), smaller->sums);
    for (int64_t k = 0; k < v->width; k++) larger->sums[k] = parent.sums[k] - smaller->sums[k];
    jp_make_inner(out, parent.node, &parent.best,
                  left->sums[v->width - 1] / parent.sums[v->width - 1]);
    write_value(v, left, out);
    write_value(v, right, out);
    if (last) return;
    subtract(histogram(v, larger->histogram), histogram(v, spare), v->n_cells * v->width);
    find_split(v, left);
    find_split(v, right);
}

static int checked(const jp_bins *bins, int64_t n_listed, int64_t width, const jp_boosting *how,
                   const jp_grown *out)
{
    if (bins->n_rows < 1 || bins->n_rows > INT32_MAX || bins->n_columns < 1
        || bins->n_columns > 65535 || n_listed < 1 || n_listed > bins->n_rows
        || (width != JP_SLOPES_ONE && width != JP_SLOPES_MANY) || how->most_leaves < 1
        || out->capacity < 2 * how->most_leaves - 1 || out->n_outputs != 2)
        return JP_ERR_SIZE;
    return JP_OK;
}

int jp_boost_grow(const jp_bins *bins, const uint32_t *restrict rows, int64_t n_listed,
                  const float *restrict slopes, int64_t width, const jp_boosting *how,
                  jp_grown *out, int32_t *restrict leaf_of, void *work)
{
    int status = checked(bins, n_listed, width, how, out);
    if (status) return status;
    boost_view v = {bins, how, slopes, width, count_cells(bins), {0}};
    char *at = (char *)(((uintptr_t)work + 63) & ~(uintptr_t)63);
    lay_out(&v.w, at, bins, n_listed, width, how->most_leaves);
    memcpy(v.w.row, rows, (size_t)n_listed * sizeof *rows);
    int64_t cell_at = 0, n_leaves = 1;
    for (int64_t j = 0; j < bins->n_columns; j++) {
        v.w.first[j] = cell_at;
        cell_at += bins->n_bins[j] + 1;
    }
    open_leaf *leaves = v.w.leaves;
    leaves[0] = (open_leaf){.stop = n_listed};
    out->n_nodes = 1;
    out->n_sets = out->n_leaves = 0;
    fill(&v, 0, n_listed, histogram(&v, 0), leaves[0].sums);
    write_value(&v, leaves, out);
    find_split(&v, leaves);
    while (n_leaves < how->most_leaves) {
        int64_t chosen = -1;
        for (int64_t i = 0; i < n_leaves; i++)
            if (leaves[i].best.column >= 0
                && (chosen < 0 || leaves[i].best.score > leaves[chosen].best.score))
                chosen = i;
        if (chosen < 0) break;
        split_leaf(&v, leaves + chosen, leaves + n_leaves, n_leaves,
                   n_leaves + 1 == how->most_leaves, out);
        n_leaves++;
    }
    for (int64_t i = 0; i < n_leaves; i++) {
        jp_make_leaf(out, leaves[i].node);
        for (int64_t k = leaves[i].start; k < leaves[i].stop; k++)
            leaf_of[v.w.row[k]] = (int32_t)i;
    }
    return JP_OK;
}
