/* One tile of rows on its way through a latent tree: the passes that every query and EM share. */
#ifndef JP_TILE_H
#define JP_TILE_H

#include "matmul.h"
#include "sparse.h"
#include "tile_work.h"

#include <math.h>
#include <string.h>

typedef struct { int64_t begin, end, parent_cell, own_cell; } jp_group;

/* The states that a cell leaves possible. */
JP_INLINE void jp_range(const jp_tree *t, int64_t b, int64_t cell, int64_t *begin, int64_t *width)
{
    int64_t w = jp_width(t, b);
    *begin = cell < t->n_cells[b] ? cell * w : 0;
    *width = cell < t->n_cells[b] ? w : t->n_states[b];
}

JP_INLINE int jp_has_leaf(const jp_tile *k, int64_t b)
{
    return k->evidence->leaf_at != 0 && k->evidence->leaf_at[b] >= 0;
}

/* A childless categorical block whose message is a table lookup. */
JP_INLINE int jp_is_lookup(const jp_tile *k, int64_t b)
{
    return k->pass == JP_PASS_UP && k->tree->message_at[b] >= 0 && !jp_has_leaf(k, b);
}

JP_INLINE float *jp_beta(const jp_tile *k, int64_t b, int64_t i)
{
    return k->beta + JP_TILE * k->state_at[b] + i * k->tree->n_states[b];
}

JP_INLINE float *jp_below(const jp_tile *k, int64_t b, int64_t i)
{
    return k->below + JP_TILE * k->state_at[b] + i * k->tree->n_states[b];
}

JP_INLINE float *jp_message(const jp_tile *k, int64_t b, int64_t i)
{
    return k->message + JP_TILE * k->message_at[b] + i * k->tree->n_states[k->tree->parent[b]];
}

JP_INLINE void jp_fill(float *x, int64_t n, float value)
{
    for (int64_t j = 0; j < n; j++) x[j] = value;
}

/* A row that no state can explain: probability zero, and messages of ones from there on. */
JP_INLINE void jp_bury(jp_tile *k, int64_t i, float *x, int64_t n)
{
    k->dead[i] = 1;
    jp_fill(x, n, 1);
}

/* Divides by a power of two so that the largest entry is in [1, 2): exact, and no logarithm needed. */
JP_INLINE void jp_rescale(float *x, int64_t n, float largest, int32_t *exponent)
{
    union { float f; int32_t i; } bits = {.f = largest};
    int32_t e = (bits.i >> 23) - 127;
    bits.i = (127 - e) << 23;
    float scale = bits.f;
#pragma omp simd
    for (int64_t j = 0; j < n; j++) x[j] *= scale;
    *exponent += e;
}

/* x *= m, rescaled once its largest entry has left 2^-16 .. 2^16. */
JP_INLINE void jp_absorb(jp_tile *k, int64_t i, float *restrict x, const float *restrict m, int64_t n,
                         int32_t *exponent)
{
    float largest = 0;
#pragma omp simd reduction(max : largest)
    for (int64_t j = 0; j < n; j++) {
        x[j] *= m[j];
        largest = x[j] > largest ? x[j] : largest;
    }
    if (largest >= 0x1p-16f && largest <= 0x1p16f) return;
    if (largest >= 0x1p-120f) jp_rescale(x, n, largest, exponent);
    else jp_bury(k, i, x, n);
}

/* Groups the tile's rows by (parent's cell, own cell): rows of a group share one block of the table. */
JP_INLINE int64_t jp_groups(jp_tile *k, int64_t b, int all_parents, int all_own, jp_group *groups)
{
    const jp_tree *t = k->tree;
    int64_t p = t->parent[b], n_own = t->n_cells[b] + 1, n_keys = (t->n_cells[p] + 1) * n_own;
    const uint8_t *cell_p = k->cell + p * JP_TILE, *cell_b = k->cell + b * JP_TILE;
    if (k->n == 1) { /* a row on its own need not be sorted */
        groups[0] = (jp_group){0, 1, all_parents ? t->n_cells[p] : cell_p[0], all_own ? t->n_cells[b] : cell_b[0]};
        k->order[0] = 0;
        return 1;
    }
    int16_t key[JP_TILE], count[(JP_MAX_CELLS + 1) * (JP_MAX_CELLS + 1) + 1];
    memset(count, 0, (size_t)(n_keys + 1) * sizeof(count[0]));
    for (int64_t i = 0; i < k->n; i++) {
        int64_t kp = all_parents ? t->n_cells[p] : cell_p[i], kb = all_own ? t->n_cells[b] : cell_b[i];
        key[i] = (int16_t)(kp * n_own + kb);
        count[key[i] + 1]++;
    }
    int64_t n_groups = 0;
    for (int64_t c = 0; c < n_keys; c++) {
        if (count[c + 1])
            groups[n_groups++] = (jp_group){count[c], count[c] + count[c + 1], c / n_own, c % n_own};
        count[c + 1] = (int16_t)(count[c + 1] + count[c]);
    }
    for (int64_t i = 0; i < k->n; i++) k->order[count[key[i]]++] = (int16_t)i;
    return n_groups;
}

JP_INLINE void jp_copy(float *restrict to, const float *restrict from, int64_t width)
{
#pragma omp simd
    for (int64_t j = 0; j < width; j++) to[j] = from[j];
}

