#include "joint.h"
#include "philox.h"
#include "tile.h"

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
    jp_tile k = jp_tile_open(tree, evidence, JP_PASS_DRAW, work);
    const uint64_t key[2] = {seed, 0};
    for (int64_t at = start; at < stop; at += JP_TILE) {
        jp_tile_place(&k, at, stop);
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
