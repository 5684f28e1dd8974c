/* Affine warps: only the output pixels, each read once through an inverse matrix.

   Coordinates step in fixed point with 32 fractional bits: a row of 65,536 pixels is off by less
   than 1e-5 of a pixel, and integer steps give the same bits on every CPU. This file is compiled
   without contraction of a * b + c, for the same reason. */
#include <math.h>

#include "augment_move.h"

enum { CHUNK = 256 };
static const int64_t ONE = INT64_C(1) << 32;

/* Pixels of one row: coordinates of pixel 0 and their steps, and the output. */
typedef struct {
    int64_t x, y, dx, dy;
    uint8_t *out;
} warp_row;

/* ---- which pixels of a row ------------------------------------------------------------- */

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }  /* b > 0 */

/* Narrows [first, last) to the k whose v + k step is in [low, high). */
static void narrow(int64_t v, int64_t step, int64_t low, int64_t high, int64_t *first,
                   int64_t *last) {
    int64_t from = *first, to = *last;
    if (step > 0) {
        from = -floor_div(v - low, step);
        to = -floor_div(v - high, step);
    } else if (step < 0) {
        from = floor_div(v - high, -step) + 1;
        to = floor_div(v - low, -step) + 1;
    } else if (v < low || v >= high) {
        to = from;
    }
    if (from > *first) *first = from < *last ? from : *last;
    if (to < *last) *last = to > *first ? to : *first;
}

/* ---- bilinear -------------------------------------------------------------------------- */

JP_INLINE float get(const uint8_t *p, int64_t c, int32_t dtype) {
    uint16_t wide;
    float real;
    if (dtype == JP_U8) return (float)p[c];
    if (dtype == JP_U16) return memcpy(&wide, p + 2 * c, 2), (float)wide;
    return memcpy(&real, p + 4 * c, 4), real;
}

/* To the nearest whole number, ties to even: 1.5 2^23 + v has no fractional bits. v is in
   [0, 65535]. */
JP_INLINE uint32_t nearest(float v) {
    const float sum = v + 0x1.8p23f;
    uint32_t bits;
    memcpy(&bits, &sum, 4);
    return bits & 0xFFFF;
}

JP_INLINE void put(uint8_t *p, int64_t c, int32_t dtype, float v) {
    const uint16_t wide = (uint16_t)(dtype == JP_F32 ? 0 : nearest(v));
    if (dtype == JP_U8) p[c] = (uint8_t)wide;
    else if (dtype == JP_U16) memcpy(p + 2 * c, &wide, 2);
    else memcpy(p + 4 * c, &v, 4);
}

/* Rows first, then along the row: every path below keeps this order, so that all agree. */
JP_INLINE float lerp2(float a, float b, float c, float d, float fx, float fy) {
    const float left = a + fy * (c - a), right = b + fy * (d - b);
    return left + fx * (right - left);
}

JP_INLINE float fraction(int64_t v) { return (float)(int32_t)((uint32_t)v >> 8) * 0x1p-24f; }

/* Pixels [first, last) whose four taps may be anywhere. */
JP_INLINE void bilinear_anywhere(const jp_augment_window *w, const jp_augment_view *in,
                                 const warp_row *r, int64_t first, int64_t last, int32_t dtype) {
    const int64_t size = in->pixel_stride;
    for (int64_t k = first; k < last; k++) {
        const int64_t vx = r->x + k * r->dx, vy = r->y + k * r->dy, x = vx >> 32, y = vy >> 32;
        const uint8_t *a = jp_augment_pixel(w, in, x, y), *b = jp_augment_pixel(w, in, x + 1, y);
        const uint8_t *c = jp_augment_pixel(w, in, x, y + 1);
        const uint8_t *d = jp_augment_pixel(w, in, x + 1, y + 1);
        const float fx = fraction(vx), fy = fraction(vy);
        for (int64_t j = 0; j < in->channels; j++)
            put(r->out + k * size, j, dtype,
                lerp2(get(a, j, dtype), get(b, j, dtype), get(c, j, dtype), get(d, j, dtype), fx,
                      fy));
    }
}

