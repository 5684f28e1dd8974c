/* Products of a group of rows with one table. Rows are met through pointers, so that nothing is copied to
   bring them together. Every vector width has its own loops; the CPU is asked which (see panel.h). */
#ifndef JP_MATMUL_H
#define JP_MATMUL_H

#include "panel.h"

#define JP_MATMUL_ROWS 4 /* row pointers are padded to a multiple of this */

/* out[i][j ..] = sum over k of in[i][k] * table[k, j ..], for ROWS rows and VECS vectors of columns. */
#define JP_DEFINE_ROWS(NAME, VEC, VECS, ROWS)                                                     \
    JP_INLINE void NAME(int64_t depth, const float *const *in, const float *table, int64_t ld,    \
                        float *const *out, int64_t j)                                             \
    {                                                                                             \
        enum { LANES = sizeof(VEC) / sizeof(float) };                                             \
        VEC sum[ROWS][VECS];                                                                      \
        const float *row[ROWS];                                                                   \
        for (int i = 0; i < ROWS; i++) {                                                          \
            row[i] = in[i];                                                                       \
            for (int v = 0; v < VECS; v++) sum[i][v] = (VEC){0};                                  \
        }                                                                                         \
        table += j;                                                                               \
        for (int64_t k = 0; k < depth; k++, table += ld) {                                        \
            VEC b[VECS];                                                                          \
            for (int v = 0; v < VECS; v++) b[v] = *(const VEC *)(table + v * LANES);              \
            for (int i = 0; i < ROWS; i++)                                                        \
                for (int v = 0; v < VECS; v++) sum[i][v] += row[i][k] * b[v];                     \
        }                                                                                         \
        for (int i = 0; i < ROWS; i++)                                                            \
            for (int v = 0; v < VECS; v++) *(VEC *)(out[i] + j + v * LANES) = sum[i][v];          \
    }

/* to[i, j ..] += sum over k of a[k, i] * b[k][j ..], for ROWS values of i. */
#define JP_DEFINE_OUTER(NAME, VEC, VECS, ROWS)                                                    \
    JP_INLINE void NAME(int64_t depth, const float *a, int64_t lda, const float *const *b,        \
                        float *to, int64_t ld, int64_t j)                                         \
    {                                                                                             \
        enum { LANES = sizeof(VEC) / sizeof(float) };                                             \
        VEC sum[ROWS][VECS];                                                                      \
        for (int i = 0; i < ROWS; i++)                                                            \
            for (int v = 0; v < VECS; v++) sum[i][v] = (VEC){0};                                  \
        for (int64_t k = 0; k < depth; k++, a += lda) {                                           \
            VEC row[VECS];                                                                        \
            for (int v = 0; v < VECS; v++) row[v] = *(const VEC *)(b[k] + j + v * LANES);         \
            for (int i = 0; i < ROWS; i++)                                                        \
                for (int v = 0; v < VECS; v++) sum[i][v] += a[i] * row[v];                        \
        }                                                                                         \
        for (int i = 0; i < ROWS; i++)                                                            \
            for (int v = 0; v < VECS; v++) *(VEC *)(to + i * ld + j + v * LANES) += sum[i][v];    \
    }

#define JP_DEFINE_BOTH(SIZE, VEC, VECS, ROWS)                                                     \
    JP_DEFINE_ROWS(jp_rows_##SIZE, VEC, VECS, ROWS)                                               \
    JP_DEFINE_OUTER(jp_outer_##SIZE, VEC, VECS, ROWS)                                             \
    JP_DEFINE_OUTER(jp_outer_1_##SIZE, VEC, VECS, 1)

typedef float jp_vec1;

JP_DEFINE_BOTH(8x2x16, jp_vec16, 2, 8)
JP_DEFINE_BOTH(8x1x16, jp_vec16, 1, 8)
JP_DEFINE_ROWS(jp_rows_4x2x16, jp_vec16, 2, 4)
JP_DEFINE_ROWS(jp_rows_4x1x16, jp_vec16, 1, 4)
JP_DEFINE_BOTH(4x2x8, jp_vec8, 2, 4)
JP_DEFINE_BOTH(4x1x8, jp_vec8, 1, 4)
JP_DEFINE_BOTH(4x2x4, jp_vec4, 2, 4)
JP_DEFINE_BOTH(4x1x4, jp_vec4, 1, 4)
JP_DEFINE_BOTH(4x1x1, jp_vec1, 1, 4)

#define JP_ROWS_BY(SIZE, ROWS, COLUMNS)                                                           \
    for (; j + COLUMNS <= m; j += COLUMNS)                                                        \
        for (int64_t i = 0; i < n; i += ROWS)                                                     \
            jp_rows_##SIZE(depth, in + i, table, ld, out + i, j)

#define JP_ROWS_BY_8(SIZE, COLUMNS)                                                               \
    for (; j + COLUMNS <= m; j += COLUMNS) {                                                      \
        int64_t i = 0;                                                                            \
        for (; i + 8 <= n; i += 8) jp_rows_8x##SIZE(depth, in + i, table, ld, out + i, j);        \
        if (i < n) jp_rows_4x##SIZE(depth, in + i, table, ld, out + i, j);                        \
    }

/* out[i][0 .. m) = in[i][0 .. depth) table (depth, m); 2 n m depth FLOPs. n counts padding, a multiple of
   JP_MATMUL_ROWS; a row's bits depend neither on n nor on its neighbours. */
JP_INLINE void jp_rows_times(int64_t n, int64_t m, int64_t depth, const float *const *in,
                             const float *table, int64_t ld, float *const *out)
{
    int64_t j = 0;
    int lanes = jp_vector_lanes();
    if (lanes == 16) {
        JP_ROWS_BY_8(2x16, 32);
        JP_ROWS_BY_8(1x16, 16);
    }
    if (lanes >= 8) {
        JP_ROWS_BY(4x2x8, 4, 16);
        JP_ROWS_BY(4x1x8, 4, 8);
    }
    JP_ROWS_BY(4x2x4, 4, 8);
    JP_ROWS_BY(4x1x4, 4, 4);
    JP_ROWS_BY(4x1x1, 4, 1);
}

#define JP_OUTER_BY(SIZE, ROWS, COLUMNS)                                                          \
    for (; j + COLUMNS <= m; j += COLUMNS) {                                                      \
        int64_t i = 0;                                                                            \
        for (; i + ROWS <= n; i += ROWS)                                                          \
            jp_outer_##SIZE(depth, a + i, n, b, to + i * ld, ld, j);                              \
        for (; i < n; i++) jp_outer_1_##SIZE(depth, a + i, n, b, to + i * ld, ld, j);             \
    }

/* to (n, m) += sum over k of the outer product of a[k] (depth, n) and b[k][0 .. m). */
JP_INLINE void jp_add_outer(int64_t n, int64_t m, int64_t depth, const float *a, const float *const *b,
                            float *to, int64_t ld)
{
    int64_t j = 0;
    int lanes = jp_vector_lanes();
    if (lanes == 16) {
        JP_OUTER_BY(8x2x16, 8, 32)
        JP_OUTER_BY(8x1x16, 8, 16)
    }
    if (lanes >= 8) {
        JP_OUTER_BY(4x2x8, 4, 16)
        JP_OUTER_BY(4x1x8, 4, 8)
    }
    JP_OUTER_BY(4x2x4, 4, 8)
    JP_OUTER_BY(4x1x4, 4, 4)
    JP_OUTER_BY(4x1x1, 4, 1)
}

#endif
