/* Growing, descending and boosting: leaves partition the rows, and every buffer is just as large
   as it must be. */
#include "forest.h"

#include <string.h>

#include "check.h"
#include "draw.h"

enum { N_TREES = 3 };

/* ---- tables ---- */

typedef struct {
    int64_t n, d, n_classes;
    uint8_t *by_column, *by_row, *descend, *categorical, *n_bins; /* by_row to boost */
    uint16_t *label;
    uint32_t *rows;
    float *target, *weight;
    jp_bins bins;
} table;

static table draw_table(int64_t n, int64_t d, int64_t n_classes, int64_t most_bins, int misses) {
    table t = {.n = n, .d = d, .n_classes = n_classes};
    t.by_column = allocate((size_t)(n * d));
    t.by_row = allocate((size_t)(n * d));
    t.descend = allocate((size_t)(n * d));
    t.categorical = allocate((size_t)d);
    t.n_bins = allocate((size_t)d);
    t.label = allocate(sizeof(uint16_t) * (size_t)n);
    t.rows = allocate(sizeof(uint32_t) * (size_t)n);
    t.target = allocate(sizeof(float) * (size_t)n);
    t.weight = allocate(sizeof(float) * (size_t)n);
    for (int64_t j = 0; j < d; j++) {
        t.categorical[j] = j % 2 == 1;
        t.n_bins[j] = (uint8_t)(j ? 1 + draw_below(most_bins) : most_bins);
        for (int64_t i = 0; i < n; i++) {
            const int missing = misses && draw_uniform() < 0.2;
            const uint8_t bin = (uint8_t)draw_below(t.n_bins[j]);
            t.by_column[j * n + i] = t.descend[i * d + j] = missing ? JP_MISSING_BIN : bin;
            t.by_row[i * d + j] = missing ? t.n_bins[j] : bin;
        }
    }
    for (int64_t i = 0; i < n; i++) {
        t.rows[i] = (uint32_t)i;
        t.label[i] = (uint16_t)draw_below(n_classes);
        t.target[i] = (float)draw_between(-1, 1);
        t.weight[i] = (float)(1 + draw_below(3));
    }
    t.bins = (jp_bins){n, d, t.by_column, t.by_row, t.categorical, t.n_bins};
    return t;
}

static void free_table(table *t) {
    free(t->by_column), free(t->by_row), free(t->descend), free(t->categorical), free(t->n_bins);
    free(t->label), free(t->rows), free(t->target), free(t->weight);
}

/* ---- trees ---- */

static jp_grown make_room(int64_t n_leaves, int64_t n_outputs) {
    jp_grown g = {.n_outputs = n_outputs, .capacity = 2 * n_leaves - 1};
    g.node = allocate(sizeof(jp_node) * (size_t)g.capacity);
    g.sets = allocate(sizeof(uint32_t) * JP_SET_WORDS * (size_t)(n_leaves - 1));
    g.value = allocate(sizeof(float) * (size_t)(g.capacity * n_outputs));
    return g;
}

static void free_room(jp_grown *g) { free(g->node), free(g->sets), free(g->value); }

static void grow(const table *t, jp_growth how, int64_t tree, int numbers, jp_grown *out) {
    const uint64_t key[2] = {3, 9};
    const int64_t size = jp_forest_work_size(&t->bins, t->n, numbers ? 0 : t->n_classes);
    void *work = allocate((size_t)size);
    if (numbers)
        CHECK(jp_forest_grow_means(&t->bins, t->rows, t->n, t->target, t->weight, &how, key, tree,
                                   out, work) == JP_OK);
    else
        CHECK(jp_forest_grow_classes(&t->bins, t->rows, t->n, t->label, t->weight, &how, key, tree,
                                     out, work) == JP_OK);
    free(work);
}

