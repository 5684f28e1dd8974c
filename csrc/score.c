#include "score.h"

#include <math.h>
#include <string.h>

enum {
    ROWS = JP_GAUSS_TILE, /* that are scored together */
    FULL_ROWS = 32        /* where marginals of all their states are held */
};

static const double NEGLIGIBLE = 60; /* nats below a row's best Gaussian at which one counts as zero */

/* ---- work space -------------------------------------------------------------------------- */

typedef struct {
    int64_t tile;         /* rows that are scored together */
    double *cells;        /* (tile) one column */
    int32_t *codes;       /* (tile, n_codes) */
    int32_t *blanked;     /* the same with one column missing */
    float *z;             /* (n_encodings, tile, n_numeric) */
    double *log_jacobian; /* (n_encodings, tile) */
    float *part;          /* (tile, columns of a Gaussian) */
    float *leaf;          /* (tile, n_leaf) of one member */
    double *log_scale;    /* (tile) */
    double *log_prob;     /* (n_members, tile) */
    float *cavity, *posterior; /* (tile, n_total) */
    int64_t *state_at;    /* (n_blocks) */
    double *mass;         /* (n_members, tile, n_levels) */
    void *stage;          /* of the stages that are called, one after the other */
} work_space;

/* Whether marginals of all states are asked for. */
static int is_full(const jp_scorer *s)
{
    for (int64_t o = 0; o < s->n_outputs; o++)
        if (s->outputs[o].kind != JP_SCORE_LOG_PROB) return 1;
    return 0;
}

/* Takes `bytes` from the work space, or only counts them while `base` is NULL. */
static void *take_rows(char *base, int64_t *used, int64_t bytes)
{
    void *at = base ? base + *used : NULL;
    *used += (bytes + 63) & ~(int64_t)63;
    return at;
}

static int64_t lay_out_rows(const jp_scorer *s, char *base, work_space *w)
{
    const int full = is_full(s);
    const int64_t n = w->tile = full ? FULL_ROWS : ROWS;
    int64_t used = 0;
    w->cells = take_rows(base, &used, n * 8);
    w->codes = take_rows(base, &used, n * s->n_codes * 4);
    w->z = take_rows(base, &used, s->n_encodings * n * s->n_numeric * 4);
    w->log_jacobian = take_rows(base, &used, s->n_encodings * n * 8);
    w->part = take_rows(base, &used, n * s->most_gauss_columns * 4);
    w->leaf = take_rows(base, &used, n * s->most_leaves * 4);
    w->log_scale = take_rows(base, &used, n * 8);
    w->log_prob = take_rows(base, &used, s->n_members * n * 8);
    w->blanked = take_rows(base, &used, full ? n * s->n_codes * 4 : 0);
    w->cavity = take_rows(base, &used, full ? n * s->most_states * 4 : 0);
    w->posterior = take_rows(base, &used, full ? n * s->most_states * 4 : 0);
    w->state_at = take_rows(base, &used, full ? s->most_blocks * 8 : 0);
    w->mass = take_rows(base, &used, full ? s->n_members * n * s->most_levels * 8 : 0);
    w->stage = take_rows(base, &used, 0);
    return used;
}

int64_t jp_score_work_size(const jp_scorer *scorer)
{
    work_space w;
    int64_t most = 0;
    for (int64_t m = 0; m < scorer->n_members; m++) {
        const jp_score_member *member = scorer->members + m;
        int64_t size = scorer->stages->tree_work_size(&member->tree, is_full(scorer));
        most = size > most ? size : most;
        for (int64_t g = 0; g < member->n_gauss; g++) {
            size = scorer->stages->gauss_work_size(member->gauss + g);
            most = size > most ? size : most;
        }
    }
    return lay_out_rows(scorer, NULL, &w) + most + 64;
}

static int64_t total_states(const jp_tree *tree)
{
    int64_t total = 0;
    for (int64_t b = 0; b < tree->n_blocks; b++) total += tree->n_states[b];
    return total;
}

/* ---- reading rows ------------------------------------------------------------------------ */

static double cell_of(const jp_scorer *s, const double *rows, int64_t i, int64_t column)
{
    return column < 0 ? (double)NAN : rows[i * s->n_columns + column];
}

static int read_codes(const jp_scorer *s, const double *rows, int64_t n, work_space *w)
{
    for (int64_t c = 0; c < s->n_categorical; c++) {
        const jp_score_categorical *column = s->categorical + c;
        for (int64_t i = 0; i < n; i++) {
            double cell = cell_of(s, rows, i, column->column);
            int32_t *code = w->codes + i * s->n_codes + c;
            *code = -1;
            if (cell != cell) continue;
            if (!(cell >= -2 && cell <= 2147483647) || cell != floor(cell)) return JP_ERR_VALUE;
            *code = cell < (double)column->n_levels ? (int32_t)cell : -2;
        }
    }
    return JP_OK;
}

