/* Rows of floats stretched or shrunk, sixteen values at a time, picked from the values around by
   permutes: where taps of neighbouring pixels are near each other, as they are but for strong shrinking. */
#ifndef JP_AUGMENT_PICKS_H
#define JP_AUGMENT_PICKS_H

#include "augment_rows.h"

enum { JP_PICK_LANES = 16, JP_PICK_NEAR = 32, JP_PICK_FAR = 64 /* values to pick from */ };

/* Values 16 g .. 16 g + 15 of a row of output: their first taps are row[base + index]. */
typedef struct {
    int32_t base;
    int32_t index[JP_PICK_LANES];
} jp_pick;

/* Fills picks for n values, of pixels whose first taps are pixels first[0], first[1], ... of the row.
   `reach`: values from the first tap to the last. Returns how many values from a base on hold all taps. */
JP_INLINE int64_t jp_pick_fill(jp_pick *picks, const int32_t *first, int64_t n, int64_t channels, int64_t reach) {
    int64_t span = 0;
    for (int64_t g = 0; g * JP_PICK_LANES < n; g++) {
        int32_t low = INT32_MAX;
        for (int64_t k = 0; k < JP_PICK_LANES; k++) {
            const int64_t i = g * JP_PICK_LANES + k < n ? g * JP_PICK_LANES + k : n - 1;
            const int32_t at = first[i / channels] * (int32_t)channels + (int32_t)(i % channels);
            picks[g].index[k] = at;
            if (at < low) low = at;
        }
        picks[g].base = low;
        for (int64_t k = 0; k < JP_PICK_LANES; k++) {
            picks[g].index[k] -= low;
            if (picks[g].index[k] + reach + 1 > span) span = picks[g].index[k] + reach + 1;
        }
    }
    return span;
}

enum { JP_PAIR_GROUPS = 64 };

/* Values between two taps each: left + share (right - left). By groups of sixteen, aligned to lines. */
typedef struct {
    int32_t left[JP_PAIR_GROUPS * JP_PICK_LANES], right[JP_PAIR_GROUPS * JP_PICK_LANES];
    float share[JP_PAIR_GROUPS * JP_PICK_LANES];
    int32_t base[JP_PAIR_GROUPS];
} __attribute__((aligned(64))) jp_pairs;

/* Pairs of n pixels; left, right: the first values of their taps. Returns how many values from a base on
   hold all taps. */
JP_INLINE int64_t jp_pairs_fill(const int32_t *left, const int32_t *right, const float *share, int64_t n,
                                int64_t channels, jp_pairs *p)
{
    const int64_t n_values = n * channels, padded = (n_values + JP_PICK_LANES - 1) / JP_PICK_LANES * JP_PICK_LANES;
    int32_t span = 0;
    for (int64_t i = 0, x = 0, c = 0; i < padded; i++) {
        p->left[i] = left[x] + (int32_t)c;
        p->right[i] = right[x] + (int32_t)c;
        p->share[i] = share[x];
        if (++c == channels) c = 0, x += x + 1 < n;
    }
    for (int64_t g = 0; g * JP_PICK_LANES < n_values; g++) {
        int32_t low = INT32_MAX, high = 0, *l = p->left + g * JP_PICK_LANES, *r = p->right + g * JP_PICK_LANES;
        for (int k = 0; k < JP_PICK_LANES; k++) {
            const int32_t least = l[k] < r[k] ? l[k] : r[k], greatest = l[k] < r[k] ? r[k] : l[k];
            low = least < low ? least : low;
            high = greatest > high ? greatest : high;
        }
        for (int k = 0; k < JP_PICK_LANES; k++) l[k] -= low, r[k] -= low;
        p->base[g] = low;
        if (high - low >= span) span = high - low + 1;
    }
    return span;
}

#ifdef JP_WIDE

JP_WIDE static inline __m512 jp_pick_near(const float *at, __m512i index) {
    return _mm512_permutex2var_ps(_mm512_loadu_ps(at), index, _mm512_loadu_ps(at + 16));
}

JP_WIDE static inline __m512 jp_pick_far(const float *at, __m512i index) {
    const __m512 low = jp_pick_near(at, index), high = jp_pick_near(at + 32, index);
    return _mm512_mask_blend_ps(_mm512_test_epi32_mask(index, _mm512_set1_epi32(32)), low, high);
}