/* Leaf of a row, by the rules in words. */
static int32_t walk(const jp_node *node, const uint32_t *sets, const uint8_t *bins) {
    int32_t at = 0;
    while (node[at].child != at) {
        const uint32_t test = node[at].test;
        const int bin = bins[test >> 16], missing_left = (test & JP_TEST_MISSING_LEFT) != 0;
        int left = bin <= (int)(test >> 8 & 255) - missing_left;
        if (test & JP_TEST_LEVELS) {
            const uint32_t *right = sets + (node[at].set - JP_THRESHOLD_SETS) * JP_SET_WORDS;
            left = !(right[bin / 32] >> (bin % 32) & 1);
        }
        if (bin == JP_MISSING_BIN) left = missing_left;
        at = node[at].child + !left;
    }
    return node[at].u.leaf;
}

/* Rows in every leaf, and their weights and targets in its value. */
static void check_grown(const table *t, const jp_grown *g, int64_t least_rows, int numbers) {
    CHECK(g->n_nodes == 2 * g->n_leaves - 1 && g->n_nodes <= g->capacity);
    const int64_t n_out = g->n_outputs;
    double *sums = calloc((size_t)(g->n_leaves * n_out), sizeof(double));
    int64_t *count = calloc((size_t)g->n_leaves, sizeof(int64_t));
    CHECK(sums && count);
    for (int64_t i = 0; i < t->n; i++) {
        const int32_t leaf = walk(g->node, g->sets, t->descend + i * t->d);
        CHECK(leaf >= 0 && leaf < g->n_leaves);
        count[leaf]++;
        if (numbers) {
            sums[leaf * n_out] += t->weight[i];
            sums[leaf * n_out + 1] += (double)t->weight[i] * t->target[i];
        } else {
            sums[leaf * n_out + t->label[i]] += t->weight[i];
        }
    }
    for (int64_t k = 0; k < g->n_nodes; k++) {
        if (g->node[k].child != k) continue;
        const int32_t leaf = g->node[k].u.leaf;
        CHECK(count[leaf] >= least_rows || g->n_leaves == 1);
        for (int64_t o = 0; o < n_out; o++)
            CHECK_CLOSE(g->value[k * n_out + o], sums[leaf * n_out + o], 1e-5);
    }
    free(sums), free(count);
}

static void check_growth(const table *t, int64_t least_rows, int random) {
    for (int numbers = 0; numbers < 2; numbers++) {
        const jp_growth how = {2, least_rows, 20, random};
        jp_grown g = make_room(t->n, numbers ? 2 : t->n_classes);
        grow(t, how, 0, numbers, &g);
        check_grown(t, &g, least_rows, numbers);
        free_room(&g);
    }
}

/* ---- descent ---- */

/* Trees packed by hand. */
typedef struct {
    jp_forest forest;
    int64_t node_at[N_TREES + 1], leaf_at[N_TREES + 1];
    jp_node *node;
    uint32_t *sets;
    float *values;
} packed;

static packed pack(const table *t) {
    packed p = {.node_at = {0}};
    jp_grown g[N_TREES];
    int64_t set_at[N_TREES + 1] = {0};
    for (int k = 0; k < N_TREES; k++) {
        g[k] = make_room(t->n, t->n_classes);
        grow(t, (jp_growth){1, 1, 20, k == 1}, k, 0, g + k);
        p.node_at[k + 1] = p.node_at[k] + g[k].n_nodes;
        p.leaf_at[k + 1] = p.leaf_at[k] + g[k].n_leaves;
        set_at[k + 1] = set_at[k] + g[k].n_sets;
    }
    const size_t a_set = sizeof(uint32_t) * JP_SET_WORDS;
    p.node = allocate(sizeof(jp_node) * (size_t)p.node_at[N_TREES]);
    p.sets = allocate(a_set * (size_t)(JP_THRESHOLD_SETS + set_at[N_TREES]));
    p.values = allocate(sizeof(float) * 2 * (size_t)p.leaf_at[N_TREES]);
    CHECK(jp_forest_thresholds(p.sets) == JP_OK);
    for (int k = 0; k < N_TREES; k++) {
        jp_node *own = p.node + p.node_at[k];
        memcpy(own, g[k].node, sizeof(jp_node) * (size_t)g[k].n_nodes);
        for (int64_t i = 0; i < g[k].n_nodes; i++)
            if (own[i].set >= JP_THRESHOLD_SETS) own[i].set += (int32_t)set_at[k];
        memcpy(p.sets + (JP_THRESHOLD_SETS + set_at[k]) * JP_SET_WORDS, g[k].sets,
               a_set * (size_t)g[k].n_sets);
        free_room(g + k);
    }
    for (int64_t i = 0; i < 2 * p.leaf_at[N_TREES]; i++) p.values[i] = (float)draw_uniform();
    p.forest = (jp_forest){N_TREES, 0, 0, p.node, p.sets, set_at[N_TREES]};
    return p;
}

