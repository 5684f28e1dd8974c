/* Losses of boosted trees: their slopes, and the steps of leaves. */
#include <math.h>
#include <string.h>

#include "exp.h"
#include "forest_node.h"

enum { LEAST_EXPONENT = -80, BLOCK = 256 };

static const float LEAST_CURVATURE = 1e-6f;

JP_INLINE float larger(float a, float b) { return a > b ? a : b; }

/* ---- slopes ---- */

/* x = exp(x) for x <= 0. The bound has a loop of its own: the compiler would branch on it in the
   other, which then is no vectors' any more. */
JP_INLINE void exponentials(float *restrict x, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) x[i] = larger(x[i], LEAST_EXPONENT);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) x[i] = jp_exp_negative(x[i]);
}

JP_CLONES
static void two_classes(const uint16_t *restrict label, const float *restrict weight,
                        const float *restrict scores, int64_t n, float *restrict slopes)
{
    float e[BLOCK];
#pragma omp simd
    for (int64_t i = 0; i < n; i++) e[i] = scores[i] > 0 ? -scores[i] : scores[i];
    exponentials(e, n);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float p = (scores[i] > 0 ? 1.0f : e[i]) / (1 + e[i]);
        slopes[2 * i] = weight[i] * (p - (float)label[i]);
        slopes[2 * i + 1] = weight[i] * larger(p * (1 - p), LEAST_CURVATURE);
    }
}

/* p (n_scores) = shares of the classes. */
JP_INLINE void softmax(const float *restrict scores, int64_t n_scores, float *restrict p)
{
    float most = scores[0], total = 0;
#pragma omp simd reduction(max : most)
    for (int64_t k = 0; k < n_scores; k++) most = larger(most, scores[k]);
#pragma omp simd
    for (int64_t k = 0; k < n_scores; k++) p[k] = scores[k] - most;
    exponentials(p, n_scores);
#pragma omp simd reduction(+ : total)
    for (int64_t k = 0; k < n_scores; k++) total += p[k];
    float scale = 1 / total;
#pragma omp simd
    for (int64_t k = 0; k < n_scores; k++) p[k] *= scale;
}

typedef float slopes8 __attribute__((vector_size(32), aligned(4), may_alias));

/* slopes (JP_SLOPES_MANY) = gradient times sketch; chains of additions that need not wait. */
JP_INLINE void project(const float *restrict gradient, const float *restrict sketch,
                       int64_t n_scores, float *restrict slopes)
{
    const slopes8 *s = (const slopes8 *)sketch;
    slopes8 a = {0}, b = {0}, c = {0}, d = {0};
    int64_t k = 0;
    for (; k + 4 <= n_scores; k += 4) {
        a += gradient[k] * s[k];
        b += gradient[k + 1] * s[k + 1];
        c += gradient[k + 2] * s[k + 2];
        d += gradient[k + 3] * s[k + 3];
    }
    for (; k < n_scores; k++) a += gradient[k] * s[k];
    *(slopes8 *)slopes = (a + b) + (c + d);
}

JP_CLONES
static void many_classes(const uint16_t *restrict label, const float *restrict weight,
                         const float *restrict scores, int64_t n_scores, int64_t n,
                         const float *restrict sketch, float *restrict gradient,
                         float *restrict curvature, float *restrict slopes)
{
    for (int64_t i = 0; i < n; i++) {
        float *restrict g = gradient + i * n_scores, *restrict h = curvature + i * n_scores;
        float *restrict out = slopes + i * JP_SLOPES_MANY, w = weight[i];
        softmax(scores + i * n_scores, n_scores, g);
#pragma omp simd
        for (int64_t k = 0; k < n_scores; k++) {
            h[k] = w * larger(g[k] * (1 - g[k]), LEAST_CURVATURE);
            g[k] *= w;
        }
        g[label[i]] -= w;
        project(g, sketch, n_scores, out);
        out[JP_SLOPES_MANY - 1] = w;
    }
}

