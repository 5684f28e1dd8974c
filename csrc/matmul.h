/* Small matrix products for tiles of rows: C (+)= A B with A addressed by two strides.
   A tile's operands fit in L1/L2, so there is no packing here: callers pack what they gather.
   4 rows x 32 columns keep eight 16-lane accumulators, enough to hide the latency of an FMA. */
#ifndef JP_MATMUL_H
#define JP_MATMUL_H

#include "jp.h"

typedef float jp_v16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef float jp_v8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef float jp_v4 __attribute__((vector_size(16), aligned(4), may_alias));

/* c[i][0 .. VECS lanes) (+)= sum over k of a[i * rs + k * cs] * b[k * ldb + ...], for ROWS rows. */
#define JP_DEFINE_MICRO(NAME, VEC, VECS, ROWS)                                                    \
    JP_INLINE void NAME(int64_t depth, const float *a, int64_t rs, int64_t cs, const float *b,    \
                        int64_t ldb, float *c, int64_t ldc, int add)                              \
    {                                                                                             \
        enum { LANES = sizeof(VEC) / sizeof(float) };                                             \
        VEC sum[ROWS][VECS];                                                                      \
        for (int i = 0; i < ROWS; i++)                                                            \
            for (int v = 0; v < VECS; v++)                                                        \
                sum[i][v] = add ? *(const VEC *)(c + i * ldc + v * LANES) : (VEC){0};             \
        for (int64_t k = 0; k < depth; k++) {                                                     \
            VEC row[VECS];                                                                        \
            for (int v = 0; v < VECS; v++) row[v] = *(const VEC *)(b + k * ldb + v * LANES);      \
            for (int i = 0; i < ROWS; i++) {                                                      \
                float x = a[i * rs + k * cs];                                                     \
                for (int v = 0; v < VECS; v++) sum[i][v] += x * row[v];                           \
            }                                                                                     \
        }                                                                                         \
        for (int i = 0; i < ROWS; i++)                                                            \
            for (int v = 0; v < VECS; v++) *(VEC *)(c + i * ldc + v * LANES) = sum[i][v];         \
    }

JP_DEFINE_MICRO(jp_micro_4x32, jp_v16, 2, 4)
JP_DEFINE_MICRO(jp_micro_1x32, jp_v16, 2, 1)
JP_DEFINE_MICRO(jp_micro_4x16, jp_v16, 1, 4)
JP_DEFINE_MICRO(jp_micro_1x16, jp_v16, 1, 1)
JP_DEFINE_MICRO(jp_micro_4x8, jp_v8, 1, 4)
JP_DEFINE_MICRO(jp_micro_1x8, jp_v8, 1, 1)
JP_DEFINE_MICRO(jp_micro_4x4, jp_v4, 1, 4)
JP_DEFINE_MICRO(jp_micro_1x4, jp_v4, 1, 1)
JP_DEFINE_MICRO(jp_micro_1x1, float, 1, 1)

#define JP_PANEL(FOUR, ONE)                                                                       \
    do {                                                                                          \
        int64_t i = 0;                                                                            \
        for (; i + 4 <= n; i += 4)                                                                \
            FOUR(depth, a + i * rs, rs, cs, b + j, ldb, c + i * ldc + j, ldc, add);               \
        for (; i < n; i++) ONE(depth, a + i * rs, rs, cs, b + j, ldb, c + i * ldc + j, ldc, add); \
    } while (0)

/* C (n, m) (+)= A (n, depth) B (depth, m); 2 n m depth FLOPs. */
JP_INLINE void jp_matmul(int64_t n, int64_t m, int64_t depth, const float *a, int64_t rs, int64_t cs,
                         const float *b, int64_t ldb, float *c, int64_t ldc, int add)
{
    int64_t j = 0;
    for (; j + 32 <= m; j += 32) JP_PANEL(jp_micro_4x32, jp_micro_1x32);
    for (; j + 16 <= m; j += 16) JP_PANEL(jp_micro_4x16, jp_micro_1x16);
    for (; j + 8 <= m; j += 8) JP_PANEL(jp_micro_4x8, jp_micro_1x8);
    for (; j + 4 <= m; j += 4) JP_PANEL(jp_micro_4x4, jp_micro_1x4);
    for (; j < m; j++)
        for (int64_t i = 0; i < n; i++)
            jp_micro_1x1(depth, a + i * rs, rs, cs, b + j, ldb, c + i * ldc + j, ldc, add);
}

#endif
