/* MAP adaptation of a latent tree: a tree's tables are the prior, expected counts of other rows the evidence.

   Of a table P(j | i) both halves shrink. The tilt r_j = (count of j + a m_j) / (expected count of j + a m_j), with
   m the tree's own marginal, moves how common j is beyond what the parents already explain; then
   P'(j | i) = (count of (i, j) + s Q(j | i)) / (count of i + s), Q(j | i) in proportion to P(j | i) r_j. */
#include "joint.h"

#include <string.h>

#define FLOOR 1e-20 /* keeps every message above what a float can divide by */

typedef struct {
    double *marginal; /* (all states) of the tree that is the prior */
    double *seen;     /* counts by column of the table, later the tilt */
    double *expected; /* what the rows of the table would lead to */
    double *usual;    /* what the prior's own rows lead to */
    double *above;    /* counts by row of the table */
    double *mass;     /* sum over a cell's levels of P(level | state) r_level */
} adapt_work;

static int64_t rows_of(const jp_tree *t, int64_t b) { return b ? t->n_states[t->parent[b]] : 1; }

static int64_t all_states(const jp_tree *t)
{
    int64_t n = 0;
    for (int64_t b = 0; b < t->n_blocks; b++) n += t->n_states[b];
    return n;
}

static int64_t widest(const jp_tree *t)
{
    int64_t n = 1;
    for (int64_t b = 0; b < t->n_blocks; b++) {
        n = t->n_states[b] > n ? t->n_states[b] : n;
        n = t->n_levels[b] > n ? t->n_levels[b] : n;
    }
    return n;
}

int64_t jp_tree_adapt_work_size(const jp_tree *tree) { return all_states(tree) + 5 * widest(tree); }

static adapt_work lay_out(const jp_tree *t, double *work)
{
    int64_t n = widest(t);
    adapt_work w = {.marginal = work, .seen = work + all_states(t)};
    w.expected = w.seen + n, w.usual = w.expected + n, w.above = w.usual + n, w.mass = w.above + n;
    return w;
}

/* seen becomes the tilt; where neither prior nor rows say anything it is 1. */
JP_INLINE void tilt(int64_t n, double pull, adapt_work *w)
{
    for (int64_t j = 0; j < n; j++) {
        double usual = pull * w->usual[j], expected = w->expected[j] + usual;
        w->seen[j] = expected > 1e-12 ? (w->seen[j] + usual) / expected : 1;
    }
}

/* Sums of the counts (n, m) by row and column, and what their rows would lead to by the prior. */
JP_INLINE void sum_table(int64_t n, int64_t m, const float *counts, const float *prior, const double *above_usual,
                         adapt_work *w)
{
    memset(w->seen, 0, (size_t)m * sizeof(double));
    memset(w->expected, 0, (size_t)m * sizeof(double));
    memset(w->usual, 0, (size_t)m * sizeof(double));
    for (int64_t i = 0; i < n; i++) {
        const float *count = counts + i * m, *p = prior + i * m;
        double sum = 0, usual = above_usual ? above_usual[i] : 1;
#pragma omp simd reduction(+ : sum)
        for (int64_t j = 0; j < m; j++) {
            sum += (double)count[j];
            w->seen[j] += (double)count[j];
            w->usual[j] += usual * (double)p[j];
        }
        w->above[i] = sum;
        if (sum > 0)
#pragma omp simd
            for (int64_t j = 0; j < m; j++) w->expected[j] += sum * (double)p[j];
    }
}

JP_INLINE void adapt_row(int64_t m, const float *count, const float *prior, const double *factor, double above,
                         double pull, float *to)
{
    double mass = 0;
#pragma omp simd reduction(+ : mass)
    for (int64_t j = 0; j < m; j++) mass += (double)prior[j] * factor[j];
    if (!(mass > 0)) { /* all that this state led to was ruled out */
        memcpy(to, prior, (size_t)m * sizeof(float));
        return;
    }
    double rows = above + pull > 1e-12 ? 1 / (above + pull) : 0;
    double lean = rows > 0 ? pull * rows / mass : 1 / mass;
#pragma omp simd
    for (int64_t j = 0; j < m; j++) {
        double p = rows * (double)count[j] + lean * factor[j] * (double)prior[j];
        to[j] = (float)(p > FLOOR ? p : FLOOR);
    }
}

