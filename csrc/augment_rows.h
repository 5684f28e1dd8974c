/* Rows of pixels of any type as rows of floats and back: kernels that weigh pixels work on floats. */
#ifndef JP_AUGMENT_ROWS_H
#define JP_AUGMENT_ROWS_H

#include "augment.h"
#include "augment_wide.h"

#include <string.h>

JP_INLINE const void *jp_at(const void *x, int32_t type, int64_t element)
{
    return (const char *)x + element * jp_augment_item(type);
}

/* The nearest integer, ties to even, in the low bits; |x| < 2^22. No CPU level rounds otherwise. */
JP_INLINE uint32_t jp_nearest(float x)
{
    const float shifted = x + 0x1.8p23f;
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    return bits;
}

JP_INLINE uint8_t jp_round_u8(float x)
{
    return (uint8_t)jp_nearest(x < 0.0f ? 0.0f : x > 255.0f ? 255.0f : x);
}

JP_INLINE uint16_t jp_round_u16(float x)
{
    return (uint16_t)jp_nearest(x < 0.0f ? 0.0f : x > 65535.0f ? 65535.0f : x);
}

JP_INLINE void jp_row_to_float(const void *restrict x, int32_t type, int64_t n, float *restrict out)
{
    const uint8_t *u8 = x;
    const uint16_t *u16 = x;
    if (type == JP_U8)
        for (int64_t i = 0; i < n; i++) out[i] = (float)u8[i];
    else if (type == JP_U16)
        for (int64_t i = 0; i < n; i++) out[i] = (float)u16[i];
    else
        memcpy(out, x, (size_t)n * sizeof *out);
}

/* As many values as whole vectors hold; returns how many that is. */
#ifdef JP_WIDE
JP_WIDE static inline int64_t jp_round_wide(const float *x, int32_t type, int64_t n, void *out)
{
    const __m512 low = _mm512_setzero_ps(), high = _mm512_set1_ps(type == JP_U8 ? 255.0f : 65535.0f);
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        const __m512i v = _mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(_mm512_loadu_ps(x + i), low), high));
        if (type == JP_U8) _mm_storeu_si128((void *)((uint8_t *)out + i), _mm512_cvtepi32_epi8(v));
        else _mm256_storeu_si256((void *)((uint16_t *)out + i), _mm512_cvtepi32_epi16(v));
    }
    return i;
}
#else
static inline int64_t jp_round_wide(const float *x, int32_t type, int64_t n, void *out)
{
    (void)x, (void)type, (void)n, (void)out;
    return 0;
}
#endif

/* Rounded to nearest and saturated. */
JP_INLINE void jp_row_from_float(const float *restrict x, int32_t type, int64_t n, void *restrict out)
{
    uint8_t *u8 = out;
    uint16_t *u16 = out;
    const int64_t done = type != JP_F32 && jp_has_wide() ? jp_round_wide(x, type, n, out) : 0;
    if (type == JP_U8)
        for (int64_t i = done; i < n; i++) u8[i] = jp_round_u8(x[i]);
    else if (type == JP_U16)
        for (int64_t i = done; i < n; i++) u16[i] = jp_round_u16(x[i]);
    else
        memcpy(out, x, (size_t)n * sizeof *x);
}

#endif
