/* Dividing the rows of a node by one column, when trees are grown to the end.

   Two classes need no more than numbers do: with p the weight of one of them in a side and w the
   side's weight, Gini's index asks for the largest sum over both sides of (p^2 + (w - p)^2) / w,
   which is 2 p^2 / w and a constant. So both are divided by sums; more classes by lists of rows. */
#ifndef JP_FOREST_SPLIT_H
#define JP_FOREST_SPLIT_H

#include <string.h>

#include "forest_node.h"

/* A row of the tree: 8 bytes, as dividing a node moves them all. */
typedef struct {
    float weight;
    union {
        float target;
        uint32_t label;
    } is;
} jp_item;

typedef struct {
    double weight, sum;
} jp_sums;

enum { JP_BINS = 256 };

/* One column in one node. What the rows are tallied in is zero (lists: -1) between columns. */
typedef struct {
    uint8_t seen[JP_BINS];    /* bins that occur: 1 */
    jp_sums sums[JP_BINS][2]; /* of rows at even and odd places: additions that need not wait */
    int32_t rows[JP_BINS];    /* counted only where leaves need more than one */
    int32_t first[JP_BINS];   /* row of a list, for many classes; others follow in `next` */
    int32_t *next;

    /* The bins that occur, but for missing cells, in the order in which they go left. */
    int n;
    uint8_t bin[JP_BINS];
    jp_sums sum_of[JP_BINS];
    int32_t rows_of[JP_BINS];
    int misses;               /* is any cell missing? */
    jp_sums missing;
    int32_t missing_rows;
} jp_tally;

/* A node and what it is divided by. */
typedef struct {
    int64_t n_rows, n_classes; /* n_classes is 0 where rows are divided by sums */
    const uint32_t *row;
    const jp_item *item;
    jp_sums all;
    const double *counts;           /* by class, */
    double square;                  /* the sum of their squares, */
    double *left, *known, *missing; /* and room for those of either side */
    int64_t least_rows;
    uint32_t by_class;         /* levels are ordered by the share of this class */
} jp_grown_node;

/* Where a list of bins is cut: those up to place `at` go left. */
typedef struct {
    double score, left_weight;
    int at, missing_left;
} jp_cut;

/* ---- tallying ---- */

JP_INLINE void jp_tally_sums(jp_tally *t, const jp_grown_node *node, const uint8_t *restrict bins,
                             int counted)
{
    const uint32_t *restrict row = node->row;
    const jp_item *restrict item = node->item;
    uint8_t *restrict seen = t->seen;
    for (int64_t i = 0; i < node->n_rows; i++) {
        int b = bins[row[i]];
        jp_sums *restrict sums = &t->sums[b][i & 1];
        double weight = item[i].weight;
        seen[b] = 1;
        sums->weight += weight;
        sums->sum += weight * item[i].is.target;
        if (counted) t->rows[b]++;
    }
}

JP_INLINE void jp_tally_lists(jp_tally *t, const jp_grown_node *node,
                              const uint8_t *restrict bins, int counted)
{
    const uint32_t *restrict row = node->row;
    uint8_t *restrict seen = t->seen;
    int32_t *restrict first = t->first, *restrict next = t->next;
    for (int64_t i = 0; i < node->n_rows; i++) {
        int b = bins[row[i]];
        seen[b] = 1;
        next[i] = first[b];
        first[b] = (int32_t)i;
        if (counted) t->rows[b]++;
    }
}

