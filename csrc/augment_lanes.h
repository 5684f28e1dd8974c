/* Bilinear warps of 1 to 4 bytes a pixel, sixteen pixels at a time: lanes are pixels, channels
   are bytes of a lane. */
#ifndef JP_AUGMENT_LANES_H
#define JP_AUGMENT_LANES_H

#include "augment_warp.h"
#include "shuffle.h"

/* Vectors are passed to inlined functions alone: no ABI is meant. */
#pragma GCC diagnostic ignored "-Wpsabi"

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
    return JP_SHUFFLE((u32x16)(p[0] >> shift), (u32x16)(p[1] >> shift), even);
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
            quarter[q] = JP_SHUFFLE(quarter[q], quarter[q], close);
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

/* 1 to 4 bytes. */
JP_INLINE uint64_t load_pixel(const uint8_t *p, int64_t channels) {
    uint32_t word;
    uint16_t low;
    if (channels == 1) return p[0];
    if (channels == 4) return memcpy(&word, p, 4), word;
    memcpy(&low, p, 2);
    return channels == 2 ? low : low | (uint64_t)p[2] << 16;
}

/* The same pair where either of the two may be beyond the edge. */
JP_INLINE uint64_t load_border_pair(const jp_augment_window *w, const jp_augment_view *in,
                                    int64_t x, int64_t y, int64_t channels) {
    const int next = (int)(8 * channels);
    const int64_t sy = jp_augment_border(y, w->y0, w->y1, w->border);
    if (sy >= 0 && x >= w->x0 && x + 1 < w->x1) {
        const uint8_t *p = jp_augment_row(in, sy) + x * channels;
        return load_pixel(p, channels) | load_pixel(p + channels, channels) << next;
    }
    return load_pixel(jp_augment_pixel(w, in, x, y), channels)
         | load_pixel(jp_augment_pixel(w, in, x + 1, y), channels) << next;
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

#endif
