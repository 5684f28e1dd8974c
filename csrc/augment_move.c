/* Whole-pixel moves are copies: strided copies, rows, reversed rows, quarter turns in tiles. */
#include "augment_move.h"

#include <string.h>

#include "augment_stream.h"
#include "shuffle.h"

enum { AHEAD = 6, SHORT = 256 };    /* rows fetched ahead; rows of fewer bytes are not */

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
        v = JP_SHUFFLE(v, v, order);
        memcpy(out + x * size, &v, 16);
    }
    return x;
}

/* 16 pixels of 3 bytes at a time: three vectors in, three whole vectors out. */
JP_INLINE int64_t reverse_triples(const uint8_t *restrict in, uint8_t *restrict out, int64_t n) {
    const bytes16 first = {13, 14, 15, 10, 11, 12, 7, 8, 9, 4, 5, 6, 1, 2, 3, 30};
    const bytes16 middle = {15, 16, 11, 12, 13, 8, 9, 10, 5, 6, 7, 2, 3, 4, 0, 0};
    const bytes16 seam = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 31, 15};
    const bytes16 last = {17, 12, 13, 14, 9, 10, 11, 6, 7, 8, 3, 4, 5, 0, 1, 2};
    bytes16 a, b, c;
    int64_t x = ((-(uintptr_t)out & 15) * 11) & 15;    /* 3 x 11 is 1 modulo 16 */
    if (x > n) x = n;
    reverse_pixels(in + (n - x) * 3, out, x, 3);
    for (; n - x >= 16; x += 16) {
        const uint8_t *from = in + (n - x - 16) * 3;
        memcpy(&a, from, 16);
        memcpy(&b, from + 16, 16);
        memcpy(&c, from + 32, 16);
        const bytes16 head = JP_SHUFFLE(c, b, first), tail = JP_SHUFFLE(a, b, last);
        b = JP_SHUFFLE(b, c, middle);
        b = JP_SHUFFLE(b, a, seam);
        memcpy(out + x * 3, &head, 16);
        memcpy(out + x * 3 + 16, &b, 16);
        memcpy(out + x * 3 + 32, &tail, 16);
    }
    return x + reverse_vectors(in, out + x * 3, n - x, 3);
}

/* Read backwards within a row, which no prefetcher foresees. */
JP_INLINE void prefetch(const uint8_t *row, int64_t n_bytes) {
    if (n_bytes < SHORT) return;
    for (int64_t k = 0; k < n_bytes; k += 64) __builtin_prefetch(row + k);
}

/* Rows of n pixels of constant size, the last pixel of each first. */
JP_INLINE void reverse_rows_of(const uint8_t *in, int64_t in_step, uint8_t *out, int64_t out_step,
                               int64_t rows, int64_t n, int64_t size) {
    for (int64_t y = 0; y < rows; y++, in += in_step, out += out_step) {
        int64_t x = 0;
        prefetch(in + AHEAD * in_step, n * size);
        if (size == 3) x = reverse_triples(in, out, n);
        else if (size <= 8 && size != 5 && size != 7) x = reverse_vectors(in, out, n, size);
        reverse_pixels(in, out + x * size, n - x, size);
    }
}

JP_CLONES
static void reverse_rows(const uint8_t *in, int64_t in_step, uint8_t *out, int64_t out_step,
                         int64_t rows, int64_t n, int64_t size) {
#define CASE(SIZE) case SIZE: reverse_rows_of(in, in_step, out, out_step, rows, n, SIZE); return
    switch (size) {
        CASE(1); CASE(2); CASE(3); CASE(4); CASE(6); CASE(8); CASE(12); CASE(16);
    default:
        for (int64_t y = 0; y < rows; y++)
            reverse_pixels(in + y * in_step, out + y * out_step, n, size);
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

static void copy_rows(const uint8_t *in, int64_t in_step, uint8_t *out, int64_t out_step,
                      int64_t rows, int64_t n_bytes, int streams) {
    if (in_step == n_bytes && out_step == n_bytes) {
        n_bytes *= rows;
        rows = 1;
    }
    for (int64_t y = 0; y < rows; y++, in += in_step, out += out_step) {
        if (rows > 1) prefetch(in + AHEAD * in_step, n_bytes);
        if (streams && in_step > 0) jp_augment_stream(out, in, (size_t)n_bytes);
        else memcpy(out, in, (size_t)n_bytes);
    }
}

/* Pixels [x0, x1) of rows [first, last), all of them inside the window of the move. */
static void move_block(const jp_augment_move *m, const jp_augment_view *in,
                       const jp_augment_view *out, int64_t x0, int64_t x1, int64_t first,
                       int64_t last) {
    const int64_t size = in->pixel_stride, n = x1 - x0, rows = last - first;
    const int64_t x = m->xx * x0 + m->xy * first + m->x, y = m->yx * x0 + m->yy * first + m->y;
    if (n <= 0 || rows <= 0) return;
    const uint8_t *from = jp_augment_row(in, y) + x * size;
    uint8_t *to = jp_augment_row(out, first) + x0 * size;
    const int64_t step = m->yy * in->row_stride + m->xy * size;
    if (m->xx == 1)
        copy_rows(from, step, to, out->row_stride, rows, n * size, out->streams);
    else if (m->xx == -1)
        reverse_rows(from - (n - 1) * size, step, to, out->row_stride, rows, n, size);
    else
        for (int64_t k = 0; k < rows; k++)
            take_row(from + k * step, m->yx * in->row_stride, to + k * out->row_stride, n, size);
}

/* Least and one beyond the largest k of [*k0, *k1) whose step * k + offset is in [low, high). */
static void narrow(int64_t step, int64_t offset, int64_t low, int64_t high, int64_t *k0,
                   int64_t *k1) {
    if (step == 0) return;
    const int64_t first = step == 1 ? low - offset : offset - high + 1;
    const int64_t last = step == 1 ? high - offset : offset - low + 1;
    if (first > *k0) *k0 = first < *k1 ? first : *k1;
    if (last < *k1) *k1 = last > *k0 ? last : *k0;
}

static void border_row(const jp_augment_move *m, const jp_augment_window *w,
                       const jp_augment_view *in, const jp_augment_view *out, int64_t y,
                       int64_t x0, int64_t x1) {
    uint8_t *to = jp_augment_row(out, y);
    for (int64_t x = x0; x < x1; x++)
        jp_augment_border_pixel(w, in, m->xx * x + m->xy * y + m->x, m->yx * x + m->yy * y + m->y,
                                to + x * in->pixel_stride);
}

void jp_augment_move_rows(const jp_augment_move *m, const jp_augment_window *w,
                          const jp_augment_view *in, const jp_augment_view *out, int64_t first,
                          int64_t last) {
    const int64_t width = out->width;
    int64_t x0 = 0, x1 = width, y0 = first, y1 = last;    /* what the window covers */
    narrow(m->xx, m->x, w->x0, w->x1, &x0, &x1);
    narrow(m->yx, m->y, w->y0, w->y1, &x0, &x1);
    narrow(m->xy, m->x, w->x0, w->x1, &y0, &y1);
    narrow(m->yy, m->y, w->y0, w->y1, &y0, &y1);
    move_block(m, in, out, x0, x1, y0, y1);
    if (x0 == 0 && x1 == width && y0 == first && y1 == last) return;
    for (int64_t y = first; y < last; y++) {
        const int covered = y >= y0 && y < y1;
        border_row(m, w, in, out, y, 0, covered ? x0 : width);
        border_row(m, w, in, out, y, covered ? x1 : width, width);
    }
}