/* Eight flags at a time; the first bin in the lowest byte. */
JP_INLINE uint64_t jp_eight_seen(const uint8_t *seen)
{
    uint64_t word;
    memcpy(&word, seen, sizeof word);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

JP_INLINE void jp_list_bins(jp_tally *t, int n_bins)
{
    int n = 0;
    for (int b = 0; b < n_bins; b += 8)
        for (uint64_t word = jp_eight_seen(t->seen + b); word; word &= word - 1)
            t->bin[n++] = (uint8_t)(b + __builtin_ctzll(word) / 8);
    t->misses = t->seen[JP_MISSING_BIN];
    t->n = n - (n && t->bin[n - 1] == JP_MISSING_BIN);
    memset(t->seen, 0, sizeof t->seen);
}

JP_INLINE jp_sums jp_take_sums(jp_sums of[2])
{
    jp_sums s = {of[0].weight + of[1].weight, of[0].sum + of[1].sum};
    of[0] = of[1] = (jp_sums){0, 0};
    return s;
}

/* Sums of a list of rows; its sum is the weight of one class. */
JP_INLINE jp_sums jp_list_sums(const jp_tally *t, const jp_grown_node *node, int bin)
{
    jp_sums s = {0, 0};
    for (int32_t i = t->first[bin]; i >= 0; i = t->next[i]) {
        s.weight += node->item[i].weight;
        s.sum += node->item[i].is.label == node->by_class ? node->item[i].weight : 0;
    }
    return s;
}

JP_INLINE int32_t jp_take_rows(jp_tally *t, int bin)
{
    int32_t rows = t->rows[bin];
    t->rows[bin] = 0;
    return rows;
}

/* Tallies to the list of bins. Sums of lists are needed only where levels divide classes. */
JP_INLINE void jp_list_tallies(jp_tally *t, const jp_grown_node *node, int by_lists,
                               int need_sums, int counted)
{
    for (int j = 0; j < t->n; j++) {
        int b = t->bin[j];
        if (!by_lists) t->sum_of[j] = jp_take_sums(t->sums[b]);
        else if (need_sums) t->sum_of[j] = jp_list_sums(t, node, b);
        if (counted) t->rows_of[j] = jp_take_rows(t, b);
    }
    if (!t->misses) return;
    t->missing = by_lists ? jp_list_sums(t, node, JP_MISSING_BIN)
                          : jp_take_sums(t->sums[JP_MISSING_BIN]);
    if (counted) t->missing_rows = jp_take_rows(t, JP_MISSING_BIN);
}

JP_INLINE void jp_clear_lists(jp_tally *t)
{
    for (int j = 0; j < t->n; j++) t->first[t->bin[j]] = -1;
    t->first[JP_MISSING_BIN] = -1;
}

JP_INLINE void jp_exchange(jp_tally *t, int i, int j)
{
    uint8_t bin = t->bin[i];
    jp_sums sums = t->sum_of[i];
    int32_t rows = t->rows_of[i];
    t->bin[i] = t->bin[j], t->sum_of[i] = t->sum_of[j], t->rows_of[i] = t->rows_of[j];
    t->bin[j] = bin, t->sum_of[j] = sums, t->rows_of[j] = rows;
}

/* Levels by their mean target, with one row of the node's mean added, so that rare levels stand in
   the middle. The best set is then a cut of the list for two classes and for numbers (Fisher 1958,
   doi:10.1080/01621459.1958.10501479). */
JP_INLINE void jp_order_levels(jp_tally *t, jp_sums all)
{
    double mean[JP_BINS], overall = all.sum / all.weight;
    for (int j = 0; j < t->n; j++) {
        mean[j] = (t->sum_of[j].sum + overall) / (t->sum_of[j].weight + 1);
        for (int i = j; i > 0 && mean[i - 1] > mean[i]; i--) {
            double m = mean[i];
            mean[i] = mean[i - 1];
            mean[i - 1] = m;
            jp_exchange(t, i - 1, i);
        }
    }
}

/* ---- cutting ---- */

JP_INLINE double jp_part(double square, double weight) { return weight > 0 ? square / weight : 0; }

JP_INLINE void jp_judge(jp_cut *best, int at, int missing_left, double left, double left_square,
                        double right, double right_square)
{
    double score = jp_part(left_square, left) + jp_part(right_square, right);
    if (score > best->score) *best = (jp_cut){score, left, at, missing_left};
}

/* Which of a cut's two ways leave rows enough on both sides: 1, missing rows go right (or there
   are none), 2, they go left. */
JP_INLINE int jp_allowed(const jp_tally *t, const jp_grown_node *node, int at, int64_t left,
                         int counted)
{
    int last = at + 1 == t->n;
    if (!counted) return t->misses ? 1 | (last ? 0 : 2) : !last;
    int64_t missing = t->misses ? t->missing_rows : 0, right = node->n_rows - missing - left;
    int first = left >= node->least_rows && right + missing >= node->least_rows;
    int other = missing && left + missing >= node->least_rows && right >= node->least_rows;
    return first | other << 1;
}

/* Cut the list where the squared sums over weights are largest. */
JP_INLINE void jp_cut_sums(const jp_tally *t, const jp_grown_node *node, int counted,
                           jp_cut *best)
{
    jp_sums missing = t->misses ? t->missing : (jp_sums){0, 0}, left = {0, 0};
    jp_sums known = {node->all.weight - missing.weight, node->all.sum - missing.sum};
    int64_t rows = 0;
    for (int j = 0; j < t->n; j++) {
        left.weight += t->sum_of[j].weight;
        left.sum += t->sum_of[j].sum;
        if (counted) rows += t->rows_of[j];
        int allowed = jp_allowed(t, node, j, rows, counted);
        jp_sums right = {known.weight - left.weight, known.sum - left.sum};
        if (allowed & 1) {
            double weight = right.weight + missing.weight, sum = right.sum + missing.sum;
            jp_judge(best, j, !t->misses && left.weight >= right.weight, left.weight,
                     left.sum * left.sum, weight, sum * sum);
        }
        if (allowed & 2) {
            double weight = left.weight + missing.weight, sum = left.sum + missing.sum;
            jp_judge(best, j, 1, weight, sum * sum, right.weight, right.sum * right.sum);
        }
    }
}

/* Squared norms of the class weights of both sides, and their products with the missing rows'. */
typedef struct {
    double left, right, left_missing, right_missing, missing;
} jp_squares;

JP_INLINE jp_squares jp_start_squares(const jp_tally *t, const jp_grown_node *node)
{
    jp_squares s = {.right = node->square};
    memset(node->left, 0, (size_t)node->n_classes * sizeof *node->left);
    if (!t->misses) return s;
    s.right = 0;
    memset(node->missing, 0, (size_t)node->n_classes * sizeof *node->missing);
    for (int32_t i = t->first[JP_MISSING_BIN]; i >= 0; i = t->next[i])
        node->missing[node->item[i].is.label] += node->item[i].weight;
    for (int64_t k = 0; k < node->n_classes; k++) {
        node->known[k] = node->counts[k] - node->missing[k];
        s.right += node->known[k] * node->known[k];
        s.right_missing += node->known[k] * node->missing[k];
        s.missing += node->missing[k] * node->missing[k];
    }
    return s;
}

/* The rows of a bin go left; returns their weight. */
JP_INLINE double jp_move_list(const jp_tally *t, const jp_grown_node *node, int bin, jp_squares *s)
{
    double moved = 0;
    const double *known = t->misses ? node->known : node->counts;
    for (int32_t i = t->first[bin]; i >= 0; i = t->next[i]) {
        double x = node->item[i].weight;
        uint32_t k = node->item[i].is.label;
        double left = node->left[k];
        s->left += x * (2 * left + x);
        s->right -= x * (2 * (known[k] - left) - x);
        if (t->misses) {
            s->left_missing += x * node->missing[k];
            s->right_missing -= x * node->missing[k];
        }
        node->left[k] = left + x;
        moved += x;
    }
    return moved;
}

JP_INLINE void jp_cut_lists(const jp_tally *t, const jp_grown_node *node, int counted,
                            jp_cut *best)
{
    jp_squares s = jp_start_squares(t, node);
    double missing = t->misses ? t->missing.weight : 0, left = 0;
    double known = node->all.weight - missing;
    int64_t rows = 0;
    for (int j = 0; j < t->n; j++) {
        left += jp_move_list(t, node, t->bin[j], &s);
        if (counted) rows += t->rows_of[j];
        int allowed = jp_allowed(t, node, j, rows, counted);
        double right = known - left;
        if (allowed & 1)
            jp_judge(best, j, !t->misses && left >= right, left, s.left, right + missing,
                     s.right + 2 * s.right_missing + s.missing);
        if (allowed & 2)
            jp_judge(best, j, 1, left + missing, s.left + 2 * s.left_missing + s.missing, right,
                     s.right);
    }
}

/* ---- random divisions ---- */

/* Bins of the rows, and the range of those that are known; low > high where all are missing. */
typedef struct {
    int low, high, misses;
} jp_range;

JP_INLINE jp_range jp_gather(const jp_grown_node *node, const uint8_t *restrict bins,
                             uint8_t *restrict bin)
{
    const uint32_t *restrict row = node->row;
    uint8_t low = JP_MISSING_BIN, most = 0, after = 0;
    for (int64_t i = 0; i < node->n_rows; i++) bin[i] = bins[row[i]];
    /* Apart from the gathering, as sixteen bytes at a time are compared here. */
    for (int64_t i = 0; i < node->n_rows; i++) {
        uint8_t b = bin[i], next = (uint8_t)(b + 1); /* missing cells come first there */
        low = b < low ? b : low;
        most = b > most ? b : most;
        after = next > after ? next : after;
    }
    return (jp_range){low, after - 1, most == JP_MISSING_BIN};
}

/* Weights and sums of the rows whose flag it is. Flags are as good as random, so a branch on them
   would be guessed wrong: others' rows are added with no weight. */
JP_INLINE jp_sums jp_flagged_sums(const jp_grown_node *node, const uint8_t *restrict side,
                                  uint8_t flag, int64_t *n)
{
    float keep[4] = {0, 0, 0, 0};
    keep[flag] = 1;
    const jp_item *restrict item = node->item;
    jp_sums even = {0, 0}, odd = {0, 0}; /* two chains of additions, which need not wait */
    int64_t n_rows = node->n_rows, found = 0, i = 0;
    for (; i + 1 < n_rows; i += 2) {
        double first = item[i].weight * keep[side[i]];
        double second = item[i + 1].weight * keep[side[i + 1]];
        even.weight += first;
        odd.weight += second;
        even.sum += first * item[i].is.target;
        odd.sum += second * item[i + 1].is.target;
        found += (side[i] == flag) + (side[i + 1] == flag);
    }
    if (i < n_rows) {
        double last = item[i].weight * keep[side[i]];
        even.weight += last;
        even.sum += last * item[i].is.target;
        found += side[i] == flag;
    }
    *n = found;
    return (jp_sums){even.weight + odd.weight, even.sum + odd.sum};
}

/* The same by class; square gets the sum of squared counts, product that of counts times those of
   the node. Both are kept up row by row, as nodes of few rows have many classes with none. */
JP_INLINE double jp_flagged_counts(const jp_grown_node *node, const uint8_t *restrict side,
                                   uint8_t flag, double *restrict counts, double *square,
                                   double *product, int64_t *n)
{
    float keep[4] = {0, 0, 0, 0};
    keep[flag] = 1;
    const jp_item *restrict item = node->item;
    double total = 0, squares = 0, products = 0;
    int64_t found = 0;
    memset(counts, 0, (size_t)node->n_classes * sizeof *counts);
    for (int64_t i = 0; i < node->n_rows; i++) {
        uint32_t k = item[i].is.label;
        double x = item[i].weight * keep[side[i]];
        total += x;
        squares += x * (2 * counts[k] + x);
        products += x * node->counts[k];
        counts[k] += x;
        found += side[i] == flag;
    }
    *square = squares;
    *product = products;
    *n = found;
    return total;
}

enum { JP_SIDE_RIGHT = 0, JP_SIDE_LEFT = 1, JP_SIDE_MISSING = 2 };

/* A random division: weights of its sides, and the squares that it is judged by. */
typedef struct {
    double left, right, missing;
    jp_squares squares;
    int64_t n_left, n_missing;
} jp_sides;

JP_INLINE jp_sides jp_sides_by_sums(const jp_grown_node *node, const uint8_t *side, int misses)
{
    jp_sides d = {0};
    jp_sums missing = {0, 0}, left = jp_flagged_sums(node, side, JP_SIDE_LEFT, &d.n_left);
    if (misses) missing = jp_flagged_sums(node, side, JP_SIDE_MISSING, &d.n_missing);
    double right = node->all.sum - left.sum - missing.sum;
    d.left = left.weight;
    d.missing = missing.weight;
    d.squares = (jp_squares){left.sum * left.sum, right * right, left.sum * missing.sum,
                             right * missing.sum, missing.sum * missing.sum};
    return d;
}

/* With the right side's counts r = c - l - m of the node's c, the squares of r and its products
   follow from those of c, l and m. */
JP_INLINE jp_sides jp_sides_by_classes(const jp_grown_node *node, const uint8_t *side, int misses)
{
    jp_sides d = {0};
    jp_squares *s = &d.squares;
    double left_all, missing_all = 0;
    d.left = jp_flagged_counts(node, side, JP_SIDE_LEFT, node->left, &s->left, &left_all,
                               &d.n_left);
    if (misses) {
        d.missing = jp_flagged_counts(node, side, JP_SIDE_MISSING, node->missing, &s->missing,
                                      &missing_all, &d.n_missing);
        for (int64_t k = 0; k < node->n_classes; k++)
            s->left_missing += node->left[k] * node->missing[k];
        s->right_missing = missing_all - s->left_missing - s->missing;
    }
    s->right = node->square + s->left + s->missing
        + 2 * (s->left_missing - left_all - missing_all);
    return d;
}

/* Judge one division; missing rows are tried on both sides. side (n_rows): JP_SIDE_. */
JP_INLINE void jp_judge_sides(const jp_grown_node *node, const uint8_t *side, int misses,
                              jp_cut *best)
{
    jp_sides d = node->n_classes ? jp_sides_by_classes(node, side, misses)
                                 : jp_sides_by_sums(node, side, misses);
    const jp_squares *s = &d.squares;
    double right = node->all.weight - d.left - d.missing;
    int64_t n_right = node->n_rows - d.n_left - d.n_missing, least = node->least_rows;
    if (d.n_left >= least && n_right + d.n_missing >= least)
        jp_judge(best, 0, !misses && d.left >= right, d.left, s->left, right + d.missing,
                 s->right + 2 * s->right_missing + s->missing);
    if (misses && d.n_left + d.n_missing >= least && n_right >= least)
        jp_judge(best, 0, 1, d.left + d.missing, s->left + 2 * s->left_missing + s->missing,
                 right, s->right);
}

/* ---- what was found ---- */

/* Half-way to the next bin that occurs. */
JP_INLINE int jp_threshold_at(const jp_tally *t, int at)
{
    return at + 1 < t->n ? (t->bin[at] + t->bin[at + 1]) / 2 : t->bin[at];
}

/* Levels that no row of the node holds go with the larger side. */
JP_INLINE void jp_levels_at(const jp_tally *t, int at, int left_larger, uint32_t *set)
{
    memset(set, left_larger ? 255 : 0, JP_SET_WORDS * sizeof *set);
    for (int j = 0; j < t->n; j++) {
        uint32_t bit = UINT32_C(1) << (t->bin[j] % 32);
        if (j <= at) set[t->bin[j] / 32] |= bit;
        else set[t->bin[j] / 32] &= ~bit;
    }
    set[JP_SET_WORDS - 1] &= ~(UINT32_C(1) << 31);
}

#endif
