/* Warps along the axes, as of resized crops. */
#include <math.h>

#include "augment_picks.h"
#include "augment_warp.h"
#include "shuffle.h"

/* A matrix without turn or shear, as of resized crops: the taps of a column are those of every
   row, so that rows are mixed first, as they lie in memory. The order of lerp2 is kept. */
enum { MIXED = 4096, MARGIN = JP_PICK_FAR };    /* values of a mixed row, and beside */

/* Columns of a chunk: where their left taps are in the mixed row. */
typedef struct {
    int32_t left[CHUNK], right[CHUNK];
    float fx[CHUNK], each[4 * CHUNK];    /* each: four times */
    int64_t low, n_values;    /* first column and number of values of the mixed row */
    int64_t span;             /* of the pairs; 0 where there are none */
    jp_pairs pairs;
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
        for (int j = 0; j < 4; j++) t->each[4 * k + j] = t->fx[k];
    }
    for (int64_t k = 0; k < n; k++) {
        t->left[k] -= (int32_t)(low * channels);
        t->right[k] -= (int32_t)(low * channels);
    }
    t->low = low;
    t->n_values = (high - low + 1) * channels;
    t->span = 0;
    if (jp_has_wide() && channels <= 4)
        t->span = jp_pairs_fill(t->left, t->right, t->fx, n, channels, &t->pairs);
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
typedef float f32x8 __attribute__((vector_size(32)));
typedef uint8_t u8x16 __attribute__((vector_size(16)));
typedef uint16_t u16x8 __attribute__((vector_size(16)));
typedef uint32_t u32x8 __attribute__((vector_size(32)));

/* Vectors are passed to inlined functions alone: no ABI is meant. */
#pragma GCC diagnostic ignored "-Wpsabi"

/* One pixel of 3 or 4 bytes. */
JP_INLINE u8x16 mix_pixel(const float *restrict mixed, const columns *restrict t, int64_t k) {
    const u8x16 pick = {0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12};
    f32x4 left, right;
    memcpy(&left, mixed + t->left[k], 16);
    memcpy(&right, mixed + t->right[k], 16);
    const f32x4 v = left + t->fx[k] * (right - left) + 0x1.8p23f;    /* see nearest */
    return JP_SHUFFLE((u8x16)v, (u8x16)v, pick);
}

/* Four values from each of two places. */
JP_INLINE f32x8 take_two(const float *restrict mixed, const int32_t *restrict places) {
    f32x4 a, b;
    memcpy(&a, mixed + places[0], 16);
    memcpy(&b, mixed + places[1], 16);
#if defined(__clang__) || __GNUC__ >= 12
    return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7);
#else
    return (f32x8){a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]};
#endif
}

/* Two pixels of up to 4 bytes, a byte in each pair. */
JP_INLINE u8x16 mix_two(const float *restrict mixed, const columns *restrict t, int64_t k) {
    f32x8 fx;
    memcpy(&fx, t->each + 4 * k, 32);
    const f32x8 left = take_two(mixed, t->left + k), right = take_two(mixed, t->right + k);
    const f32x8 v = left + fx * (right - left) + 0x1.8p23f;    /* see nearest */
    return (u8x16)__builtin_convertvector((u32x8)v, u16x8);
}

/* Four pixels of 3 or 4 bytes: 16 bytes, of which the first pixels' bytes count. */
JP_INLINE u8x16 mix_four(const float *restrict mixed, const columns *restrict t, int64_t k,
                         int64_t channels) {
    const u8x16 three = {0, 2, 4, 8, 10, 12, 16, 18, 20, 24, 26, 28, 0, 0, 0, 0};
    const u8x16 four = {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30};
    const u8x16 first = mix_two(mixed, t, k), second = mix_two(mixed, t, k + 2);
    return channels == 3 ? JP_SHUFFLE(first, second, three) : JP_SHUFFLE(first, second, four);
}

