/* The partition kernels against one distance, one count at a time. */
#include "partition.h"

#include "check.h"
#include "draw.h"

enum { LANES = JP_PANEL_LANES, MAX_COLUMNS = 5, MAX_STATES = 40 };

/* ---- k-means ---- */

static float *draw_floats(int64_t n) {
    float *x = allocate(sizeof(float) * (size_t)n);
    for (int64_t i = 0; i < n; i++) x[i] = (float)draw_between(-2, 2);
    return x;
}

static double naive_distance(const float *x, const float *y, int64_t n_features) {
    double sum = 0;
    for (int64_t j = 0; j < n_features; j++) {
        const double difference = (double)x[j] - (double)y[j];
        sum += difference * difference;
    }
    return sum;
}

/* Rows start .. stop - 1 get their nearest centre, up to rounding of a tie; others keep theirs. */
static void check_assign(int64_t n_rows, int64_t d, int64_t k, int64_t start, int64_t stop) {
    float *points = draw_floats(n_rows * d), *centers = draw_floats(k * d);
    float *packed = allocate(sizeof(float) * (size_t)jp_kmeans_packed_size(d, k));
    float *distances = allocate(sizeof(float) * (size_t)n_rows);
    int32_t *labels = allocate(sizeof(int32_t) * (size_t)n_rows);
    for (int64_t i = 0; i < n_rows; i++) labels[i] = -7, distances[i] = -7;
    CHECK(jp_kmeans_pack(centers, d, k, packed) == JP_OK);
    CHECK(jp_kmeans_assign(points, d, centers, k, packed, start, stop, labels, distances) == JP_OK);
    for (int64_t i = 0; i < n_rows; i++) {
        if (i < start || i >= stop) {
            CHECK(labels[i] == -7 && distances[i] == -7);
            continue;
        }
        CHECK(labels[i] >= 0 && labels[i] < k);
        double least = INFINITY;
        for (int64_t s = 0; s < k; s++)
            least = fmin(least, naive_distance(points + i * d, centers + s * d, d));
        const double own = naive_distance(points + i * d, centers + labels[i] * d, d);
        CHECK_CLOSE(own, least, 1e-5);
        CHECK_CLOSE(distances[i], own, 1e-5);
    }
    free(points), free(centers), free(packed), free(distances), free(labels);
}

static void test_first_of_equal_centres_wins(void) {
    const float points[2] = {1, -1};
    float centers[2 * LANES + 1], packed[3 * 2 * LANES], distances[2];
    int32_t labels[2];
    for (int s = 0; s < 2 * LANES + 1; s++) centers[s] = s < 5 ? 3.0f : 1.0f;
    CHECK(jp_kmeans_pack(centers, 1, 2 * LANES + 1, packed) == JP_OK);
    CHECK(jp_kmeans_assign(points, 1, centers, 2 * LANES + 1, packed, 0, 2, labels, distances)
          == JP_OK);
    CHECK(labels[0] == 5 && distances[0] == 0 && labels[1] == 5 && distances[1] == 4);
}

static void check_nearer(int64_t n_rows, int64_t d) {
    float *points = draw_floats(n_rows * d), *center = draw_floats(d);
    float *distances = allocate(sizeof(float) * (size_t)n_rows);
    float *before = allocate(sizeof(float) * (size_t)n_rows);
    for (int64_t i = 0; i < n_rows; i++)
        before[i] = distances[i] = (float)draw_between(0, 2.0 * (double)d);
    CHECK(jp_kmeans_nearer(points, d, center, 0, n_rows, distances) == JP_OK);
    for (int64_t i = 0; i < n_rows; i++)
        CHECK_CLOSE(distances[i], fmin(before[i], naive_distance(points + i * d, center, d)), 1e-5);
    free(points), free(center), free(distances), free(before);
}

