/* The encode kernels against one row at a time with libm. */
#include "encode.h"

#include "check.h"
#include "draw.h"
#include "jp.h"

enum { MAX_PIECES = 40, MAX_KEYS = 64 };

typedef struct {
    double keys[MAX_KEYS];
    jp_piece pieces[MAX_PIECES];
    jp_tail tails[2];
    jp_marginal marginal;
} problem;

/* A piece through (x0, z0) and (x0 + dx, z0 + rise) whose end slopes, in units of t, keep it
   increasing: both below three times the rise (Fritsch and Carlson, doi:10.1137/0717021). */
static jp_piece draw_piece(double x0, double z0, double dx, double rise) {
    const double first = rise * draw_between(0.1, 2.0), last = rise * draw_between(0.1, 2.0);
    return (jp_piece){.x0 = x0, .dx = dx, .inv_dx = 1 / dx, .log_inv_dx = -log(dx), .z0 = z0,
                      .c1 = first, .c2 = 3 * rise - 2 * first - last,
                      .c3 = first + last - 2 * rise};
}

static void draw_problem(problem *p, int64_t n_pieces) {
    double x = -2.0, z = -2.5;
    int64_t n_keys = 1;
    while (n_keys < n_pieces) n_keys *= 2;
    for (int64_t i = 0; i < n_keys; i++) p->keys[i] = INFINITY;
    p->tails[0] = (jp_tail){.x = x, .z = z, .slope = 0.8, .scale = 0.5};
    for (int64_t i = 0; i < n_pieces; i++) {
        const double dx = draw_between(0.01, 0.5), rise = draw_between(0.01, 0.4);
        p->keys[i] = x;
        p->pieces[i] = draw_piece(x, z, dx, rise);
        x += dx, z += rise;
    }
    p->tails[1] = (jp_tail){.x = x, .z = z, .slope = 1.3, .scale = 0.7};
    p->marginal = (jp_marginal){p->keys, n_keys, p->pieces, n_pieces, p->tails};
}

static void naive_forward(const problem *p, double x, double *z, double *log_slope) {
    const jp_tail *lower = p->tails, *upper = p->tails + 1;
    *z = *log_slope = NAN;
    if (isnan(x)) return;
    if (x < lower->x || x > upper->x) {
        const jp_tail *tail = x < lower->x ? lower : upper;
        const double stretch = log(1 + tail->slope * fabs(x - tail->x) / tail->scale);
        *z = tail->z + (x < lower->x ? -1 : 1) * tail->scale * stretch;
        *log_slope = log(tail->slope) - stretch;
        return;
    }
    int64_t i = p->marginal.n_pieces - 1;
    while (i > 0 && p->pieces[i].x0 > x) i--;
    const jp_piece *q = p->pieces + i;
    const double t = (x - q->x0) / q->dx;
    *z = q->z0 + q->c1 * t + q->c2 * t * t + q->c3 * t * t * t;
    *log_slope = log((q->c1 + 2 * q->c2 * t + 3 * q->c3 * t * t) / q->dx);
}

/* Inside, both tails, every knot, and now and then a missing cell. */
static double *draw_values(const problem *p, int64_t n_rows) {
    const double low = p->tails[0].x, high = p->tails[1].x;
    double *x = allocate(sizeof(double) * (size_t)n_rows);
    for (int64_t i = 0; i < n_rows; i++) {
        x[i] = draw_between(low - 1, high + 1);
        if (i % 7 == 3) x[i] = p->pieces[draw_below(p->marginal.n_pieces)].x0;
        if (i % 11 == 5) x[i] = NAN;
        if (i % 13 == 9) x[i] = draw_uniform() < 0.5 ? low : high;
    }
    return x;
}

static int same(double got, double want) {
    return isnan(want) ? isnan(got) : fabs(got - want) <= 1e-9 * (1 + fabs(want));
}

static void check_forward(const problem *p, int64_t n_rows, int64_t start, int64_t stop) {
    double *x = draw_values(p, n_rows);
    double *z = allocate(sizeof(double) * (size_t)n_rows);
    double *log_slope = allocate(sizeof(double) * (size_t)n_rows);
    for (int64_t i = 0; i < n_rows; i++) z[i] = log_slope[i] = 77.0;
    CHECK(jp_encode_forward(x, start, stop, &p->marginal, z, log_slope) == JP_OK);
    for (int64_t i = 0; i < n_rows; i++) {
        double want_z = 77.0, want_slope = 77.0; /* rows of other calls stay untouched */
        if (i >= start && i < stop) naive_forward(p, x[i], &want_z, &want_slope);
        CHECK(same(z[i], want_z) && same(log_slope[i], want_slope));
    }
    free(x), free(z), free(log_slope);
}

