/* Separable filters of one image (height, width, channels), contiguous: Gaussian blur and resize. */
#ifndef JP_AUGMENT_FILTER_H
#define JP_AUGMENT_FILTER_H

#include "augment_rows.h"

typedef enum {
    JP_BLUR_CONSTANT, JP_BLUR_EDGE, JP_BLUR_REFLECT, JP_BLUR_REFLECT101, JP_BLUR_WRAP
} jp_blur_border;

enum { JP_BLUR_LARGEST = 255 /* radius */ };

/* Index of the pixel that stands at i of a line of n, or -1 for the constant. */
int64_t jp_border_index(int64_t i, int64_t n, jp_blur_border border);

/* Weights 0 .. radius of a Gaussian cut at radius = round(3 sigma) and normalised to sum 1 over both
   sides. Returns the radius, at most JP_BLUR_LARGEST. sigma >= 0, finite. */
int64_t jp_blur_weights(double sigma, float *weight);

/* Floats of scratch that the blur wants. */
int64_t jp_blur_scratch(int64_t width, int64_t channels, int64_t radius);

/* (4 radius + 4) FLOPs a sample and one conversion each way. x and out may not overlap. */
int jp_augment_blur(const void *x, jp_pixel type, int64_t height, int64_t width, int64_t channels,
                    const float *weight, int64_t radius, jp_blur_border border, float constant,
                    float *scratch, void *out);

/* How one axis is resized: output j is the sum of weight[j, t] x input start[j] + t. */
typedef struct {
    int64_t n_in, n_out, n_taps;
    int32_t *start;    /* (n_out) */
    float *weight;     /* (n_out, n_taps) */
} jp_axis;

/* Taps an output of [low, high) of n_in pixels in n_out ones has. */
int64_t jp_axis_taps(double low, double high, int64_t n_in, int64_t n_out);

/* Fills start and weight: shares of coverage (area) where the window shrinks, two neighbours (bilinear,
   pixel centres, clamped to the window's pixels) otherwise. 0 <= low < high <= n_in. */
void jp_axis_fill(double low, double high, jp_axis *axis);

/* Floats of scratch that the resize wants. */
int64_t jp_resize_scratch(int64_t width_in, int64_t width_out, int64_t channels);

/* x: rows of width->n_in pixels, `stride` elements apart; rows first .. last of the output are made, out
   at row `first`, contiguous. */
int jp_augment_resize(const void *x, jp_pixel type, int64_t stride, int64_t channels, const jp_axis *height,
                      const jp_axis *width, int64_t first, int64_t last, float *scratch, void *out);

#endif
