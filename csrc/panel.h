/* Products of a few rows with a panel of 32 columns, in the widest vectors that this CPU has. */
#ifndef JP_PANEL_H
#define JP_PANEL_H

#include "jp.h"

enum { JP_PANEL_LANES = 32 };

typedef float jp_vec16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef float jp_vec8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef float jp_vec4 __attribute__((vector_size(16), aligned(4), may_alias));

/* Lanes of the clone that runs. Vectors wider than the clone's compile to scalar code through
   memory, 40 times slower, so every width has its own loop and the CPU is asked at run time. */
JP_INLINE int jp_vector_lanes(void)
{
#if defined(__AVX512VL__)
    return 16;
#elif JP_HAS_CLONES
    return __builtin_cpu_supports("avx512vl") ? 16 : __builtin_cpu_supports("avx2") ? 8 : 4;
#elif defined(__AVX2__)
    return 8;
#else
    return 4;
#endif
}

/* ROWS rows times two vectors of columns: 2 ROWS accumulators hide the latency of an FMA. */
#define JP_DEFINE_STRIPE(NAME, VEC, ROWS)                                                         \
    JP_INLINE void NAME(int64_t depth, const float *a, int64_t rs, int64_t cs, const float *panel, \
                        float *out)                                                               \
    {                                                                                             \
        enum { WIDTH = sizeof(VEC) / sizeof(float) };                                             \
        VEC left[ROWS], right[ROWS];                                                              \
        for (int i = 0; i < ROWS; i++) left[i] = right[i] = (VEC){0};                             \
        for (int64_t k = 0; k < depth; k++) {                                                     \
            const VEC *b = (const VEC *)(panel + k * JP_PANEL_LANES);                             \
            for (int i = 0; i < ROWS; i++) {                                                      \
                float x = a[i * rs + k * cs];                                                     \
                left[i] += x * b[0];                                                              \
                right[i] += x * b[1];                                                             \
            }                                                                                     \
        }                                                                                         \
        for (int i = 0; i < ROWS; i++) {                                                          \
            *(VEC *)(out + i * JP_PANEL_LANES) = left[i];                                         \
            *(VEC *)(out + i * JP_PANEL_LANES + WIDTH) = right[i];                                \
        }                                                                                         \
    }

JP_DEFINE_STRIPE(jp_stripe_8x32, jp_vec16, 8)
JP_DEFINE_STRIPE(jp_stripe_1x32, jp_vec16, 1)
JP_DEFINE_STRIPE(jp_stripe_4x16, jp_vec8, 4)
JP_DEFINE_STRIPE(jp_stripe_1x16, jp_vec8, 1)
JP_DEFINE_STRIPE(jp_stripe_4x8, jp_vec4, 4)
JP_DEFINE_STRIPE(jp_stripe_1x8, jp_vec4, 1)

#define JP_STRIPES(MANY, ROWS, ONE, WIDTH)                                                        \
    for (int64_t j = 0; j < JP_PANEL_LANES; j += WIDTH) {                                         \
        int64_t i = 0;                                                                            \
        for (; i + ROWS <= n; i += ROWS)                                                          \
            MANY(depth, a + i * rs, rs, cs, panel + j, out + i * JP_PANEL_LANES + j);             \
        for (; i < n; i++) ONE(depth, a + i * rs, rs, cs, panel + j, out + i * JP_PANEL_LANES + j); \
    }

/* out (n, 32) = A (n, depth) panel (depth, 32), A[i, k] at a[i * rs + k * cs]; a row's bits do not
   depend on n. 64 n depth FLOPs. */
JP_INLINE void jp_times_panel(int64_t n, int64_t depth, const float *a, int64_t rs, int64_t cs,
                              const float *panel, float *out)
{
    int lanes = jp_vector_lanes();
    if (lanes == 16) {
        JP_STRIPES(jp_stripe_8x32, 8, jp_stripe_1x32, 32)
    } else if (lanes == 8) {
        JP_STRIPES(jp_stripe_4x16, 4, jp_stripe_1x16, 16)
    } else {
        JP_STRIPES(jp_stripe_4x8, 4, jp_stripe_1x8, 8)
    }
}

#endif
