/* Products with rows that are mostly zeros. Subsets of numeric columns are sharp: of hundreds of states a row
   keeps a handful, and the others are exactly zero. Skipping a zero changes no bit of a row's product, so whether
   it comes here or to matmul.h never shows; of outer products only the order of the sum differs. */
#ifndef JP_SPARSE_H
#define JP_SPARSE_H

#include "jp.h"

#include <string.h>

enum {
    JP_SPARSE_DEPTH = 64, /* shorter rows are not worth a look */
    JP_SPARSE_SHARE = 6,  /* a row is sparse if at most one state in so many is left */
    JP_SPARSE_MOST = 1 << 14
};

/* Places of the nonzeros of x; their number, or -1 if there are too many. place: n / JP_SPARSE_SHARE + 32. */
JP_INLINE int64_t jp_nonzeros(const float *x, int64_t n, int16_t *place)
{
    int64_t count = 0, most = n / JP_SPARSE_SHARE;
    for (int64_t first = 0; first < n; first += 16) {
        int64_t stop = first + 16 < n ? first + 16 : n;
        int any = 0;
        for (int64_t j = first; j < stop; j++) any |= x[j] != 0;
        if (!any) continue;
        if (count > most) return -1;
        for (int64_t j = first; j < stop; j++) {
            place[count] = (int16_t)j;
            count += x[j] != 0;
        }
    }
    return count <= most ? count : -1;
}

/* out (m) = x table, over the nonzeros of x; table (n, m) with row stride ld. */
JP_INLINE void jp_sparse_row(const float *x, const int16_t *place, int64_t count, int64_t m,
                             const float *table, int64_t ld, float *restrict out)
{
    memset(out, 0, (size_t)m * sizeof(float));
    for (int64_t a = 0; a < count; a++) {
        const float *restrict row = table + place[a] * ld;
        float factor = x[place[a]];
#pragma omp simd
        for (int64_t j = 0; j < m; j++) out[j] += factor * row[j];
    }
}

/* to (., m) += the outer product of the nonzeros of a with b (m). */
JP_INLINE void jp_sparse_outer(const float *a, const int16_t *place, int64_t count, const float *restrict b,
                               int64_t m, float *to, int64_t ld)
{
    for (int64_t i = 0; i < count; i++) {
        float *restrict row = to + place[i] * ld, factor = a[place[i]];
#pragma omp simd
        for (int64_t j = 0; j < m; j++) row[j] += factor * b[j];
    }
}

#endif
