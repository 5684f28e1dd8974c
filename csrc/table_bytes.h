/* Tables of 256 bytes, looked up 64 at a time by CPUs that permute bytes of two vectors (AVX-512
   VBMI): four registers hold the table. No level of x86-64 has these instructions, so that functions
   for them stand beside the clones, and the CPU is asked. */
#ifndef JP_TABLE_BYTES_H
#define JP_TABLE_BYTES_H

#include <stdint.h>

#include "jp.h"

#if defined(__x86_64__) && defined(__GNUC__) && (!defined(JP_NO_CLONES) || defined(__AVX512VBMI__))
#include <immintrin.h>

#define JP_TABLE_BYTES __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi")))

static inline int jp_has_table_bytes(void) {
    return __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512bw");
}

/* A macro, as vectors in arguments would be another ABI elsewhere. q: the table. */
#define JP_TABLE_FIND(q, index)                                                                   \
    _mm512_mask_blend_epi8(_mm512_movepi8_mask(index),                                            \
                           _mm512_permutex2var_epi8((q)[0], index, (q)[1]),                       \
                           _mm512_permutex2var_epi8((q)[2], index, (q)[3]))

/* out = table[x] of whole vectors; returns how many bytes that is. streams: past the caches. */
JP_TABLE_BYTES static inline int64_t jp_table_bytes(const uint8_t *x, const uint8_t *table, int64_t n,
                                                    int streams, uint8_t *out) {
    __m512i q[4];
    int64_t i = 0;
    for (int k = 0; k < 4; k++) q[k] = _mm512_loadu_si512(table + 64 * k);
    for (; streams && i < n && ((uintptr_t)(out + i) & 63); i++) out[i] = table[x[i]];
    for (; i + 64 <= n; i += 64) {
        const __m512i index = _mm512_loadu_si512(x + i), found = JP_TABLE_FIND(q, index);
        if (streams) _mm512_stream_si512((void *)(out + i), found);
        else _mm512_storeu_si512(out + i, found);
    }
    return i;
}

/* Sum of table[x] of whole vectors; `done` is how many bytes that is. */
JP_TABLE_BYTES static inline int64_t jp_table_sum(const uint8_t *x, const uint8_t *table, int64_t n,
                                                  int64_t *done) {
    __m512i q[4], sum = _mm512_setzero_si512();
    int64_t i = 0;
    for (int k = 0; k < 4; k++) q[k] = _mm512_loadu_si512(table + 64 * k);
    for (; i + 64 <= n; i += 64) {
        const __m512i index = _mm512_loadu_si512(x + i);
        const __m512i found = JP_TABLE_FIND(q, index);
        sum = _mm512_add_epi64(sum, _mm512_sad_epu8(found, _mm512_setzero_si512()));
    }
    *done = i;
    return _mm512_reduce_add_epi64(sum);
}

#else

static inline int jp_has_table_bytes(void) { return 0; }

static inline int64_t jp_table_bytes(const uint8_t *x, const uint8_t *table, int64_t n, int streams,
                                     uint8_t *out) {
    (void)x, (void)table, (void)n, (void)streams, (void)out;
    return 0;
}

static inline int64_t jp_table_sum(const uint8_t *x, const uint8_t *table, int64_t n, int64_t *done) {
    (void)x, (void)table, (void)n;
    *done = 0;
    return 0;
}

#endif
#endif