/* Where the taps of a chunk of interior pixels are, and their weights. */
typedef struct {
    int64_t offset[CHUNK];
    float fx[CHUNK], fy[CHUNK];
} taps;

JP_INLINE void find_taps(const jp_augment_view *in, const warp_row *r, int64_t first, int64_t n,
                         taps *t) {
    const int32_t row = (int32_t)in->row_stride, pixel = (int32_t)in->pixel_stride;
    const int64_t x0 = r->x + first * r->dx, y0 = r->y + first * r->dy;
    for (int64_t k = 0; k < n; k++) {
        const int64_t vx = x0 + k * r->dx, vy = y0 + k * r->dy;
        t->offset[k] = (int64_t)(int32_t)(vy >> 32) * row + (int64_t)(int32_t)(vx >> 32) * pixel;
        t->fx[k] = fraction(vx);
        t->fy[k] = fraction(vy);
    }
}

typedef uint8_t u8x8 __attribute__((vector_size(8)));
typedef uint8_t u8x16 __attribute__((vector_size(16)));
typedef int32_t i32x4 __attribute__((vector_size(16)));
typedef int32_t i32x8 __attribute__((vector_size(32)));
typedef float f32x4 __attribute__((vector_size(16)));
typedef float f32x8 __attribute__((vector_size(32)));

/* Two neighbours of 3 or 4 bytes: one load of 8 bytes. */
JP_INLINE void bilinear_bytes(const uint8_t *restrict data, int64_t row, const taps *restrict t,
                              int64_t n, uint8_t *restrict out, int64_t channels) {
    const u8x16 pick = {0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12};
    const i32x8 next = channels == 3 ? (i32x8){3, 4, 5, 6, 3, 4, 5, 6}
                                     : (i32x8){4, 5, 6, 7, 4, 5, 6, 7};
    for (int64_t k = 0; k < n; k++) {
        u8x8 upper, lower;
        memcpy(&upper, data + t->offset[k], 8);
        memcpy(&lower, data + t->offset[k] + row, 8);
        const f32x8 a = __builtin_convertvector(__builtin_convertvector(upper, i32x8), f32x8);
        const f32x8 c = __builtin_convertvector(__builtin_convertvector(lower, i32x8), f32x8);
        const f32x8 left = a + t->fy[k] * (c - a), right = __builtin_shuffle(left, next);
        const f32x8 v = left + t->fx[k] * (right - left) + 0x1.8p23f;
        const f32x4 low = __builtin_shufflevector(v, v, 0, 1, 2, 3);
        const u8x16 bytes = __builtin_shuffle((u8x16)low, pick);
        memcpy(out + k * channels, &bytes, k + 1 < n || channels == 4 ? 4 : 3);
    }
}

/* Any number of channels. */
JP_INLINE void bilinear_any(const uint8_t *restrict data, int64_t row, const taps *restrict t,
                            int64_t n, uint8_t *restrict out, int64_t channels, int32_t dtype) {
    const int64_t size = channels * jp_augment_item(dtype);
    for (int64_t k = 0; k < n; k++) {
        const uint8_t *a = data + t->offset[k], *c = a + row;
        for (int64_t j = 0; j < channels; j++)
            put(out + k * size, j, dtype,
                lerp2(get(a, j, dtype), get(a, j + channels, dtype), get(c, j, dtype),
                      get(c, j + channels, dtype), t->fx[k], t->fy[k]));
    }
}

JP_INLINE void bilinear_inside(const jp_augment_view *in, const taps *t, int64_t n, uint8_t *out,
                               int32_t dtype) {
    const int64_t row = in->row_stride, c = in->channels;
    if (dtype == JP_U8 && c == 3) bilinear_bytes(in->data, row, t, n, out, 3);
    else if (dtype == JP_U8 && c == 4) bilinear_bytes(in->data, row, t, n, out, 4);
    else if (c == 1) bilinear_any(in->data, row, t, n, out, 1, dtype);
    else if (c == 3) bilinear_any(in->data, row, t, n, out, 3, dtype);
    else bilinear_any(in->data, row, t, n, out, c, dtype);
}

