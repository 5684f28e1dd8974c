#include "joint.h"
#include "tile.h"

int64_t jp_tree_work_size(const jp_tree *tree, int full)
{
    jp_tile k = {.tree = tree, .pass = full ? JP_PASS_FULL : JP_PASS_UP};
    return jp_tile_lay_out(&k, NULL) + 64;
}

/* ---- up ---------------------------------------------------------------------------------- */

/* A childless block's message, read from its table by level. */
JP_INLINE void lookup_up(jp_tile *k, int64_t b)
{
    const jp_tree *t = k->tree;
    int64_t p = t->parent[b], begin, width;
    for (int64_t i = 0; i < k->n; i++) {
        int32_t level = k->level[b * JP_TILE + i];
        if (level < 0) continue;
        jp_range(t, p, k->cell[p * JP_TILE + i], &begin, &width);
        jp_absorb(k, i, jp_beta(k, p, i) + begin,
                  t->message + t->message_at[b] + level * t->n_states[p] + begin, width, k->exponent + i);
    }
}

/* message_b = T_b beta_b, group by group, and into what the parent has heard. */
JP_INLINE void edge_up(jp_tile *k, int64_t b)
{
    const jp_tree *t = k->tree;
    int64_t p = t->parent[b], hp = t->n_states[p];
    int full = k->pass == JP_PASS_FULL;
    jp_group groups[JP_TILE];
    int64_t n_groups = jp_groups(k, b, full, 0, groups);
    for (int64_t g = 0; g < n_groups; g++) {
        int64_t p0, wp, b0, wb, n = groups[g].end - groups[g].begin;
        const int16_t *order = k->order + groups[g].begin;
        jp_range(t, p, groups[g].parent_cell, &p0, &wp);
        jp_range(t, b, groups[g].own_cell, &b0, &wb);
        for (int64_t i = 0; i < n; i++) {
            k->in[i] = jp_beta(k, b, order[i]) + b0;
            k->out[i] = jp_message(k, b, order[i]) + p0;
        }
        jp_multiply(k, n, wp, wb, t->transposed + t->transition_at[b] + b0 * hp + p0, hp);
        for (int64_t i = 0; i < n; i++) {
            int64_t row = order[i], own, width;
            float *message = jp_message(k, b, row);
            jp_range(t, p, k->cell[p * JP_TILE + row], &own, &width);
            jp_absorb(k, row, jp_beta(k, p, row) + own, message + own, width, k->exponent + row);
            if (full) {
                int32_t scale = 0; /* a cavity is normalised in the end */
                jp_absorb(k, row, jp_below(k, p, row), message, hp, &scale);
            }
            if (k->dead[row]) jp_fill(message + p0, wp, 1); /* it may be zero, and is divided by */
        }
    }
}

/* The pass from the tips to the root; log_prob (n) of the tile's rows. */
JP_CLONES
void jp_tile_up(jp_tile *k, double *log_prob)
{
    const jp_tree *t = k->tree;
    memset(k->exponent, 0, (size_t)k->n * sizeof(k->exponent[0]));
    memset(k->extra, 0, (size_t)k->n * sizeof(k->extra[0]));
    memset(k->dead, 0, (size_t)k->n);
    jp_read_levels(k);
    memset(k->observed, 0, (size_t)t->n_blocks);
    for (int64_t b = t->n_blocks - 1; b > 0; b--) {
        jp_observe(k, b);
        jp_observe(k, t->parent[b]);
        if (jp_is_lookup(k, b)) lookup_up(k, b);
        else edge_up(k, b);
    }
    jp_observe(k, 0);
    for (int64_t i = 0; i < k->n; i++) {
        int64_t begin, width;
        jp_range(t, 0, k->cell[i], &begin, &width);
        const float *beta = jp_beta(k, 0, i) + begin, *prior = t->transition + t->transition_at[0] + begin;
        double sum = 0;
        for (int64_t j = 0; j < width; j++) sum += (double)beta[j] * (double)prior[j];
        if (!(sum > 0)) k->dead[i] = 1;
        log_prob[i] = k->dead[i] ? -INFINITY : log(sum) + k->exponent[i] * 0.6931471805599453 + k->extra[i];
    }
}

int jp_tree_log_prob(const jp_tree *tree, const jp_evidence *evidence, int64_t start, int64_t stop,
                     void *work, double *log_prob)
{
    jp_tile k = jp_tile_open(tree, evidence, JP_PASS_UP, work);
    for (int64_t at = start; at < stop; at += JP_TILE) {
        jp_tile_place(&k, at, stop);
        jp_tile_up(&k, log_prob + at);
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
        jp_look_down(k, b, order, n, p0, wp, 0, hb);
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
    jp_tile k = jp_tile_open(tree, evidence, JP_PASS_FULL, work);
    for (int64_t at = start; at < stop; at += JP_TILE) {
        jp_tile_place(&k, at, stop);
        jp_tile_up(&k, log_prob + at);
        jp_root_posterior(&k, NULL);
        marginal_root(&k, state_at, n_total, cavity, posterior);
        for (int64_t b = 1; b < tree->n_blocks; b++)
            marginal_edge(&k, b, state_at, n_total, cavity, posterior);
    }
    return JP_OK;
}
