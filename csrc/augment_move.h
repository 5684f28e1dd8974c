/* Geometry: what moves (copies) and warps share. */
#ifndef JP_AUGMENT_MOVE_H
#define JP_AUGMENT_MOVE_H

#include <string.h>

#include "augment.h"

/* The part of the source that is seen, in whole pixels, and what is beyond it. */
typedef struct {
    int64_t x0, y0, x1, y1;
    int32_t border;
    uint8_t fill[4 * JP_AUGMENT_CHANNELS];    /* a pixel in the type of the image */
} jp_augment_window;

/* Source of output pixel (x, y): (xx x + xy y + x, yx x + yy y + y), one of xx, xy is 0 and the
   other 1 or -1. */
typedef struct { int64_t xx, xy, x, yx, yy, y; } jp_augment_move;

void jp_augment_move_rows(const jp_augment_move *move, const jp_augment_window *window,
                          const jp_augment_view *in, const jp_augment_view *out, int64_t first,
                          int64_t last);

/* Where a coordinate is read in [low, high), or -1 where there is nothing (constant border). */
JP_INLINE int64_t jp_augment_border(int64_t i, int64_t low, int64_t high, int32_t border) {
    const int64_t n = high - low;
    if (i >= low && i < high) return i;
    int64_t k = i - low;
    switch (border) {
    case JP_BORDER_EDGE: return i < low ? low : high - 1;
    case JP_BORDER_WRAP:
        k %= n;
        return low + (k < 0 ? k + n : k);
    case JP_BORDER_REFLECT:
        k %= 2 * n;
        if (k < 0) k += 2 * n;
        return low + (k < n ? k : 2 * n - 1 - k);
    case JP_BORDER_REFLECT101: {
        const int64_t period = n > 1 ? 2 * (n - 1) : 1;
        k %= period;
        if (k < 0) k += period;
        return low + (k < n ? k : period - k);
    }
    default: return -1;
    }
}

/* Source pixel at (x, y), anywhere. */
JP_INLINE const uint8_t *jp_augment_pixel(const jp_augment_window *w, const jp_augment_view *in,
                                          int64_t x, int64_t y) {
    const int64_t sx = jp_augment_border(x, w->x0, w->x1, w->border);
    const int64_t sy = jp_augment_border(y, w->y0, w->y1, w->border);
    if (w->border == JP_BORDER_CONSTANT && (sx < 0 || sy < 0)) return w->fill;
    return jp_augment_row(in, sy) + sx * in->pixel_stride;
}

JP_INLINE void jp_augment_border_pixel(const jp_augment_window *w, const jp_augment_view *in,
                                       int64_t x, int64_t y, uint8_t *out) {
    memcpy(out, jp_augment_pixel(w, in, x, y), (size_t)in->pixel_stride);
}

#endif
