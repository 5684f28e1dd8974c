/* What the warps of augment_warp.c and augment_axes.c share: pixels of all types, their mixing,
   and rows in fixed point. */
#ifndef JP_AUGMENT_WARP_H
#define JP_AUGMENT_WARP_H

#include "augment_move.h"

enum { CHUNK = 256, LANES = 16 };    /* pixels of a row, of a vector */
static const int64_t ONE = INT64_C(1) << 32;

/* Pixels of one row: coordinates of pixel 0 and their steps, and the output. */
typedef struct {
    int64_t x, y, dx, dy;
    uint8_t *out;
} warp_row;

JP_INLINE int64_t clamped(int64_t v, int64_t low, int64_t high) {
    return v < low ? low : v > high ? high : v;
}

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

/* Where the taps of a chunk of interior pixels are, and their weights. */
typedef struct {
    int64_t offset[CHUNK];
    float fx[CHUNK], fy[CHUNK];
} taps;

JP_INLINE void find_taps(const jp_augment_view *in, const warp_row *r, int64_t first, int64_t n,
                         taps *restrict t) {
    const int32_t row = (int32_t)in->row_stride, pixel = (int32_t)in->pixel_stride;
    const int64_t dx = r->dx, dy = r->dy;
    int64_t vx = r->x + first * dx, vy = r->y + first * dy;
    n = (n + LANES - 1) / LANES * LANES;    /* whole vectors: what is beyond is not used */
    for (int64_t k = 0; k < n; k++, vx += dx, vy += dy) {
        t->offset[k] = (int64_t)(int32_t)(vy >> 32) * row + (int64_t)(int32_t)(vx >> 32) * pixel;
        t->fx[k] = fraction(vx);
        t->fy[k] = fraction(vy);
    }
}

/* Rows [first, last) of a warp without turn or shear; whether it could be done so. */
int jp_augment_axes_rows(const double *matrix, const jp_augment_window *window,
                         const jp_augment_view *in, const jp_augment_view *out, int64_t first,
                         int64_t last);

#endif
