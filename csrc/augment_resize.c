/* Resize: rows are weighed into one row of floats, of which pixels are then weighed. */

#include "augment_filter.h"

#include <math.h>

/* Four channels at a time; what is read and written beyond the last belongs to scratch. */
typedef float jp_four __attribute__((vector_size(16), aligned(4), may_alias));
enum { SPARE = JP_PICK_FAR };

JP_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
JP_INLINE int64_t clamped(int64_t i, int64_t low, int64_t high) { return i < low ? low : i > high ? high : i; }

int64_t jp_axis_taps(int64_t n_in, int64_t n_out, int32_t filter)
{
    if (filter == JP_NEAREST) return 1;
    const int64_t whole = n_in / n_out;
    if (filter != JP_AREA || n_in <= n_out) return smaller(2, n_in);
    return smaller(n_in % n_out == 0 ? whole : whole + 2, n_in);
}

static void add_tap(jp_axis *axis, int64_t j, int64_t i, double weight)
{
    axis->weight[j * axis->n_taps + i - axis->start[j]] += (float)weight;
}

static void area(double scale, jp_axis *axis, int64_t j)
{
    const double from = (double)j * scale, to = (double)(j + 1) * scale;
    const int64_t first = clamped((int64_t)from, 0, axis->n_in - axis->n_taps);
    axis->start[j] = (int32_t)first;
    for (int64_t i = first; i < first + axis->n_taps; i++) {
        const double covered = fmin(to, (double)(i + 1)) - fmax(from, (double)i);
        if (covered > 0) add_tap(axis, j, i, covered / scale);
    }
}

static void bilinear(double scale, jp_axis *axis, int64_t j)
{
    const double centre = ((double)j + 0.5) * scale - 0.5, left = floor(centre);
    const int64_t a = clamped((int64_t)left, 0, axis->n_in - 1);
    const int64_t b = clamped((int64_t)left + 1, 0, axis->n_in - 1);
    axis->start[j] = (int32_t)smaller(a, axis->n_in - axis->n_taps);
    add_tap(axis, j, a, 1 - (centre - left));
    add_tap(axis, j, b, centre - left);
}

static void nearest(double scale, jp_axis *axis, int64_t j)
{
    axis->start[j] = (int32_t)clamped((int64_t)(((double)j + 0.5) * scale), 0, axis->n_in - 1);
    axis->weight[j] = 1;
}

void jp_axis_fill(jp_axis *axis, int32_t filter)
{
    const double scale = (double)axis->n_in / (double)axis->n_out;
    for (int64_t i = 0; i < axis->n_out * axis->n_taps; i++) axis->weight[i] = 0;
    for (int64_t j = 0; j < axis->n_out; j++) {
        if (filter == JP_NEAREST) nearest(scale, axis, j);
        else if (filter == JP_AREA && scale > 1) area(scale, axis, j);
        else bilinear(scale, axis, j);
    }
}

int64_t jp_resize_scratch(int64_t width_in, int64_t width_out, int64_t channels)
{
    return (width_in + 3 * width_out) * channels + 4 * SPARE;
}

#define JP_DEFINE_WEIGH(NAME, T)                                                                  \
    JP_INLINE void NAME(const T *restrict x, float w, int64_t n, int begin, float *restrict out)  \
    {                                                                                             \
        if (begin)                                                                                \
            for (int64_t i = 0; i < n; i++) out[i] = w * (float)x[i];                             \
        else                                                                                      \
            for (int64_t i = 0; i < n; i++) out[i] += w * (float)x[i];                            \
    }

JP_DEFINE_WEIGH(weigh_u8, uint8_t)
JP_DEFINE_WEIGH(weigh_u16, uint16_t)
JP_DEFINE_WEIGH(weigh_f32, float)

/* One row of the input, weighed, begins or joins out. */
JP_INLINE void weigh(const void *x, int32_t type, float w, int64_t n, int begin, float *out)
{
    if (type == JP_U8) weigh_u8(x, w, n, begin, out);
    else if (type == JP_U16) weigh_u16(x, w, n, begin, out);
    else weigh_f32(x, w, n, begin, out);
}

/* Taps of weight 0 are left out: they may be NaN that no pixel of the window is. */
JP_INLINE void sum_rows(const jp_augment_view *in, const jp_axis *axis, int64_t j, float *out)
{
    int begin = 1;
    for (int64_t t = 0; t < axis->n_taps; t++) {
        const float w = axis->weight[j * axis->n_taps + t];
        if (w == 0) continue;
        weigh(jp_augment_row(in, axis->start[j] + t), in->dtype, w, in->width * in->channels, begin, out);
        begin = 0;
    }
}

