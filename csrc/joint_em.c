/* The M-step of a latent tree: from expected counts to probability tables. */
#include "joint.h"

#include <string.h>

/* Keeps every message above what a float can divide by. */
#define FLOOR 1e-20f

static int64_t parent_states(const jp_tree *t, int64_t b) { return b ? t->n_states[t->parent[b]] : 1; }

static int64_t width_of(const jp_tree *t, int64_t b) { return t->n_states[b] / t->n_cells[b]; }

/* A childless block counted P(z_parent | rest) by level; its transitions and emissions follow from that. */
JP_INLINE void unfold_levels(const jp_tree *t, int64_t b, jp_counts *batch)
{
    int64_t hp = parent_states(t, b), hb = t->n_states[b], w = width_of(t, b);
    for (int64_t v = 0; v < t->n_levels[b]; v++) {
        const float *by_parent = batch->message + t->message_at[b] + v * hp;
        const float *emission = t->emission + t->emission_at[b] + v * w;
        float *emitted = batch->emission + t->emission_at[b] + v * w;
        int64_t begin = t->cell[t->cell_at[b] + v] * w;
        for (int64_t i = 0; i < hp; i++) {
            if (by_parent[i] == 0) continue;
            const float *row = t->transition + t->transition_at[b] + i * hb + begin;
            float *moved = batch->transition + t->transition_at[b] + i * hb + begin;
#pragma omp simd
            for (int64_t j = 0; j < w; j++) {
                moved[j] += by_parent[i] * emission[j];
                emitted[j] += by_parent[i] * emission[j] * row[j];
            }
        }
    }
    memset(batch->message + t->message_at[b], 0, (size_t)(t->n_levels[b] * hp) * sizeof(float));
}

JP_INLINE void move_transitions(const jp_tree *t, int64_t b, jp_counts *batch, jp_running *running,
                                float scale, float keep)
{
    int64_t n = parent_states(t, b) * t->n_states[b];
    float *restrict counts = batch->transition + t->transition_at[b];
    float *restrict state = running->transition + t->transition_at[b];
    const float *restrict table = t->transition + t->transition_at[b];
    if (b == 0) /* the root's counts are finished posteriors */
        for (int64_t i = 0; i < n; i++) state[i] = keep * state[i] + scale * counts[i];
    else
#pragma omp simd
        for (int64_t i = 0; i < n; i++) state[i] = keep * state[i] + scale * counts[i] * table[i];
    memset(counts, 0, (size_t)n * sizeof(float));
}

JP_INLINE void move_emissions(const jp_tree *t, int64_t b, jp_counts *batch, jp_running *running, float scale,
                              float keep)
{
    int64_t n = t->n_levels[b] * width_of(t, b);
    float *counts = batch->emission + t->emission_at[b], *state = running->emission + t->emission_at[b];
    for (int64_t i = 0; i < n; i++) state[i] = keep * state[i] + scale * counts[i];
    memset(counts, 0, (size_t)n * sizeof(float));
}

/* Sums of one edge's counts over parts of its states: a state is (cell v, subset k). */
typedef struct {
    int64_t cells_p, width_p, cells_b, width_b;
    double *subsets;      /* (width_p, width_b): k' -> k */
    double *cells;        /* (cells_p, cells_b): v' -> v */
    double *marginal_k;   /* (width_b) */
    double *marginal_v;   /* (cells_b) */
} edge_sums;

JP_INLINE void sum_edge(const float *counts, edge_sums *e)
{
    int64_t hb = e->cells_b * e->width_b;
    memset(e->subsets, 0, (size_t)(e->width_p * e->width_b) * sizeof(double));
    memset(e->cells, 0, (size_t)(e->cells_p * e->cells_b) * sizeof(double));
    memset(e->marginal_k, 0, (size_t)e->width_b * sizeof(double));
    memset(e->marginal_v, 0, (size_t)e->cells_b * sizeof(double));
    for (int64_t v1 = 0; v1 < e->cells_p; v1++)
        for (int64_t k1 = 0; k1 < e->width_p; k1++)
            for (int64_t v = 0; v < e->cells_b; v++) {
                const float *row = counts + (v1 * e->width_p + k1) * hb + v * e->width_b;
                double *to = e->subsets + k1 * e->width_b, sum = 0;
#pragma omp simd reduction(+ : sum)
                for (int64_t k = 0; k < e->width_b; k++) {
                    to[k] += (double)row[k];
                    sum += (double)row[k];
                }
                e->cells[v1 * e->cells_b + v] += sum;
                e->marginal_v[v] += sum;
            }
    for (int64_t k1 = 0; k1 < e->width_p; k1++)
        for (int64_t k = 0; k < e->width_b; k++) e->marginal_k[k] += e->subsets[k1 * e->width_b + k];
}