/* Sound trees pass, and trees with one entry changed do not. */
static void check_soundness(packed *p, int64_t n_columns) {
    const int64_t n = p->node_at[N_TREES], n_leaves = p->leaf_at[N_TREES];
    uint8_t *seen = allocate((size_t)n_leaves);
    CHECK(jp_forest_check(&p->forest, n, n_leaves, n_columns, seen) == JP_OK);
    CHECK(jp_forest_check(&p->forest, n - 1, n_leaves, n_columns, seen) != JP_OK);
    CHECK(jp_forest_check(&p->forest, n, n_leaves + 1, n_columns, seen) != JP_OK);
    for (int64_t i = 0; i < n; i++) {
        const jp_node sound = p->node[i];
        const int32_t children[] = {-1, 0, 1, sound.child + 1, sound.child + 2, INT32_MAX};
        for (int k = 0; k < 6; k++) {
            p->node[i].child = children[k];
            CHECK(sound.child == children[k]
                  || jp_forest_check(&p->forest, n, n_leaves, n_columns, seen) != JP_OK);
        }
        p->node[i] = sound;
        p->node[i].test = (uint32_t)n_columns << 16;
        CHECK(jp_forest_check(&p->forest, n, n_leaves, n_columns, seen) != JP_OK);
        p->node[i] = sound;
        p->node[i].set = JP_THRESHOLD_SETS + (int32_t)p->forest.n_sets;
        CHECK(jp_forest_check(&p->forest, n, n_leaves, n_columns, seen) != JP_OK);
        p->node[i] = sound;
        p->node[i].u.leaf = -1; /* a share of NaN, too */
        CHECK(jp_forest_check(&p->forest, n, n_leaves, n_columns, seen) != JP_OK);
        p->node[i] = sound;
    }
    p->node_at[1]++;
    CHECK(jp_forest_check(&p->forest, n, n_leaves, n_columns, seen) != JP_OK);
    p->node_at[1]--;
    free(seen);
}

static void check_descent(const table *t, int64_t start, int64_t stop) {
    packed p = pack(t);
    p.forest.node_at = p.node_at, p.forest.leaf_at = p.leaf_at;
    if (t->n <= 17) check_soundness(&p, t->d);
    const size_t m = (size_t)(stop - start);
    float *out = allocate(sizeof(float) * 2 * m), *both = allocate(sizeof(float) * 2 * m);
    int32_t *leaves = allocate(sizeof(int32_t) * m);
    const uint32_t *levels = p.sets + JP_THRESHOLD_SETS * JP_SET_WORDS;
    for (size_t i = 0; i < 2 * m; i++) out[i] = both[i] = 0;
    CHECK(jp_forest_add(&p.forest, p.values, 2, t->descend, t->d, start, stop, out) == JP_OK);
    CHECK(jp_forest_add_both_ways(&p.forest, p.values, NULL, 2, 0, t->descend, t->d, start, stop,
                                  both) == JP_OK);
    for (int k = 0; k < N_TREES; k++) {
        CHECK(jp_forest_leaves(&p.forest, k, t->descend, t->d, start, stop, leaves) == JP_OK);
        for (int64_t i = start; i < stop; i++) {
            const int32_t leaf = walk(p.node + p.node_at[k], levels, t->descend + i * t->d);
            CHECK(leaves[i - start] == leaf);
            for (int o = 0; o < 2; o++)
                out[2 * (i - start) + o] -= p.values[2 * (p.leaf_at[k] + leaf) + o];
        }
    }
    for (size_t i = 0; i < 2 * m; i++) CHECK_CLOSE(out[i], 0, 1e-5);
    for (size_t i = 0; i < 2 * m; i++) CHECK(both[i] > 0 && both[i] < N_TREES);
    free(out), free(both), free(leaves), free(p.node), free(p.sets), free(p.values);
}

