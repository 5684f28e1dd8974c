/* The density kernels against textbook Gaussians: dense inverses, one row and one state at a time. */
#include "density.h"

#include <string.h>

#include "check.h"
#include "dense.h"
#include "draw.h"

enum { MAX_D = 17, MAX_STATES = 33 };

static int64_t at(int64_t i, int64_t j) { return i >= j ? i * (i + 1) / 2 + j : at(j, i); }

/* ---- one row, one state ---- */

/* The known columns of a row in one state: inverse covariance, and the pull inverse (z - mean). */
typedef struct {
    int64_t n_known, known[MAX_D], n_missing, missing[MAX_D];
    double inverse[MAX_D * MAX_D], pull[MAX_D], log_density;
} naive_row;

static naive_row naive(const jp_gauss *g, int64_t s, const float *z) {
    naive_row r = {0};
    double centred[MAX_D], square = 0;
    for (int64_t j = 0; j < g->n_columns; j++) {
        if (isnan(z[j])) r.missing[r.n_missing++] = j;
        else r.known[r.n_known++] = j;
    }
    const int64_t m = r.n_known;
    for (int64_t a = 0; a < m; a++) {
        centred[a] = (double)z[r.known[a]] - (double)g->mean_lanes[r.known[a] * g->n_padded + s];
        for (int64_t b = 0; b < m; b++)
            r.inverse[a * m + b] =
                g->covariance_lanes[at(r.known[a], r.known[b]) * g->n_padded + s];
    }
    const double log_det = invert(m, r.inverse);
    for (int64_t a = 0; a < m; a++) {
        for (int64_t b = 0; b < m; b++) r.pull[a] += r.inverse[a * m + b] * centred[b];
        square += r.pull[a] * centred[a];
    }
    r.log_density = -0.5 * (square + log_det + (double)m * log(2 * acos(-1.0)));
    return r;
}

/* E[z z'] of a completed row, (d, d), and E[z]: missing cells by their conditional distribution. */
static void naive_moments(const jp_gauss *g, int64_t s, const float *z, double *mean,
                          double *second) {
    const naive_row r = naive(g, s, z);
    const int64_t d = g->n_columns, m = r.n_known, n = g->n_padded;
    for (int64_t a = 0; a < m; a++) mean[r.known[a]] = (double)z[r.known[a]];
    for (int64_t q = 0; q < r.n_missing; q++) {
        const int64_t j = r.missing[q];
        mean[j] = (double)g->mean_lanes[j * n + s];
        for (int64_t a = 0; a < m; a++)
            mean[j] += g->covariance_lanes[at(j, r.known[a]) * n + s] * r.pull[a];
    }
    for (int64_t i = 0; i < d; i++)
        for (int64_t j = 0; j < d; j++) second[i * d + j] = mean[i] * mean[j];
    for (int64_t p = 0; p < r.n_missing; p++)
        for (int64_t q = 0; q < r.n_missing; q++) {
            const int64_t i = r.missing[p], j = r.missing[q];
            second[i * d + j] += g->covariance_lanes[at(i, j) * n + s];
            for (int64_t a = 0; a < m; a++)
                for (int64_t b = 0; b < m; b++)
                    second[i * d + j] -= g->covariance_lanes[at(i, r.known[a]) * n + s]
                                         * r.inverse[a * m + b]
                                         * g->covariance_lanes[at(j, r.known[b]) * n + s];
        }
}

/* ---- problems ---- */

static void *zeros(int64_t n, size_t size) {
    void *memory = allocate((size_t)n * size);
    memset(memory, 0, (size_t)n * size);
    return memory;
}

/* Covariance A A' + I / 2 of a random A; padding repeats state 0. */
static jp_gauss draw_gauss(int64_t d, int64_t n_states) {
    const int64_t n = (n_states + 15) / 16 * 16, t = d * (d + 1) / 2;
    jp_gauss g = {.n_columns = d, .n_states = n_states, .n_padded = n};
    g.mean_lanes = zeros(d * n, sizeof(float));
    g.whitening_lanes = zeros(t * n, sizeof(float));
    g.log_norm = zeros(n, sizeof(float));
    g.covariance_lanes = zeros(t * n, sizeof(double));
    for (int64_t s = 0; s < n; s++) {
        double a[MAX_D * MAX_D];
        for (int64_t e = 0; e < d * d; e++) a[e] = draw_between(-0.5, 0.5);
        for (int64_t j = 0; j < d; j++)
            g.mean_lanes[j * n + s] =
                s < n_states ? (float)draw_between(-1, 1) : g.mean_lanes[j * n];
        for (int64_t i = 0; i < d; i++)
            for (int64_t j = 0; j <= i; j++) {
                double sum = i == j ? 0.5 : 0;
                for (int64_t k = 0; k < d; k++) sum += a[i * d + k] * a[j * d + k];
                g.covariance_lanes[at(i, j) * n + s] =
                    s < n_states ? sum : g.covariance_lanes[at(i, j) * n];
            }
    }
    return g;
}