/* n_taps and careful (of NaN) are constants of the caller. */
JP_INLINE void sum_pixels_of(const float *row, int64_t channels, const jp_axis *axis, int64_t n_taps,
                             int careful, float *out)
{
    for (int64_t j = 0; j < axis->n_out; j++) {
        const float *at = row + axis->start[j] * channels, *w = axis->weight + j * n_taps;
        for (int64_t k = 0; k < channels; k += 4) {
            jp_four sum = {0};
            if (!careful || w[0] != 0) sum = w[0] * *(const jp_four *)(at + k);
            for (int64_t t = 1; t < n_taps; t++)
                if (!careful || w[t] != 0) sum += w[t] * *(const jp_four *)(at + t * channels + k);
            *(jp_four *)(out + j * channels + k) = sum;
        }
    }
}

JP_INLINE void sum_gray_of(const float *row, const jp_axis *axis, int64_t n_taps, float *out)
{
    for (int64_t j = 0; j < axis->n_out; j++) {
        const float *at = row + axis->start[j], *w = axis->weight + j * n_taps;
        float sum = 0;
        for (int64_t t = 0; t < n_taps; t++) sum += w[t] * at[t];
        out[j] = sum;
    }
}

JP_INLINE void sum_pixels_by(const float *row, int32_t type, int64_t channels, const jp_axis *axis,
                             int64_t n_taps, float *out)
{
    if (type == JP_F32) sum_pixels_of(row, channels, axis, n_taps, 1, out);
    else if (channels == 1) sum_gray_of(row, axis, n_taps, out);
    else if (channels == 3) sum_pixels_of(row, 3, axis, n_taps, 0, out);
    else sum_pixels_of(row, channels, axis, n_taps, 0, out);
}

static int64_t n_groups(const jp_axis *axis, int64_t channels)
{
    return (axis->n_out * channels + JP_PICK_LANES - 1) / JP_PICK_LANES;
}

#ifdef JP_WIDE
JP_WIDE static void sum_picks(const float *row, int64_t channels, const jp_axis *axis, float *out)
{
    const int64_t n = n_groups(axis, channels);
    if (axis->span <= JP_PICK_NEAR && axis->n_taps == 2)
        jp_pick_sum(row, axis->picks, axis->lanes, n, 2, channels, 0, out);
    else if (axis->span <= JP_PICK_NEAR)
        jp_pick_sum(row, axis->picks, axis->lanes, n, axis->n_taps, channels, 0, out);
    else
        jp_pick_sum(row, axis->picks, axis->lanes, n, axis->n_taps, channels, 1, out);
}
#else
static void sum_picks(const float *row, int64_t channels, const jp_axis *axis, float *out)
{
    (void)row, (void)channels, (void)axis, (void)out;
}
#endif

JP_INLINE void sum_pixels(const float *row, int32_t type, int64_t channels, const jp_axis *axis, float *out)
{
    if (axis->span > 0) sum_picks(row, channels, axis, out);
    else if (axis->n_taps == 2) sum_pixels_by(row, type, channels, axis, 2, out);
    else if (axis->n_taps == 3) sum_pixels_by(row, type, channels, axis, 3, out);
    else sum_pixels_by(row, type, channels, axis, axis->n_taps, out);
}

/* Fewer rows come out than go in: columns first. */
JP_INLINE void shrink(const jp_augment_view *in, const jp_axis *height,
                      const jp_axis *width, int64_t y, float *row, float *out)
{
    sum_rows(in, height, y, row);
    sum_pixels(row, in->dtype, in->channels, width, out);
}

/* Row `from` of the input, resized along itself: made once, as the last two are kept. */
JP_INLINE const float *wide_row(const jp_augment_view *in, const jp_axis *width, int64_t from, float *row,
                                float *wide, int64_t *ready)
{
    float *at = wide + from % 2 * (width->n_out * in->channels + SPARE);
    if (ready[from % 2] != from) {
        jp_row_to_float(jp_augment_row(in, from), in->dtype, width->n_in * in->channels, row);
        sum_pixels(row, in->dtype, in->channels, width, at);
        ready[from % 2] = from;
    }
    return at;
}

/* At least as many rows come out: rows first. Returns where the result is: a row as it is, or out. */
JP_INLINE const float *enlarge(const jp_augment_view *in, const jp_axis *height, const jp_axis *width, int64_t y,
                               float *row, float *wide, int64_t *ready, float *restrict out)
{
    const int64_t n = width->n_out * in->channels, start = height->start[y];
    const float *w = height->weight + y * height->n_taps;
    if (height->n_taps == 1 || w[1] == 0) return wide_row(in, width, start, row, wide, ready);
    if (w[0] == 0) return wide_row(in, width, start + 1, row, wide, ready);
    const float *restrict a = wide_row(in, width, start, row, wide, ready);
    const float *restrict b = wide_row(in, width, start + 1, row, wide, ready);
    for (int64_t i = 0; i < n; i++) out[i] = w[0] * a[i] + w[1] * b[i];
    return out;
}