static void check_sums(int64_t n_rows, int64_t d, int64_t k) {
    float *points = draw_floats(n_rows * d);
    double *weight = allocate(sizeof(double) * (size_t)n_rows);
    int32_t *labels = allocate(sizeof(int32_t) * (size_t)n_rows);
    double *sums = allocate(sizeof(double) * (size_t)(k * d));
    double *mass = allocate(sizeof(double) * (size_t)k);
    for (int64_t i = 0; i < n_rows; i++)
        weight[i] = draw_between(0, 3), labels[i] = (int32_t)draw_below(k);
    for (int64_t i = 0; i < k * d; i++) sums[i] = 1; /* sums are added to */
    for (int64_t s = 0; s < k; s++) mass[s] = 1;
    CHECK(jp_kmeans_sums(points, d, weight, labels, k, 0, n_rows, sums, mass) == JP_OK);
    for (int64_t s = 0; s < k; s++) {
        double want_mass = 1;
        for (int64_t i = 0; i < n_rows; i++) want_mass += labels[i] == s ? weight[i] : 0;
        CHECK_CLOSE(mass[s], want_mass, 1e-12);
        for (int64_t j = 0; j < d; j++) {
            double want = 1;
            for (int64_t i = 0; i < n_rows; i++)
                want += labels[i] == s ? weight[i] * (double)points[i * d + j] : 0;
            CHECK_CLOSE(sums[s * d + j], want, 1e-12);
        }
    }
    if (n_rows > 0) {
        labels[n_rows - 1] = (int32_t)k;
        CHECK(jp_kmeans_sums(points, d, weight, labels, k, 0, n_rows, sums, mass) == JP_ERR_VALUE);
    }
    free(points), free(weight), free(labels), free(sums), free(mass);
}

/* ---- mutual information ---- */

typedef struct {
    int64_t n_rows, n_columns;
    int32_t n_states[MAX_COLUMNS];
    int32_t *labels; /* (n_columns, n_rows) */
    double *weight;  /* quarters, so that single precision counts them exactly */
} table;

static table draw_table(int64_t n_rows, int64_t most_states, int with_missing) {
    table t = {.n_rows = n_rows, .n_columns = MAX_COLUMNS};
    t.labels = allocate(sizeof(int32_t) * (size_t)(n_rows * MAX_COLUMNS));
    t.weight = allocate(sizeof(double) * (size_t)n_rows);
    for (int64_t i = 0; i < n_rows; i++) t.weight[i] = 0.25 * (double)(1 + draw_below(8));
    for (int64_t c = 0; c < t.n_columns; c++) {
        t.n_states[c] = c == 0 ? 1 : (int32_t)(1 + draw_below(most_states));
        for (int64_t i = 0; i < n_rows; i++) {
            int64_t label = draw_below(t.n_states[c]);
            if (c > 1 && draw_uniform() < 0.5) /* columns that depend on one another */
                label = (t.labels[(c - 1) * n_rows + i] + 1) % t.n_states[c];
            /* the column without states to choose from is complete, as is every second one */
            const int gone = with_missing && c % 2 == 1 && draw_uniform() < 0.2;
            t.labels[c * n_rows + i] = gone ? -1 : (int32_t)label;
        }
    }
    return t;
}

static void free_table(table *t) { free(t->labels), free(t->weight); }

static double x_log_x(double x) { return x > 0 ? x * log(x) : 0; }

/* N I(i; j) - (K_ij - K_i - K_j + 1) / 2 and N, from every pair of labels that are both known. */
static void naive_information(const table *t, int64_t i, int64_t j, double *information,
                              double *mass) {
    double pair[MAX_STATES][MAX_STATES] = {{0}}, left[MAX_STATES] = {0}, right[MAX_STATES] = {0};
    double total = 0, sum = 0;
    int64_t occurring = 1;
    for (int64_t r = 0; r < t->n_rows; r++) {
        const int32_t a = t->labels[i * t->n_rows + r], b = t->labels[j * t->n_rows + r];
        if (a < 0 || b < 0) continue;
        pair[a][b] += t->weight[r], left[a] += t->weight[r], right[b] += t->weight[r];
        total += t->weight[r];
    }
    for (int a = 0; a < MAX_STATES; a++) {
        for (int b = 0; b < MAX_STATES; b++) sum += x_log_x(pair[a][b]), occurring += pair[a][b] > 0;
        sum -= x_log_x(left[a]) + x_log_x(right[a]);
        occurring -= (left[a] > 0) + (right[a] > 0);
    }
    *mass = total;
    *information = total > 0 ? sum + x_log_x(total) - (double)occurring / 2 : 0;
}

static void check_information(const table *t, const double *information, const double *mass) {
    for (int64_t i = 0; i < t->n_columns; i++)
        for (int64_t j = 0; j < t->n_columns; j++) {
            double want_information = 0, want_mass = 0;
            if (j >= i) naive_information(t, i, j, &want_information, &want_mass);
            CHECK_CLOSE(mass[i * t->n_columns + j], want_mass, 1e-9);
            CHECK_CLOSE(information[i * t->n_columns + j], want_information, 1e-9);
        }
}

static void check_scatter(const table *t) {
    double information[MAX_COLUMNS * MAX_COLUMNS] = {0}, mass[MAX_COLUMNS * MAX_COLUMNS] = {0};
    double *work = allocate(sizeof(double) * (MAX_STATES + 1) * (MAX_STATES + 2));
    for (int64_t start = 0; start < t->n_columns; start += 2) { /* by ranges of columns */
        const int64_t stop = start + 2 < t->n_columns ? start + 2 : t->n_columns;
        CHECK(jp_information_scatter(t->labels, t->n_rows, t->n_states, t->n_columns, t->weight,
                                     start, stop, work, information, mass) == JP_OK);
    }
    check_information(t, information, mass);
    free(work);
}