static void free_gauss(jp_gauss *g) {
    free(g->mean_lanes), free(g->whitening_lanes), free(g->log_norm), free(g->covariance_lanes);
}

static jp_gauss_sums empty_sums(const jp_gauss *g) {
    const int64_t d = g->n_columns, h = g->n_states;
    return (jp_gauss_sums){zeros(h, sizeof(double)), zeros(h * d, sizeof(double)),
                           zeros(h * d * (d + 1) / 2, sizeof(double))};
}

static void free_sums(jp_gauss_sums *s) { free(s->weight), free(s->sum), free(s->square); }

/* Rows with a few patterns of missing cells, among them none and all. */
static float *draw_rows(int64_t n_rows, int64_t d) {
    float *z = allocate(sizeof(float) * (size_t)(n_rows * d));
    for (int64_t i = 0; i < n_rows; i++)
        for (int64_t j = 0; j < d; j++) {
            const int gone = i % 4 == 1 ? j % 3 == 0 : i % 4 == 2 ? draw_uniform() < 0.3 : i % 29 == 7;
            z[i * d + j] = gone ? NAN : (float)draw_between(-2, 2);
        }
    return z;
}

/* Row i of the call reads row order[i] of z: backwards. */
static int64_t *backwards(int64_t n_rows) {
    int64_t *order = allocate(sizeof(int64_t) * (size_t)n_rows);
    for (int64_t i = 0; i < n_rows; i++) order[i] = n_rows - 1 - i;
    return order;
}

/* ---- checks ---- */

static void check_leaf(const jp_gauss *g, const float *z, const int64_t *rows, int64_t n_rows,
                       void *work) {
    const int64_t h = g->n_states, n_leaf = h + 3, leaf_at = 2;
    float *leaf = zeros(n_rows * n_leaf, sizeof(float));
    double *log_scale = allocate(sizeof(double) * (size_t)n_rows);
    for (int64_t i = 0; i < n_rows; i++) log_scale[i] = 10; /* added to */
    CHECK(jp_gauss_leaf(g, z, rows, 0, n_rows, 60, leaf, n_leaf, leaf_at, log_scale, work) == JP_OK);
    for (int64_t i = 0; i < n_rows; i++) {
        const float *row = z + (rows ? rows[i] : i) * g->n_columns;
        double log_density[MAX_STATES], best = -INFINITY;
        for (int64_t s = 0; s < h; s++) {
            log_density[s] = naive(g, s, row).log_density;
            best = fmax(best, log_density[s]);
        }
        CHECK_CLOSE(log_scale[i], 10 + best, 1e-4);
        for (int64_t s = 0; s < h; s++)
            CHECK_CLOSE(leaf[i * n_leaf + leaf_at + s], exp(log_density[s] - best), 5e-4);
        CHECK(leaf[i * n_leaf] == 0 && leaf[i * n_leaf + 1] == 0 && leaf[(i + 1) * n_leaf - 1] == 0);
    }
    free(leaf), free(log_scale);
}

/* Posteriors of the rows: some states none at all. */
static float *draw_posterior(int64_t n_rows, int64_t n_states) {
    float *posterior = allocate(sizeof(float) * (size_t)(n_rows * n_states));
    for (int64_t e = 0; e < n_rows * n_states; e++)
        posterior[e] = draw_uniform() < 0.3 ? 0 : (float)draw_between(0.1, 1);
    return posterior;
}