JP_CLONES
int jp_resize(const jp_augment_view *in, const jp_axis *height, const jp_axis *width, int64_t first, int64_t last,
              float *scratch, const jp_augment_view *out)
{
    const int64_t n_in = width->n_in * in->channels, n_out = width->n_out * in->channels;
    float *row = scratch, *sum = row + n_in + SPARE, *wide = sum + n_out + SPARE;
    int64_t ready[2] = {-1, -1};
    if (first < 0 || last > height->n_out) return JP_ERR_SIZE;
    memset(row + n_in, 0, SPARE * sizeof *row);
    for (int64_t y = first; y < last; y++) {
        const float *made = sum;
        if (height->n_in > height->n_out) shrink(in, height, width, y, row, sum);
        else made = enlarge(in, height, width, y, row, wide, ready, sum);
        jp_row_from_float(made, in->dtype, n_out, jp_augment_row(out, y));
    }
    return JP_OK;
}

/* Picks of the columns, where sixteen values' taps are near; floats with NaN are not taken so. */
static void fill_picks(jp_axis *axis, int64_t channels, int32_t dtype)
{
    const int64_t n = axis->n_out * channels, reach = (axis->n_taps - 1) * channels;
    axis->span = 0;
    if (!jp_has_wide() || dtype == JP_F32) return;
    const int64_t span = jp_pick_fill(axis->picks, axis->start, n, channels, reach);
    if (span > JP_PICK_FAR) return;
    axis->span = span;
    for (int64_t i = 0; i < n_groups(axis, channels) * JP_PICK_LANES; i++)
        for (int64_t t = 0; t < axis->n_taps; t++)
            axis->lanes[(i / JP_PICK_LANES * axis->n_taps + t) * JP_PICK_LANES + i % JP_PICK_LANES]
                = i < n ? axis->weight[i / channels * axis->n_taps + t] : 0;
}

/* 4-byte items of an axis: weights, starts and, of the columns, picks; channels: 0 for rows. */
static int64_t axis_items(int64_t n_in, int64_t n_out, int32_t filter, int64_t channels)
{
    const int64_t n_taps = jp_axis_taps(n_in, n_out, filter);
    const int64_t groups = (n_out * channels + JP_PICK_LANES - 1) / JP_PICK_LANES;
    return n_out * (n_taps + 1) + groups * ((int64_t)sizeof(jp_pick) / 4 + n_taps * JP_PICK_LANES);
}

/* Two axes, what they hold, then scratch. */
int64_t jp_augment_resize_room(const jp_augment_step *step, int64_t image, int64_t height, int64_t width,
                               int32_t channels)
{
    const int64_t *size = step->sizes + 2 * image;
    const int32_t filter = step->options[0];
    return 2 * (int64_t)sizeof(jp_axis)
           + 4 * (axis_items(height, size[0], filter, 0) + axis_items(width, size[1], filter, channels)
                  + jp_resize_scratch(width, size[1], channels));
}

static void lay_out(jp_axis *axis, int64_t n_in, int64_t n_out, int32_t filter, int64_t channels, int32_t dtype,
                    float *memory)
{
    const int64_t n_taps = jp_axis_taps(n_in, n_out, filter);
    *axis = (jp_axis){n_in, n_out, n_taps, (int32_t *)(memory + n_out * n_taps), memory, 0, NULL, NULL};
    jp_axis_fill(axis, filter);
    if (channels == 0) return;
    axis->lanes = memory + n_out * (n_taps + 1);
    axis->picks = (jp_pick *)(axis->lanes + n_groups(axis, channels) * n_taps * JP_PICK_LANES);
    fill_picks(axis, channels, dtype);
}

/* Options: filter. */
int jp_augment_resize(const jp_augment_at *at, const jp_augment_view *in, const jp_augment_view *out,
                      int64_t first, int64_t last)
{
    jp_axis *axes = at->room;
    const int32_t filter = at->step->options[0], channels = in->channels;
    float *of_width = (float *)(axes + 2) + axis_items(in->height, out->height, filter, 0);
    float *scratch = of_width + axis_items(in->width, out->width, filter, channels);
    if (axes[0].n_in != in->height || axes[1].n_in != in->width || axes[0].n_out != out->height
        || axes[1].n_out != out->width) {
        lay_out(axes, in->height, out->height, filter, 0, in->dtype, (float *)(axes + 2));
        lay_out(axes + 1, in->width, out->width, filter, channels, in->dtype, of_width);
    }
    return jp_resize(in, axes, axes + 1, first, last, scratch, out);
}