/* Levels and cells of all blocks, sixteen rows at a time: their codes fit in L1 together. */
JP_INLINE void jp_read_levels(jp_tile *k)
{
    const jp_tree *t = k->tree;
    const jp_evidence *e = k->evidence;
    for (int64_t first = 0; first < k->n; first += 16) {
        int64_t stop = first + 16 < k->n ? first + 16 : k->n;
        for (int64_t b = 0; b < t->n_blocks; b++) {
            int64_t column = jp_has_leaf(k, b) ? -1 : e->code_column[b];
            const int32_t *cell = t->cell + t->cell_at[b];
            for (int64_t i = first; i < stop; i++) {
                int64_t row = k->first + i;
                int32_t code = column < 0 ? -1 : e->codes[(e->rows ? e->rows[row] : row) * e->n_codes + column];
                if (code == -2) k->extra[i] += log((double)t->unseen[b]);
                k->level[b * JP_TILE + i] = code < 0 ? -1 : code;
                k->cell[b * JP_TILE + i] = (uint8_t)(code < 0 ? t->n_cells[b] : cell[code]);
            }
        }
    }
}

/* What each row says of block b's states on its own; asked for when the block is first needed, so that it is
   still in L2 when its children's messages arrive. */
JP_INLINE void jp_observe(jp_tile *k, int64_t b)
{
    const jp_tree *t = k->tree;
    const jp_evidence *e = k->evidence;
    if (k->observed[b]) return;
    k->observed[b] = 1;
    int64_t w = jp_width(t, b), h = t->n_states[b];
    if (k->pass == JP_PASS_FULL)
        for (int64_t i = 0; i < k->n; i++) jp_fill(jp_below(k, b, i), h, 1);
    if (jp_is_lookup(k, b)) return;
    for (int64_t i = 0; i < k->n; i++) {
        int32_t level = k->level[b * JP_TILE + i];
        float *beta = jp_beta(k, b, i);
        if (jp_has_leaf(k, b))
            jp_copy(beta, e->leaf + (k->first + i) * e->n_leaf + e->leaf_at[b], h);
        else if (level >= 0)
            jp_copy(beta + k->cell[b * JP_TILE + i] * w, t->emission + t->emission_at[b] + level * w, w);
        else
            jp_fill(beta, h, 1);
    }
}

/* One product for the n rows set in k->in and k->out, whose padding is set here. */
JP_INLINE void jp_multiply_dense(jp_tile *k, int64_t n, int64_t m, int64_t depth, const float *table, int64_t ld)
{
    int64_t padded = (n + JP_MATMUL_ROWS - 1) / JP_MATMUL_ROWS * JP_MATMUL_ROWS;
    for (int64_t i = n; i < padded; i++) k->in[i] = k->in[0], k->out[i] = k->spare;
    if (n) jp_rows_times(padded, m, depth, k->in, table, ld, k->out);
}

/* The same, rows of few nonzeros one by one. k->in and k->out are used up. */
JP_INLINE void jp_multiply(jp_tile *k, int64_t n, int64_t m, int64_t depth, const float *table, int64_t ld)
{
    int64_t dense = 0;
    if (depth < JP_SPARSE_DEPTH || depth > JP_SPARSE_MOST) {
        jp_multiply_dense(k, n, m, depth, table, ld);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t count = jp_nonzeros(k->in[i], depth, k->place);
        if (count >= 0)
            jp_sparse_row(k->in[i], k->place, count, m, table, ld, k->out[i]);
        else
            k->in[dense] = k->in[i], k->out[dense] = k->out[i], dense++;
    }
    jp_multiply_dense(k, dense, m, depth, table, ld);
}

/* beta_0 becomes weight * P(z_0 | row). A row of probability zero carries no weight. */
JP_INLINE void jp_root_posterior(jp_tile *k, const double *weight)
{
    const jp_tree *t = k->tree;
    for (int64_t i = 0; i < k->n; i++) {
        int64_t begin, width;
        jp_range(t, 0, k->cell[i], &begin, &width);
        float *beta = jp_beta(k, 0, i) + begin;
        const float *prior = t->transition + t->transition_at[0] + begin;
        double sum = 0, scale = k->dead[i] ? 0 : weight ? weight[k->first + i] : 1;
        for (int64_t j = 0; j < width; j++) sum += (double)(beta[j] *= prior[j]);
        float factor = sum > 0 ? (float)(scale / sum) : 0;
        for (int64_t j = 0; j < width; j++) beta[j] *= factor;
    }
}

/* Division is the slowest vector instruction there is: three Newton steps from a bit-level guess
   are within 1e-7 of it. Messages lie in (1e-30, 2e30). */
JP_INLINE void jp_divide(float *restrict out, const float *restrict x, const float *restrict by, int64_t n)
{
#pragma omp simd
    for (int64_t j = 0; j < n; j++) {
        union { float f; int32_t i; } guess = {.f = by[j]};
        guess.i = 0x7EF311C7 - guess.i;
        float r = guess.f;
        r *= 2.0f - by[j] * r;
        r *= 2.0f - by[j] * r;
        r *= 2.0f - by[j] * r;
        out[j] = x[j] * r;
    }
}

/* pack_a[i] = P(z_parent | row) / message_b: all that is known at the parent but for block b; what that says
   of block b's m states from b0 on goes to pack_b[i]. */
JP_INLINE void jp_look_down(jp_tile *k, int64_t b, const int16_t *order, int64_t n, int64_t p0, int64_t wp,
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

#endif
