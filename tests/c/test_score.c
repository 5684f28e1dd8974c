/* Rows through a mixture of two trees against sums over every hidden path. */
#include "score.h"

#include "tree.h"

enum { N_COLUMNS = 6, N_MEMBERS = 2, D = 2, STATES = 3, PADDED = 16, COMPANION = 4, N_ROWS = 37 };

/* Block 2 of the tree says which atom column 4 of a row is; columns 4 and 5 are z 0 and 1. */
typedef struct {
    problem tree;
    jp_gauss gauss;
    float mean[D * PADDED], whitening[3 * PADDED], log_norm[PADDED];
    double covariance[3 * PADDED], deviation[D], keys[D];
    jp_piece piece[D];
    jp_tail tail[D][2];
} member;

typedef struct {
    member members[N_MEMBERS];
    double atoms[MAX_LEVELS];
    jp_score_categorical categorical[COMPANION];
    jp_score_numeric numeric[D];
    jp_marginal marginals[N_MEMBERS * D];
    jp_score_member views[N_MEMBERS];
    jp_score_output outputs[3];
    jp_scorer scorer;
} model;

static const jp_score_stages stages = JP_SCORE_STAGES;

static const int64_t z_column[D] = {1, 0}; /* not in order */

/* z = x / deviation between -30 and 30 deviations. */
static void draw_marginal(member *m, int64_t j) {
    const double far = 30, s = m->deviation[j] = draw_between(0.5, 2);
    m->keys[j] = -far * s;
    m->piece[j] = (jp_piece){.x0 = -far * s, .inv_dx = 1 / (2 * far * s), .log_inv_dx = -log(2 * far * s),
                             .z0 = -far, .c1 = 2 * far, .dx = 2 * far * s};
    for (int64_t end = 0; end < 2; end++)
        m->tail[j][end] = (jp_tail){(end ? far : -far) * s, end ? far : -far, 1 / s, 1};
}

static void draw_member(member *m, int64_t width, int64_t extra) {
    draw_problem(&m->tree, width, extra, STATES);
    m->tree.leaf_at[GAUSSIANS] = 0;
    m->gauss = (jp_gauss){D, STATES, PADDED, m->mean, m->whitening, m->log_norm, m->covariance, NULL};
    for (int64_t s = 0; s < PADDED; s++) {
        for (int64_t j = 0; j < D; j++) m->mean[j * PADDED + s] = (float)draw_between(-1, 1);
        m->covariance[s] = m->covariance[2 * PADDED + s] = draw_between(1, 2);
        m->covariance[PADDED + s] = draw_between(-0.9, 0.9);
    }
    void *work = allocate((size_t)jp_gauss_work_size(&m->gauss));
    CHECK(jp_gauss_derive(&m->gauss, work) == JP_OK);
    free(work);
    for (int64_t j = 0; j < D; j++) draw_marginal(m, j);
}

static void draw_model(model *m, int64_t width, int64_t extra) {
    static const int64_t levels_of[COMPANION] = {1, -1, -1, 0}; /* block of a column of codes */
    memset(m, 0, sizeof(*m));
    for (int64_t k = 0; k < N_MEMBERS; k++) {
        member *own = m->members + k;
        draw_member(own, width, extra);
        for (int64_t j = 0; j < D; j++)
            m->marginals[k * D + j] = (jp_marginal){own->keys + j, 1, own->piece + j, 1, own->tail[j]};
        m->views[k] = (jp_score_member){k, log((1.0 + (double)k) / 3), own->tree.tree, tree_code_column,
                                        own->tree.leaf_at, STATES, 1, &own->gauss, z_column};
    }
    for (int64_t c = 0; c < COMPANION; c++)
        m->categorical[c] = (jp_score_categorical){
            c, levels_of[c] < 0 ? 2 : m->members[0].tree.n_levels[levels_of[c]]};
    const int64_t n_atoms = m->members[0].tree.n_levels[2] - 1;
    for (int64_t a = 0; a < n_atoms; a++) m->atoms[a] = (double)a;
    m->numeric[0] = (jp_score_numeric){4, COMPANION, n_atoms, m->atoms};
    m->numeric[1] = (jp_score_numeric){5, -1, 0, NULL};
    const problem *p = &m->members[0].tree;
    const int64_t width_of_root = p->n_states[0] / p->n_cells[0], n_levels = p->n_levels[1];
    m->outputs[0] = (jp_score_output){JP_SCORE_LOG_PROB, 0, 0, 1};
    m->outputs[1] = (jp_score_output){JP_SCORE_SUBSETS, 1, 1, width_of_root};
    m->outputs[2] = (jp_score_output){JP_SCORE_LEVELS, 0, 1 + width_of_root, n_levels};
    m->scorer = (jp_scorer){N_COLUMNS, N_CODES, COMPANION, D, N_MEMBERS, N_MEMBERS, 3,
                            1 + width_of_root + n_levels, STATES, N_BLOCKS, p->n_total, D, n_levels,
                            m->categorical, m->numeric, m->marginals, m->views, m->outputs, &stages};
}

