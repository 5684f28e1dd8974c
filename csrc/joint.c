#include "joint.h"
#include "philox.h"
#include "tile.h"

#include <stddef.h>

/* ---- work space -------------------------------------------------------------------------- */

static int64_t widest(const jp_tree *t)
{
    int64_t w = 1;
    for (int64_t b = 0; b < t->n_blocks; b++) w = t->n_states[b] > w ? t->n_states[b] : w;
    return w;
}

/* Takes `bytes` from the work space, or only counts them while `base` is NULL. */
static void *take(char *base, int64_t *used, int64_t bytes)
{
    void *at = base ? base + *used : NULL;
    *used += (bytes + 63) & ~(int64_t)63;
    return at;
}

static int64_t lay_out(jp_tile *k, char *base)
{
    const jp_tree *t = k->tree;
    int64_t used = 0, states = 0, messages = 0, n = t->n_blocks, pack = widest(t) * JP_TILE;
    k->state_at = take(base, &used, n * (int64_t)sizeof(int64_t));
    k->message_at = take(base, &used, n * (int64_t)sizeof(int64_t));
    for (int64_t b = 0; b < n; b++) {
        if (base) k->state_at[b] = states, k->message_at[b] = messages;
        states += t->n_states[b];
        messages += b ? t->n_states[t->parent[b]] : 0;
    }
    k->level = take(base, &used, n * JP_TILE * (int64_t)sizeof(int32_t));
    k->observed = take(base, &used, n);
    k->cell = take(base, &used, n * JP_TILE);
    k->beta = take(base, &used, states * JP_TILE * (int64_t)sizeof(float));
    k->message = take(base, &used, messages * JP_TILE * (int64_t)sizeof(float));
    k->below = take(base, &used, k->pass == JP_PASS_FULL ? states * JP_TILE * (int64_t)sizeof(float) : 0);
    k->pack_a = take(base, &used, pack * (int64_t)sizeof(float));
    k->pack_b = take(base, &used, pack * (int64_t)sizeof(float));
    k->spare = take(base, &used, widest(t) * (int64_t)sizeof(float));
    k->place = take(base, &used, (widest(t) + 64) * (int64_t)sizeof(int16_t));
    return used;
}

int64_t jp_tree_work_size(const jp_tree *tree, int full)
{
    jp_tile k = {.tree = tree, .pass = full ? JP_PASS_FULL : JP_PASS_UP};
    return lay_out(&k, NULL) + 64;
}

static jp_tile open_tile(const jp_tree *tree, const jp_evidence *evidence, jp_pass pass, void *work)
{
    jp_tile k = {.tree = tree, .evidence = evidence, .pass = pass};
    lay_out(&k, (char *)(((uintptr_t)work + 63) & ~(uintptr_t)63));
    return k;
}

JP_INLINE void place(jp_tile *k, int64_t first, int64_t stop)
{
    k->first = first;
    k->n = stop - first < JP_TILE ? stop - first : JP_TILE;
}

/* ---- up ---------------------------------------------------------------------------------- */

JP_CLONES
int jp_tree_log_prob(const jp_tree *tree, const jp_evidence *evidence, int64_t start, int64_t stop,
                     void *work, double *log_prob)
{
    jp_tile k = open_tile(tree, evidence, JP_PASS_UP, work);
    for (int64_t at = start; at < stop; at += JP_TILE) {
        place(&k, at, stop);
        jp_tile_up(&k, log_prob + at);
    }
    return JP_OK;
}

/* ---- down, for EM ------------------------------------------------------------------------ */

/* pack_a[i] = P(z_parent | row) / message_b: all that is known at the parent but for block b; what that says
   of block b's m states from b0 on goes to pack_b[i]. */
