/* Rows of floats stretched or shrunk, sixteen values at a time, picked from the values around by
   permutes: where taps of neighbouring pixels are near each other, as they are but for strong shrinking. */
#ifndef JP_AUGMENT_PICKS_H
#define JP_AUGMENT_PICKS_H

#include "augment_wide.h"

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

#endif
#endif