/* x (n) -> (x * rows + pull * prior) / (sum * rows + pull); prior NULL is uniform. */
JP_INLINE void to_probabilities(double *x, int64_t n, double rows, double pull, const double *prior)
{
    double sum = 0;
    for (int64_t j = 0; j < n; j++) sum += x[j];
    double factor = 1 / (sum * rows + pull);
    for (int64_t j = 0; j < n; j++)
        x[j] = (x[j] * rows + pull * (prior ? prior[j] : 1.0 / (double)n)) * factor;
}

JP_INLINE double sum_of(const float *x, int64_t n)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++) sum += x[j];
    return (double)sum;
}

/* p = scale * counts + pull * prior, kept above the floor. */
JP_INLINE void lean(int64_t n, const float *restrict counts, float scale, const float *restrict prior,
                    float pull, float *restrict p)
{
#pragma omp simd
    for (int64_t j = 0; j < n; j++) {
        float q = scale * counts[j] + pull * prior[j];
        p[j] = q > FLOOR ? q : FLOOR;
    }
}

/* T = (count + smoothing * B) / (count of z_parent + smoothing), where
   B(v, k | v', k') = P(v | v', k') P(k | k') knows that subsets persist from block to block, with
   P(v | v', k') leaning on P(v | v') and P(k | k') on P(k). */
JP_INLINE void set_transitions(jp_tree *t, int64_t b, const jp_running *running, double *work)
{
    int64_t p = b ? t->parent[b] : 0, hp = parent_states(t, b), hb = t->n_states[b];
    edge_sums e = {b ? t->n_cells[p] : 1, b ? width_of(t, p) : 1, t->n_cells[b], width_of(t, b), 0, 0, 0, 0};
    e.subsets = work, e.cells = e.subsets + e.width_p * e.width_b;
    e.marginal_k = e.cells + e.cells_p * e.cells_b, e.marginal_v = e.marginal_k + e.width_b;
    double *own = e.marginal_v + e.cells_b, rows = running->rows, pull = running->smoothing;
    const float *counts = running->transition + t->transition_at[b];
    float *table = t->transition + t->transition_at[b];
    sum_edge(counts, &e);
    to_probabilities(e.marginal_k, e.width_b, rows, 0.5, NULL);
    to_probabilities(e.marginal_v, e.cells_b, rows, 0.5, NULL);
    for (int64_t k1 = 0; k1 < e.width_p; k1++)
        to_probabilities(e.subsets + k1 * e.width_b, e.width_b, rows, pull, e.marginal_k);
    for (int64_t v1 = 0; v1 < e.cells_p; v1++)
        to_probabilities(e.cells + v1 * e.cells_b, e.cells_b, rows, pull, e.marginal_v);
    float *persist = (float *)(own + e.cells_b);
    for (int64_t j = 0; j < e.width_p * e.width_b; j++) persist[j] = (float)e.subsets[j];
    for (int64_t i = 0; i < hp; i++) {
        const float *moves = persist + (i % e.width_p) * e.width_b;
        double sum = 0;
        for (int64_t v = 0; v < e.cells_b; v++) {
            own[v] = sum_of(counts + i * hb + v * e.width_b, e.width_b);
            sum += own[v];
        }
        to_probabilities(own, e.cells_b, rows, pull, e.cells + (i / e.width_p) * e.cells_b);
        double factor = 1 / (sum * rows + pull);
        for (int64_t v = 0; v < e.cells_b; v++)
            lean(e.width_b, counts + i * hb + v * e.width_b, (float)(rows * factor), moves,
                 (float)(pull * own[v] * factor), table + i * hb + v * e.width_b);
    }
}

/* Within a cell: (count + smoothing * the level's share) / (count of z + smoothing); what levels never seen
   may take is taken from all of them alike. */
JP_INLINE void set_emissions(jp_tree *t, int64_t b, const jp_running *running, float *total)
{
    int64_t w = width_of(t, b), hb = t->n_states[b];
    const int32_t *cell = t->cell + t->cell_at[b];
    const float *share = running->level_share + t->cell_at[b];
    float pull = (float)running->emission_smoothing, rows = (float)running->rows, seen = 1 - t->unseen[b];
    if (t->n_levels[b] <= t->n_cells[b]) return; /* one level a cell: nothing to learn */
    for (int64_t j = 0; j < hb; j++) total[j] = pull;
    for (int64_t v = 0; v < t->n_levels[b]; v++)
        for (int64_t j = 0; j < w; j++)
            total[cell[v] * w + j] += rows * running->emission[t->emission_at[b] + v * w + j];
    for (int64_t v = 0; v < t->n_levels[b]; v++)
        for (int64_t j = 0; j < w; j++) {
            int64_t at = t->emission_at[b] + v * w + j;
            t->emission[at] = seen * (running->emission[at] * rows + pull * share[v]) / total[cell[v] * w + j];
        }
}