JP_INLINE void look_down(jp_tile *k, int64_t b, const int16_t *order, int64_t n, int64_t p0, int64_t wp,
                         int64_t b0, int64_t m)
{
    const jp_tree *t = k->tree;
    int64_t p = t->parent[b], hb = t->n_states[b];
    for (int64_t i = 0; i < n; i++) {
        float *above = k->pack_a + i * wp;
        jp_divide(above, jp_beta(k, p, order[i]) + p0, jp_message(k, b, order[i]) + p0, wp);
        k->in[i] = above;
        k->out[i] = k->pack_b + i * m;
    }
    jp_multiply(k, n, m, wp, t->transition + t->transition_at[b] + p0 * hb + b0, hb);
}

/* Blocks with one level in each cell have nothing to learn here. */
JP_INLINE void count_levels(jp_tile *k, int64_t b, int64_t i, const float *posterior, jp_counts *counts)
{
    const jp_tree *t = k->tree;
    int32_t level = k->level[b * JP_TILE + i];
    if (level < 0 || t->n_levels[b] <= t->n_cells[b]) return;
    int64_t w = jp_width(t, b);
    float *to = counts->emission + t->emission_at[b] + level * w;
    for (int64_t j = 0; j < w; j++) to[j] += posterior[j];
}

/* to (wp, wb) += the outer products of pack_a's rows with k->in's; both are used up. */
JP_INLINE void add_outer(jp_tile *k, int64_t n, int64_t wp, int64_t wb, float *to, int64_t ld)
{
    int64_t dense = 0;
    for (int64_t i = 0; i < n; i++) {
        float *above = k->pack_a + i * wp;
        int64_t count = wp < JP_SPARSE_DEPTH || wp > JP_SPARSE_MOST ? -1 : jp_nonzeros(above, wp, k->place);
        if (count >= 0) {
            jp_sparse_outer(above, k->place, count, k->in[i], wb, to, ld);
        } else {
            if (dense < i) jp_copy(k->pack_a + dense * wp, above, wp);
            k->in[dense++] = k->in[i];
        }
    }
    if (dense) jp_add_outer(wp, wb, dense, k->pack_a, k->in, to, ld);
}

/* Expected transitions of one edge; beta_b becomes P(z_b | row). */
JP_INLINE void expect_edge(jp_tile *k, int64_t b, jp_counts *counts)
{
    const jp_tree *t = k->tree;
    int64_t p = t->parent[b], hb = t->n_states[b];
    jp_group groups[JP_TILE];
    int64_t n_groups = jp_groups(k, b, 0, 0, groups);
    for (int64_t g = 0; g < n_groups; g++) {
        int64_t p0, wp, b0, wb, n = groups[g].end - groups[g].begin;
        const int16_t *order = k->order + groups[g].begin;
        jp_range(t, p, groups[g].parent_cell, &p0, &wp);
        jp_range(t, b, groups[g].own_cell, &b0, &wb);
        look_down(k, b, order, n, p0, wp, b0, wb);
        for (int64_t i = 0; i < n; i++) k->in[i] = jp_beta(k, b, order[i]) + b0;
        add_outer(k, n, wp, wb, counts->transition + t->transition_at[b] + p0 * hb + b0, hb);
        for (int64_t i = 0; i < n; i++) {
            float *beta = jp_beta(k, b, order[i]) + b0;
            const float *above = k->pack_b + i * wb;
#pragma omp simd
            for (int64_t j = 0; j < wb; j++) beta[j] *= above[j];
            count_levels(k, b, order[i], beta, counts);
        }
    }
}

JP_INLINE void expect_lookup(jp_tile *k, int64_t b, jp_counts *counts)
{
    const jp_tree *t = k->tree;
    int64_t p = t->parent[b], hp = t->n_states[p];
    for (int64_t i = 0; i < k->n; i++) {
        int64_t p0, wp;
        int32_t level = k->level[b * JP_TILE + i];
        if (level < 0) continue;
        jp_range(t, p, k->cell[p * JP_TILE + i], &p0, &wp);
        int64_t table = t->message_at[b] + level * hp + p0;
        jp_divide(k->pack_a, jp_beta(k, p, i) + p0, t->message + table, wp);
        float *to = counts->message + table;
#pragma omp simd
        for (int64_t j = 0; j < wp; j++) to[j] += k->pack_a[j];
    }
}

