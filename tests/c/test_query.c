/* The query kernels against dense conditional Gaussians, one pair at a time. */
#include "query.h"

#include <string.h>

#include "check.h"
#include "dense.h"
#include "draw.h"

enum { MAX_D = 9, N_STATES = 3 };

/* Known cells of a row, those of `hidden` apart: log density, mean and covariance of all columns. */
typedef struct {
    double log_density, mean[MAX_D], covariance[MAX_D][MAX_D];
} conditional;

static conditional condition(const jp_states *g, int64_t s, const double *z, const int *hidden) {
    conditional c = {0};
    int64_t known[MAX_D], m = 0;
    double inverse[MAX_D * MAX_D], centred[MAX_D];
    const int64_t d = g->n_columns;
    const double *mean = g->mean + s * d, *covariance = g->covariance + s * d * d;
    for (int64_t j = 0; j < d; j++)
        if (!isnan(z[j]) && !hidden[j]) known[m++] = j;
    for (int64_t a = 0; a < m; a++) {
        centred[a] = z[known[a]] - mean[known[a]];
        for (int64_t b = 0; b < m; b++) inverse[a * m + b] = covariance[known[a] * d + known[b]];
    }
    c.log_density = -0.5 * (invert(m, inverse) + (double)m * log(2 * acos(-1.0)));
    for (int64_t i = 0; i < d; i++) {
        c.mean[i] = mean[i];
        for (int64_t j = 0; j < d; j++) c.covariance[i][j] = covariance[i * d + j];
    }
    for (int64_t a = 0; a < m; a++)
        for (int64_t b = 0; b < m; b++) {
            const double w = inverse[a * m + b];
            c.log_density -= 0.5 * centred[a] * w * centred[b];
            for (int64_t i = 0; i < d; i++) {
                const double left = covariance[i * d + known[a]];
                c.mean[i] += left * w * centred[b];
                for (int64_t j = 0; j < d; j++)
                    c.covariance[i][j] -= left * w * covariance[j * d + known[b]];
            }
        }
    return c;
}

typedef struct {
    double mean[N_STATES * MAX_D], covariance[N_STATES * MAX_D * MAX_D];
    jp_states states;
} problem;

static void draw_problem(problem *p, int64_t d) {
    for (int64_t s = 0; s < N_STATES; s++) {
        double a[MAX_D * MAX_D];
        for (int64_t e = 0; e < d * d; e++) a[e] = draw_between(-0.6, 0.6);
        for (int64_t i = 0; i < d; i++) {
            p->mean[s * d + i] = draw_between(-1, 1);
            for (int64_t j = 0; j < d; j++) {
                double sum = i == j ? 0.4 : 0;
                for (int64_t k = 0; k < d; k++) sum += a[i * d + k] * a[j * d + k];
                p->covariance[(s * d + i) * d + j] = sum;
            }
        }
    }
    p->states = (jp_states){d, N_STATES, p->mean, p->covariance};
}

/* Every fourth row complete, every fourth empty; the same cells in both precisions. */
static void draw_rows(int64_t n_rows, int64_t d, float *narrow, double *wide) {
    for (int64_t i = 0; i < n_rows; i++)
        for (int64_t j = 0; j < d; j++) {
            const int gone = i % 4 == 3 || (i % 4 != 0 && draw_uniform() < 0.4);
            narrow[i * d + j] = gone ? NAN : (float)draw_between(-2, 2);
            wide[i * d + j] = (double)narrow[i * d + j];
        }
}

/* Rows and states of all pairs, taken backwards. */
static void check_condition(const problem *p, int64_t n_rows, const float *z, const double *wide,
                            double *work) {
    const int64_t d = p->states.n_columns, n_pairs = n_rows * N_STATES;
    const int64_t target[2] = {d - 1, 0}, n_targets = d > 1 ? 2 : 1;
    int64_t *rows = allocate(sizeof(int64_t) * (size_t)n_pairs);
    int64_t *order = allocate(sizeof(int64_t) * (size_t)n_pairs);
    int32_t *state = allocate(sizeof(int32_t) * (size_t)n_pairs);
    double *mean = allocate(sizeof(double) * (size_t)(n_pairs * n_targets));
    double *factor = allocate(sizeof(double) * (size_t)(n_pairs * n_targets * n_targets));
    int hidden[MAX_D] = {0};
    hidden[0] = hidden[d - 1] = 1;
    for (int64_t q = 0; q < n_pairs; q++)
        rows[q] = q % n_rows, state[q] = (int32_t)(q / n_rows), order[q] = n_pairs - 1 - q;
    CHECK(jp_condition_gaussian(&p->states, z, rows, state, order, target, n_targets, 0, n_pairs,
                                work, mean, factor) == JP_OK);
    for (int64_t q = 0; q < n_pairs; q++) {
        const conditional want = condition(&p->states, state[q], wide + rows[q] * d, hidden);
        const double *l = factor + q * n_targets * n_targets;
        for (int64_t i = 0; i < n_targets; i++) {
            CHECK_CLOSE(mean[q * n_targets + i], want.mean[target[i]], 1e-9);
            for (int64_t j = 0; j <= i; j++) {
                double sum = 0;
                for (int64_t k = 0; k <= j; k++) sum += l[i * n_targets + k] * l[j * n_targets + k];
                CHECK_CLOSE(sum, want.covariance[target[i]][target[j]], 1e-9);
            }
        }
    }
    free(rows), free(order), free(state), free(mean), free(factor);
}

