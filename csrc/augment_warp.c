/* Affine warps: only the output pixels, each read once through an inverse matrix.

   Coordinates step in fixed point with 32 fractional bits: a row of 65,536 pixels is off by less
   than 1e-5 of a pixel, and integer steps give the same bits on every CPU. This file is compiled
   without contraction of a * b + c, for the same reason. */
#include <math.h>

#include "augment_lanes.h"

enum { BLOCK = 32, SMALL = 16384 };    /* rows fetched ahead; bytes of an image that is copied */

/* ---- which pixels of a row ------------------------------------------------------------- */

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }  /* b > 0 */

/* Narrows [first, last) to the k whose v + k step is in [low, high). Divides only where the row
   crosses a bound. */
static void narrow(int64_t v, int64_t step, int64_t low, int64_t high, int64_t *first,
                   int64_t *last) {
    const int64_t n = *last;
    if (*first >= n) return;
    if (step < 0) {    /* mirrored */
        const int64_t bound = 1 - low;
        v = -v, step = -step, low = 1 - high, high = bound;
    }
    const int64_t start = v + *first * step, end = v + (n - 1) * step;
    int64_t from = *first, to = n;
    if (start >= high || end < low || low >= high) to = from;
    else if (step > 0) {
        if (start < low) from = -floor_div(v - low, step);
        if (end >= high) to = -floor_div(v - high, step);
    }
    *first = from < n ? from : n;
    *last = to > *first ? to : *first;
}

/* ---- bilinear -------------------------------------------------------------------------- */

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
    if (c == 1) bilinear_any(in->data, row, t, n, out, 1, dtype);
    else if (c == 3) bilinear_any(in->data, row, t, n, out, 3, dtype);
    else bilinear_any(in->data, row, t, n, out, c, dtype);
}

/* Neighbours of 3 bytes are read as 8 bytes, which the last pair of a row has not. */
static int64_t columns_to_spare(const jp_augment_view *in) {
    return in->dtype == JP_U8 && in->channels == 3;
}

JP_INLINE void bilinear_row(const jp_augment_window *w, const jp_augment_view *in,
                            const warp_row *r, int64_t first, int64_t last, int32_t dtype) {
    int64_t i0 = first, i1 = last;
    int64_t right = in->width - 1 - columns_to_spare(in);
    taps t;
    if (w->x1 - 1 < right) right = w->x1 - 1;
    narrow(r->x, r->dx, w->x0 * ONE, right * ONE, &i0, &i1);
    narrow(r->y, r->dy, w->y0 * ONE, (w->y1 - 1) * ONE, &i0, &i1);
    if (dtype == JP_U8 && in->channels <= 4) {
        bytes_row(w, in, r, first, last, i0, i1);
        return;
    }
    bilinear_anywhere(w, in, r, first, i0, dtype);
    for (int64_t k = i0; k < i1; k += CHUNK) {
        const int64_t n = i1 - k < CHUNK ? i1 - k : CHUNK;
        find_taps(in, r, k, n, &t);
        bilinear_inside(in, &t, n, r->out + k * in->pixel_stride, dtype);
    }
    bilinear_anywhere(w, in, r, i1, last, dtype);
}

/* ---- bilinear by type ------------------------------------------------------------------- */

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
    const size_t n_bytes = (size_t)((last - first) * size);
    if (n_bytes == 0) return;
    out += first * size;
    memcpy(out, w->fill, (size_t)size);
    for (size_t done = (size_t)size; done < n_bytes; done *= 2)    /* doubles what is there */
        memcpy(out + done, out, done < n_bytes - done ? done : n_bytes - done);
}

/* w: outside of it, and of its neighbours, is the border alone; seen: what may be read. */
static void warp_one_row(const jp_augment_window *w, const jp_augment_window *seen,
                         const jp_augment_view *in, const warp_row *r, int64_t width,
                         int32_t interpolation) {
    const int64_t reach = interpolation == JP_BILINEAR ? ONE : 0;
    int64_t first = 0, last = width;
    if (w->border == JP_BORDER_CONSTANT) {
        narrow(r->x, r->dx, w->x0 * ONE - reach, w->x1 * ONE, &first, &last);
        narrow(r->y, r->dy, w->y0 * ONE - reach, w->y1 * ONE, &first, &last);
        fill_pixels(w, in->pixel_stride, r->out, 0, first);
        fill_pixels(w, in->pixel_stride, r->out, last, width);
    }
    if (interpolation == JP_NEAREST) nearest_row(seen, in, r, first, last);
    else if (in->dtype == JP_U8) bilinear_row_u8(seen, in, r, first, last);
    else if (in->dtype == JP_U16) bilinear_row_u16(seen, in, r, first, last);
    else bilinear_row_f32(seen, in, r, first, last);
}

/* A small image of bytes with its constant border around it: no pixel is at an edge any more, of
   which small images have many. One column is to spare. Whether it fits. */
