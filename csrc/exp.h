/* The exponential in a form that loops vectorise. */
#ifndef JP_EXP_H
#define JP_EXP_H

#include "jp.h"

/* exp(x) for x in [-80, 0], within 2e-7: Cody-Waite reduction and a polynomial. */
JP_INLINE float jp_exp_negative(float x)
{
    union { float f; int32_t i; } two_n;
    float n = (float)(int32_t)(x * 1.44269504f - 0.5f);
    float r = x - n * 0.693145752f - n * 1.42860677e-6f;
    float p = 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    two_n.i = ((int32_t)n + 127) << 23;
    return p * two_n.f;
}

#endif
