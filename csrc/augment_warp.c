/* Affine warps: only the output pixels, each read once through an inverse matrix.

   Coordinates step in fixed point with 32 fractional bits: a row of 65,536 pixels is off by less
   than 1e-5 of a pixel, and integer steps give the same bits on every CPU. This file is compiled
   without contraction of a * b + c, for the same reason. */
#include <math.h>

#include "augment_move.h"

/* Vectors are passed to inlined functions alone: no ABI is meant. */
#pragma GCC diagnostic ignored "-Wpsabi"

enum { CHUNK = 256, BLOCK = 32 };    /* pixels of a row, rows */
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
                         taps *restrict t) {
    const int32_t row = (int32_t)in->row_stride, pixel = (int32_t)in->pixel_stride;
    const int64_t dx = r->dx, dy = r->dy;
    int64_t vx = r->x + first * dx, vy = r->y + first * dy;
    for (int64_t k = 0; k < n; k++, vx += dx, vy += dy) {
        t->offset[k] = (int64_t)(int32_t)(vy >> 32) * row + (int64_t)(int32_t)(vx >> 32) * pixel;
        t->fx[k] = fraction(vx);
        t->fy[k] = fraction(vy);
    }
}

/* Sixteen pixels at a time: lanes are pixels, channels are bytes of a lane. */
enum { LANES = 16 };
typedef uint8_t u8x16 __attribute__((vector_size(16)));
typedef uint16_t u16x16 __attribute__((vector_size(32)));
typedef uint32_t u32x16 __attribute__((vector_size(64)));
typedef int32_t i32x16 __attribute__((vector_size(64)));
typedef uint64_t u64x8 __attribute__((vector_size(64)));
typedef float f32x16 __attribute__((vector_size(64)));

/* Two neighbours of 1 to 4 bytes each: one load. */
JP_INLINE uint64_t load_pair(const uint8_t *p, int64_t channels) {
    uint64_t wide = 0;
    memcpy(&wide, p, channels == 1 ? 2 : channels == 2 ? 4 : 8);
    return wide;
}

/* Low halves of 16 words of 64 bits. */
JP_INLINE u32x16 low_halves(const u64x8 *p, int shift) {
    const u32x16 even = {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30};
    return __builtin_shuffle((u32x16)(p[0] >> shift), (u32x16)(p[1] >> shift), even);
}

JP_INLINE f32x16 channel_of(u32x16 pixels, int64_t c) {
    return __builtin_convertvector((i32x16)((pixels >> (uint32_t)(8 * c)) & 255), f32x16);
}

/* What lies in lanes of 4 bytes, without the gaps. */
JP_INLINE void store_lanes(u32x16 v, uint8_t *out, int64_t channels) {
    const u8x16 close = {0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 0, 0, 0, 0};
    u8x16 quarter[4];
    if (channels == 1) {
        const u8x16 bytes = __builtin_convertvector(v, u8x16);
        memcpy(out, &bytes, 16);
    } else if (channels == 2) {
        const u16x16 pairs = __builtin_convertvector(v, u16x16);
        memcpy(out, &pairs, 32);
    } else if (channels == 4) {
        memcpy(out, &v, 64);
    } else {
        memcpy(quarter, &v, 64);
        for (int q = 0; q < 4; q++) {
            quarter[q] = __builtin_shuffle(quarter[q], close);
            memcpy(out + 12 * q, &quarter[q], q < 3 ? 16 : 12);
        }
    }
}

JP_INLINE u32x16 bilinear_lanes(const uint64_t *upper, const uint64_t *lower, const float *fx,
                                const float *fy, int64_t channels) {
    u64x8 up[2], low[2];
    f32x16 x, y;
    u32x16 result = {0};
    memcpy(up, upper, sizeof up);
    memcpy(low, lower, sizeof low);
    memcpy(&x, fx, sizeof x);
    memcpy(&y, fy, sizeof y);
    const int next = (int)(8 * channels);
    const u32x16 a = low_halves(up, 0), b = low_halves(up, next), c = low_halves(low, 0),
                 d = low_halves(low, next);
    for (int64_t j = 0; j < channels; j++) {
        const f32x16 first = channel_of(a, j), second = channel_of(b, j);
        const f32x16 left = first + y * (channel_of(c, j) - first);
        const f32x16 right = second + y * (channel_of(d, j) - second);
        const f32x16 v = left + x * (right - left) + 0x1.8p23f;    /* see nearest */
        result |= ((u32x16)v & 255) << (uint32_t)(8 * j);
    }
    return result;
}