/* out[i] = sum over t of weight[t] x tap t, 16 values a group; weight: (n_groups, n_taps, 16). */
JP_WIDE static inline void jp_pick_sum(const float *row, const jp_pick *picks, const float *weight,
                                       int64_t n_groups, int64_t n_taps, int64_t channels, int far, float *out) {
    const __m512i next = _mm512_set1_epi32((int32_t)channels);
    for (int64_t g = 0; g < n_groups; g++, weight += n_taps * JP_PICK_LANES) {
        const float *at = row + picks[g].base;
        __m512i index = _mm512_loadu_si512(picks[g].index);
        __m512 sum = _mm512_mul_ps(_mm512_loadu_ps(weight), far ? jp_pick_far(at, index) : jp_pick_near(at, index));
        for (int64_t t = 1; t < n_taps; t++) {
            index = _mm512_add_epi32(index, next);
            const __m512 x = far ? jp_pick_far(at, index) : jp_pick_near(at, index);
            sum = _mm512_add_ps(sum, _mm512_mul_ps(_mm512_loadu_ps(weight + t * JP_PICK_LANES), x));
        }
        _mm512_storeu_ps(out + g * JP_PICK_LANES, sum);
    }
}

/* The first 16 values of a group: all that a row has, or a vector. */
JP_WIDE static inline void jp_pair_store(__m512 v, int32_t type, int64_t n, uint8_t *out)
{
    uint8_t rest[64];
    uint8_t *to = n < JP_PICK_LANES ? rest : out;
    if (type == JP_U8) _mm_storeu_si128((void *)to, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)));
    else if (type == JP_U16) _mm256_storeu_si256((void *)to, _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(v)));
    else _mm512_storeu_ps((void *)to, v);
    if (n < JP_PICK_LANES) memcpy(out, rest, (size_t)(n * jp_augment_item(type)));
}

/* n values. */
JP_WIDE static inline void jp_pairs_mix(const float *row, const jp_pairs *p, int64_t n, int far, int32_t type,
                                        uint8_t *out)
{
    for (int64_t g = 0; n > 0; g++, n -= JP_PICK_LANES, out += JP_PICK_LANES * jp_augment_item(type)) {
        const float *at = row + p->base[g];
        const __m512i l = _mm512_load_si512(p->left + g * JP_PICK_LANES);
        const __m512i r = _mm512_load_si512(p->right + g * JP_PICK_LANES);
        const __m512 left = far ? jp_pick_far(at, l) : jp_pick_near(at, l);
        const __m512 right = far ? jp_pick_far(at, r) : jp_pick_near(at, r);
        const __m512 part = _mm512_mul_ps(_mm512_load_ps(p->share + g * JP_PICK_LANES), _mm512_sub_ps(right, left));
        jp_pair_store(_mm512_add_ps(left, part), type, n, out);
    }
}

JP_WIDE static inline __m512 jp_mix_sixteen(__m128i a, __m128i b, __m512 share)
{
    const __m512 first = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(a));
    const __m512 second = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(b));
    return _mm512_add_ps(first, _mm512_mul_ps(share, _mm512_sub_ps(second, first)));
}

/* out = a + share (b - a), n bytes; 15 values more are written. Masked loads are slow: at the end alone. */
JP_WIDE static inline void jp_mix_bytes(const uint8_t *a, const uint8_t *b, float share, int64_t n, float *out)
{
    const __m512 weight = _mm512_set1_ps(share);
    int64_t i = 0;
    for (; i + JP_PICK_LANES <= n; i += JP_PICK_LANES)
        _mm512_storeu_ps(out + i, jp_mix_sixteen(_mm_loadu_si128((const void *)(a + i)),
                                                 _mm_loadu_si128((const void *)(b + i)), weight));
    const __mmask16 rest = (__mmask16)((1 << (n - i)) - 1);
    if (rest) _mm512_storeu_ps(out + i, jp_mix_sixteen(_mm_maskz_loadu_epi8(rest, a + i),
                                                       _mm_maskz_loadu_epi8(rest, b + i), weight));
}

#endif
#endif