/* Pixels past the last whose neighbours cannot be read by one load of 8 bytes. */
static int64_t columns_to_spare(const jp_augment_view *in) {
    const int narrow_pixels = in->dtype == JP_U8 && (in->channels == 3 || in->channels == 4);
    return narrow_pixels ? (8 + in->pixel_stride - 1) / in->pixel_stride - 2 : 0;
}

JP_INLINE void bilinear_row(const jp_augment_window *w, const jp_augment_view *in,
                            const warp_row *r, int64_t first, int64_t last, int32_t dtype) {
    int64_t i0 = first, i1 = last;
    int64_t right = in->width - 1 - columns_to_spare(in);
    taps t;
    if (w->x1 - 1 < right) right = w->x1 - 1;
    narrow(r->x, r->dx, w->x0 * ONE, right * ONE, &i0, &i1);
    narrow(r->y, r->dy, w->y0 * ONE, (w->y1 - 1) * ONE, &i0, &i1);
    bilinear_anywhere(w, in, r, first, i0, dtype);
    for (int64_t k = i0; k < i1; k += CHUNK) {
        const int64_t n = i1 - k < CHUNK ? i1 - k : CHUNK;
        find_taps(in, r, k, n, &t);
        bilinear_inside(in, &t, n, r->out + k * in->pixel_stride, dtype);
    }
    bilinear_anywhere(w, in, r, i1, last, dtype);
}

JP_CLONES
static void bilinear_row_u8(const jp_augment_window *w, const jp_augment_view *in,
                            const warp_row *r, int64_t first, int64_t last) {
    bilinear_row(w, in, r, first, last, JP_U8);
}

JP_CLONES
static void bilinear_row_u16(const jp_augment_window *w, const jp_augment_view *in,
                             const warp_row *r, int64_t first, int64_t last) {
    bilinear_row(w, in, r, first, last, JP_U16);
}

JP_CLONES
static void bilinear_row_f32(const jp_augment_window *w, const jp_augment_view *in,
                             const warp_row *r, int64_t first, int64_t last) {
    bilinear_row(w, in, r, first, last, JP_F32);
}

/* ---- nearest --------------------------------------------------------------------------- */

JP_INLINE void nearest_inside(const jp_augment_view *in, const warp_row *r, int64_t first,
                              int64_t last, int64_t size) {
    for (int64_t k = first; k < last; k++) {
        const int64_t x = (r->x + k * r->dx) >> 32, y = (r->y + k * r->dy) >> 32;
        memcpy(r->out + k * size, in->data + y * in->row_stride + x * size, (size_t)size);
    }
}

/* r->x and r->y carry the half that makes floor the nearest. */
static void nearest_row(const jp_augment_window *w, const jp_augment_view *in, const warp_row *r,
                        int64_t first, int64_t last) {
    const int64_t size = in->pixel_stride;
    int64_t i0 = first, i1 = last;
    narrow(r->x, r->dx, w->x0 * ONE, w->x1 * ONE, &i0, &i1);
    narrow(r->y, r->dy, w->y0 * ONE, w->y1 * ONE, &i0, &i1);
    switch (size) {
    case 1: nearest_inside(in, r, i0, i1, 1); break;
    case 3: nearest_inside(in, r, i0, i1, 3); break;
    case 4: nearest_inside(in, r, i0, i1, 4); break;
    default: nearest_inside(in, r, i0, i1, size);
    }
    for (int64_t k = first; k < last; k++) {
        if (k == i0) k = i1;
        if (k < last)
            jp_augment_border_pixel(w, in, (r->x + k * r->dx) >> 32, (r->y + k * r->dy) >> 32,
                                    r->out + k * size);
    }
}

/* ---- a warp ---------------------------------------------------------------------------- */

static void fill_pixels(const jp_augment_window *w, int64_t size, uint8_t *out, int64_t first,
                        int64_t last) {
    for (int64_t k = first; k < last; k++) memcpy(out + k * size, w->fill, (size_t)size);
}

