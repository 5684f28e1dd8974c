/* Rows of pixels of any type as rows of floats and back: kernels that weigh pixels work on floats. */
#ifndef JP_AUGMENT_ROWS_H
#define JP_AUGMENT_ROWS_H

#include "augment.h"

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

/* Rounded to nearest and saturated. */
JP_INLINE void jp_row_from_float(const float *restrict x, int32_t type, int64_t n, void *restrict out)
{
    uint8_t *u8 = out;
    uint16_t *u16 = out;
    if (type == JP_U8)
        for (int64_t i = 0; i < n; i++) u8[i] = jp_round_u8(x[i]);
    else if (type == JP_U16)
        for (int64_t i = 0; i < n; i++) u16[i] = jp_round_u16(x[i]);
    else
        memcpy(out, x, (size_t)n * sizeof *x);
}

#endif
