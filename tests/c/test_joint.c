/* The kernels of the latent tree against sums over every hidden path. */
#include "tree.h"

static void *work_space(const problem *p, int full) {
    return allocate((size_t)jp_tree_work_size(&p->tree, full));
}

static void check_log_prob(const problem *p, const observed *o) {
    void *work = work_space(p, 0);
    double *log_prob = zeros(o->n_rows, sizeof(double));
    const int64_t middle = o->n_rows / 3; /* two calls, one answer */
    CHECK(jp_tree_log_prob(&p->tree, &o->evidence, 0, middle, work, log_prob) == JP_OK);
    CHECK(jp_tree_log_prob(&p->tree, &o->evidence, middle, o->n_rows, work, log_prob) == JP_OK);
    for (int64_t i = 0; i < o->n_rows; i++) {
        const double want = log(enumerate(p, o, i).total);
        if (isinf(want)) CHECK(isinf(log_prob[i]) && log_prob[i] < 0);
        else CHECK_CLOSE(log_prob[i], want, 1e-5);
    }
    free(work), free(log_prob);
}

/* No state explains a row: minus infinity for it, and the usual answers for its neighbours. */
static void check_impossible(const problem *p, observed *o, int64_t row) {
    float *leaf = o->leaf + row * o->evidence.n_leaf + p->leaf_at[GAUSSIANS];
    float kept[MAX_STATES];
    const size_t bytes = (size_t)p->n_states[GAUSSIANS] * sizeof(float);
    memcpy(kept, leaf, bytes);
    memset(leaf, 0, bytes);
    check_log_prob(p, o);
    memcpy(leaf, kept, bytes);
}

static void check_marginals(const problem *p, const observed *o) {
    void *work = work_space(p, 1);
    double *log_prob = zeros(o->n_rows, sizeof(double));
    float *cavity = zeros(o->n_rows * p->n_total, sizeof(float));
    float *posterior = zeros(o->n_rows * p->n_total, sizeof(float));
    CHECK(jp_tree_marginals(&p->tree, &o->evidence, p->state_at, p->n_total, 0, o->n_rows, work,
                            log_prob, cavity, posterior) == JP_OK);
    for (int64_t i = 0; i < o->n_rows; i++) {
        const enumerated want = enumerate(p, o, i);
        CHECK_CLOSE(log_prob[i], log(want.total), 1e-5);
        for (int64_t b = 0; b < N_BLOCKS; b++)
            for (int64_t s = 0; s < p->n_states[b]; s++) {
                const int64_t at = i * p->n_total + p->state_at[b] + s;
                CHECK_CLOSE(posterior[at], want.posterior[b][s], 1e-5);
                CHECK_CLOSE(cavity[at], want.cavity[b][s], 1e-5);
            }
    }
    free(work), free(log_prob), free(cavity), free(posterior);
}

/* ---- EM ---- */

typedef struct {
    double *transition, *emission; /* expected counts, in the layouts of jp_tree */
} expected;

static void add_row(const problem *p, const observed *o, int64_t i, double weight, expected *to) {
    const enumerated e = enumerate(p, o, i);
    for (int64_t b = 0; b < N_BLOCKS; b++) {
        const int32_t code = b == GAUSSIANS ? -1 : code_of(o, i, b);
        const int64_t w = width_of(p, b), hb = p->n_states[b];
        /* a childless block that says nothing of a row learns nothing from it */
        if (p->message_at[b] >= 0 && code < 0) continue;
        for (int64_t r = 0; r < parent_states(p, b); r++)
            for (int64_t s = 0; s < hb; s++)
                to->transition[p->transition_at[b] + r * hb + s] += weight * e.pair[b][r][s];
        if (code < 0) continue;
        const int64_t begin = p->cell[p->cell_at[b] + code] * w;
        for (int64_t j = 0; j < w; j++)
            to->emission[p->emission_at[b] + code * w + j] +=
                weight * e.posterior[b][begin + j];
    }
}

static void check_leaf_posterior(const problem *p, const observed *o, const double *weight,
                                 const float *got) {
    for (int64_t i = 0; i < o->n_rows; i++) {
        const enumerated e = enumerate(p, o, i);
        for (int64_t s = 0; s < p->n_states[GAUSSIANS]; s++)
            CHECK_CLOSE(got[i * o->evidence.n_leaf + p->leaf_at[GAUSSIANS] + s],
                        weight[i] * e.posterior[GAUSSIANS][s], 1e-5);
    }
}

/* Next to no smoothing: shares of the naive counts, where there is anything to share. */
static void check_transitions(const problem *p, const expected *want) {
    for (int64_t b = 0; b < N_BLOCKS; b++)
        for (int64_t r = 0; r < parent_states(p, b); r++) {
            const int64_t hb = p->n_states[b], at = p->transition_at[b] + r * hb;
            double row = 0, total = 0;
            for (int64_t s = 0; s < hb; s++) {
                row += want->transition[at + s];
                total += (double)p->tree.transition[at + s];
            }
            CHECK_CLOSE(total, 1, 1e-5);
            for (int64_t s = 0; s < hb && row > 0.05; s++)
                CHECK_CLOSE(p->tree.transition[at + s], want->transition[at + s] / row, 1e-4);
        }
}

