#include "query.h"
#include "philox.h"

#include <math.h>
#include <string.h>

enum { MAX = JP_MAX_QUERY_COLUMNS };
static const double HALF_LOG_2PI = 0.9189385332046727;

int64_t jp_query_work_size(const jp_states *states)
{
    int64_t d = states->n_columns;
    return states->n_states * (d * d + 3 * d + 2) + d * d;
}

/* ---- factors ------------------------------------------------------------------------------ */

/* factor (m, m): lower Cholesky factor of state s's covariance of columns index[0..m). */
JP_INLINE void factorise(const jp_states *g, int64_t s, const int64_t *index, int64_t m, double *factor)
{
    int64_t d = g->n_columns;
    const double *covariance = g->covariance + s * d * d;
    for (int64_t i = 0; i < m; i++) {
        double *row = factor + i * m;
        for (int64_t j = 0; j <= i; j++) {
            const double *other = factor + j * m;
            double sum = covariance[index[i] * d + index[j]];
            for (int64_t k = 0; k < j; k++) sum -= row[k] * other[k];
            row[j] = i == j ? sqrt(sum > 1e-12 ? sum : 1e-12) : sum / other[j];
        }
    }
}

/* One state's factor under one choice of known and wanted columns. */
typedef struct {
    int64_t state, n_known, n_columns;
    uint64_t known;
    int64_t index[MAX]; /* known columns, then wanted ones */
    double *factor;     /* (n_columns, n_columns) */
} conditioner;

/* y = L_oo^-1 (x - mean) of the known cells; shift = conditional mean of the wanted columns. */
JP_INLINE void shift_means(const jp_states *g, const conditioner *c, const double *x, double *shift)
{
    double y[MAX];
    const double *mean = g->mean + c->state * g->n_columns;
    int64_t m = c->n_columns;
    for (int64_t i = 0; i < m; i++) {
        const double *row = c->factor + i * m;
        int64_t n = i < c->n_known ? i : c->n_known;
        double sum = 0;
        for (int64_t k = 0; k < n; k++) sum += row[k] * y[k];
        if (i < c->n_known)
            y[i] = (x[c->index[i]] - mean[c->index[i]] - sum) / row[i];
        else
            shift[i - c->n_known] = mean[c->index[i]] + sum;
    }
}

JP_INLINE void turn_to(const jp_states *g, conditioner *c, int64_t state, uint64_t known,
                       const int64_t *target, int64_t n_targets)
{
    if (c->state == state && c->known == known) return;
    c->state = state, c->known = known, c->n_known = 0;
    for (int64_t j = 0; j < g->n_columns; j++)
        if (known >> j & 1) c->index[c->n_known++] = j;
    for (int64_t j = 0; j < n_targets; j++) c->index[c->n_known + j] = target[j];
    c->n_columns = c->n_known + n_targets;
    factorise(g, state, c->index, c->n_columns, c->factor);
}

/* ---- conditionals and draws ---------------------------------------------------------------- */

JP_CLONES
int jp_condition_gaussian(const jp_states *states, const float *z, const int64_t *rows,
                          const int32_t *state, const int64_t *order, const int64_t *target,
                          int64_t n_targets, int64_t start, int64_t stop, double *work, double *mean,
                          double *factor)
{
    int64_t d = states->n_columns, t = n_targets;
    conditioner c = {.state = -1, .factor = work};
    uint64_t wanted = 0;
    double x[MAX];
    if (d > MAX || t > d) return JP_ERR_SIZE;
    for (int64_t j = 0; j < t; j++) wanted |= (uint64_t)1 << target[j];
    for (int64_t i = start; i < stop; i++) {
        int64_t pair = order[i];
        const float *cells = z + rows[pair] * d;
        uint64_t known = 0;
        for (int64_t j = 0; j < d; j++) {
            x[j] = (double)cells[j];
            known |= (uint64_t)(cells[j] == cells[j]) << j;
        }
        turn_to(states, &c, state[pair], known & ~wanted, target, t);
        shift_means(states, &c, x, mean + pair * t);
        for (int64_t a = 0; a < t; a++)
            for (int64_t b = 0; b < t; b++)
                factor[(pair * t + a) * t + b] =
                    b <= a ? c.factor[(c.n_known + a) * c.n_columns + c.n_known + b] : 0;
    }
    return JP_OK;
}

JP_CLONES
int jp_draw_gaussian(const jp_states *states, const double *z, const int32_t *state, const int64_t *order,
                     const double *normal, int64_t start, int64_t stop, double *work, double *out)
{
    int64_t d = states->n_columns, target[MAX];
    conditioner c = {.state = -1, .factor = work};
    double shift[MAX];
    if (d > MAX) return JP_ERR_SIZE;
    for (int64_t i = start; i < stop; i++) {
        int64_t row = order[i], t = 0;
        const double *x = z + row * d;
        uint64_t known = 0;
        for (int64_t j = 0; j < d; j++) {
            if (x[j] == x[j]) known |= (uint64_t)1 << j;
            else target[t++] = j;
            out[row * d + j] = x[j];
        }
        turn_to(states, &c, state[row], known, target, t);
        shift_means(states, &c, x, shift);
        for (int64_t a = 0; a < t; a++) {
            const double *pull = c.factor + (c.n_known + a) * c.n_columns + c.n_known;
            for (int64_t b = 0; b <= a; b++) shift[a] += pull[b] * normal[row * d + target[b]];
            out[row * d + target[a]] = shift[a];
        }
    }
    return JP_OK;
}

/* ---- leaving one cell out ------------------------------------------------------------------ */