JP_INLINE void expect_root(jp_tile *k, jp_counts *counts)
{
    const jp_tree *t = k->tree;
    for (int64_t i = 0; i < k->n; i++) {
        int64_t begin, width;
        jp_range(t, 0, k->cell[i], &begin, &width);
        const float *posterior = jp_beta(k, 0, i) + begin;
        float *to = counts->transition + t->transition_at[0] + begin;
        for (int64_t j = 0; j < width; j++) to[j] += posterior[j];
        count_levels(k, 0, i, posterior, counts);
    }
}

JP_INLINE void hand_back_leaves(jp_tile *k, float *leaf_posterior)
{
    const jp_evidence *e = k->evidence;
    for (int64_t b = 0; b < k->tree->n_blocks; b++) {
        if (!jp_has_leaf(k, b)) continue;
        for (int64_t i = 0; i < k->n; i++)
            jp_copy(leaf_posterior + (k->first + i) * e->n_leaf + e->leaf_at[b], jp_beta(k, b, i),
                      k->tree->n_states[b]);
    }
}

JP_CLONES
int jp_tree_expect(const jp_tree *tree, const jp_evidence *evidence, const double *weight, int64_t start,
                   int64_t stop, void *work, double *log_prob, jp_counts *counts, float *leaf_posterior)
{
    jp_tile k = open_tile(tree, evidence, JP_PASS_UP, work);
    for (int64_t at = start; at < stop; at += JP_TILE) {
        place(&k, at, stop);
        jp_tile_up(&k, log_prob + at);
        jp_root_posterior(&k, weight);
        expect_root(&k, counts);
        for (int64_t b = 1; b < tree->n_blocks; b++) {
            if (jp_is_lookup(&k, b)) expect_lookup(&k, b, counts);
            else expect_edge(&k, b, counts);
        }
        hand_back_leaves(&k, leaf_posterior);
    }
    return JP_OK;
}

/* ---- down, for every marginal ------------------------------------------------------------ */

JP_INLINE void normalise(float *x, int64_t n)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++) sum += (double)x[j];
    float factor = sum > 0 ? (float)(1 / sum) : 0;
#pragma omp simd
    for (int64_t j = 0; j < n; j++) x[j] *= factor;
}

/* cavity *= below, normalised; a dead row keeps zeros. */
JP_INLINE void finish_cavity(jp_tile *k, int64_t b, int64_t i, float *restrict cavity)
{
    const float *restrict below = jp_below(k, b, i);
    int64_t n = k->tree->n_states[b];
#pragma omp simd
    for (int64_t j = 0; j < n; j++) cavity[j] *= below[j];
    normalise(cavity, n);
}

JP_INLINE void marginal_edge(jp_tile *k, int64_t b, const int64_t *state_at, int64_t n_total, float *cavity,
                             float *posterior)
{
    const jp_tree *t = k->tree;
    int64_t p = t->parent[b], hb = t->n_states[b];
    jp_group groups[JP_TILE];
    int64_t n_groups = jp_groups(k, b, 0, 1, groups);
    for (int64_t g = 0; g < n_groups; g++) {
        int64_t p0, wp, n = groups[g].end - groups[g].begin;
        const int16_t *order = k->order + groups[g].begin;
        jp_range(t, p, groups[g].parent_cell, &p0, &wp);
        look_down(k, b, order, n, p0, wp, 0, hb);
        for (int64_t i = 0; i < n; i++) {
            int64_t b0, wb, row = k->first + order[i];
            float *beta = jp_beta(k, b, order[i]), *above = k->pack_b + i * hb;
            float *cav = cavity + row * n_total + state_at[b], *post = posterior + row * n_total + state_at[b];
            jp_range(t, b, k->cell[b * JP_TILE + order[i]], &b0, &wb);
            memset(post, 0, (size_t)hb * sizeof(float));
#pragma omp simd
            for (int64_t j = b0; j < b0 + wb; j++) beta[j] *= above[j];
            jp_copy(post + b0, beta + b0, wb);
            normalise(post + b0, wb);
            jp_copy(cav, above, hb);
            finish_cavity(k, b, order[i], cav);
        }
    }
}