/* By shifts: bytes stored one by one are slow to load as a word. */
JP_INLINE uint64_t load_pixel(const uint8_t *p, int64_t channels) {
    uint64_t word = 0;
    for (int64_t c = 0; c < channels; c++) word |= (uint64_t)p[c] << (8 * c);
    return word;
}

/* The same pair where either of the two may be beyond the edge. */
JP_INLINE uint64_t load_border_pair(const jp_augment_window *w, const jp_augment_view *in,
                                    int64_t x, int64_t y, int64_t channels) {
    return load_pixel(jp_augment_pixel(w, in, x, y), channels)
         | load_pixel(jp_augment_pixel(w, in, x + 1, y), channels) << (8 * channels);
}

JP_INLINE void load_border(const jp_augment_window *w, const jp_augment_view *in,
                           const warp_row *r, int64_t first, int64_t last, uint64_t *upper,
                           uint64_t *lower, int64_t channels) {
    for (int64_t k = first; k < last; k++) {
        const int64_t x = (r->x + k * r->dx) >> 32, y = (r->y + k * r->dy) >> 32;
        upper[k] = load_border_pair(w, in, x, y, channels);
        lower[k] = load_border_pair(w, in, x, y + 1, channels);
    }
}

JP_INLINE void load_inside(const uint8_t *restrict data, int64_t row, const taps *restrict t,
                           int64_t first, int64_t last, uint64_t *restrict upper,
                           uint64_t *restrict lower, int64_t channels) {
    for (int64_t k = first; k < last; k++) {
        upper[k] = load_pair(data + t->offset[k], channels);
        lower[k] = load_pair(data + t->offset[k] + row, channels);
    }
}

/* A chunk of n pixels from r->x, r->y on, those of [i0, i1) inside. */
JP_INLINE void bilinear_bytes(const jp_augment_window *w, const jp_augment_view *in,
                              const warp_row *r, int64_t n, int64_t i0, int64_t i1,
                              int64_t channels) {
    uint64_t upper[CHUNK], lower[CHUNK];
    taps t;
    find_taps(in, r, 0, n, &t);
    load_border(w, in, r, 0, i0, upper, lower, channels);
    load_inside(in->data, in->row_stride, &t, i0, i1, upper, lower, channels);
    load_border(w, in, r, i1, n, upper, lower, channels);
    for (int64_t k = n; k % LANES != 0; k++) upper[k] = lower[k] = 0;
    int64_t k = 0;
    for (; k + LANES < n; k += LANES)
        store_lanes(bilinear_lanes(upper + k, lower + k, t.fx + k, t.fy + k, channels),
                    r->out + k * channels, channels);
    uint8_t rest[4 * LANES + 4];
    store_lanes(bilinear_lanes(upper + k, lower + k, t.fx + k, t.fy + k, channels), rest,
                channels);
    memcpy(r->out + k * channels, rest, (size_t)((n - k) * channels));
}

JP_INLINE int64_t clamped(int64_t v, int64_t low, int64_t high) {
    return v < low ? low : v > high ? high : v;
}