static void warp_one_row(const jp_augment_window *w, const jp_augment_view *in, const warp_row *r,
                         int64_t width, int32_t interpolation) {
    const int64_t reach = interpolation == JP_BILINEAR ? ONE : 0;
    int64_t first = 0, last = width;
    if (w->border == JP_BORDER_CONSTANT) {
        narrow(r->x, r->dx, w->x0 * ONE - reach, w->x1 * ONE, &first, &last);
        narrow(r->y, r->dy, w->y0 * ONE - reach, w->y1 * ONE, &first, &last);
        fill_pixels(w, in->pixel_stride, r->out, 0, first);
        fill_pixels(w, in->pixel_stride, r->out, last, width);
    }
    if (interpolation == JP_NEAREST) nearest_row(w, in, r, first, last);
    else if (in->dtype == JP_U8) bilinear_row_u8(w, in, r, first, last);
    else if (in->dtype == JP_U16) bilinear_row_u16(w, in, r, first, last);
    else bilinear_row_f32(w, in, r, first, last);
}

static int warp_rows(const double *m, const jp_augment_window *w, const jp_augment_view *in,
                     const jp_augment_view *out, int64_t first, int64_t last,
                     int32_t interpolation) {
    const double half = interpolation == JP_NEAREST ? 0.5 : 0.0, one = 0x1p32, far = 0x1p30;
    warp_row r = {0, 0, llround(m[0] * one), llround(m[3] * one), NULL};
    for (int64_t y = first; y < last; y++) {
        const double sx = m[1] * (double)y + m[2] + half, sy = m[4] * (double)y + m[5] + half;
        const double ex = sx + m[0] * (double)out->width, ey = sy + m[3] * (double)out->width;
        if (!(fabs(sx) < far && fabs(sy) < far && fabs(ex) < far && fabs(ey) < far))
            return JP_ERR_VALUE;
        r.x = llround(sx * one);
        r.y = llround(sy * one);
        r.out = jp_augment_row(out, y);
        warp_one_row(w, in, &r, out->width, interpolation);
    }
    return JP_OK;
}

/* Whether the matrix moves whole pixels to whole pixels (to 1e-10 of a pixel per pixel). */
static int is_move(const double *m, jp_augment_move *move) {
    for (int k = 0; k < 6; k++)
        if (!(fabs(m[k] - nearbyint(m[k])) < (k % 3 == 2 ? 1e-7 : 1e-10)) || fabs(m[k]) > 0x1p30)
            return 0;
    *move = (jp_augment_move){llround(m[0]), llround(m[1]), llround(m[2]),
                              llround(m[3]), llround(m[4]), llround(m[5])};
    const int64_t turned = move->xy * move->yx, straight = move->xx * move->yy;
    return (move->xy == 0 && move->yx == 0 && (straight == 1 || straight == -1)
            && (move->xx == 1 || move->xx == -1))
        || (move->xx == 0 && move->yy == 0 && (turned == 1 || turned == -1)
            && (move->xy == 1 || move->xy == -1));
}

/* Parameters: matrix (6), window x0 y0 x1 y1. Options: border, interpolation. Shared: the fill
   value of each channel, double. */
int jp_augment_geometry(const jp_augment_at *at, const jp_augment_view *in,
                        const jp_augment_view *out, int64_t first, int64_t last) {
    const double *p = jp_augment_parameters(at), *fill = at->step->shared;
    jp_augment_window w = {(int64_t)p[6], (int64_t)p[7], (int64_t)p[8], (int64_t)p[9],
                           at->step->options[0], {0}};
    jp_augment_move move;
    if (w.x0 < 0 || w.y0 < 0 || w.x0 >= w.x1 || w.y0 >= w.y1 || w.x1 > in->width
        || w.y1 > in->height || in->dtype != out->dtype || in->channels != out->channels
        || in->row_stride > INT32_MAX)
        return JP_ERR_SIZE;
    for (int64_t c = 0; c < in->channels; c++) put(w.fill, c, in->dtype, (float)fill[c]);
    if (is_move(p, &move)) {
        jp_augment_move_rows(&move, &w, in, out, first, last);
        return JP_OK;
    }
    return warp_rows(p, &w, in, out, first, last, at->step->options[1]);
}