/* The root has no parent to explain it: its states shrink at once, by the pseudo-rows of a marginal. */
JP_INLINE void adapt_transitions(const jp_tree *t, int64_t b, const float *counts, double marginal_rows,
                                 double state_rows, jp_tree *to, int64_t at, int64_t parent_at, adapt_work *w)
{
    int64_t n = rows_of(t, b), m = t->n_states[b], first = t->transition_at[b];
    const float *prior = t->transition + first;
    sum_table(n, m, counts + first, prior, b ? w->marginal + parent_at : NULL, w);
    memcpy(w->marginal + at, w->usual, (size_t)m * sizeof(double));
    if (b)
        tilt(m, marginal_rows, w);
    else
        for (int64_t j = 0; j < m; j++) w->seen[j] = 1;
    for (int64_t i = 0; i < n; i++)
        adapt_row(m, counts + first + i * m, prior + i * m, w->seen, w->above[i], b ? state_rows : marginal_rows,
                  to->transition + first + i * m);
}

/* The same for P(level | state) within a cell: its rows are states, its columns levels. */
JP_INLINE void adapt_emissions(const jp_tree *t, int64_t b, const float *counts, double marginal_rows,
                               double state_rows, jp_tree *to, int64_t at, adapt_work *w)
{
    int64_t width = t->n_states[b] / t->n_cells[b], levels = t->n_levels[b], first = t->emission_at[b];
    const int32_t *cell = t->cell + t->cell_at[b];
    const float *prior = t->emission + first, *count = counts + first;
    double mass_of_seen = 1 - (double)t->unseen[b];
    float *out = to->emission + first;
    if (levels <= t->n_cells[b]) return; /* one level a cell: nothing to learn */
    memset(w->above, 0, (size_t)t->n_states[b] * sizeof(double));
    memset(w->mass, 0, (size_t)t->n_states[b] * sizeof(double));
    for (int64_t v = 0; v < levels; v++)
        for (int64_t k = 0; k < width; k++) w->above[cell[v] * width + k] += (double)count[v * width + k];
    for (int64_t v = 0; v < levels; v++) {
        w->seen[v] = w->expected[v] = w->usual[v] = 0;
        for (int64_t k = 0; k < width; k++) {
            double p = (double)prior[v * width + k] / mass_of_seen;
            w->seen[v] += (double)count[v * width + k];
            w->expected[v] += w->above[cell[v] * width + k] * p;
            w->usual[v] += w->marginal[at + cell[v] * width + k] * p;
        }
    }
    tilt(levels, marginal_rows, w);
    for (int64_t v = 0; v < levels; v++)
        for (int64_t k = 0; k < width; k++) w->mass[cell[v] * width + k] += w->seen[v] * (double)prior[v * width + k];
    for (int64_t v = 0; v < levels; v++)
        for (int64_t k = 0; k < width; k++) {
            double above = w->above[cell[v] * width + k], mass = w->mass[cell[v] * width + k];
            double lean = mass > 0 ? w->seen[v] * (double)prior[v * width + k] / mass : 0;
            double all = above + state_rows;
            double p = all > 1e-12 ? ((double)count[v * width + k] + state_rows * lean) / all : lean;
            out[v * width + k] = (float)(mass_of_seen * (p > FLOOR ? p : FLOOR));
        }
}

JP_CLONES
int jp_tree_adapt(const jp_tree *prior, const jp_counts *counts, double marginal_rows, double state_rows,
                  jp_tree *to, double *work)
{
    adapt_work w = lay_out(prior, work);
    for (int64_t b = 0, at = 0; b < prior->n_blocks; at += prior->n_states[b++]) {
        int64_t parent_at = 0;
        for (int64_t p = 0; b && p < prior->parent[b]; p++) parent_at += prior->n_states[p];
        adapt_transitions(prior, b, counts->transition, marginal_rows, state_rows, to, at, parent_at, &w);
        adapt_emissions(prior, b, counts->emission, marginal_rows, state_rows, to, at, &w);
    }
    return jp_tree_derive(to, 0, prior->n_blocks);
}
