/* Growing trees for a target on columns of bins. */
#include <math.h>
#include <string.h>

#include "forest_node.h"
#include "philox.h"

enum { SMALL_NODE = 24, MOST_CLASSES = 65535 };

/* Third word of a draw's counter within the stage, so that no two uses share a stream. */
enum { DRAW_BOOTSTRAP = 0, DRAW_COLUMNS = 1, DRAW_SPLIT = 2 };

/* ---- work space ---- */

typedef struct {
    uint32_t *row, *row_out;     /* rows of the tree, node by node */
    uint16_t *label, *label_out; /* their classes, */
    float *target, *target_out;  /* or their targets */
    float *weight, *weight_out;
    uint8_t *bin;                /* of one node's rows in one column */
    int32_t *order;              /* positions by bin */
    int32_t *columns;            /* a permutation: candidates are drawn from it */
    int64_t *stack;              /* nodes to divide: node, start, stop, depth */
    double *left, *right, *missing; /* class weights on each side */
    double *by_level;            /* (256, 2 + 1): weight, statistic, ... of a level */
    uint8_t *side;               /* 1 goes left */
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
    TAKE(label, n);
    TAKE(label_out, n);
    TAKE(target, n);
    TAKE(target_out, n);
    TAKE(weight, n);
    TAKE(weight_out, n);
    TAKE(bin, n);
    TAKE(order, n);
    TAKE(side, n);
    TAKE(columns, n_columns);
    TAKE(stack, 4 * (n + 2));
    TAKE(left, n_classes + 2);
    TAKE(right, n_classes + 2);
    TAKE(missing, n_classes + 2);
    TAKE(by_level, 3 * 256);
#undef TAKE
    return used;
}

int64_t jp_forest_work_size(const jp_bins *bins, int64_t n_bagged, int64_t n_classes)
{
    workspace unused;
    return lay_out(&unused, 0, n_bagged, bins->n_columns, n_classes) + 64;
}

/* ---- random numbers ---- */

