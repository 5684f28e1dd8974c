/* One tile of rows on its way through a latent tree: what is kept of it, and where. */
#ifndef JP_TILE_WORK_H
#define JP_TILE_WORK_H

#include "joint.h"
#include "matmul.h"

#include <stddef.h>

#define JP_MAX_CELLS 64

typedef enum {
    JP_PASS_UP,   /* childless categorical blocks answer from their message table */
    JP_PASS_DRAW, /* every block keeps its own state likelihoods */
    JP_PASS_FULL  /* besides, messages reach the states that the parent's own cell rules out */
} jp_pass;

typedef struct {
    const jp_tree *tree;
    const jp_evidence *evidence;
    jp_pass pass;
    int64_t first, n;       /* rows first .. first + n of the call */
    int64_t *state_at;      /* (n_blocks) offset of a block's states in a row of all states */
    int64_t *message_at;    /* (n_blocks) offset of its message to the parent, likewise */
    int32_t *level;         /* (n_blocks, JP_TILE) level, or -1 */
    uint8_t *observed;      /* (n_blocks) */
    uint8_t *cell;          /* (n_blocks, JP_TILE) cell, or n_cells for all states */
    float *beta;            /* P(own cells and below | z), block by block (JP_TILE, n_states) */
    float *message;         /* P(own cells and below | z_parent) (JP_TILE, n_states[parent]) */
    float *below;           /* P(cells of the children and below | z), JP_PASS_FULL only */
    float *pack_a, *pack_b;          /* (JP_TILE, widest) operands of one product */
    float *spare;                    /* (widest) result of a product's padding rows */
    int16_t *place;                  /* (widest + 64) nonzeros of one row */
    const float *in[JP_TILE + JP_MATMUL_ROWS]; /* rows of one product */
    float *out[JP_TILE + JP_MATMUL_ROWS];
    int32_t exponent[JP_TILE];       /* log2 of what rescaling took out of a row */
    double extra[JP_TILE];           /* log mass of unseen levels */
    uint8_t dead[JP_TILE];           /* a row of probability zero */
    int16_t order[JP_TILE];          /* rows grouped by (parent's cell, own cell) */
} jp_tile;

JP_INLINE int64_t jp_width(const jp_tree *t, int64_t b) { return t->n_states[b] / t->n_cells[b]; }

JP_INLINE int64_t jp_widest(const jp_tree *t)
{
    int64_t w = 1;
    for (int64_t b = 0; b < t->n_blocks; b++) w = t->n_states[b] > w ? t->n_states[b] : w;
    return w;
}

/* Takes `bytes` from the work space, or only counts them while `base` is NULL. */
JP_INLINE void *jp_tile_take(char *base, int64_t *used, int64_t bytes)
{
    void *at = base ? base + *used : NULL;
    *used += (bytes + 63) & ~(int64_t)63;
    return at;
}

JP_INLINE int64_t jp_tile_lay_out(jp_tile *k, char *base)
{
    const jp_tree *t = k->tree;
    int64_t used = 0, states = 0, messages = 0, n = t->n_blocks, pack = jp_widest(t) * JP_TILE;
    k->state_at = jp_tile_take(base, &used, n * (int64_t)sizeof(int64_t));
    k->message_at = jp_tile_take(base, &used, n * (int64_t)sizeof(int64_t));
    for (int64_t b = 0; b < n; b++) {
        if (base) k->state_at[b] = states, k->message_at[b] = messages;
        states += t->n_states[b];
        messages += b ? t->n_states[t->parent[b]] : 0;
    }
    k->level = jp_tile_take(base, &used, n * JP_TILE * (int64_t)sizeof(int32_t));
    k->observed = jp_tile_take(base, &used, n);
    k->cell = jp_tile_take(base, &used, n * JP_TILE);
    k->beta = jp_tile_take(base, &used, states * JP_TILE * (int64_t)sizeof(float));
    k->message = jp_tile_take(base, &used, messages * JP_TILE * (int64_t)sizeof(float));
    k->below = jp_tile_take(base, &used, k->pass == JP_PASS_FULL ? states * JP_TILE * (int64_t)sizeof(float) : 0);
    k->pack_a = jp_tile_take(base, &used, pack * (int64_t)sizeof(float));
    k->pack_b = jp_tile_take(base, &used, pack * (int64_t)sizeof(float));
    k->spare = jp_tile_take(base, &used, jp_widest(t) * (int64_t)sizeof(float));
    k->place = jp_tile_take(base, &used, (jp_widest(t) + 64) * (int64_t)sizeof(int16_t));
    return used;
}

JP_INLINE jp_tile jp_tile_open(const jp_tree *tree, const jp_evidence *evidence, jp_pass pass, void *work)
{
    jp_tile k; /* not all zeros: setting its arrays would take as long as a row */
    k.tree = tree, k.evidence = evidence, k.pass = pass;
    jp_tile_lay_out(&k, (char *)(((uintptr_t)work + 63) & ~(uintptr_t)63));
    return k;
}

JP_INLINE void jp_tile_place(jp_tile *k, int64_t first, int64_t stop)
{
    k->first = first;
    k->n = stop - first < JP_TILE ? stop - first : JP_TILE;
}

/* The pass from the tips to the root (joint.c); log_prob (n) of the tile's rows. */
void jp_tile_up(jp_tile *k, double *log_prob);

#endif