/* In squares of 16: whole cache lines on both sides. */
JP_INLINE void transpose(int64_t n, int64_t m, const float *restrict from, float *restrict to)
{
    for (int64_t i0 = 0; i0 < n; i0 += 16)
        for (int64_t j0 = 0; j0 < m; j0 += 16)
            for (int64_t j = j0; j < (j0 + 16 < m ? j0 + 16 : m); j++)
                for (int64_t i = i0; i < (i0 + 16 < n ? i0 + 16 : n); i++) to[j * n + i] = from[i * m + j];
}

JP_INLINE void derive_block(jp_tree *t, int64_t b)
{
    int64_t hp = parent_states(t, b), hb = t->n_states[b], w = width_of(t, b);
    const float *table = t->transition + t->transition_at[b];
    float *transposed = t->transposed + t->transition_at[b];
    transpose(hp, hb, table, transposed);
    if (b == 0 || t->message_at[b] < 0) return;
    for (int64_t v = 0; v < t->n_levels[b]; v++) {
        float *message = t->message + t->message_at[b] + v * hp;
        const float *emission = t->emission + t->emission_at[b] + v * w;
        int64_t begin = t->cell[t->cell_at[b] + v] * w;
        memset(message, 0, (size_t)hp * sizeof(float));
        for (int64_t j = 0; j < w; j++)
#pragma omp simd
            for (int64_t i = 0; i < hp; i++) message[i] += emission[j] * transposed[(begin + j) * hp + i];
    }
}

JP_CLONES
int jp_tree_derive(jp_tree *tree, int64_t first, int64_t last)
{
    for (int64_t b = first; b < last; b++) derive_block(tree, b);
    return JP_OK;
}

int64_t jp_tree_maximise_work_size(const jp_tree *tree)
{
    int64_t w = 1, c = 1, h = 1;
    for (int64_t b = 0; b < tree->n_blocks; b++) {
        w = width_of(tree, b) > w ? width_of(tree, b) : w;
        c = tree->n_cells[b] > c ? tree->n_cells[b] : c;
        h = tree->n_states[b] > h ? tree->n_states[b] : h;
    }
    return 2 * w * w + w + c * c + 2 * c + h;
}

JP_CLONES
int jp_tree_maximise(jp_tree *tree, jp_counts *batch, jp_running *running, double batch_rows, double step,
                     int64_t first, int64_t last, double *work)
{
    float scale = (float)(step / batch_rows), keep = (float)(1 - step);
    for (int64_t b = first; b < last; b++) {
        if (tree->message_at[b] >= 0) unfold_levels(tree, b, batch);
        move_transitions(tree, b, batch, running, scale, keep);
        move_emissions(tree, b, batch, running, scale, keep);
        set_transitions(tree, b, running, work);
        set_emissions(tree, b, running, (float *)work);
        derive_block(tree, b);
    }
    return JP_OK;
}

JP_CLONES
int jp_tree_finish_counts(const jp_tree *tree, jp_counts *counts)
{
    for (int64_t b = 0; b < tree->n_blocks; b++) {
        int64_t n = parent_states(tree, b) * tree->n_states[b];
        float *restrict count = counts->transition + tree->transition_at[b];
        const float *restrict table = tree->transition + tree->transition_at[b];
        if (b == 0) continue; /* the root's counts are finished posteriors */
        if (tree->message_at[b] >= 0) unfold_levels(tree, b, counts);
#pragma omp simd
        for (int64_t i = 0; i < n; i++) count[i] *= table[i];
    }
    return JP_OK;
}

int jp_count_pairs(const int32_t *from, const int32_t *to, const double *weight, int64_t n_from,
                   int64_t n_to, int64_t start, int64_t stop, double *counts)
{
    for (int64_t i = start; i < stop; i++) {
        if (from[i] < 0 || to[i] < 0) continue;
        if (from[i] >= n_from || to[i] >= n_to) return JP_ERR_VALUE;
        counts[from[i] * n_to + to[i]] += weight ? weight[i] : 1;
    }
    return JP_OK;
}