int jp_forest_bootstrap(const uint64_t key[2], int64_t tree, int64_t n_rows,
                        uint8_t *restrict times)
{
    if (n_rows < 1 || n_rows > UINT32_MAX) return JP_ERR_SIZE;
    memset(times, 0, (size_t)n_rows);
    for (int64_t i = 0; i < n_rows; i += 8) {
        jp_philox64 draw =
            jp_philox4x64((uint64_t)i, (uint64_t)tree, JP_STAGE_FOREST, DRAW_BOOTSTRAP, key[0], key[1]);
        int64_t m = n_rows - i < 8 ? n_rows - i : 8;
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
    uint64_t node, tree, next, use;
    jp_philox64 block;
} stream;

static stream open_stream(const uint64_t *key, int64_t tree, int64_t node, uint64_t use)
{
    return (stream){key, (uint64_t)node, (uint64_t)tree, 0, use, {{0}}};
}

static uint32_t draw(stream *s)
{
    uint64_t i = s->next++;
    if (i % 8 == 0)
        s->block = jp_philox4x64(s->node, s->tree | (i / 8 + 1) << 40, JP_STAGE_FOREST, s->use,
                                 s->key[0], s->key[1]);
    return (uint32_t)(s->block.word[i % 8 / 2] >> (32 * (i & 1)));
}

static int64_t draw_below(stream *s, int64_t n) { return (int64_t)((uint64_t)draw(s) * (uint64_t)n >> 32); }

/* ---- splits ---- */

typedef struct {
    const jp_bins *bins;
    const jp_growth *growth;
    workspace w;
    int64_t n_classes; /* 0 where targets are numbers */
    int64_t start, stop;
    double total, total_weight; /* of the node: sum of targets; weight */
    const float *counts;        /* of the node, by class */
    int64_t by_class;           /* levels are ordered by the share of this class */
} node_view;

/* Both criteria are sums over sides of (squared norm) / weight. A side holds its class weights, or
   its sum of targets, together with the squared norm. */
typedef struct {
    double weight, square, sum;
    int64_t n;
} side_sums;

static double part(double square, double weight) { return weight > 0 ? square / weight : 0; }

static void consider(jp_split *best, const node_view *v, int64_t column, double score, int threshold,
                     int missing_left, int64_t n_left, int64_t n_right, int *improved)
{
    *improved = 0;
    if (n_left < v->growth->least_rows || n_right < v->growth->least_rows) return;
    if (!(score > best->score)) return;
    best->score = score;
    best->column = column;
    best->threshold = threshold;
    best->missing_left = missing_left;
    *improved = 1;
}

/* Gather the bins of one column; return how many are missing, and the range of the others. */
static int64_t gather(const node_view *v, int64_t column, int *low, int *high)
{
    const uint8_t *restrict bins = v->bins->by_column + column * v->bins->n_rows;
    const uint32_t *restrict row = v->w.row + v->start;
    uint8_t *restrict bin = v->w.bin;
    int64_t n = v->stop - v->start, n_missing = 0;
    for (int64_t i = 0; i < n; i++) bin[i] = bins[row[i]];
    int least = 255, most = 0;
    for (int64_t i = 0; i < n; i++) {
        int known = bin[i] != JP_MISSING_BIN;
        n_missing += !known;
        int b = bin[i];
        least = b < least ? b : least;
        int shown = known ? b : 0;
        most = shown > most ? shown : most;
    }
    *low = least;
    *high = most;
    return n_missing;
}

/* Sums of the missing rows, and of the others (left empty, right full). */
static void start_sides(const node_view *v, side_sums *left, side_sums *right, side_sums *missing)
{
    const workspace *w = &v->w;
    int64_t n = v->stop - v->start;
    *left = *right = *missing = (side_sums){0};
    if (v->n_classes) {
        for (int64_t k = 0; k < v->n_classes; k++) {
            w->left[k] = w->missing[k] = 0;
            w->right[k] = v->counts[k];
        }
    }
    right->weight = v->total_weight;
    right->sum = v->total;
    right->n = n;
}

static void set_missing_aside(const node_view *v, int64_t n_missing, side_sums *right,
                              side_sums *missing)
{
    const workspace *w = &v->w;
    int64_t n = v->stop - v->start;
    if (n_missing) {
        for (int64_t i = 0; i < n; i++) {
            if (w->bin[i] != JP_MISSING_BIN) continue;
            double x = w->weight[v->start + i];
            missing->weight += x;
            missing->n++;
            if (v->n_classes) w->missing[w->label[v->start + i]] += x;
            else missing->sum += x * w->target[v->start + i];
        }
        right->weight -= missing->weight;
        right->sum -= missing->sum;
        right->n -= missing->n;
    }
    if (v->n_classes) {
        for (int64_t k = 0; k < v->n_classes; k++) {
            w->right[k] -= w->missing[k];
            missing->square += w->missing[k] * w->missing[k];
            right->square += w->right[k] * w->right[k];
        }
    }
}

/* Positions by bin into order; ends[b] is where bin b ends. Missing rows are left out. */
static void sort_by_bin(const node_view *v, int low, int high, int32_t *ends)
{
    const workspace *w = &v->w;
    int64_t n = v->stop - v->start;
    int32_t *count = ends;
    for (int b = low; b <= high; b++) count[b] = 0;
    for (int64_t i = 0; i < n; i++)
        if (w->bin[i] != JP_MISSING_BIN) count[w->bin[i]]++;
    int32_t at = 0;
    for (int b = low; b <= high; b++) {
        int32_t c = count[b];
        count[b] = at;
        at += c;
    }
    for (int64_t i = 0; i < n; i++)
        if (w->bin[i] != JP_MISSING_BIN) w->order[count[w->bin[i]]++] = (int32_t)i;
}

/* The same for few rows: the bins that occur, in order, without passing over the others. */
static int64_t sort_few(const node_view *v)
{
    const workspace *w = &v->w;
    int64_t n = v->stop - v->start, m = 0;
    for (int64_t i = 0; i < n; i++) {
        int b = w->bin[i];
        if (b == JP_MISSING_BIN) continue;
        int64_t j = m++;
        for (; j > 0 && w->bin[w->order[j - 1]] > b; j--) w->order[j] = w->order[j - 1];
        w->order[j] = (int32_t)i;
    }
    return m;
}

/* Dot products of the missing rows' class weights with either side's: kept beside the squares. */
typedef struct {
    double left, right;
} cross;

/* Move one row from right to left. */
static inline void move(const node_view *v, int64_t position, side_sums *left, side_sums *right,
                        cross *with_missing)
{
    const workspace *w = &v->w;
    double x = w->weight[v->start + position];
    left->weight += x;
    right->weight -= x;
    left->n++;
    right->n--;
    if (v->n_classes) {
        int64_t k = w->label[v->start + position];
        left->square += x * (2 * w->left[k] + x);
        right->square += x * (x - 2 * w->right[k]);
        with_missing->left += x * w->missing[k];
        with_missing->right -= x * w->missing[k];
        w->left[k] += x;
        w->right[k] -= x;
    } else {
        double t = x * w->target[v->start + position];
        left->sum += t;
        right->sum -= t;
    }
}

/* Compare the present division with the best one; missing rows are tried on both sides. */
static int judge(const node_view *v, jp_split *best, int64_t column, int threshold,
                 const side_sums *left, const side_sums *right, const side_sums *missing,
                 const cross *with_missing)
{
    double l = v->n_classes ? left->square : left->sum * left->sum;
    double r = v->n_classes ? right->square : right->sum * right->sum;
    int better = 0, improved = 0;
    if (!missing->n) {
        consider(best, v, column, part(l, left->weight) + part(r, right->weight), threshold,
                 left->weight >= right->weight, left->n, right->n, &improved);
        return improved;
    }
    double lm = v->n_classes ? left->square + 2 * with_missing->left + missing->square
                             : (left->sum + missing->sum) * (left->sum + missing->sum);
    double rm = v->n_classes ? right->square + 2 * with_missing->right + missing->square
                             : (right->sum + missing->sum) * (right->sum + missing->sum);
    consider(best, v, column,
             part(l, left->weight) + part(rm, right->weight + missing->weight), threshold, 0,
             left->n, right->n + missing->n, &improved);
    better |= improved;
    consider(best, v, column,
             part(lm, left->weight + missing->weight) + part(r, right->weight), threshold, 1,
             left->n + missing->n, right->n, &improved);
    return better | improved;
}

static cross start_cross(const node_view *v)
{
    cross c = {0, 0};
    for (int64_t k = 0; k < v->n_classes; k++) c.right += v->w.right[k] * v->w.missing[k];
    return c;
}

/* Best threshold of a column of values in order. */
static void best_threshold(const node_view *v, int64_t column, int low, int high,
                           int64_t n_missing, jp_split *best)
{
    side_sums left, right, missing;
    start_sides(v, &left, &right, &missing);
    set_missing_aside(v, n_missing, &right, &missing);
    cross with_missing = n_missing ? start_cross(v) : (cross){0, 0};
    const workspace *w = &v->w;
    int better = 0;
    if (v->stop - v->start <= SMALL_NODE) {
        int64_t m = sort_few(v);
        for (int64_t i = 0; i < m; i++) {
            move(v, w->order[i], &left, &right, &with_missing);
            int b = w->bin[w->order[i]], next = i + 1 < m ? w->bin[w->order[i + 1]] : -1;
            if (next == b) continue;
            /* The threshold lies half-way between the two bins. */
            better |= judge(v, best, column, next < 0 ? b : (b + next) / 2, &left, &right,
                            &missing, &with_missing);
        }
    } else {
        int32_t ends[256];
        sort_by_bin(v, low, high, ends);
        int32_t i = 0;
        for (int b = low; b <= high; b++) {
            if (i == ends[b]) continue;
            for (; i < ends[b]; i++) move(v, w->order[i], &left, &right, &with_missing);
            int next = b + 1;
            while (next <= high && ends[next] == ends[b]) next++;
            better |= judge(v, best, column, next > high ? b : (b + next) / 2, &left, &right,
                            &missing, &with_missing);
        }
    }
    if (better) {
        best->levels = 0;
        best->missing_seen = n_missing > 0;
    }
}

/* Levels that no row of the node holds go with the larger side. */
static void place_absent_levels(jp_split *s, const int32_t *ends, int low, int high, int left_larger)
{
    if (!left_larger) return;
    for (int level = 0; level < JP_MISSING_BIN; level++) {
        int32_t begin = level <= low ? 0 : level <= high ? ends[level - 1] : 0;
        int absent = level < low || level > high || ends[level] == begin;
        if (absent) jp_add_level(s->set, level);
    }
}

/* Best set of levels, among those that their targets' order allows: the best of all sets for two
   classes and for numbers (Fisher 1958); for more classes the order is by a drawn class's share. */
static void best_levels(const node_view *v, int64_t column, int low, int high, int64_t n_missing,
                        jp_split *best)
{
    side_sums left, right, missing;
    start_sides(v, &left, &right, &missing);
    set_missing_aside(v, n_missing, &right, &missing);
    cross with_missing = n_missing ? start_cross(v) : (cross){0, 0};
    const workspace *w = &v->w;
    int32_t ends[256];
    sort_by_bin(v, low, high, ends);
    double *share = w->by_level;
    int levels[256], n_levels = 0;
    int32_t i = 0;
    double overall = v->n_classes ? v->counts[v->by_class] / v->total_weight
                                  : v->total / v->total_weight;
    for (int b = low; b <= high; b++) {
        double weight = 1, sum = overall; /* one row of prior: rare levels stand in the middle */
        int32_t begin = i;
        for (; i < ends[b]; i++) {
            int64_t at = v->start + w->order[i];
            weight += w->weight[at];
            sum += w->weight[at] * (v->n_classes ? w->label[at] == v->by_class : w->target[at]);
        }
        if (i == begin) continue;
        share[b] = sum / weight;
        int j = n_levels++;
        for (; j > 0 && share[levels[j - 1]] > share[b]; j--) levels[j] = levels[j - 1];
        levels[j] = b;
    }
    int chosen = -1;
    for (int j = 0; j < n_levels; j++) {
        int b = levels[j];
        for (int32_t k = b > low ? ends[b - 1] : 0; k < ends[b]; k++)
            move(v, w->order[k], &left, &right, &with_missing);
        if (judge(v, best, column, 0, &left, &right, &missing, &with_missing)) {
            chosen = j;
            best->levels = 1;
            best->missing_seen = n_missing > 0;
            best->threshold = left.weight > right.weight;
        }
    }
    if (chosen < 0) return;
    memset(best->set, 0, sizeof best->set);
    for (int j = 0; j <= chosen; j++) jp_add_level(best->set, levels[j]);
    place_absent_levels(best, ends, low, high, best->threshold);
}

/* One split drawn at random: a threshold between two bins that occur, or a set of levels. */
static void random_split(const node_view *v, int64_t column, int low, int high, int64_t n_missing,
                         stream *s, jp_split *best)
{
    const workspace *w = &v->w;
    int64_t n = v->stop - v->start;
    int levels = v->bins->categorical[column];
    uint32_t set[JP_SET_WORDS];
    int threshold = low + (high > low ? (int)draw_below(s, high - low) : 0);
    memset(set, 0, sizeof set);
    if (levels)
        for (int k = 0; k < JP_SET_WORDS; k++) set[k] = draw(s);
    side_sums left, right, missing;
    start_sides(v, &left, &right, &missing);
    const uint16_t *restrict label = w->label + v->start;
    const float *restrict weight = w->weight + v->start, *restrict target = w->target + v->start;
    uint8_t *restrict side = w->side;
    if (levels)
        for (int64_t i = 0; i < n; i++) side[i] = (uint8_t)jp_has_level(set, w->bin[i]);
    else
        for (int64_t i = 0; i < n; i++) side[i] = w->bin[i] <= threshold;
    int64_t n_left = 0;
    if (n_missing)
        for (int64_t i = 0; i < n; i++)
            if (w->bin[i] == JP_MISSING_BIN) side[i] = 0;
    for (int64_t i = 0; i < n; i++) n_left += side[i];
    if (n_missing) set_missing_aside(v, n_missing, &right, &missing);
    if (v->n_classes) {
        double *restrict sums = w->left;
        double total = 0;
        for (int64_t i = 0; i < n; i++) {
            double x = side[i] ? weight[i] : 0;
            sums[label[i]] += x;
            total += x;
        }
        left.weight = total;
        right.square = 0;
        cross with_missing = {0, 0};
        for (int64_t k = 0; k < v->n_classes; k++) {
            w->right[k] -= sums[k];
            left.square += sums[k] * sums[k];
            right.square += w->right[k] * w->right[k];
            with_missing.left += sums[k] * w->missing[k];
            with_missing.right += w->right[k] * w->missing[k];
        }
        right.weight -= total;
        left.n = n_left;
        right.n -= n_left;
        if (!judge(v, best, column, threshold, &left, &right, &missing, &with_missing)) return;
    } else {
        double total = 0, sum = 0;
        for (int64_t i = 0; i < n; i++) {
            double x = side[i] ? weight[i] : 0;
            total += x;
            sum += x * target[i];
        }
        left.weight = total;
        left.sum = sum;
        left.n = n_left;
        right.weight -= total;
        right.sum -= sum;
        right.n -= n_left;
        cross none = {0, 0};
        if (!judge(v, best, column, threshold, &left, &right, &missing, &none)) return;
    }
    best->levels = levels;
    best->missing_seen = n_missing > 0;
    memcpy(best->set, set, sizeof set);
}

/* The best split of some columns drawn at random; those with one value only do not count. */
static jp_split find_split(const node_view *v, stream *s)
{
    jp_split best = {.score = -1, .column = -1};
    int32_t *columns = v->w.columns;
    int64_t tried = 0, d = v->bins->n_columns;
    for (int64_t k = 0; k < d && tried < v->growth->n_candidates; k++) {
        int64_t j = k + draw_below(s, d - k);
        int32_t column = columns[j];
        columns[j] = columns[k];
        columns[k] = column;
        int low, high;
        int64_t n_missing = gather(v, column, &low, &high);
        if (n_missing == v->stop - v->start || (low == high && !n_missing)) continue;
        tried++;
        if (v->growth->random_splits)
            random_split(v, column, low, high, n_missing, s, &best);
        else if (v->bins->categorical[column])
            best_levels(v, column, low, high, n_missing, &best);
        else
            best_threshold(v, column, low, high, n_missing, &best);
    }
    return best;
}

/* ---- growing ---- */

/* Rows that go left first, both sides in their old order; returns where the right side starts. */
static int64_t divide(node_view *v, const jp_split *s)
{
    workspace *w = &v->w;
    const uint8_t *bins = v->bins->by_column + s->column * v->bins->n_rows;
    int64_t start = v->start, n = v->stop - start, at = 0, end = 0;
    for (int64_t i = 0; i < n; i++) {
        int b = bins[w->row[start + i]];
        int known = s->levels ? jp_has_level(s->set, b) : b <= s->threshold;
        w->side[i] = (uint8_t)(b == JP_MISSING_BIN ? s->missing_left : known);
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t from = start + i;
        int goes_left = w->side[i];
        /* Written to both places; only one of the two cursors moves on. */
        w->row_out[end] = w->row[from];
        w->weight_out[end] = w->weight[from];
        uint32_t row = w->row[from];
        float weight = w->weight[from];
        if (v->n_classes) {
            uint16_t label = w->label[from];
            w->label_out[end] = label;
            w->label[start + at] = label;
        } else {
            float target = w->target[from];
            w->target_out[end] = target;
            w->target[start + at] = target;
        }
        w->row[start + at] = row;
        w->weight[start + at] = weight;
        at += goes_left;
        end += !goes_left;
    }
    memcpy(w->row + start + at, w->row_out, (size_t)end * sizeof *w->row);
    memcpy(w->weight + start + at, w->weight_out, (size_t)end * sizeof *w->weight);
    if (v->n_classes)
        memcpy(w->label + start + at, w->label_out, (size_t)end * sizeof *w->label);
    else
        memcpy(w->target + start + at, w->target_out, (size_t)end * sizeof *w->target);
    return start + at;
}

/* Totals of the node into its value; is it pure? */
static int weigh(node_view *v, float *value)
{
    const workspace *w = &v->w;
    double total = 0, sum = 0;
    if (v->n_classes) {
        double *counts = w->left;
        for (int64_t k = 0; k < v->n_classes; k++) counts[k] = 0;
        for (int64_t i = v->start; i < v->stop; i++) {
            counts[w->label[i]] += w->weight[i];
            total += w->weight[i];
        }
        int n_present = 0;
        for (int64_t k = 0; k < v->n_classes; k++) {
            value[k] = (float)counts[k];
            n_present += counts[k] > 0;
        }
        v->counts = value;
        v->total_weight = total;
        return n_present < 2;
    }
    float first = w->target[v->start];
    int pure = 1;
    for (int64_t i = v->start; i < v->stop; i++) {
        total += w->weight[i];
        sum += (double)w->weight[i] * w->target[i];
        pure &= w->target[i] == first;
    }
    value[0] = (float)total;
    value[1] = (float)sum;
    v->total_weight = total;
    v->total = sum;
    return pure;
}

/* A class drawn by its weight in the node. */
static int64_t draw_class(const node_view *v, stream *s)
{
    if (v->n_classes <= 2) return v->n_classes - 1;
    double left = v->total_weight * (draw(s) * 0x1p-32);
    for (int64_t k = 0; k < v->n_classes; k++) {
        left -= v->counts[k];
        if (left < 0) return k;
    }
    return v->n_classes - 1;
}

static double left_share(const node_view *v, int64_t middle)
{
    double left = 0;
    for (int64_t i = v->start; i < middle; i++) left += v->w.weight[i];
    return left / v->total_weight;
}

static int grow(node_view *v, const uint64_t key[2], int64_t tree, jp_grown *out)
{
    int64_t *stack = v->w.stack, depth_of_stack = 1;
    stack[0] = 0, stack[1] = 0, stack[2] = v->stop, stack[3] = 0;
    out->n_nodes = 1;
    out->n_sets = out->n_leaves = 0;
    while (depth_of_stack) {
        int64_t *top = stack + 4 * --depth_of_stack;
        int64_t node = top[0], depth = top[3];
        v->start = top[1];
        v->stop = top[2];
        int pure = weigh(v, out->value + node * out->n_outputs);
        int64_t n = v->stop - v->start;
        jp_split s = {.column = -1};
        if (!pure && n >= 2 * v->growth->least_rows && depth < v->growth->most_depth
            && out->n_nodes + 2 <= out->capacity) {
            stream random = open_stream(key, tree, node, DRAW_SPLIT);
            v->by_class = draw_class(v, &random);
            s = find_split(v, &random);
        }
        if (s.column < 0) {
            jp_make_leaf(out, node);
            continue;
        }
        int64_t middle = divide(v, &s), start = v->start, stop = v->stop;
        int64_t child = out->n_nodes;
        jp_make_inner(out, node, &s, left_share(v, middle));
        int64_t *next = stack + 4 * depth_of_stack;
        next[0] = child + 1, next[1] = middle, next[2] = stop, next[3] = depth + 1;
        next[4] = child, next[5] = start, next[6] = middle, next[7] = depth + 1;
        depth_of_stack += 2;
    }
    return JP_OK;
}

static int checked(const jp_bins *bins, int64_t n_bagged, const jp_growth *growth,
                   const jp_grown *out)
{
    if (bins->n_rows < 1 || bins->n_rows > UINT32_MAX || bins->n_columns < 1
        || bins->n_columns > 65535 || n_bagged < 1 || n_bagged > INT32_MAX || out->capacity < 1
        || growth->least_rows < 1 || growth->n_candidates < 1)
        return JP_ERR_SIZE;
    return JP_OK;
}

static node_view start_view(const jp_bins *bins, const uint32_t *rows, int64_t n_bagged,
                            const float *weight, int64_t n_classes, const jp_growth *growth,
                            void *work)
{
    node_view v = {.bins = bins, .growth = growth, .n_classes = n_classes, .stop = n_bagged};
    char *at = (char *)(((uintptr_t)work + 63) & ~(uintptr_t)63);
    lay_out(&v.w, at, n_bagged, bins->n_columns, n_classes);
    memcpy(v.w.row, rows, (size_t)n_bagged * sizeof *rows);
    memcpy(v.w.weight, weight, (size_t)n_bagged * sizeof *weight);
    for (int64_t j = 0; j < bins->n_columns; j++) v.w.columns[j] = (int32_t)j;
    return v;
}

JP_CLONES
int jp_forest_grow_classes(const jp_bins *bins, const uint32_t *restrict rows, int64_t n_bagged,
                           const uint16_t *restrict label, const float *restrict weight,
                           const jp_growth *growth, const uint64_t key[2], int64_t tree,
                           jp_grown *out, void *work)
{
    int status = checked(bins, n_bagged, growth, out);
    if (status || out->n_outputs < 1 || out->n_outputs > MOST_CLASSES) return JP_ERR_SIZE;
    node_view v = start_view(bins, rows, n_bagged, weight, out->n_outputs, growth, work);
    for (int64_t i = 0; i < n_bagged; i++) {
        if (label[i] >= out->n_outputs) return JP_ERR_VALUE;
        v.w.label[i] = label[i];
    }
    return grow(&v, key, tree, out);
}

JP_CLONES
int jp_forest_grow_means(const jp_bins *bins, const uint32_t *restrict rows, int64_t n_bagged,
                         const float *restrict target, const float *restrict weight,
                         const jp_growth *growth, const uint64_t key[2], int64_t tree,
                         jp_grown *out, void *work)
{
    int status = checked(bins, n_bagged, growth, out);
    if (status || out->n_outputs != 2) return JP_ERR_SIZE;
    node_view v = start_view(bins, rows, n_bagged, weight, 0, growth, work);
    memcpy(v.w.target, target, (size_t)n_bagged * sizeof *target);
    return grow(&v, key, tree, out);
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
                means[side * n + k] = (float)(m > 0 ? m : 0);
            }
        }
    }
    return JP_OK;
}