/* Every row is counted once in every tree, and leaves that were reached say shares. */
static void check_counting(const table *t) {
    packed p = pack(t);
    p.forest.node_at = p.node_at, p.forest.leaf_at = p.leaf_at;
    const int64_t k = t->n_classes, n_values = p.leaf_at[N_TREES] * k;
    float *grown = allocate(sizeof(float) * (size_t)n_values), total = 0;
    float *counts = allocate(sizeof(float) * (size_t)n_values);
    float *values = allocate(sizeof(float) * (size_t)n_values);
    float *again = allocate(sizeof(float) * (size_t)n_values);
    int64_t *label = allocate(sizeof(int64_t) * (size_t)t->n);
    double *weight = allocate(sizeof(double) * (size_t)t->n), rows = 0;
    for (int64_t i = 0; i < n_values; i++) grown[i] = 1 / (float)k, counts[i] = values[i] = 0;
    for (int64_t i = 0; i < t->n; i++) {
        label[i] = t->label[i];
        rows += weight[i] = (double)t->weight[i];
    }
    CHECK(jp_forest_count(&p.forest, t->descend, t->d, t->n, label, weight, grown, 8, k, counts,
                          values) == JP_OK);
    CHECK(jp_forest_say(counts, grown, 8, p.leaf_at[N_TREES], k, again) == JP_OK);
    for (int64_t i = 0; i < n_values; i++) {
        total += counts[i];
        CHECK(counts[i] == 0 || values[i] == again[i]);
    }
    CHECK(total == (float)(N_TREES * rows));
    label[t->n - 1] = k;
    CHECK(jp_forest_count(&p.forest, t->descend, t->d, t->n, label, weight, grown, 8, k, counts,
                          values) == JP_ERR_VALUE);
    CHECK(jp_forest_say(counts, grown, 8, 1, 0, again) == JP_ERR_SIZE);
    free(grown), free(counts), free(values), free(again), free(label), free(weight);
    free(p.node), free(p.sets), free(p.values);
}

/* ---- boosting ---- */

/* All nodes compared at once: the same leaves; rows stand in columns of whole vectors. */
static void check_small(const table *t, const jp_grown *g, const int32_t *leaf_of) {
    const int64_t stride = (t->n + 255) / 256 * 256;
    const size_t words = (size_t)((JP_THRESHOLD_SETS + g->n_sets) * JP_SET_WORDS);
    uint8_t *by_column = allocate((size_t)(stride * t->d));
    uint32_t *sets = allocate(sizeof(uint32_t) * words);
    int32_t *leaf = allocate(sizeof(int32_t) * (size_t)t->n);
    float *values = allocate(sizeof(float) * (size_t)g->n_leaves);
    float *scores = allocate(sizeof(float) * (size_t)t->n);
    memset(by_column, 0, (size_t)(stride * t->d));
    for (int64_t j = 0; j < t->d; j++)
        memcpy(by_column + j * stride, t->by_column + j * t->n, (size_t)t->n);
    CHECK(jp_forest_thresholds(sets) == JP_OK);
    memcpy(sets + JP_THRESHOLD_SETS * JP_SET_WORDS, g->sets,
           sizeof(uint32_t) * (size_t)(g->n_sets * JP_SET_WORDS));
    CHECK(jp_forest_small_leaves(g, sets, by_column, stride, t->n, leaf) == JP_OK);
    CHECK(jp_boost_steps(g, 1, 0.1, 5, values) == JP_OK);
    for (int64_t i = 0; i < t->n; i++) {
        CHECK(leaf[i] == leaf_of[i]);
        scores[i] = -values[leaf[i]];
    }
    CHECK(jp_boost_move(leaf, values, 1, 0, t->n, scores) == JP_OK);
    for (int64_t i = 0; i < t->n; i++) CHECK(scores[i] == 0);
    free(by_column), free(sets), free(leaf), free(values), free(scores);
}