/* Shares of the levels of a cell, less what is kept for levels never seen. */
static void check_emissions(const problem *p, const expected *want) {
    for (int64_t b = 0; b < GAUSSIANS; b++) {
        const int64_t w = width_of(p, b);
        const int32_t *cell = p->cell + p->cell_at[b];
        if (p->n_levels[b] <= p->n_cells[b]) continue; /* one level a cell: nothing to learn */
        for (int64_t v = 0; v < p->n_levels[b]; v++)
            for (int64_t j = 0; j < w; j++) {
                const int64_t at = p->emission_at[b] + v * w + j;
                double count = 0, total = 0;
                for (int64_t u = 0; u < p->n_levels[b]; u++) {
                    const int64_t other = p->emission_at[b] + u * w + j;
                    if (cell[u] != cell[v]) continue;
                    count += want->emission[other];
                    total += (double)p->tree.emission[other];
                }
                const double seen = 1 - (double)p->unseen[b];
                CHECK_CLOSE(total, seen, 1e-5);
                if (count > 0.05)
                    CHECK_CLOSE(p->tree.emission[at], seen * want->emission[at] / count, 1e-4);
            }
    }
}

/* Every level of a cell an equal share. */
static float *level_shares(const problem *p) {
    float *share = zeros(p->n_cell, sizeof(float));
    for (int64_t b = 0; b < N_BLOCKS; b++)
        for (int64_t v = 0; v < p->n_levels[b]; v++) {
            int64_t same = 0;
            for (int64_t u = 0; u < p->n_levels[b]; u++)
                same += p->cell[p->cell_at[b] + u] == p->cell[p->cell_at[b] + v];
            share[p->cell_at[b] + v] = 1 / (float)same;
        }
    return share;
}

/* One full E-step and M-step; the derived tables must then answer for the new tree. */
static void check_em(problem *p, const observed *o) {
    const double rows = (double)(o->n_rows > 0 ? o->n_rows : 1), pull = 1e-6;
    double *weight = allocate(sizeof(double) * (size_t)o->n_rows);
    double *log_prob = zeros(o->n_rows, sizeof(double));
    float *leaf_posterior = zeros(o->n_rows * o->evidence.n_leaf, sizeof(float));
    float *share = level_shares(p);
    double *m_step_work = allocate(sizeof(double) * (size_t)jp_tree_maximise_work_size(&p->tree));
    void *work = work_space(p, 0);
    expected want = {zeros(p->n_transition, sizeof(double)), zeros(p->n_emission, sizeof(double))};
    jp_counts counts = {zeros(p->n_transition, sizeof(float)), zeros(p->n_emission, sizeof(float)),
                        zeros(p->n_message, sizeof(float))};
    jp_running running = {zeros(p->n_transition, sizeof(float)),
                          zeros(p->n_emission, sizeof(float)), share, rows, pull, pull};
    for (int64_t i = 0; i < o->n_rows; i++) {
        weight[i] = draw_between(0.5, 2);
        add_row(p, o, i, weight[i], &want);
    }
    CHECK(jp_tree_expect(&p->tree, &o->evidence, weight, 0, o->n_rows, work, log_prob, &counts,
                         leaf_posterior) == JP_OK);
    check_leaf_posterior(p, o, weight, leaf_posterior);
    CHECK(jp_tree_maximise(&p->tree, &counts, &running, rows, 1, 0, N_BLOCKS, m_step_work) == JP_OK);
    for (int64_t e = 0; e < p->n_transition; e++) {
        CHECK_CLOSE(rows * (double)running.transition[e], want.transition[e], 1e-4);
        CHECK(counts.transition[e] == 0);
    }
    for (int64_t e = 0; e < p->n_message; e++) CHECK(counts.message[e] == 0);
    check_transitions(p, &want);
    check_emissions(p, &want);
    check_log_prob(p, o);
    free(weight), free(log_prob), free(leaf_posterior), free(share), free(work), free(m_step_work);
    free(want.transition), free(want.emission), free(running.transition), free(running.emission);
    free(counts.transition), free(counts.emission), free(counts.message);
}

/* ---- draws ---- */