static void check_expect(const jp_gauss *g, const float *z, int64_t n_rows, jp_gauss_sums *sums) {
    const int64_t d = g->n_columns, h = g->n_states, t = d * (d + 1) / 2;
    float *posterior = draw_posterior(n_rows, h);
    CHECK(jp_gauss_expect(g, z, NULL, posterior, h, 0, 0, n_rows, sums) == JP_OK);
    for (int64_t s = 0; s < h; s++) {
        double weight = 0, sum[MAX_D] = {0}, square[MAX_D * MAX_D] = {0};
        for (int64_t i = 0; i < n_rows; i++) {
            double mean[MAX_D], second[MAX_D * MAX_D];
            const double p = (double)posterior[i * h + s];
            naive_moments(g, s, z + i * d, mean, second);
            weight += p;
            for (int64_t j = 0; j < d; j++) sum[j] += p * mean[j];
            for (int64_t e = 0; e < d * d; e++) square[e] += p * second[e];
        }
        CHECK_CLOSE(sums->weight[s], weight, 1e-9);
        for (int64_t j = 0; j < d; j++) CHECK_CLOSE(sums->sum[s * d + j], sum[j], 1e-4);
        for (int64_t i = 0; i < d; i++)
            for (int64_t j = 0; j <= i; j++)
                CHECK_CLOSE(sums->square[s * t + at(i, j)], square[i * d + j], 1e-4);
    }
    free(posterior);
}

/* One full step on sums that every state has a share in, without shrinkage: the subset's own mean
   and covariance. */
static void check_maximise(jp_gauss *g, jp_gauss_sums *batch, double n_rows, void *work) {
    const int64_t d = g->n_columns, h = g->n_states, t = d * (d + 1) / 2, n = g->n_padded;
    jp_gauss_sums running = empty_sums(g), kept = empty_sums(g);
    memcpy(kept.weight, batch->weight, (size_t)h * sizeof(double));
    memcpy(kept.sum, batch->sum, (size_t)(h * d) * sizeof(double));
    memcpy(kept.square, batch->square, (size_t)(h * t) * sizeof(double));
    CHECK(jp_gauss_maximise(g, batch, &running, n_rows, 1, n_rows, 0, 0.01, work) == JP_OK);
    for (int64_t s = 0; s < h; s++) {
        const double w = kept.weight[s];
        CHECK(batch->weight[s] == 0);
        for (int64_t j = 0; j < d; j++) {
            CHECK_CLOSE(g->mean_lanes[j * n + s], kept.sum[s * d + j] / w, 1e-5);
            CHECK(batch->sum[s * d + j] == 0);
        }
        for (int64_t i = 0; i < d; i++)
            for (int64_t j = 0; j <= i; j++) {
                const double product = kept.sum[s * d + i] * kept.sum[s * d + j] / (w * w);
                const double want = kept.square[s * t + at(i, j)] / w - product;
                CHECK_CLOSE(g->covariance_lanes[at(i, j) * n + s], want + (i == j ? 0.01 : 0), 1e-6);
            }
    }
    free_sums(&running), free_sums(&kept);
}

int main(void) {
    static const int64_t columns[] = {1, 2, 9, MAX_D}, states[] = {1, 3, 16, MAX_STATES};
    static const int64_t n_rows[] = {0, 1, 5, 67};
    for (int c = 0; c < 4; c++)
        for (int s = 0; s < 4; s++)
            for (int r = 0; r < 4; r++) {
                jp_gauss g = draw_gauss(columns[c], states[s]);
                jp_gauss_sums sums = empty_sums(&g);
                void *work = allocate((size_t)jp_gauss_work_size(&g));
                /* once, more rows than the kernel sorts together */
                const int64_t n = c == 1 && s == 1 && r == 3 ? JP_GAUSS_TILE + 3 : n_rows[r];
                float *z = draw_rows(n, columns[c]);
                int64_t *rows = backwards(n);
                CHECK(jp_gauss_derive(&g, work) == JP_OK);
                check_leaf(&g, z, NULL, n, work);
                check_leaf(&g, z, rows, n, work);
                check_expect(&g, z, n, &sums);
                if (n >= 67) check_maximise(&g, &sums, (double)n, work);
                free(z), free(rows), free(work);
                free_sums(&sums), free_gauss(&g);
            }
    jp_gauss wide = {.n_columns = JP_MAX_GAUSS_COLUMNS + 1};
    CHECK(jp_gauss_derive(&wide, NULL) == JP_ERR_SIZE);
    puts("density: passed");
    return 0;
}