static int pad_small(jp_augment_window *w, jp_augment_view *in, jp_augment_window *seen,
                     uint8_t *memory) {
    const int64_t size = in->pixel_stride, width = w->x1 - w->x0, height = w->y1 - w->y0;
    const int64_t row = (width + 3) * size;
    if (w->border != JP_BORDER_CONSTANT || in->dtype != JP_U8 || in->channels > 4
        || (height + 2) * row > SMALL)
        return 0;
    fill_pixels(w, size, memory, 0, (height + 2) * (width + 3));
    for (int64_t y = 0; y < height; y++)
        memcpy(memory + (y + 1) * row + size, jp_augment_row(in, w->y0 + y) + w->x0 * size,
               (size_t)(width * size));
    *in = (jp_augment_view){memory, height + 2, width + 3, row, size, 1, 0, JP_U8, in->channels, 0};
    w->x0 = w->y0 = 1, w->x1 = width + 1, w->y1 = height + 1;
    *seen = *w;
    seen->x0 = seen->y0 = 0, seen->x1++, seen->y1++;
    return 1;
}

/* Rows of the source crossed by output rows [first, last): they are read askew, which no
   prefetcher foresees. Inlined: gcc takes a function that only prefetches for one without effect. */
JP_INLINE void prefetch_source(const double *m, const jp_augment_window *w,
                            const jp_augment_view *in, int64_t width, int64_t first,
                            int64_t last) {
    const double step = m[3] * (double)width, from = m[4] * (double)first + m[5],
                 to = m[4] * (double)last + m[5];
    const double low = fmin(from, to) + fmin(step, 0), high = fmax(from, to) + fmax(step, 0) + 2;
    const int64_t y0 = clamped((int64_t)low, w->y0, w->y1);
    const int64_t y1 = clamped((int64_t)high, y0, w->y1);
    for (int64_t y = y0; y < y1; y++) {
        const uint8_t *row = jp_augment_row(in, y);
        for (int64_t k = w->x0 * in->pixel_stride; k < w->x1 * in->pixel_stride; k += 64)
            __builtin_prefetch(row + k);
    }
}

static void warp_rows(const double *m, jp_augment_window *w, const jp_augment_view *from,
                      const jp_augment_view *out, int64_t first, int64_t last,
                      int32_t interpolation) {
    uint8_t memory[SMALL];
    jp_augment_view in = *from;
    jp_augment_window seen = *w;
    const int64_t x0 = w->x0, y0 = w->y0;
    const int small = interpolation == JP_BILINEAR && pad_small(w, &in, &seen, memory);
    const int64_t right = small ? (1 - x0) * ONE : 0, down = small ? (1 - y0) * ONE : 0;
    const double half = interpolation == JP_NEAREST ? 0.5 : 0.0, one = 0x1p32;
    warp_row r = {0, 0, llround(m[0] * one), llround(m[3] * one), NULL};
    for (int64_t y = first; y < last; y++) {
        r.x = llround((m[1] * (double)y + m[2] + half) * one) + right;
        r.y = llround((m[4] * (double)y + m[5] + half) * one) + down;
        r.out = jp_augment_row(out, y);
        if (!small && y == first) prefetch_source(m, w, &in, out->width, y, y + BLOCK);
        if (!small && (y - first) % BLOCK == 0)
            prefetch_source(m, w, &in, out->width, y + BLOCK, y + 2 * BLOCK);
        warp_one_row(w, &seen, &in, &r, out->width, interpolation);
    }
}

/* Whether all coordinates can be counted in 64 bits. */
static int reachable(const double *m, const jp_augment_view *out, int64_t first, int64_t last) {
    const double far = 0x1p30;
    for (int k = 0; k < 4; k++) {
        const double x = k & 1 ? (double)out->width : 0, y = (double)(k & 2 ? last : first);
        if (!(fabs(m[0] * x + m[1] * y + m[2]) < far && fabs(m[3] * x + m[4] * y + m[5]) < far))
            return 0;
    }
    return fabs(m[0]) < 0x1p20 && fabs(m[3]) < 0x1p20;
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

/* Parameters: matrix (6), window x0 y0 x1 y1 where not all is seen. Options: border, interpolation. Shared: the fill
   value of each channel, double. */
int jp_augment_geometry(const jp_augment_at *at, const jp_augment_view *in,
                        const jp_augment_view *out, int64_t first, int64_t last) {
    const double *p = jp_augment_parameters(at), *fill = at->step->shared;
    jp_augment_window w = {0, 0, in->width, in->height, at->step->options[0], {0}};
    jp_augment_move move;
    if (at->step->n_parameters > 6)
        w.x0 = (int64_t)p[6], w.y0 = (int64_t)p[7], w.x1 = (int64_t)p[8], w.y1 = (int64_t)p[9];
    if (w.x0 < 0 || w.y0 < 0 || w.x0 >= w.x1 || w.y0 >= w.y1 || w.x1 > in->width
        || w.y1 > in->height || in->dtype != out->dtype || in->channels != out->channels
        || in->row_stride > INT32_MAX)
        return JP_ERR_SIZE;
    for (int64_t c = 0; c < in->channels; c++) put(w.fill, c, in->dtype, (float)fill[c]);
    if (is_move(p, &move)) {
        jp_augment_move_rows(&move, &w, in, out, first, last);
        return JP_OK;
    }
    if (!reachable(p, out, first, last)) return JP_ERR_VALUE;
    if (at->step->options[1] == JP_BILINEAR && jp_augment_axes_rows(p, &w, in, out, first, last))
        return JP_OK;
    warp_rows(p, &w, in, out, first, last, at->step->options[1]);
    return JP_OK;
}