static void free_model(model *m) {
    for (int64_t k = 0; k < N_MEMBERS; k++) free_problem(&m->members[k].tree);
}

/* ---- rows ---- */

/* Codes, one in eight missing (as NaN or -1) or unseen (as -2 or one too many); numbers, a third of them atoms. */
static void draw_rows(const model *m, double *rows) {
    for (int64_t i = 0; i < N_ROWS; i++)
        for (int64_t c = 0; c < N_COLUMNS; c++) {
            double *cell = rows + i * N_COLUMNS + c;
            const int64_t odd = draw_below(32), n = c < COMPANION ? m->categorical[c].n_levels : 0;
            *cell = c < COMPANION ? (double)draw_below(n) : draw_between(-3, 3);
            if (c == 4 && odd > 20) *cell = m->atoms[draw_below(m->numeric[0].n_atoms)];
            if (odd < 4) *cell = c < COMPANION && odd < 2 ? -1 : (double)NAN;
            if (c < COMPANION && odd == 4) *cell = -2;
            if (c < COMPANION && odd == 5) *cell = (double)n;
        }
}

/* ---- the same by definition ---- */

static int32_t code_in(const model *m, const double *row, int64_t c) {
    if (isnan(row[c]) || row[c] == -1) return -1;
    return row[c] < 0 || row[c] >= (double)m->categorical[c].n_levels ? -2 : (int32_t)row[c];
}

/* Log density of the known cells of z in state s. */
static double log_gauss(const member *k, int64_t s, const double *z) {
    double square = 0, det = 1, log_density = 0;
    const double a = k->covariance[s], b = k->covariance[PADDED + s], c = k->covariance[2 * PADDED + s];
    double u = z[z_column[0]] - (double)k->mean[s], v = z[z_column[1]] - (double)k->mean[PADDED + s];
    if (isnan(u) && isnan(v)) return 0;
    if (isnan(u)) square = v * v / c, det = c;
    else if (isnan(v)) square = u * u / a, det = a;
    else det = a * c - b * b, square = (c * u * u - 2 * b * u * v + a * v * v) / det;
    log_density = -0.5 * (square + log(det));
    return log_density - 0.5 * log(2 * acos(-1.0)) * (isnan(u) || isnan(v) ? 1 : 2);
}

/* What one member makes of a row; its log density, with weight and Jacobian, goes to log_prob. */
static enumerated answers(const model *m, int64_t k, const double *row, int64_t blank, double *log_prob) {
    const member *own = m->members + k;
    int32_t codes[N_CODES];
    int64_t rows[1] = {0};
    float leaf[STATES];
    double z[D] = {row[4] / own->deviation[0], row[5] / own->deviation[1]};
    for (int64_t c = 0; c < COMPANION; c++) codes[c] = c == blank ? -1 : code_in(m, row, c);
    codes[COMPANION] = isnan(row[4]) ? -1 : 0;
    for (int64_t a = 0; a < m->numeric[0].n_atoms; a++)
        if (row[4] == m->atoms[a]) codes[COMPANION] = (int32_t)a + 1, z[0] = NAN;
    *log_prob = m->views[k].log_weight;
    for (int64_t j = 0; j < D; j++) *log_prob -= isnan(z[j]) ? 0 : log(own->deviation[j]);
    for (int64_t s = 0; s < STATES; s++) leaf[s] = (float)exp(log_gauss(own, s, z));
    const observed o = {.n_rows = 1, .codes = codes, .rows = rows, .leaf = leaf,
                        .evidence = {.codes = codes, .n_codes = N_CODES, .n_leaf = STATES}};
    const enumerated e = enumerate(&own->tree, &o, 0);
    *log_prob += log(e.total);
    return e;
}