/* In place: lower factor -> its inverse, also lower. */
JP_INLINE void invert_lower(int64_t m, double *a)
{
    for (int64_t i = 0; i < m; i++) {
        double row[MAX] = {0};
        for (int64_t k = 0; k < i; k++)
            for (int64_t j = 0; j <= k; j++) row[j] += a[i * m + k] * a[k * m + j];
        for (int64_t j = 0; j < i; j++) a[i * m + j] = -row[j] / a[i * m + i];
        a[i * m + i] = 1 / a[i * m + i];
    }
}

/* All states under one missing pattern. */
typedef struct {
    int64_t d;          /* known columns */
    int64_t index[MAX];
    double *whitening;  /* (n_states, d, d) inverse Cholesky factor */
    double *precision;  /* (n_states, d) diagonal of the precision */
    double *alone;      /* (n_states, d) log density of a cell at its conditional mean */
    double *log_norm;   /* (n_states) */
    double *term;       /* (d + 1, n_states) log terms of one row's sums */
} pattern_states;

JP_INLINE void whiten_states(const jp_states *g, pattern_states *p)
{
    int64_t d = p->d;
    for (int64_t s = 0; s < g->n_states; s++) {
        double *w = p->whitening + s * d * d, *precision = p->precision + s * d;
        factorise(g, s, p->index, d, w);
        invert_lower(d, w);
        p->log_norm[s] = -HALF_LOG_2PI * (double)d;
        memset(precision, 0, (size_t)d * sizeof(double));
        for (int64_t i = 0; i < d; i++) {
            p->log_norm[s] += log(w[i * d + i]);
            for (int64_t j = 0; j <= i; j++) precision[j] += w[i * d + j] * w[i * d + j];
        }
        for (int64_t j = 0; j < d; j++) p->alone[s * d + j] = 0.5 * log(precision[j]) - HALF_LOG_2PI;
    }
}

/* term[0, s] = log prior + log N(x), term[1 + j, s] = the same less log N(x_j | the other cells), which has
   variance 1 / precision_jj and residual pull_j / precision_jj. */
JP_INLINE void row_terms(const jp_states *g, const pattern_states *p, const float *cells, const float *prior)
{
    int64_t d = p->d, h = g->n_states;
    for (int64_t s = 0; s < h; s++) {
        const double *w = p->whitening + s * d * d, *mean = g->mean + s * g->n_columns;
        double centred[MAX], pull[MAX] = {0}, square = 0;
        for (int64_t j = 0; j < d; j++) centred[j] = (double)cells[p->index[j]] - mean[p->index[j]];
        for (int64_t i = 0; i < d; i++) {
            double y = 0;
#pragma omp simd reduction(+ : y)
            for (int64_t j = 0; j <= i; j++) y += w[i * d + j] * centred[j];
#pragma omp simd
            for (int64_t j = 0; j <= i; j++) pull[j] += w[i * d + j] * y;
            square += y * y;
        }
        double whole = p->log_norm[s] - 0.5 * square + log((double)prior[s]);
        p->term[s] = whole;
        for (int64_t j = 0; j < d; j++) {
            double precision = p->precision[s * d + j];
            p->term[(1 + j) * h + s] = whole - p->alone[s * d + j] + 0.5 * pull[j] * pull[j] / precision;
        }
    }
}

static double log_sum_exp(const double *x, int64_t n)
{
    double top = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++) top = x[i] > top ? x[i] : top;
    if (!(top > -INFINITY)) return top;
    for (int64_t i = 0; i < n; i++)
        if (x[i] > top - 40) sum += exp(x[i] - top); /* the rest is below the last bit */
    return top + log(sum);
}

JP_CLONES
int jp_leave_one_out(const jp_states *states, const float *z, const int64_t *order, const float *prior,
                     int64_t n_prior, int64_t prior_at, int64_t start, int64_t stop, double *work,
                     double *whole, double *rest)
{
    int64_t d = states->n_columns, h = states->n_states;
    pattern_states p = {.d = -1};
    uint64_t last = 0;
    if (d > MAX) return JP_ERR_SIZE;
    p.whitening = work, p.precision = p.whitening + h * d * d;
    p.alone = p.precision + h * d, p.log_norm = p.alone + h * d, p.term = p.log_norm + h;
    for (int64_t i = start; i < stop; i++) {
        int64_t row = order[i];
        const float *cells = z + row * d;
        uint64_t known = 0;
        for (int64_t j = 0; j < d; j++) known |= (uint64_t)(cells[j] == cells[j]) << j;
        if (p.d < 0 || known != last) {
            p.d = 0, last = known;
            for (int64_t j = 0; j < d; j++)
                if (known >> j & 1) p.index[p.d++] = j;
            whiten_states(states, &p);
        }
        row_terms(states, &p, cells, prior + row * n_prior + prior_at);
        whole[row] = log_sum_exp(p.term, h);
        for (int64_t j = 0; j < d; j++) rest[row * d + j] = NAN;
        for (int64_t j = 0; j < p.d; j++) rest[row * d + p.index[j]] = log_sum_exp(p.term + (1 + j) * h, h);
    }
    return JP_OK;
}

/* ---- random numbers ------------------------------------------------------------------------ */

int jp_query_uniform(uint64_t seed, const uint64_t *key, int64_t n_draws, int64_t start, int64_t stop,
                     double *out)
{
    const uint64_t seeds[2] = {seed, 0};
    for (int64_t i = start; i < stop; i++)
        for (int64_t draw = 0; draw < n_draws; draw += 4) {
            jp_philox64 words = jp_draw64((int64_t)key[i], draw / 4, JP_STAGE_QUERY, seeds);
            int64_t n = n_draws - draw < 4 ? n_draws - draw : 4;
            for (int64_t k = 0; k < n; k++) out[i * n_draws + draw + k] = jp_uniform_open(words.word[k]);
        }
    return JP_OK;
}
