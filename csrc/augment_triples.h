/* Bytes of three channels, sixteen pixels at a time: lanes are pixels. */
#ifndef JP_AUGMENT_TRIPLES_H
#define JP_AUGMENT_TRIPLES_H

#include "augment_wide.h"

#ifdef JP_WIDE

/* Pixels of a vector, and bytes that are read and written: whole vectors, as masked stores are slow. */
enum { JP_TRIPLE_LANES = 16, JP_TRIPLE_BYTES = 64 };

/* What each quarter has in its first 12 bytes, to the lanes' first three bytes, and back. */
#define JP_TRIPLE_OPEN _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1))
#define JP_TRIPLE_CLOSE _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1))
#define JP_TRIPLE_ALIKE _mm512_broadcast_i32x4(_mm_setr_epi8(0, 0, 0, 4, 4, 4, 8, 8, 8, 12, 12, 12, -1, -1, -1, -1))

JP_WIDE static inline __m512i jp_load_triples(const uint8_t *x) {
    const __m512i spread = _mm512_setr_epi32(0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 9, 9, 10, 11, 12);
    const __m512i v = _mm512_loadu_si512(x);
    return _mm512_shuffle_epi8(_mm512_permutexvar_epi32(spread, v), JP_TRIPLE_OPEN);
}

/* close: which bytes of the lanes. */
JP_WIDE static inline void jp_store_triples(__m512i v, __m512i close, uint8_t *out) {
    const __m512i gather = _mm512_setr_epi32(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 3, 3, 3, 3);
    _mm512_storeu_si512(out, _mm512_permutexvar_epi32(gather, _mm512_shuffle_epi8(v, close)));
}

JP_WIDE static inline __m512 jp_triple_channel(__m512i pixels, unsigned c) {
    return _mm512_cvtepi32_ps(_mm512_and_epi32(_mm512_srli_epi32(pixels, 8 * c), _mm512_set1_epi32(255)));
}

/* The mean of a pixel's channels for all of them; m: weights whose mean of bytes is a byte. Returns
   how many of n pixels are done. */
JP_WIDE static inline int64_t jp_grey_triples(const float *m, int64_t n, const uint8_t *x, uint8_t *out) {
    const __m512 r = _mm512_set1_ps(m[0]), g = _mm512_set1_ps(m[1]), b = _mm512_set1_ps(m[2]);
    int64_t i = 0;
    for (; 3 * (n - i) >= JP_TRIPLE_BYTES; i += JP_TRIPLE_LANES) {
        const __m512i v = jp_load_triples(x + 3 * i);
        const __m512 rg = _mm512_add_ps(_mm512_mul_ps(r, jp_triple_channel(v, 0)),
                                        _mm512_mul_ps(g, jp_triple_channel(v, 1)));
        const __m512 grey = _mm512_add_ps(rg, _mm512_mul_ps(b, jp_triple_channel(v, 2)));
        jp_store_triples(_mm512_cvtps_epi32(grey), JP_TRIPLE_ALIKE, out + 3 * i);
    }
    return i;
}

#else

static inline int64_t jp_grey_triples(const float *m, int64_t n, const uint8_t *x, uint8_t *out) {
    (void)m, (void)n, (void)x, (void)out;
    return 0;
}

#endif
#endif