static void check_round_trip(const problem *p, int64_t n_rows) {
    double *x = draw_values(p, n_rows);
    double *z = allocate(sizeof(double) * (size_t)n_rows);
    double *back = allocate(sizeof(double) * (size_t)n_rows);
    for (int64_t i = 0; i < n_rows; i++) {
        double log_slope;
        naive_forward(p, x[i], z + i, &log_slope);
    }
    CHECK(jp_encode_inverse(z, 0, n_rows, &p->marginal, back) == JP_OK);
    for (int64_t i = 0; i < n_rows; i++) CHECK(same(back[i], x[i]));
    free(x), free(z), free(back);
}

/* Column 2 of 3 codes and column 1 of 4 of z, with atoms at one knot and at one value between. */
static void check_column(const problem *p, int64_t n_rows, int with_atoms) {
    const double atoms[2] = {p->pieces[0].x0, p->tails[1].x + 0.25};
    double *x = draw_values(p, n_rows);
    double *log_jacobian = allocate(sizeof(double) * (size_t)n_rows);
    float *z = allocate(sizeof(float) * 4 * (size_t)n_rows);
    int32_t *codes = allocate(sizeof(int32_t) * 3 * (size_t)n_rows);
    for (int64_t i = 0; i < n_rows; i++) log_jacobian[i] = 100.0 + (double)i;
    for (int64_t i = 0; i < 4 * n_rows; i++) z[i] = 77.0f;
    for (int64_t i = 0; i < 3 * n_rows; i++) codes[i] = 77;
    for (int64_t i = 0; i < n_rows; i += 5) x[i] = atoms[(i / 5) % 2];
    int32_t *column = with_atoms && n_rows > 0 ? codes + 2 : NULL;
    float *z_column = n_rows > 0 ? z + 1 : z;
    CHECK(jp_encode_column(x, 0, n_rows, &p->marginal, atoms, with_atoms ? 2 : 0, column, 3,
                           z_column, 4, log_jacobian) == JP_OK);
    for (int64_t i = 0; i < n_rows; i++) {
        int32_t code = isnan(x[i]) ? -1 : 0;
        for (int a = 0; a < 2; a++)
            if (x[i] == atoms[a]) code = a + 1;
        const int continuous = code == 0 || (code > 0 && !with_atoms);
        double want_z, want_slope;
        naive_forward(p, continuous ? x[i] : NAN, &want_z, &want_slope);
        CHECK(codes[3 * i + 2] == (with_atoms ? code : 77));
        CHECK(continuous ? fabs(z[4 * i + 1] - want_z) < 1e-5 : isnan(z[4 * i + 1]));
        CHECK(same(log_jacobian[i], 100.0 + (double)i + (continuous ? want_slope : 0.0)));
        CHECK(codes[3 * i] == 77 && z[4 * i] == 77.0f && z[4 * i + 2] == 77.0f);
    }
    free(x), free(log_jacobian), free(z), free(codes);
}

/* Infinities are clipped, not spread: z is finite, and huge values come back within the clip. */
static void test_extremes(const problem *p) {
    const double x[4] = {INFINITY, -INFINITY, 1e300, -1e300};
    const double huge_z[2] = {1e6, -1e6};
    double z[4], log_slope[4], back[2];
    CHECK(jp_encode_forward(x, 0, 4, &p->marginal, z, log_slope) == JP_OK);
    for (int i = 0; i < 4; i++) CHECK(isfinite(z[i]) && isfinite(log_slope[i]));
    CHECK(z[0] == z[2] && z[1] == z[3]);
    CHECK(jp_encode_inverse(huge_z, 0, 2, &p->marginal, back) == JP_OK);
    CHECK(back[0] == 1e300 && back[1] == -1e300);
}

static void test_bad_sizes(const problem *p) {
    const double x[1] = {0};
    double z[1], log_slope[1];
    jp_marginal bad = p->marginal;
    CHECK(jp_encode_forward(x, 1, 0, &bad, z, log_slope) == JP_ERR_SIZE);
    CHECK(jp_encode_inverse(x, -1, 0, &bad, z) == JP_ERR_SIZE);
    bad.n_keys = 3;
    CHECK(jp_encode_forward(x, 0, 1, &bad, z, log_slope) == JP_ERR_SIZE);
    bad.n_keys = 1, bad.n_pieces = 2;
    CHECK(jp_encode_forward(x, 0, 1, &bad, z, log_slope) == JP_ERR_SIZE);
}

int main(void) {
    static const int64_t n_rows[] = {0, 1, 15, 16, 17, 127, 128, 129, 300};
    static const int64_t n_pieces[] = {1, 2, 3, 8, 33, MAX_PIECES};
    problem p;
    for (int k = 0; k < 6; k++) {
        draw_problem(&p, n_pieces[k]);
        for (int i = 0; i < 9; i++) {
            check_forward(&p, n_rows[i], 0, n_rows[i]);
            check_forward(&p, n_rows[i], n_rows[i] / 3, n_rows[i] - n_rows[i] / 4);
            check_round_trip(&p, n_rows[i]);
            check_column(&p, n_rows[i], 0);
            check_column(&p, n_rows[i], 1);
        }
        test_extremes(&p);
        test_bad_sizes(&p);
    }
    puts("encode: passed");
    return 0;
}