/* Pixels [first, last) of a row, of 1 to 4 bytes each; those of [i0, i1) are inside. */
JP_INLINE void bytes_row(const jp_augment_window *w, const jp_augment_view *in,
                         const warp_row *r, int64_t first, int64_t last, int64_t i0, int64_t i1) {
    for (int64_t k = first; k < last; k += CHUNK) {
        const int64_t n = last - k < CHUNK ? last - k : CHUNK;
        const int64_t from = clamped(i0 - k, 0, n), to = clamped(i1 - k, from, n);
        const warp_row part = {r->x + k * r->dx, r->y + k * r->dy, r->dx, r->dy,
                               r->out + k * in->pixel_stride};
        switch (in->channels) {
        case 1: bilinear_bytes(w, in, &part, n, from, to, 1); break;
        case 2: bilinear_bytes(w, in, &part, n, from, to, 2); break;
        case 3: bilinear_bytes(w, in, &part, n, from, to, 3); break;
        default: bilinear_bytes(w, in, &part, n, from, to, 4);
        }
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

/* ---- bilinear along the axes ----------------------------------------------------------- */

/* A matrix without turn or shear, as of resized crops: the taps of a column are those of every
   row, so that rows are mixed first, as they lie in memory. The order of lerp2 is kept. */
enum { MIXED = 4096, MARGIN = 8 };    /* values of a mixed row, and beside */

/* Columns of a chunk: where their left taps are in the mixed row. */
typedef struct {
    int32_t left[CHUNK], right[CHUNK];
    float fx[CHUNK];
    int64_t low, n_values;    /* first column and number of values of the mixed row */
} columns;

/* Whether the sources of a chunk fit the mixed row. */
static int find_columns(const jp_augment_window *w, int64_t x, int64_t dx, int64_t n,
                        int64_t channels, columns *t) {
    int64_t low = INT64_MAX, high = -1;
    for (int64_t k = 0; k < n; k++) {
        const int64_t v = x + k * dx, a = jp_augment_border(v >> 32, w->x0, w->x1, w->border),
                      b = jp_augment_border((v >> 32) + 1, w->x0, w->x1, w->border);
        const int64_t least = a < b ? a : b, greatest = a < b ? b : a;
        if (least < low) low = least;
        if (greatest > high) high = greatest;
        if ((high - low + 1) * channels > MIXED) return 0;
        t->left[k] = (int32_t)(a * channels);
        t->right[k] = (int32_t)(b * channels);
        t->fx[k] = fraction(v);
    }
    for (int64_t k = 0; k < n; k++) {
        t->left[k] -= (int32_t)(low * channels);
        t->right[k] -= (int32_t)(low * channels);
    }
    t->low = low;
    t->n_values = (high - low + 1) * channels;
    return 1;
}

JP_INLINE void mix_rows(const uint8_t *restrict a, const uint8_t *restrict b, float fy, int64_t n,
                        float *restrict mixed, int32_t dtype) {
    for (int64_t i = 0; i < n; i++) {
        const float first = get(a, i, dtype);
        mixed[i] = first + fy * (get(b, i, dtype) - first);
    }
}

typedef float f32x4 __attribute__((vector_size(16)));

/* One pixel of 3 or 4 bytes. */
JP_INLINE u8x16 mix_pixel(const float *restrict mixed, const columns *restrict t, int64_t k) {
    const u8x16 pick = {0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12};
    f32x4 left, right;
    memcpy(&left, mixed + t->left[k], 16);
    memcpy(&right, mixed + t->right[k], 16);
    const f32x4 v = left + t->fx[k] * (right - left) + 0x1.8p23f;    /* see nearest */
    return __builtin_shuffle((u8x16)v, pick);
}

JP_INLINE void mix_columns_bytes(const float *restrict mixed, const columns *restrict t,
                                 int64_t n, uint8_t *restrict out, int64_t channels) {
    for (int64_t k = 0; k + 1 < n; k++) {
        const u8x16 bytes = mix_pixel(mixed, t, k);
        memcpy(out + k * channels, &bytes, 4);
    }
    const u8x16 bytes = mix_pixel(mixed, t, n - 1);
    memcpy(out + (n - 1) * channels, &bytes, (size_t)channels);
}

JP_INLINE void mix_columns(const float *restrict mixed, const columns *restrict t, int64_t n,
                           uint8_t *restrict out, int64_t channels, int32_t dtype) {
    for (int64_t k = 0; k < n; k++)
        for (int64_t j = 0; j < channels; j++) {
            const float left = mixed[t->left[k] + j], right = mixed[t->right[k] + j];
            put(out, k * channels + j, dtype, left + t->fx[k] * (right - left));
        }
}

/* Columns [k, k + n) of output rows [first, last); r is the matrix. Whether it could be done. */
JP_INLINE int axes_chunk(const double *m, const jp_augment_window *w, const jp_augment_view *in,
                         const jp_augment_view *out, int64_t first, int64_t last, int64_t k,
                         int64_t n, int32_t dtype) {
    columns t;
    float mixed[MIXED + MARGIN];
    const int64_t c = in->channels, dx = llround(m[0] * 0x1p32);
    if (!find_columns(w, llround(m[2] * 0x1p32) + k * dx, dx, n, c, &t)) return 0;
    memset(mixed + t.n_values, 0, MARGIN * sizeof *mixed);
    for (int64_t y = first; y < last; y++) {
        const int64_t v = llround((m[4] * (double)y + m[5]) * 0x1p32);
        const uint8_t *a = jp_augment_pixel(w, in, t.low, v >> 32);
        const uint8_t *b = jp_augment_pixel(w, in, t.low, (v >> 32) + 1);
        uint8_t *to = jp_augment_row(out, y) + k * in->pixel_stride;
        mix_rows(a, b, fraction(v), t.n_values, mixed, dtype);
        if (dtype == JP_U8 && c == 3) mix_columns_bytes(mixed, &t, n, to, 3);
        else if (dtype == JP_U8 && c == 4) mix_columns_bytes(mixed, &t, n, to, 4);
        else if (c == 1) mix_columns(mixed, &t, n, to, 1, dtype);
        else if (c == 3) mix_columns(mixed, &t, n, to, 3, dtype);
        else mix_columns(mixed, &t, n, to, c, dtype);
    }
    return 1;
}

JP_CLONES
static int axes_chunk_u8(const double *m, const jp_augment_window *w, const jp_augment_view *in,
                         const jp_augment_view *out, int64_t first, int64_t last, int64_t k,
                         int64_t n) {
    return axes_chunk(m, w, in, out, first, last, k, n, JP_U8);
}

JP_CLONES
static int axes_chunk_u16(const double *m, const jp_augment_window *w, const jp_augment_view *in,
                          const jp_augment_view *out, int64_t first, int64_t last, int64_t k,
                          int64_t n) {
    return axes_chunk(m, w, in, out, first, last, k, n, JP_U16);
}

JP_CLONES
static int axes_chunk_f32(const double *m, const jp_augment_window *w, const jp_augment_view *in,
                          const jp_augment_view *out, int64_t first, int64_t last, int64_t k,
                          int64_t n) {
    return axes_chunk(m, w, in, out, first, last, k, n, JP_F32);
}

/* Whether the warp could be done so. */
static int axes_rows(const double *m, const jp_augment_window *w, const jp_augment_view *in,
                     const jp_augment_view *out, int64_t first, int64_t last) {
    if (m[1] != 0 || m[3] != 0 || w->border == JP_BORDER_CONSTANT) return 0;
    for (int64_t k = 0; k < out->width; k += CHUNK) {
        const int64_t n = out->width - k < CHUNK ? out->width - k : CHUNK;
        const int done = in->dtype == JP_U8 ? axes_chunk_u8(m, w, in, out, first, last, k, n)
                       : in->dtype == JP_U16 ? axes_chunk_u16(m, w, in, out, first, last, k, n)
                       : axes_chunk_f32(m, w, in, out, first, last, k, n);
        if (!done) return 0;
    }
    return 1;
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

static void warp_rows(const double *m, const jp_augment_window *w, const jp_augment_view *in,
                     const jp_augment_view *out, int64_t first, int64_t last,
                     int32_t interpolation) {
    const double half = interpolation == JP_NEAREST ? 0.5 : 0.0, one = 0x1p32;
    warp_row r = {0, 0, llround(m[0] * one), llround(m[3] * one), NULL};
    for (int64_t y = first; y < last; y++) {
        r.x = llround((m[1] * (double)y + m[2] + half) * one);
        r.y = llround((m[4] * (double)y + m[5] + half) * one);
        r.out = jp_augment_row(out, y);
        if (y == first) prefetch_source(m, w, in, out->width, y, y + BLOCK);
        if ((y - first) % BLOCK == 0)
            prefetch_source(m, w, in, out->width, y + BLOCK, y + 2 * BLOCK);
        warp_one_row(w, in, &r, out->width, interpolation);
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
    return fabs(m[0]) < far && fabs(m[3]) < far;
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
    if (!reachable(p, out, first, last)) return JP_ERR_VALUE;
    if (at->step->options[1] == JP_BILINEAR && axes_rows(p, &w, in, out, first, last))
        return JP_OK;
    warp_rows(p, &w, in, out, first, last, at->step->options[1]);
    return JP_OK;
}
