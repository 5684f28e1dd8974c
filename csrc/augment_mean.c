/* Means of images, for contrast. */
#include "augment_mean.h"

#include "augment_rows.h"
#include "table_bytes.h"
#include "table_lanes.h"

enum { CHUNK = 1024 };

typedef uint16_t u16x16 __attribute__((vector_size(32)));

/* Sum of bytes: pairs of them in lanes of 16 bits, in chunks that these can hold. */
JP_INLINE int64_t sum_bytes(const uint8_t *x, int64_t n)
{
    int64_t total = 0, i = 0;
    while (n - i >= 32) {
        const int64_t end = n - i < 128 * 32 ? n - 31 : i + 128 * 32 - 31;
        u16x16 lanes = {0}, v;
        for (; i < end; i += 32) {
            memcpy(&v, x + i, sizeof v);
            lanes += (v & 255) + (v >> 8);
        }
        for (int k = 0; k < 16; k++) total += lanes[k];
    }
    for (; i < n; i++) total += x[i];
    return total;
}

/* Adds the sum of n values but NaN, and their number. */
JP_CLONES
static void sum_row(const void *row, int32_t type, int64_t n, double *sum, double *count)
{
    const uint16_t *u16 = row;
    const float *f32 = row;
    int64_t whole = 0, missing = 0;
    double total = 0;
    if (type == JP_U8)
        whole = sum_bytes(row, n);
    else if (type == JP_U16)
        for (int64_t i = 0; i < n; i++) whole += u16[i];
    else
#pragma omp simd reduction(+ : total, missing)
        for (int64_t i = 0; i < n; i++) {
            missing += f32[i] != f32[i];
            total += f32[i] == f32[i] ? f32[i] : 0;
        }
    *sum += total + (double)whole;
    *count += (double)(n - missing);
}

double jp_mean(const jp_augment_view *view)
{
    double sum = 0, count = 0;
    for (int64_t y = 0; y < view->height; y++)
        sum_row(jp_augment_row(view, y), view->dtype, view->width * view->channels, &sum, &count);
    return count > 0 ? sum / count : 0;
}

JP_CLONES
static int64_t sum_levels(const uint8_t *x, const uint8_t *table, int64_t n)
{
    uint8_t levels[CHUNK];
    int64_t total = 0, i = 0;
    if (jp_has_table_bytes()) total = jp_table_sum(x, table, n, &i);
    for (int64_t take; i < n; i += take) {
        take = n - i < CHUNK ? n - i : CHUNK;
        jp_look_up(x + i, table, take, levels);
        total += sum_bytes(levels, take);
    }
    return total;
}

double jp_mean_level(const jp_augment_view *view, const uint8_t *table)
{
    int64_t sum = 0;
    const int64_t width = view->width * view->channels, rows = jp_augment_whole(view) ? view->height : 1;
    for (int64_t y = 0; y < view->height; y += rows)
        sum += sum_levels(jp_augment_row(view, y), table, rows * width);
    return (double)sum / (double)(view->height * width);
}