/* Many draws for one row: every state as often as its posterior says, within five deviations. */
static void check_sample(const problem *p, observed *o, int64_t row) {
    enum { N = 4000 };
    int64_t count[N_BLOCKS][MAX_STATES] = {{0}}, rows[N];
    uint64_t draw_key[N];
    double log_prob[N];
    static int32_t states[N * N_BLOCKS], again[N * N_BLOCKS];
    const int64_t n_leaf = o->evidence.n_leaf;
    const enumerated want = enumerate(p, o, row);
    void *work = work_space(p, 0);
    float *leaf = allocate(sizeof(float) * (size_t)(N * n_leaf));
    jp_evidence repeated = o->evidence;
    for (int64_t i = 0; i < N; i++) {
        rows[i] = o->rows[row], draw_key[i] = (uint64_t)(7 * i + 1);
        memcpy(leaf + i * n_leaf, o->leaf + row * n_leaf, (size_t)n_leaf * sizeof(float));
    }
    repeated.rows = rows, repeated.leaf = leaf;
    CHECK(jp_tree_sample(&p->tree, &repeated, 5, draw_key, 0, N, work, log_prob, states) == JP_OK);
    CHECK(jp_tree_sample(&p->tree, &repeated, 5, draw_key, 77, N, work, log_prob, again) == JP_OK);
    CHECK(memcmp(states + 77 * N_BLOCKS, again + 77 * N_BLOCKS,
                 sizeof(states) - 77 * N_BLOCKS * sizeof(int32_t)) == 0);
    for (int64_t i = 0; i < N; i++)
        for (int64_t b = 0; b < N_BLOCKS; b++) count[b][states[i * N_BLOCKS + b]]++;
    for (int64_t b = 0; b < N_BLOCKS; b++)
        for (int64_t s = 0; s < p->n_states[b]; s++) {
            const double q = want.posterior[b][s], deviation = sqrt(q * (1 - q) / N);
            CHECK(fabs((double)count[b][s] / N - q) <= 5 * deviation + 1e-6);
        }
    free(work), free(leaf);
}

/* The table that is found when one number of it is another. */
static int fault_with(const problem *p, float *number, float other) {
    const jp_tree_sizes sizes = {p->n_transition, p->n_emission, p->n_message, p->n_cell};
    const float was = *number;
    double work[MAX_STATES];
    int64_t block;
    *number = other;
    const int table = jp_tree_check(&p->tree, &sizes, 1e-3, 0, N_BLOCKS, work, &block);
    *number = was;
    return table;
}

static void check_check(problem *p) {
    jp_tree *t = &p->tree;
    const int64_t last = p->n_transition - 1;
    const float bad[] = {NAN, INFINITY, -0.1f, 1.1f};
    CHECK(jp_tree_derive(t, 0, N_BLOCKS) == JP_OK);
    CHECK(fault_with(p, t->transition, t->transition[0]) == 0);
    for (int k = 0; k < 4; k++) {
        CHECK(fault_with(p, t->transition + last, bad[k]) == JP_TABLE_TRANSITION);
        CHECK(fault_with(p, t->transposed + last, bad[k]) == JP_TABLE_TRANSPOSED);
        CHECK(fault_with(p, t->emission, bad[k]) == JP_TABLE_EMISSION);
        if (p->n_message) CHECK(fault_with(p, t->message, bad[k]) == JP_TABLE_MESSAGE);
    }
    p->cell[0] += MAX_STATES;
    CHECK(fault_with(p, t->transition, t->transition[0]) == JP_TABLE_CELL);
    p->cell[0] -= MAX_STATES;
    for (int64_t off = -1; off <= p->n_transition; off += p->n_transition + 1) {
        const int64_t was = p->transition_at[N_BLOCKS - 1];
        p->transition_at[N_BLOCKS - 1] = off;    /* before its array, or behind it */
        CHECK(fault_with(p, t->transition, t->transition[0]) == JP_TABLE_TRANSITION);
        p->transition_at[N_BLOCKS - 1] = was;
    }
}

static void test_count_pairs(void) {
    const int32_t from[6] = {0, 1, 1, -1, 2, 0}, to[6] = {1, 0, 0, 1, -1, 1};
    const double weight[6] = {1, 2, 3, 4, 5, 6}, want[6] = {1, 8, 6, 1, 1, 1};
    double counts[6] = {1, 1, 1, 1, 1, 1};
    CHECK(jp_count_pairs(from, to, weight, 3, 2, 0, 6, counts) == JP_OK);
    for (int i = 0; i < 6; i++) CHECK(counts[i] == want[i]);
    CHECK(jp_count_pairs(from, to, NULL, 3, 2, 5, 6, counts) == JP_OK && counts[1] == 9);
    CHECK(jp_count_pairs(from, to, weight, 3, 2, 2, 2, counts) == JP_OK);
    CHECK(jp_count_pairs(from, to, weight, 1, 2, 0, 6, counts) == JP_ERR_VALUE);
}

int main(void) {
    static const int64_t width[] = {1, 2, 3, 3}, extra[] = {0, 0, 2, 5}, gaussians[] = {1, 5, 17, 2};
    static const int64_t n_rows[] = {0, 1, 7, JP_TILE + 5};
    for (int k = 0; k < 4; k++)
        for (int r = 0; r < 4; r++) {
            problem p;
            draw_problem(&p, width[k], extra[k], gaussians[k]);
            observed o = observe(&p, n_rows[r]);
            check_log_prob(&p, &o);
            check_marginals(&p, &o);
            if (n_rows[r] > 2) check_impossible(&p, &o, 2);
            if (r == 0 && !extra[k]) check_check(&p);    /* else emissions are drawn, not shared out */
            if (r == 2)
                for (int64_t row = 3; row < 7; row++) check_sample(&p, &o, row);
            check_em(&p, &o);
            free_observed(&o);
            free_problem(&p);
        }
    test_count_pairs();
    puts("joint: passed");
    return 0;
}