/* Indicator 0 is one; then for each column "known", if some label is missing, and its states. */
static int64_t place_indicators(const table *t, int64_t *first, int64_t *known) {
    int64_t next = 1;
    for (int64_t c = 0; c < t->n_columns; c++) {
        int some_missing = 0;
        for (int64_t r = 0; r < t->n_rows; r++) some_missing |= t->labels[c * t->n_rows + r] < 0;
        known[c] = some_missing ? next++ : 0;
        first[c] = next;
        next += t->n_states[c] - 1;
    }
    return (next + LANES - 1) / LANES * LANES;
}

static void add_block(const table *t, const int64_t *first, const int64_t *known,
                      int64_t n_indicators, int64_t start, int64_t depth, double *gram) {
    float *plain = allocate(sizeof(float) * (size_t)(n_indicators * depth));
    float *weighted = allocate(sizeof(float) * (size_t)(n_indicators * depth));
    CHECK(jp_indicators(t->labels, t->n_rows, t->n_states, t->n_columns, first, known, t->weight,
                        n_indicators, start, depth, plain, weighted) == JP_OK);
    for (int64_t panel = 0; panel < n_indicators / LANES; panel++)
        CHECK(jp_indicator_gram(plain, weighted, n_indicators, depth, panel, panel + 1, gram)
              == JP_OK);
    free(plain), free(weighted);
}

static void check_gram(const table *t, int64_t block_rows) {
    int64_t first[MAX_COLUMNS], known[MAX_COLUMNS];
    double information[MAX_COLUMNS * MAX_COLUMNS] = {0}, mass[MAX_COLUMNS * MAX_COLUMNS] = {0};
    const int64_t n_indicators = place_indicators(t, first, known);
    double *gram = calloc((size_t)(n_indicators * n_indicators), sizeof(double));
    double *work = allocate(sizeof(double) * (MAX_STATES + 1) * (MAX_STATES + 2));
    CHECK(gram != NULL);
    for (int64_t start = 0; start < t->n_rows; start += block_rows) {
        const int64_t left = t->n_rows - start;
        add_block(t, first, known, n_indicators, start, left < block_rows ? left : block_rows, gram);
    }
    CHECK(jp_information_gram(gram, n_indicators, t->n_states, t->n_columns, first, known, 0.125, 0,
                              t->n_columns, work, information, mass) == JP_OK);
    check_information(t, information, mass);
    free(gram), free(work);
}

static void test_bad_sizes(void) {
    const float x[1] = {0};
    float packed[2 * LANES], distances[1];
    int32_t labels[1];
    CHECK(jp_kmeans_packed_size(1, 1) == 2 * LANES);
    CHECK(jp_kmeans_pack(x, 1, 0, packed) == JP_ERR_SIZE);
    CHECK(jp_kmeans_assign(x, 1, x, 0, packed, 0, 1, labels, distances) == JP_ERR_SIZE);
    CHECK(jp_kmeans_assign(x, 1, x, 1, packed, -1, 1, labels, distances) == JP_ERR_SIZE);
    CHECK(jp_kmeans_nearer(x, -1, x, 0, 1, distances) == JP_ERR_SIZE);
}

int main(void) {
    static const int64_t n_rows[] = {0, 1, 15, 16, 33, 70}, n_features[] = {1, 3, 16, 37};
    static const int64_t n_subsets[] = {1, 2, 31, 32, 33, 65};
    for (int r = 0; r < 6; r++) {
        for (int f = 0; f < 4; f++) {
            for (int s = 0; s < 6; s++) {
                const int64_t n = n_rows[r];
                check_assign(n, n_features[f], n_subsets[s], 0, n);
                check_assign(n, n_features[f], n_subsets[s], n / 3, n - n / 4);
                check_sums(n, n_features[f], n_subsets[s]);
            }
            check_nearer(n_rows[r], n_features[f]);
        }
        for (int missing = 0; missing < 2; missing++)
            for (int64_t states = 1; states <= MAX_STATES; states += 13) {
                table t = draw_table(n_rows[r], states, missing);
                check_scatter(&t);
                check_gram(&t, 16);
                check_gram(&t, 1000);
                free_table(&t);
            }
    }
    test_first_of_equal_centres_wins();
    test_bad_sizes();
    puts("partition: passed");
    return 0;
}