JP_INLINE void mix_columns_bytes(const float *restrict mixed, const columns *restrict t,
                                 int64_t n, uint8_t *restrict out, int64_t channels) {
    int64_t k = 0;
    for (; (n - k) * channels >= 18; k += 4) {    /* 16 bytes, and a pixel for the rest */
        const u8x16 bytes = mix_four(mixed, t, k, channels);
        memcpy(out + k * channels, &bytes, 16);
    }
    for (; k + 1 < n; k++) {
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

#ifdef JP_WIDE
JP_WIDE static void mix_pairs(const float *mixed, const columns *t, int64_t n, int32_t dtype,
                              uint8_t *out) {
    if (t->span > JP_PICK_NEAR) jp_pairs_mix(mixed, &t->pairs, n, 1, dtype, out);
    else if (dtype == JP_U8) jp_pairs_mix(mixed, &t->pairs, n, 0, JP_U8, out);
    else jp_pairs_mix(mixed, &t->pairs, n, 0, dtype, out);
}

JP_WIDE static void mix_bytes(const uint8_t *a, const uint8_t *b, float fy, int64_t n, float *mixed) {
    jp_mix_bytes(a, b, fy, n, mixed);
}
#else
static void mix_pairs(const float *mixed, const columns *t, int64_t n, int32_t dtype,
                      uint8_t *out) {
    (void)mixed, (void)t, (void)n, (void)dtype, (void)out;
}

static void mix_bytes(const uint8_t *a, const uint8_t *b, float fy, int64_t n, float *mixed) {
    (void)a, (void)b, (void)fy, (void)n, (void)mixed;
}
#endif

/* The rows around output row y, mixed. */
JP_INLINE void make_row(const double *m, const jp_augment_window *w, const jp_augment_view *in,
                        const columns *t, int64_t y, int32_t dtype, float *mixed) {
    const int64_t v = llround((m[4] * (double)y + m[5]) * 0x1p32);
    const uint8_t *a = jp_augment_pixel(w, in, t->low, v >> 32);
    const uint8_t *b = jp_augment_pixel(w, in, t->low, (v >> 32) + 1);
    if (dtype == JP_U8 && jp_has_wide()) mix_bytes(a, b, fraction(v), t->n_values, mixed);
    else mix_rows(a, b, fraction(v), t->n_values, mixed, dtype);
}

JP_INLINE void use_row(const float *mixed, const columns *t, int64_t n, int64_t c, int32_t dtype,
                       uint8_t *to) {
    if (t->span > 0 && t->span <= JP_PICK_FAR) mix_pairs(mixed, t, n * c, dtype, to);
    else if (dtype == JP_U8 && c == 3) mix_columns_bytes(mixed, t, n, to, 3);
    else if (dtype == JP_U8 && c == 4) mix_columns_bytes(mixed, t, n, to, 4);
    else if (c == 1) mix_columns(mixed, t, n, to, 1, dtype);
    else if (c == 3) mix_columns(mixed, t, n, to, 3, dtype);
    else mix_columns(mixed, t, n, to, c, dtype);
}

/* Columns [k, k + n) of output rows [first, last); m is the matrix. Whether it could be done. A
   row is used when the next one is made: its values have left the store buffer, which forwards
   none to loads that begin between two stores. */
JP_INLINE int axes_chunk(const double *m, const jp_augment_window *w, const jp_augment_view *in,
                         const jp_augment_view *out, int64_t first, int64_t last, int64_t k,
                         int64_t n, int32_t dtype) {
    columns t;
    float mixed[2][MIXED + MARGIN] __attribute__((aligned(64)));
    const int64_t c = in->channels, dx = llround(m[0] * 0x1p32);
    if (!find_columns(w, llround(m[2] * 0x1p32) + k * dx, dx, n, c, &t)) return 0;
    for (int b = 0; b < 2; b++) memset(mixed[b] + t.n_values, 0, MARGIN * sizeof *mixed[b]);
    for (int64_t y = first; y <= last; y++) {
        if (y < last) make_row(m, w, in, &t, y, dtype, mixed[y & 1]);
        if (y > first)
            use_row(mixed[~y & 1], &t, n, c, dtype,
                    jp_augment_row(out, y - 1) + k * in->pixel_stride);
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

int jp_augment_axes_rows(const double *m, const jp_augment_window *w, const jp_augment_view *in,
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
