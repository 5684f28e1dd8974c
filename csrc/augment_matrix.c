/* Matrices of whole batches, (n, 2, 3) each: what array arithmetic would make in many small calls. */
#include <math.h>

#include "augment.h"

void jp_augment_product(const double *restrict first, const double *restrict second, int64_t n,
                        double *restrict product) {
    for (int64_t i = 0; i < n; i++, first += 6, second += 6, product += 6)
        for (int r = 0; r < 6; r += 3) {
            for (int c = 0; c < 3; c++)
                product[r + c] = first[r] * second[c] + first[r + 1] * second[3 + c];
            product[r + 2] += first[r + 2];
        }
}

void jp_augment_reach(const double *restrict matrices, const int64_t *restrict sizes, int64_t n,
                      double *restrict farthest, double *restrict largest_step) {
    double far = 0, step = 0;
    for (int64_t i = 0; i < n; i++, matrices += 6, sizes += 2)
        for (int r = 0; r < 6; r += 3) {
            const double *m = matrices + r, x = m[0] * (double)sizes[1], y = m[1] * (double)sizes[0];
            const double corner[4] = {m[2], x + m[2], y + m[2], x + y + m[2]};
            for (int k = 0; k < 4; k++)    /* NaN is the farthest */
                far = fabs(corner[k]) <= far ? far : fabs(corner[k]);
            for (int k = 0; k < 2; k++) step = fabs(m[k]) <= step ? step : fabs(m[k]);
        }
    *farthest = far;
    *largest_step = step;
}