/* Without noise, the missing cells of a draw are their conditional mean; the known ones stay. */
static void check_draw(const problem *p, int64_t n_rows, const double *z, const int64_t *order,
                       double *work) {
    const int64_t d = p->states.n_columns;
    const int none[MAX_D] = {0};
    int32_t *state = allocate(sizeof(int32_t) * (size_t)n_rows);
    double *normal = allocate(sizeof(double) * (size_t)(n_rows * d));
    double *out = allocate(sizeof(double) * (size_t)(n_rows * d));
    for (int64_t i = 0; i < n_rows; i++) state[i] = (int32_t)(i % N_STATES);
    for (int64_t e = 0; e < n_rows * d; e++) normal[e] = 0;
    CHECK(jp_draw_gaussian(&p->states, z, state, order, normal, 0, n_rows, work, out) == JP_OK);
    for (int64_t i = 0; i < n_rows; i++) {
        const conditional want = condition(&p->states, state[i], z + i * d, none);
        for (int64_t j = 0; j < d; j++)
            CHECK_CLOSE(out[i * d + j], isnan(z[i * d + j]) ? want.mean[j] : z[i * d + j], 1e-9);
    }
    free(state), free(normal), free(out);
}

static double log_mixture(const problem *p, const float *prior, const double *z,
                          const int *hidden) {
    double sum = 0;
    for (int64_t s = 0; s < N_STATES; s++)
        sum += (double)prior[s] * exp(condition(&p->states, s, z, hidden).log_density);
    return log(sum);
}

static void check_leave_one_out(const problem *p, int64_t n_rows, const float *z,
                                const double *wide, const int64_t *order, double *work) {
    const int64_t d = p->states.n_columns, n_prior = N_STATES + 2, at = 1;
    float *prior = allocate(sizeof(float) * (size_t)(n_rows * n_prior));
    double *whole = allocate(sizeof(double) * (size_t)n_rows);
    double *rest = allocate(sizeof(double) * (size_t)(n_rows * d));
    for (int64_t e = 0; e < n_rows * n_prior; e++) prior[e] = (float)draw_between(0.05, 0.6);
    CHECK(jp_leave_one_out(&p->states, z, order, prior, n_prior, at, 0, n_rows, work, whole, rest)
          == JP_OK);
    for (int64_t i = 0; i < n_rows; i++) {
        int hidden[MAX_D] = {0};
        const float *weight = prior + i * n_prior + at;
        CHECK_CLOSE(whole[i], log_mixture(p, weight, wide + i * d, hidden), 1e-6);
        for (int64_t j = 0; j < d; j++) {
            hidden[j] = 1;
            if (isnan(wide[i * d + j])) CHECK(isnan(rest[i * d + j]));
            else CHECK_CLOSE(rest[i * d + j], log_mixture(p, weight, wide + i * d, hidden), 1e-6);
            hidden[j] = 0;
        }
    }
    free(prior), free(whole), free(rest);
}

static void test_uniform_depends_on_seed_and_key_alone(void) {
    const uint64_t key[5] = {9, 1, 9, 4, 1}, shuffled[2] = {4, 9};
    double u[5 * 7], v[2 * 7];
    CHECK(jp_query_uniform(3, key, 7, 0, 5, u) == JP_OK);
    CHECK(jp_query_uniform(3, shuffled, 7, 0, 2, v) == JP_OK);
    for (int i = 0; i < 5 * 7; i++) CHECK(u[i] > 0 && u[i] < 1);
    CHECK(memcmp(u, u + 2 * 7, 7 * sizeof(double)) == 0 && memcmp(u, v + 7, 7 * sizeof(double)) == 0);
    CHECK(memcmp(u + 3 * 7, v, 7 * sizeof(double)) == 0 && u[0] != u[7] && u[0] != u[1]);
}

int main(void) {
    static const int64_t columns[] = {1, 2, 5, MAX_D}, n_rows[] = {0, 1, 4, 37};
    for (int c = 0; c < 4; c++)
        for (int r = 0; r < 4; r++) {
            const int64_t d = columns[c], n = n_rows[r];
            problem p;
            draw_problem(&p, d);
            float *z = allocate(sizeof(float) * (size_t)(n * d));
            double *wide = allocate(sizeof(double) * (size_t)(n * d));
            int64_t *order = allocate(sizeof(int64_t) * (size_t)n);
            double *work = allocate(sizeof(double) * (size_t)jp_query_work_size(&p.states));
            for (int64_t i = 0; i < n; i++) order[i] = n - 1 - i;
            draw_rows(n, d, z, wide);
            check_condition(&p, n, z, wide, work);
            check_draw(&p, n, wide, order, work);
            check_leave_one_out(&p, n, z, wide, order, work);
            free(z), free(wide), free(order), free(work);
        }
    test_uniform_depends_on_seed_and_key_alone();
    puts("query: passed");
    return 0;
}
