/* Copies that go past the caches: a store that fills whole lines needs not read them first. */
#ifndef JP_AUGMENT_STREAM_H
#define JP_AUGMENT_STREAM_H

#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "jp.h"

JP_INLINE void jp_augment_stream(uint8_t *restrict to, const uint8_t *restrict from, size_t n) {
    size_t k = 0;
#ifdef __SSE2__
    k = -(uintptr_t)to & 15;
    if (k > n) k = n;
    memcpy(to, from, k);
    for (; k + 16 <= n; k += 16)
        _mm_stream_si128((__m128i *)(void *)(to + k),
                         _mm_loadu_si128((const __m128i *)(const void *)(from + k)));
#endif
    memcpy(to + k, from + k, n - k);
}

/* Before another thread may look. */
JP_INLINE void jp_augment_stream_end(void) {
#ifdef __SSE2__
    _mm_sfence();
#endif
}

#endif