static void check_boosting(const table *t, int64_t width, int64_t most_leaves) {
    float *slopes = allocate(sizeof(float) * (size_t)(t->n * width));
    int32_t *leaf_of = allocate(sizeof(int32_t) * (size_t)t->n);
    for (int64_t i = 0; i < t->n * width; i++)
        slopes[i] = (float)(i % width == width - 1 ? draw_uniform() : draw_between(-1, 1));
    void *work = allocate((size_t)jp_boost_work_size(&t->bins, t->n, width, most_leaves));
    jp_grown g = make_room(most_leaves, 2);
    const jp_boosting how = {most_leaves, 20, 1, 1, 10, 2, 1e-6};
    CHECK(jp_boost_grow(&t->bins, t->rows, t->n, slopes, width, &how, &g, leaf_of, work) == JP_OK);
    CHECK(g.n_leaves <= most_leaves && g.n_nodes == 2 * g.n_leaves - 1);
    for (int64_t i = 0; i < t->n; i++)
        CHECK(leaf_of[i] == walk(g.node, g.sets, t->descend + i * t->d));
    if (g.n_leaves <= JP_SMALL_LEAVES) check_small(t, &g, leaf_of);
    free(slopes), free(leaf_of), free(work);
    free_room(&g);
}

static void check_slopes(const table *t) {
    const int64_t k = t->n_classes > 2 ? t->n_classes : 1, width = k == 1 ? 2 : 8;
    const size_t n = (size_t)t->n, size = sizeof(float) * n * (size_t)k;
    float *scores = allocate(size), *gradient = allocate(size), *curvature = allocate(size);
    float *sketch = allocate(sizeof(float) * 8 * (size_t)k);
    float *slopes = allocate(sizeof(float) * n * (size_t)width);
    for (int64_t i = 0; i < t->n * k; i++) scores[i] = (float)draw_between(-3, 3);
    for (int64_t i = 0; i < 8 * k; i++) sketch[i] = (float)draw_between(-1, 1);
    const int64_t middle = t->n / 3;
    CHECK(jp_boost_log_loss(t->label, t->weight, scores, k, 0, middle, sketch, gradient,
                            curvature, slopes) == JP_OK);
    CHECK(jp_boost_log_loss(t->label, t->weight, scores, k, middle, t->n, sketch, gradient,
                            curvature, slopes) == JP_OK);
    for (int64_t i = 0; i < t->n; i++) {
        double sum = 0;
        if (k == 1) gradient[i] = slopes[2 * i], curvature[i] = slopes[2 * i + 1];
        for (int64_t j = 0; j < k; j++) {
            sum += gradient[i * k + j];
            CHECK(curvature[i * k + j] > 0 && curvature[i * k + j] <= 0.25001 * t->weight[i]);
        }
        if (k > 1) CHECK_CLOSE(sum, 0, 1e-5);
        CHECK_CLOSE(slopes[i * width + width - 1], k == 1 ? curvature[i] : t->weight[i], 1e-6);
    }
    free(scores), free(gradient), free(curvature), free(sketch), free(slopes);
}

/* ---- bins ---- */

