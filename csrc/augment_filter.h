/* Separable filters of one image (height, width, channels): Gaussian blur and resize. */
#ifndef JP_AUGMENT_FILTER_H
#define JP_AUGMENT_FILTER_H

#include "augment_picks.h"
#include "augment_rows.h"

enum { JP_BLUR_LARGEST = 255 /* radius */ };

/* Weights 0 .. radius of a Gaussian cut at radius = round(3 sigma) and normalised to sum 1 over both
   sides. Returns the radius, at most JP_BLUR_LARGEST. sigma >= 0, finite. */
int64_t jp_blur_weights(double sigma, float *weight);

/* Floats of scratch that the blur wants. */
int64_t jp_blur_scratch(int64_t width, int64_t channels, int64_t radius);

/* Rows first .. last, of a packed image. (4 radius + 4) FLOPs a sample and one conversion each way. The
   images may not overlap. */
int jp_blur(const jp_augment_view *in, const float *weight, int64_t radius, int32_t border, int64_t first,
            int64_t last, float *scratch, const jp_augment_view *out);

enum { JP_AREA = 2 /* beside JP_NEAREST and JP_BILINEAR */ };

/* How one axis is resized: output j is the sum of weight[j, t] x input start[j] + t. */
typedef struct {
    int64_t n_in, n_out, n_taps;
    int32_t *start;    /* (n_out) */
    float *weight;     /* (n_out, n_taps) */
    int64_t span;      /* of the picks; 0 where there are none */
    jp_pick *picks;    /* (n_groups) of sixteen values */
    float *lanes;      /* (n_groups, n_taps, 16) */
} jp_axis;

/* Taps of an output. */
int64_t jp_axis_taps(int64_t n_in, int64_t n_out, int32_t filter);

/* Fills start and weight: JP_AREA are shares of coverage where the axis shrinks, and JP_BILINEAR where it
   does not: two neighbours by pixel centres, clamped to the image. */
void jp_axis_fill(jp_axis *axis, int32_t filter);

/* Floats of scratch that the resize wants. */
int64_t jp_resize_scratch(int64_t width_in, int64_t width_out, int64_t channels);

/* Rows first .. last of the output, of packed images. */
int jp_resize(const jp_augment_view *in, const jp_axis *height, const jp_axis *width, int64_t first, int64_t last,
              float *scratch, const jp_augment_view *out);

#endif