JP_INLINE void marginal_root(jp_tile *k, const int64_t *state_at, int64_t n_total, float *cavity,
                             float *posterior)
{
    const jp_tree *t = k->tree;
    for (int64_t i = 0; i < k->n; i++) {
        int64_t begin, width, at = (k->first + i) * n_total + state_at[0];
        jp_range(t, 0, k->cell[i], &begin, &width);
        memset(posterior + at, 0, (size_t)t->n_states[0] * sizeof(float));
        jp_copy(posterior + at + begin, jp_beta(k, 0, i) + begin, width);
        jp_copy(cavity + at, t->transition + t->transition_at[0], t->n_states[0]);
        finish_cavity(k, 0, i, cavity + at);
    }
}

JP_CLONES
int jp_tree_marginals(const jp_tree *tree, const jp_evidence *evidence, const int64_t *state_at,
                      int64_t n_total, int64_t start, int64_t stop, void *work, double *log_prob,
                      float *cavity, float *posterior)
{
    jp_tile k = open_tile(tree, evidence, JP_PASS_FULL, work);
    for (int64_t at = start; at < stop; at += JP_TILE) {
        place(&k, at, stop);
        jp_tile_up(&k, log_prob + at);
        jp_root_posterior(&k, NULL);
        marginal_root(&k, state_at, n_total, cavity, posterior);
        for (int64_t b = 1; b < tree->n_blocks; b++)
            marginal_edge(&k, b, state_at, n_total, cavity, posterior);
    }
    return JP_OK;
}

/* ---- down, for a draw -------------------------------------------------------------------- */

/* First index at which the running sum of weight * beta passes u of its total. */
JP_INLINE int64_t draw_state(const float *weight, const float *beta, int64_t n, double u)
{
    double total = 0, sum = 0;
    int64_t last = 0;
#pragma omp simd reduction(+ : total)
    for (int64_t j = 0; j < n; j++) total += (double)weight[j] * (double)beta[j];
    for (int64_t j = 0; j < n; j++) {
        double mass = (double)weight[j] * (double)beta[j];
        if (!(mass > 0)) continue;
        sum += mass;
        last = j;
        if (sum > u * total) return j;
    }
    return last;
}

JP_CLONES
int jp_tree_sample(const jp_tree *tree, const jp_evidence *evidence, uint64_t seed,
                   const uint64_t *draw_key, int64_t start, int64_t stop, void *work, double *log_prob,
                   int32_t *states)
{
    jp_tile k = open_tile(tree, evidence, JP_PASS_DRAW, work);
    const uint64_t key[2] = {seed, 0};
    for (int64_t at = start; at < stop; at += JP_TILE) {
        place(&k, at, stop);
        jp_tile_up(&k, log_prob + at);
        for (int64_t i = 0; i < k.n; i++) {
            int32_t *z = states + (at + i) * tree->n_blocks;
            for (int64_t b = 0; b < tree->n_blocks; b++) {
                int64_t begin, width, from = b ? z[tree->parent[b]] : 0;
                jp_range(tree, b, k.cell[b * JP_TILE + i], &begin, &width);
                jp_philox64 word = jp_draw64((int64_t)draw_key[at + i], b, JP_STAGE_JOINT, key);
                double u = jp_uniform(word.word[0]);
                const float *row = tree->transition + tree->transition_at[b] + from * tree->n_states[b];
                z[b] = (int32_t)(begin + draw_state(row + begin, jp_beta(&k, b, i) + begin, width, u));
            }
        }
    }
    return JP_OK;
}
