/* Dense linear algebra, slow and obvious. */
#ifndef JP_TEST_DENSE_H
#define JP_TEST_DENSE_H

#include <math.h>
#include <stdint.h>

/* In place by Gauss-Jordan: a (m, m), positive definite, becomes its inverse; its log determinant. */
static inline double invert(int64_t m, double *a) {
    double log_det = 0;
    for (int64_t p = 0; p < m; p++) {
        const double pivot = a[p * m + p];
        log_det += log(pivot);
        a[p * m + p] = 1;
        for (int64_t j = 0; j < m; j++) a[p * m + j] /= pivot;
        for (int64_t i = 0; i < m; i++) {
            const double factor = a[i * m + p];
            if (i == p) continue;
            a[i * m + p] = 0;
            for (int64_t j = 0; j < m; j++) a[i * m + j] -= factor * a[p * m + j];
        }
    }
    return log_det;
}

#endif
