#include "joint.h"
#include "tile.h"

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
        jp_look_down(k, b, order, n, p0, wp, b0, wb);
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
    jp_tile k = jp_tile_open(tree, evidence, JP_PASS_UP, work);
    for (int64_t at = start; at < stop; at += JP_TILE) {
        jp_tile_place(&k, at, stop);
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
