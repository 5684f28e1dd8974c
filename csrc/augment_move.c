/* Whole-pixel moves are copies: strided copies, rows, reversed rows, quarter turns in tiles. */
#include "augment_move.h"

#include <string.h>

#include "augment_stream.h"

enum { AHEAD = 4, PIECE = 2048 };    /* rows fetched ahead, bytes reversed at a time */

static void copy_strided(const uint8_t *in, int64_t in_step, uint8_t *out, int64_t out_step,
                         int64_t n, int64_t item) {
    if (item == 1)
        for (int64_t x = 0; x < n; x++) out[x * out_step] = in[x * in_step];
    else if (item == 2)
        for (int64_t x = 0; x < n; x++) memcpy(out + x * out_step, in + x * in_step, 2);
    else
        for (int64_t x = 0; x < n; x++) memcpy(out + x * out_step, in + x * in_step, 4);
}

static int is_packed_row(const jp_augment_view *view, int64_t item) {
    return view->pixel_stride == item * view->channels && view->channel_stride == item;
}

int jp_augment_copy(const jp_augment_at *at, const jp_augment_view *in, const jp_augment_view *out,
                    int64_t first, int64_t last) {
    (void)at;
    const int64_t item = jp_augment_item(in->dtype);
    const int packed = is_packed_row(in, item) && is_packed_row(out, item);
    if (in->dtype != out->dtype || in->channels != out->channels) return JP_ERR_VALUE;
    for (int64_t y = first; y < last; y++) {
        const uint8_t *from = jp_augment_row(in, y);
        uint8_t *to = jp_augment_row(out, y);
        if (packed)
            memcpy(to, from, (size_t)(in->width * in->pixel_stride));
        else
            for (int64_t c = 0; c < in->channels; c++)
                copy_strided(from + c * in->channel_stride, in->pixel_stride,
                             to + c * out->channel_stride, out->pixel_stride, in->width, item);
    }
    return JP_OK;
}

/* n pixels of constant size, the last of `in` first. */
JP_INLINE void reverse_pixels(const uint8_t *restrict in, uint8_t *restrict out, int64_t n,
                              int64_t size) {
    for (int64_t x = 0; x < n; x++)
        memcpy(out + x * size, in + (n - 1 - x) * size, (size_t)size);
}

typedef uint8_t bytes16 __attribute__((vector_size(16)));

/* A load of 16 bytes ends with 16 / size whole pixels; what a store writes beyond them is written
   again. Returns the pixels done: fewer than 16 bytes are left. */
JP_INLINE int64_t reverse_vectors(const uint8_t *restrict in, uint8_t *restrict out, int64_t n,
                                  int64_t size) {
    const int64_t lanes = 16 / size;
    bytes16 order, v;
    int64_t x = 0;
    for (int64_t k = 0; k < 16; k++)
        order[k] = (uint8_t)((16 - size - k / size * size + k % size) & 15);
    for (; (n - x) * size >= 16; x += lanes) {
        memcpy(&v, in + (n - x) * size - 16, 16);
        v = __builtin_shuffle(v, order);
        memcpy(out + x * size, &v, 16);
    }
    return x;
}

JP_CLONES
static void reverse_row(const uint8_t *restrict in, uint8_t *restrict out, int64_t n,
                        int64_t size) {
    int64_t x = 0;
#define CASE(SIZE) case SIZE: x = reverse_vectors(in, out, n, SIZE);                     \
        reverse_pixels(in, out + x * SIZE, n - x, SIZE); return
    switch (size) {
        CASE(1); CASE(2); CASE(3); CASE(4); CASE(6); CASE(8);
    case 12: reverse_pixels(in, out, n, 12); return;
    case 16: reverse_pixels(in, out, n, 16); return;
    default: reverse_pixels(in, out, n, size); return;
    }
#undef CASE
}

/* out[x] = in[x * step], pixels of constant size: one row of a quarter turn. */
JP_INLINE void take_pixels(const uint8_t *restrict in, int64_t step, uint8_t *restrict out,
                           int64_t n, int64_t size) {
    for (int64_t x = 0; x < n; x++) memcpy(out + x * size, in + x * step, (size_t)size);
}