int jp_boost_log_loss(const uint16_t *restrict label, const float *restrict weight,
                      const float *restrict scores, int64_t n_scores, int64_t start, int64_t stop,
                      const float *restrict sketch, float *restrict gradient,
                      float *restrict curvature, float *restrict slopes)
{
    if (start < 0 || stop < start || n_scores < 1 || (n_scores > 1 && !sketch)) return JP_ERR_SIZE;
    int64_t first = start * n_scores;
    for (int64_t i = start; i < stop; i++)
        if (label[i] >= (n_scores > 1 ? n_scores : 2)) return JP_ERR_VALUE;
    for (int64_t i = start; n_scores == 1 && i < stop; i += BLOCK)
        two_classes(label + i, weight + i, scores + i, stop - i < BLOCK ? stop - i : BLOCK,
                    slopes + i * JP_SLOPES_ONE);
    if (n_scores > 1)
        many_classes(label + start, weight + start, scores + first, n_scores, stop - start, sketch,
                     gradient + first, curvature + first, slopes + start * JP_SLOPES_MANY);
    return JP_OK;
}

JP_CLONES
int jp_boost_square_loss(const float *restrict target, const float *restrict weight,
                         const float *restrict scores, int64_t start, int64_t stop,
                         float *restrict slopes)
{
    if (start < 0 || stop < start) return JP_ERR_SIZE;
#pragma omp simd
    for (int64_t i = start; i < stop; i++) {
        slopes[2 * i] = weight[i] * (scores[i] - target[i]);
        slopes[2 * i + 1] = weight[i];
    }
    return JP_OK;
}

/* ---- steps of leaves ---- */

JP_INLINE float newton_step(double slope, double curve, double penalty, double rate, double most)
{
    double step = -slope / (curve + penalty);
    return (float)(rate * (step > most ? most : step < -most ? -most : step));
}

int jp_boost_steps(const jp_grown *tree, double penalty, double rate, double most,
                   float *restrict values)
{
    if (tree->n_outputs != 2) return JP_ERR_SIZE;
    for (int64_t i = 0; i < tree->n_nodes; i++) {
        const jp_node *node = tree->node + i;
        const float *own = tree->value + 2 * i;
        if (node->child == i)
            values[node->u.leaf] = newton_step(own[1], own[0], penalty, rate, most);
    }
    return JP_OK;
}

JP_CLONES
int jp_boost_leaf_values(const int32_t *restrict leaf_of, int64_t n_rows,
                         const float *restrict gradient, const float *restrict curvature,
                         int64_t n_scores, int64_t n_leaves, double penalty, double rate,
                         double most, double *restrict work, float *restrict values)
{
    if (n_rows < 0 || n_scores < 1 || n_leaves < 1) return JP_ERR_SIZE;
    double *slopes = work, *curves = work + n_leaves * n_scores;
    memset(work, 0, (size_t)(2 * n_leaves * n_scores) * sizeof *work);
    for (int64_t i = 0; i < n_rows; i++) {
        double *restrict slope = slopes + (int64_t)leaf_of[i] * n_scores;
        double *restrict curve = curves + (int64_t)leaf_of[i] * n_scores;
        const float *restrict g = gradient + i * n_scores, *restrict h = curvature + i * n_scores;
#pragma omp simd
        for (int64_t k = 0; k < n_scores; k++) {
            slope[k] += g[k];
            curve[k] += h[k];
        }
    }
    for (int64_t i = 0; i < n_leaves * n_scores; i++)
        values[i] = newton_step(slopes[i], curves[i], penalty, rate, most);
    return JP_OK;
}

JP_CLONES
int jp_boost_move(const int32_t *restrict leaf_of, const float *restrict values, int64_t n_scores,
                  int64_t start, int64_t stop, float *restrict scores)
{
    if (start < 0 || stop < start || n_scores < 1) return JP_ERR_SIZE;
    if (n_scores == 1) {
        for (int64_t i = start; i < stop; i++) scores[i] += values[leaf_of[i]];
        return JP_OK;
    }
    for (int64_t i = start; i < stop; i++) {
        const float *restrict step = values + (int64_t)leaf_of[i] * n_scores;
        float *restrict own = scores + i * n_scores;
#pragma omp simd
        for (int64_t k = 0; k < n_scores; k++) own[k] += step[k];
    }
    return JP_OK;
}