static void check_bins(int64_t n, int64_t n_edges, int64_t start, int64_t stop) {
    double *number = allocate(sizeof(double) * (size_t)n);
    double *edge = allocate(sizeof(double) * (size_t)n_edges);
    int32_t *level = allocate(sizeof(int32_t) * (size_t)n);
    uint8_t *bin_of = allocate((size_t)n_edges), *bins = allocate((size_t)(2 * n));
    for (int64_t k = 0; k < n_edges; k++) {
        edge[k] = (double)(2 * k);
        bin_of[k] = (uint8_t)draw_below(254);
    }
    for (int64_t i = 0; i < n; i++) {
        number[i] = draw_uniform() < 0.1 ? NAN : (double)draw_below(2 * n_edges + 4) - 2;
        level[i] = (int32_t)draw_below(n_edges + 4) - 2;
    }
    const jp_edges edges[2] = {{edge, n_edges, 0}, {bin_of, n_edges, 1}};
    const void *cells[2] = {number, level};
    CHECK(jp_forest_bin(edges, cells, 2, n, start, stop, bins) == JP_OK);
    for (int64_t i = start; i < stop; i++) {
        int below = 0, known = level[i] >= 0 && level[i] < n_edges;
        for (int64_t k = 0; k < n_edges; k++) below += edge[k] < number[i];
        CHECK(bins[i] == (isnan(number[i]) ? JP_MISSING_BIN : below));
        CHECK(bins[n + i] == (known ? bin_of[level[i]] : JP_MISSING_BIN));
    }
    CHECK(jp_forest_bin(edges, cells, 2, n, 0, n + 1, bins) == JP_ERR_SIZE);
    free(number), free(edge), free(level), free(bin_of), free(bins);
}

/* ---- arguments ---- */

static void test_bad_arguments(void) {
    table t = draw_table(4, 2, 3, 4, 0);
    const uint64_t key[2] = {0, 0};
    uint8_t times[1];
    CHECK(jp_forest_bootstrap(key, 0, 0, 1, times) == JP_ERR_SIZE);
    jp_grown g = make_room(4, 3);
    void *work = allocate((size_t)jp_forest_work_size(&t.bins, 4, 3));
    jp_growth how = {0, 1, 20, 0};
    CHECK(jp_forest_grow_classes(&t.bins, t.rows, 4, t.label, t.weight, &how, key, 0, &g, work)
          == JP_ERR_SIZE);
    how.n_candidates = 1;
    CHECK(jp_forest_grow_means(&t.bins, t.rows, 4, t.target, t.weight, &how, key, 0, &g, work)
          == JP_ERR_SIZE);
    t.label[1] = 3;
    CHECK(jp_forest_grow_classes(&t.bins, t.rows, 4, t.label, t.weight, &how, key, 0, &g, work)
          == JP_ERR_VALUE);
    free(work);
    free_room(&g);
    free_table(&t);
}

int main(void) {
    static const int64_t n_rows[] = {1, 2, 3, 17, 300}, n_classes[] = {2, 3, 9};
    static const int64_t n_bins[] = {1, 7, 254};
    for (int r = 0; r < 5; r++)
        for (int c = 0; c < 3; c++)
            for (int b = 0; b < 3; b++)
                for (int misses = 0; misses < 2; misses++) {
                    table t = draw_table(n_rows[r], 1 + b * 2, n_classes[c], n_bins[b], misses);
                    for (int random = 0; random < 2; random++) {
                        check_growth(&t, 1, random);
                        check_growth(&t, 4, random);
                    }
                    check_descent(&t, 0, t.n);
                    check_descent(&t, t.n / 3, t.n - t.n / 4);
                    check_counting(&t);
                    for (int64_t leaves = 1; leaves < 9; leaves += 3) {
                        check_boosting(&t, JP_SLOPES_ONE, leaves);
                        check_boosting(&t, JP_SLOPES_MANY, leaves);
                    }
                    check_slopes(&t);
                    free_table(&t);
                }
    table long_one = draw_table(JP_DESCENT_ROWS + 5, 3, 2, 9, 1);
    check_descent(&long_one, 0, long_one.n);
    free_table(&long_one);
    for (int64_t n = 1; n < 40; n += 3)
        for (int64_t n_edges = 0; n_edges < 254; n_edges += 11) {
            check_bins(n, n_edges, 0, n);
            check_bins(n, n_edges, n / 3, n - n / 4);
        }
    test_bad_arguments();
    puts("forest: passed");
    return 0;
}
