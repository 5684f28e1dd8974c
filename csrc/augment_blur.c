/* Gaussian blur: every row is filtered along itself once into a ring of rows, of which columns are then
   filtered. */

#include "augment_filter.h"
#include "augment_move.h"

#include <math.h>

int64_t jp_blur_weights(double sigma, float *weight)
{
    const double wanted = rint(3 * sigma);
    const int64_t radius = wanted < JP_BLUR_LARGEST ? (int64_t)wanted : JP_BLUR_LARGEST;
    double sum = 1;
    for (int64_t i = 1; i <= radius; i++) sum += 2 * exp(-0.5 * (double)(i * i) / (sigma * sigma));
    weight[0] = (float)(1 / sum);
    for (int64_t i = 1; i <= radius; i++)
        weight[i] = (float)(exp(-0.5 * (double)(i * i) / (sigma * sigma)) / sum);
    return radius;
}

int64_t jp_blur_scratch(int64_t width, int64_t channels, int64_t radius)
{
    return (2 * radius + 2) * width * channels + (width + 2 * radius) * channels;
}

/* One line of floats with `radius` pixels of border on either side. */
JP_INLINE void pad_row(const void *x, int32_t type, int64_t width, int64_t channels, int64_t radius,
                       int32_t border, float *out)
{
    float *inside = out + radius * channels;
    jp_row_to_float(x, type, width * channels, inside);
    for (int64_t i = -radius; i < width + radius; i++) {
        if (i == 0) i = width;
        if (i == width + radius) break;
        const int64_t from = jp_augment_border(i, 0, width, border);
        for (int64_t k = 0; k < channels; k++)
            inside[i * channels + k] = from < 0 ? 0 : inside[from * channels + k];
    }
}

/* out = w[0] centre + sum of w[t] (before[t] + after[t]); two pairs at a time spare passes over out. */
JP_INLINE void add_pair(const float *restrict a, const float *restrict b, float w, int64_t n,
                        float *restrict out)
{
    for (int64_t i = 0; i < n; i++) out[i] += w * (a[i] + b[i]);
}

JP_INLINE void add_pairs(const float *restrict a, const float *restrict b, float w,
                         const float *restrict c, const float *restrict d, float v, int64_t n,
                         float *restrict out)
{
    for (int64_t i = 0; i < n; i++) out[i] = out[i] + w * (a[i] + b[i]) + v * (c[i] + d[i]);
}

JP_INLINE void scale_row(const float *restrict x, float w, int64_t n, float *restrict out)
{
    for (int64_t i = 0; i < n; i++) out[i] = w * x[i];
}

JP_INLINE void filter_along(const float *padded, const float *weight, int64_t radius, int64_t channels,
                            int64_t n, float *out)
{
    const float *centre = padded + radius * channels;
    int64_t t = 1;
    scale_row(centre, weight[0], n, out);
    for (; t < radius; t += 2) {
        const int64_t near = t * channels, far = near + channels;
        add_pairs(centre - near, centre + near, weight[t], centre - far, centre + far, weight[t + 1], n, out);
    }
    if (t == radius) add_pair(centre - t * channels, centre + t * channels, weight[t], n, out);
}

/* Row y of the ring of 2 radius + 1. */
JP_INLINE const float *ring_row(const float *ring, int64_t y, int64_t radius, int64_t n)
{
    return ring + (y + radius) % (2 * radius + 1) * n;
}

JP_INLINE void filter_across(const float *ring, const float *weight, int64_t radius, int64_t y, int64_t n,
                             float *out)
{
    int64_t t = 1;
    scale_row(ring_row(ring, y, radius, n), weight[0], n, out);
    for (; t < radius; t += 2)
        add_pairs(ring_row(ring, y - t, radius, n), ring_row(ring, y + t, radius, n), weight[t],
                  ring_row(ring, y - t - 1, radius, n), ring_row(ring, y + t + 1, radius, n),
                  weight[t + 1], n, out);
    if (t == radius)
        add_pair(ring_row(ring, y - t, radius, n), ring_row(ring, y + t, radius, n), weight[t], n, out);
}

JP_CLONES
int jp_blur(const jp_augment_view *in, const float *weight, int64_t radius, int32_t border, int64_t first,
            int64_t last, float *scratch, const jp_augment_view *out)
{
    const int64_t height = in->height, width = in->width, channels = in->channels, n = width * channels;
    const int32_t type = in->dtype;
    float *ring = scratch, *sum = ring + (2 * radius + 1) * n, *padded = sum + n;
    if (first < 0 || last > height || radius < 0) return JP_ERR_SIZE;
    for (int64_t y = first - radius; y < last + radius; y++) {
        const int64_t from = jp_augment_border(y, 0, height, border);
        float *row = ring + (y + radius) % (2 * radius + 1) * n;
        if (from < 0) {
            memset(row, 0, (size_t)n * sizeof *row);
        } else {
            pad_row(jp_augment_row(in, from), type, width, channels, radius, border, padded);
            filter_along(padded, weight, radius, channels, n, row);
        }
        if (y - radius < first) continue;
        filter_across(ring, weight, radius, y - radius, n, sum);
        jp_row_from_float(sum, type, n, jp_augment_row(out, y - radius));
    }
    return JP_OK;
}

/* Weights, then scratch. */
int64_t jp_augment_blur_room(const jp_augment_step *step, int64_t image, int64_t height, int64_t width,
                             int32_t channels)
{
    float weight[JP_BLUR_LARGEST + 1];
    const int64_t radius = jp_blur_weights(step->parameters[image * step->n_parameters], weight);
    (void)height;
    return (JP_BLUR_LARGEST + 1 + jp_blur_scratch(width, channels, radius)) * (int64_t)sizeof(float);
}

/* Parameters: sigma >= 0. Options: border. */
int jp_augment_blur(const jp_augment_at *at, const jp_augment_view *in, const jp_augment_view *out,
                    int64_t first, int64_t last)
{
    float *weight = at->room;
    const int64_t radius = jp_blur_weights(*jp_augment_parameters(at), weight);
    return jp_blur(in, weight, radius, at->step->options[0], first, last, weight + JP_BLUR_LARGEST + 1, out);
}