static void take_row(const uint8_t *restrict in, int64_t step, uint8_t *restrict out, int64_t n,
                     int64_t size) {
    switch (size) {
    case 1: take_pixels(in, step, out, n, 1); return;
    case 2: take_pixels(in, step, out, n, 2); return;
    case 3: take_pixels(in, step, out, n, 3); return;
    case 4: take_pixels(in, step, out, n, 4); return;
    case 6: take_pixels(in, step, out, n, 6); return;
    case 8: take_pixels(in, step, out, n, 8); return;
    case 12: take_pixels(in, step, out, n, 12); return;
    default: take_pixels(in, step, out, n, size); return;
    }
}

static void put_row(const uint8_t *from, uint8_t *out, int64_t n, int64_t size, int streams) {
    if (streams) jp_augment_stream(out, from, (size_t)(n * size));
    else memcpy(out, from, (size_t)(n * size));
}

/* n pixels, the last of `in` first. */
static void put_reversed(const uint8_t *from, uint8_t *out, int64_t n, int64_t size,
                         int streams) {
    uint8_t piece[PIECE];
    const int64_t most = PIECE / size;
    if (!streams) {
        reverse_row(from, out, n, size);
        return;
    }
    for (int64_t x = 0; x < n; x += most) {
        const int64_t part = n - x < most ? n - x : most;
        reverse_row(from + (n - x - part) * size, piece, part, size);
        put_row(piece, out + x * size, part, size, 1);
    }
}

/* Pixels [x0, x1) of row y, all of them inside the window of the move. */
static void move_span(const jp_augment_move *m, const jp_augment_view *in, uint8_t *to,
                      int64_t y, int64_t x0, int64_t x1, int streams) {
    const int64_t size = in->pixel_stride, n = x1 - x0;
    const int64_t sx = m->xx * x0 + m->xy * y + m->x, sy = m->yx * x0 + m->yy * y + m->y;
    const uint8_t *from = jp_augment_row(in, sy) + sx * size;
    uint8_t *out = to + x0 * size;
    if (m->xx == 1)
        put_row(from, out, n, size, streams);
    else if (m->xx == -1)
        put_reversed(from - (n - 1) * size, out, n, size, streams);
    else
        take_row(from, m->yx * in->row_stride, out, n, size);
}

/* Rows are read backwards or in another order than they lie in, which no prefetcher foresees. */
JP_INLINE void prefetch_row(const jp_augment_view *in, int64_t y) {
    if (y < in->first_row || y >= in->height) return;
    const uint8_t *row = jp_augment_row(in, y);
    for (int64_t k = 0; k < in->width * in->pixel_stride; k += 64) __builtin_prefetch(row + k);
}

/* Least and one beyond the largest x of [0, width) whose step * x + offset is in [low, high). */
static void inside(int64_t step, int64_t offset, int64_t low, int64_t high, int64_t *x0,
                   int64_t *x1) {
    int64_t first = 0, last = *x1;
    if (step == 0) {
        if (offset < low || offset >= high) last = 0;
    } else if (step == 1) {
        first = low - offset;
        if (high - offset < last) last = high - offset;
    } else {
        first = offset - high + 1;
        if (offset - low + 1 < last) last = offset - low + 1;
    }
    if (first > *x0) *x0 = first;
    *x1 = last > *x0 ? last : *x0;
}

void jp_augment_move_rows(const jp_augment_move *m, const jp_augment_window *w,
                          const jp_augment_view *in, const jp_augment_view *out, int64_t first,
                          int64_t last) {
    for (int64_t y = first; y < last; y++) {
        int64_t x0 = 0, x1 = out->width;
        inside(m->xx, m->xy * y + m->x, w->x0, w->x1, &x0, &x1);
        inside(m->yx, m->yy * y + m->y, w->y0, w->y1, &x0, &x1);
        if (x1 > out->width) x1 = out->width;
        if (x0 > x1) x0 = x1;
        uint8_t *to = jp_augment_row(out, y);
        if (m->yy != 0) prefetch_row(in, m->yy * (y + AHEAD) + m->y);
        if (x1 > x0) move_span(m, in, to, y, x0, x1, out->streams);
        for (int64_t x = 0; x < out->width; x++) {
            if (x == x0 && x1 > x0) x = x1;
            if (x >= out->width) break;
            jp_augment_border_pixel(w, in, m->xx * x + m->xy * y + m->x,
                                    m->yx * x + m->yy * y + m->y, to + x * in->pixel_stride);
        }
    }
}