static void check_log_prob(const model *m, const double *row, const double *out) {
    double p = 0, log_prob;
    int known = 0;
    for (int64_t c = 0; c < N_COLUMNS; c++) known |= !isnan(row[c]) && (c >= COMPANION || row[c] != -1);
    for (int64_t k = 0; k < N_MEMBERS; k++) answers(m, k, row, -1, &log_prob), p += exp(log_prob);
    CHECK_CLOSE(out[0], known ? log(p) : 0, 1e-5);
}

static void check_subsets(const model *m, const double *row, const double *out) {
    double log_prob, want[MAX_STATES] = {0};
    const jp_score_output *o = m->outputs + 1;
    const enumerated e = answers(m, o->which, row, -1, &log_prob);
    for (int64_t s = 0; s < m->members[1].tree.n_states[0]; s++) want[s % o->size] += e.posterior[0][s];
    for (int64_t s = 0; s < o->size; s++) CHECK_CLOSE(out[o->at + s], want[s], 1e-5);
}

static void check_levels(const model *m, const double *row, const double *out) {
    double want[MAX_LEVELS] = {0}, total = 0;
    const jp_score_output *o = m->outputs + 2;
    for (int64_t k = 0; k < N_MEMBERS; k++) {
        double log_prob;
        const problem *p = &m->members[k].tree;
        const enumerated e = answers(m, k, row, o->which, &log_prob);
        for (int64_t v = 0; v < o->size; v++) {
            const int64_t w = width_of(p, 1), begin = p->cell[p->cell_at[1] + v] * w;
            for (int64_t j = 0; j < w; j++)
                want[v] += exp(log_prob) * e.cavity[1][begin + j]
                           * (double)p->tree.emission[p->emission_at[1] + v * w + j];
        }
    }
    for (int64_t v = 0; v < o->size; v++) total += want[v];
    for (int64_t v = 0; v < o->size; v++) CHECK_CLOSE(out[o->at + v], want[v] / total, 1e-5);
}

/* ---- ---- */

static void check_rows(const model *m) {
    const int64_t width = m->scorer.width;
    double *rows = allocate(N_ROWS * N_COLUMNS * sizeof(double));
    double *out = allocate((size_t)(N_ROWS * width) * sizeof(double));
    double *one = allocate((size_t)width * sizeof(double));
    void *work = allocate((size_t)jp_score_work_size(&m->scorer));
    draw_rows(m, rows);
    for (int64_t c = 0; c < N_COLUMNS; c++) rows[c] = c % 2 ? (double)NAN : c < COMPANION ? -1 : (double)NAN;
    CHECK(jp_score_rows(&m->scorer, rows, 0, N_ROWS, work, out) == JP_OK);
    for (int64_t i = 0; i < N_ROWS; i++) {
        check_log_prob(m, rows + i * N_COLUMNS, out + i * width);
        check_subsets(m, rows + i * N_COLUMNS, out + i * width);
        check_levels(m, rows + i * N_COLUMNS, out + i * width);
        CHECK(jp_score_rows(&m->scorer, rows + i * N_COLUMNS, 0, 1, work, one) == JP_OK);
        CHECK(memcmp(one, out + i * width, (size_t)width * sizeof(double)) == 0);
    }
    free(rows), free(out), free(one), free(work);
}

static void check_refusals(const model *m) {
    double out[64], row[N_COLUMNS] = {0};
    void *work = allocate((size_t)jp_score_work_size(&m->scorer));
    static const double bad[] = {0.5, -3, 3e9, (double)INFINITY, -(double)INFINITY};
    for (size_t b = 0; b < sizeof(bad) / sizeof(bad[0]); b++)
        for (int64_t c = 0; c < N_COLUMNS; c++) {
            const int is_bad = c < COMPANION || isinf(bad[b]);
            row[c] = bad[b];
            CHECK(jp_score_rows(&m->scorer, row, 0, 1, work, out) == (is_bad ? JP_ERR_VALUE : JP_OK));
            row[c] = 0;
        }
    free(work);
}

int main(void) {
    static model m;
    for (int64_t width = 1; width <= 3; width++)
        for (int64_t extra = 0; extra < 2; extra++) {
            draw_model(&m, width, extra);
            check_rows(&m);
            check_refusals(&m);
            free_model(&m);
        }
    puts("score: passed");
    return 0;
}