static int read_numbers(const jp_scorer *s, const double *rows, int64_t n, work_space *w)
{
    for (int64_t e = 0; e < s->n_encodings; e++)
        memset(w->log_jacobian + e * w->tile, 0, (size_t)n * sizeof(double));
    for (int64_t j = 0; j < s->n_numeric; j++) {
        const jp_score_numeric *column = s->numeric + j;
        for (int64_t i = 0; i < n; i++) {
            double cell = w->cells[i] = cell_of(s, rows, i, column->column);
            if (isinf(cell)) return JP_ERR_VALUE;
        }
        int32_t *codes = column->companion < 0 ? NULL : w->codes + column->companion;
        for (int64_t e = 0; e < s->n_encodings; e++) {
            int status = s->stages->encode_column(w->cells, 0, n, s->marginals + e * s->n_numeric + j, column->atoms,
                                          column->n_atoms, codes, s->n_codes,
                                          w->z + e * w->tile * s->n_numeric + j, s->n_numeric,
                                          w->log_jacobian + e * w->tile);
            if (status) return status;
        }
    }
    return JP_OK;
}

/* Likelihoods of all Gaussians of a member, and their log scale. */
static int fill_leaves(const jp_scorer *s, const jp_score_member *m, int64_t n, work_space *w)
{
    const float *z = w->z + m->encoding * w->tile * s->n_numeric;
    const int64_t *from = m->z_column;
    int64_t leaf_at = 0;
    memset(w->log_scale, 0, (size_t)n * sizeof(double));
    for (int64_t g = 0; g < m->n_gauss; g++) {
        const int64_t d = m->gauss[g].n_columns;
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < d; j++) w->part[i * d + j] = z[i * s->n_numeric + from[j]];
        int status = s->stages->gauss_leaf(m->gauss + g, w->part, NULL, 0, n, NEGLIGIBLE, w->leaf, m->n_leaf, leaf_at,
                                   w->log_scale, w->stage);
        if (status) return status;
        from += d;
        leaf_at += m->gauss[g].n_states;
    }
    return JP_OK;
}

static jp_evidence evidence_of(const jp_scorer *s, const jp_score_member *m, const int32_t *codes,
                               const float *leaf)
{
    return (jp_evidence){.codes = codes, .n_codes = s->n_codes, .code_column = m->code_column,
                         .leaf = leaf, .n_leaf = m->n_leaf, .leaf_at = m->leaf_at};
}

/* ---- log density -------------------------------------------------------------------------- */

/* log(weight of the member) + log p(row), in the units of the table. */
static void finish_log_prob(const jp_score_member *m, int64_t n, const work_space *w, double *log_prob)
{
    const double *log_jacobian = w->log_jacobian + m->encoding * w->tile;
    for (int64_t i = 0; i < n; i++)
        log_prob[i] = log_prob[i] + w->log_scale[i] + log_jacobian[i] + m->log_weight;
}

static double log_sum_exp(const double *term, int64_t n, int64_t stride)
{
    double top = -INFINITY, sum = 0;
    for (int64_t m = 0; m < n; m++) top = term[m * stride] > top ? term[m * stride] : top;
    if (!(top > -INFINITY)) return top;
    for (int64_t m = 0; m < n; m++) sum += exp(term[m * stride] - top);
    return top + log(sum);
}

static int nothing_known(const jp_scorer *s, const double *rows, int64_t i)
{
    for (int64_t c = 0; c < s->n_categorical; c++) {
        double cell = cell_of(s, rows, i, s->categorical[c].column);
        if (cell == cell && cell != -1) return 0;
    }
    for (int64_t j = 0; j < s->n_numeric; j++) {
        double cell = cell_of(s, rows, i, s->numeric[j].column);
        if (cell == cell) return 0;
    }
    return 1;
}

static int score_log_prob(const jp_scorer *s, const double *rows, int64_t n, int64_t at, work_space *w,
                          double *out)
{
    for (int64_t m = 0; m < s->n_members; m++) {
        const jp_score_member *member = s->members + m;
        double *log_prob = w->log_prob + m * w->tile;
        int status = fill_leaves(s, member, n, w);
        if (status) return status;
        jp_evidence evidence = evidence_of(s, member, w->codes, w->leaf);
        status = s->stages->tree_log_prob(&member->tree, &evidence, 0, n, w->stage, log_prob);
        if (status) return status;
        finish_log_prob(member, n, w, log_prob);
    }
    for (int64_t i = 0; i < n; i++)
        out[i * s->width + at] = nothing_known(s, rows, i) ? 0
                                                             : log_sum_exp(w->log_prob + i, s->n_members, w->tile);
    return JP_OK;
}

/* ---- posteriors --------------------------------------------------------------------------- */

/* cavity and posterior of all states of a member, and log_prob (n). */
static int marginals(const jp_scorer *s, const jp_score_member *m, const int32_t *codes, int64_t n,
                     work_space *w, double *log_prob)
{
    int64_t total = 0;
    for (int64_t b = 0; b < m->tree.n_blocks; b++) {
        w->state_at[b] = total;
        total += m->tree.n_states[b];
    }
    int status = fill_leaves(s, m, n, w);
    if (status) return status;
    jp_evidence evidence = evidence_of(s, m, codes, w->leaf);
    status = s->stages->tree_marginals(&m->tree, &evidence, w->state_at, total, 0, n, w->stage, log_prob, w->cavity,
                               w->posterior);
    finish_log_prob(m, n, w, log_prob);
    return status;
}

static int score_subsets(const jp_scorer *s, const jp_score_output *o, int64_t n, work_space *w, double *out)
{
    const jp_score_member *m = s->members + o->which;
    const int64_t n_states = m->tree.n_states[0], total = total_states(&m->tree);
    int status = marginals(s, m, w->codes, n, w, w->log_prob);
    if (status) return status;
    for (int64_t i = 0; i < n; i++) {
        double *to = out + i * s->width + o->at;
        if (!(w->log_prob[i] > -INFINITY)) return JP_ERR_VALUE;
        memset(to, 0, (size_t)o->size * sizeof(double));
        for (int64_t k = 0; k < n_states; k++) to[k % o->size] += (double)w->posterior[i * total + k];
    }
    return JP_OK;
}

static int64_t block_of(const jp_score_member *m, int64_t column)
{
    int64_t b = 0;
    while (b < m->tree.n_blocks && m->code_column[b] != column) b++;
    return b;
}

/* mass (n, n_levels) = P(level | the other cells) by one member, from the cavity of the column's block. */
static void level_mass(const jp_score_member *m, int64_t b, int64_t n, const work_space *w, double *mass)
{
    const jp_tree *t = &m->tree;
    const int64_t width = t->n_states[b] / t->n_cells[b], total = total_states(t);
    for (int64_t i = 0; i < n; i++)
        for (int64_t v = 0; v < t->n_levels[b]; v++) {
            const float *cavity = w->cavity + i * total + w->state_at[b] + t->cell[t->cell_at[b] + v] * width;
            const float *emission = t->emission + t->emission_at[b] + v * width;
            double sum = 0;
            for (int64_t k = 0; k < width; k++) sum += (double)cavity[k] * (double)emission[k];
            mass[i * t->n_levels[b] + v] = sum;
        }
}

/* out = the members' masses by their shares of the row, normalised. */
static int mix_levels(const jp_scorer *s, const jp_score_output *o, int64_t i, const work_space *w, double *out)
{
    const double top = log_sum_exp(w->log_prob + i, s->n_members, w->tile);
    double total = 0;
    if (!(top > -INFINITY)) return JP_ERR_VALUE;
    memset(out, 0, (size_t)o->size * sizeof(double));
    for (int64_t m = 0; m < s->n_members; m++) {
        const double share = exp(w->log_prob[m * w->tile + i] - top);
        const double *mass = w->mass + (m * w->tile + i) * o->size;
        for (int64_t v = 0; v < o->size; v++) out[v] += share * mass[v];
    }
    for (int64_t v = 0; v < o->size; v++) total += out[v];
    for (int64_t v = 0; v < o->size; v++) out[v] /= total > 0 ? total : 1;
    return JP_OK;
}

static int score_levels(const jp_scorer *s, const jp_score_output *o, int64_t n, work_space *w, double *out)
{
    memcpy(w->blanked, w->codes, (size_t)(n * s->n_codes) * sizeof(int32_t));
    for (int64_t i = 0; i < n; i++) w->blanked[i * s->n_codes + o->which] = -1;
    for (int64_t m = 0; m < s->n_members; m++) {
        const jp_score_member *member = s->members + m;
        int status = marginals(s, member, w->blanked, n, w, w->log_prob + m * w->tile);
        if (status) return status;
        const int64_t b = block_of(member, o->which);
        if (b == member->tree.n_blocks) return JP_ERR_VALUE; /* a tree without the column */
        level_mass(member, b, n, w, w->mass + m * w->tile * o->size);
    }
    for (int64_t i = 0; i < n; i++)
        if (mix_levels(s, o, i, w, out + i * s->width + o->at)) return JP_ERR_VALUE;
    return JP_OK;
}

/* ---- rows --------------------------------------------------------------------------------- */

static int score_output(const jp_scorer *s, const jp_score_output *o, const double *rows, int64_t n,
                        work_space *w, double *out)
{
    if (o->kind == JP_SCORE_LOG_PROB) return score_log_prob(s, rows, n, o->at, w, out);
    if (o->kind == JP_SCORE_SUBSETS) return score_subsets(s, o, n, w, out);
    return score_levels(s, o, n, w, out);
}

int jp_score_rows(const jp_scorer *scorer, const double *rows, int64_t start, int64_t stop, void *work, double *out)
{
    const jp_scorer *s = scorer;
    work_space w;
    lay_out_rows(s, (char *)(((uintptr_t)work + 63) & ~(uintptr_t)63), &w);
    for (int64_t at = start; at < stop; at += w.tile) {
        const double *tile = rows + at * s->n_columns;
        const int64_t n = stop - at < w.tile ? stop - at : w.tile;
        int status = read_codes(s, tile, n, &w);
        if (!status) status = read_numbers(s, tile, n, &w);
        for (int64_t o = 0; o < s->n_outputs && !status; o++)
            status = score_output(s, s->outputs + o, tile, n, &w, out + at * s->width);
        if (status) return status;
    }
    return JP_OK;
}
