/* Philox4x32-10 many counters at a time, in the widest multiplications that this CPU has.

   A group is 8 counters, 32 words: the words 0 and 1 of counter 0, of counter 1, ... of counter 7, then the
   words 2 and 3 likewise. Counter (8 group + lane, purpose, key[2], key[3]) under the key (key[0], key[1]). */
#ifndef JP_PHILOX_LANES_H
#define JP_PHILOX_LANES_H

#include "philox.h"

enum { JP_GROUP_COUNTERS = 8, JP_GROUP_WORDS = 32 };

JP_INLINE void jp_philox_fill_portable(const uint32_t *key, uint32_t purpose, int64_t group, int64_t n,
                                       uint64_t *pairs)
{
    for (int64_t i = 0; i < n * JP_GROUP_COUNTERS; i++) {
        uint32_t counter = (uint32_t)(group * JP_GROUP_COUNTERS + i);
        jp_philox32 r = jp_philox4x32(counter, purpose, key[2], key[3], key[0], key[1]);
        uint64_t *pair = pairs + i / JP_GROUP_COUNTERS * 16 + i % JP_GROUP_COUNTERS;
        pair[0] = (uint64_t)r.word[1] << 32 | r.word[0];
        pair[8] = (uint64_t)r.word[3] << 32 | r.word[2];
    }
}

#if JP_HAS_CLONES
#include <immintrin.h>

/* One counter a 64-bit lane: the multiplication reads the low halves alone, so the high ones may hold
   anything. C offers no such product of vectors, hence the intrinsics. */
#define JP_DEFINE_PHILOX(NAME, TARGET, VEC, MUL)                                                  \
    __attribute__((target(TARGET))) static void NAME(const uint32_t *key, uint32_t purpose,       \
                                                     int64_t group, int64_t n, uint64_t *pairs)   \
    {                                                                                             \
        typedef uint64_t lanes __attribute__((vector_size(sizeof(VEC)), aligned(8), may_alias));  \
        enum { WIDTH = sizeof(VEC) / 8, PARTS = JP_GROUP_COUNTERS / WIDTH };                      \
        static const uint64_t lane[8] = {0, 1, 2, 3, 4, 5, 6, 7};                                 \
        const VEC m0 = (VEC)((lanes){0} + 0xD2511F53), m1 = (VEC)((lanes){0} + 0xCD9E8D57);       \
        for (; n > 0; n--, group++, pairs += 2 * JP_GROUP_COUNTERS) {                             \
            lanes c0[PARTS], c1[PARTS], c2[PARTS], c3[PARTS];                                     \
            uint32_t k0 = key[0], k1 = key[1];                                                    \
            for (int v = 0; v < PARTS; v++) {                                                     \
                c0[v] = *(const lanes *)(lane + v * WIDTH) + (uint64_t)group * JP_GROUP_COUNTERS; \
                c1[v] = (lanes){0} + purpose;                                                     \
                c2[v] = (lanes){0} + key[2];                                                      \
                c3[v] = (lanes){0} + key[3];                                                      \
            }                                                                                     \
            for (int round = 0; round < JP_PHILOX_ROUNDS; round++) {                              \
                for (int v = 0; v < PARTS; v++) {                                                 \
                    const lanes p0 = (lanes)MUL((VEC)c0[v], m0), p1 = (lanes)MUL((VEC)c2[v], m1); \
                    c0[v] = (p1 >> 32) ^ c1[v] ^ k0;                                              \
                    c1[v] = p1;                                                                   \
                    c2[v] = (p0 >> 32) ^ c3[v] ^ k1;                                              \
                    c3[v] = p0;                                                                   \
                }                                                                                 \
                k0 += UINT32_C(0x9E3779B9);                                                       \
                k1 += UINT32_C(0xBB67AE85);                                                       \
            }                                                                                     \
            for (int v = 0; v < PARTS; v++) {                                                     \
                *(lanes *)(pairs + v * WIDTH) = (c0[v] & 0xffffffff) | c1[v] << 32;               \
                *(lanes *)(pairs + 8 + v * WIDTH) = (c2[v] & 0xffffffff) | c3[v] << 32;           \
            }                                                                                     \
        }                                                                                         \
    }

JP_DEFINE_PHILOX(jp_philox_fill_8, "arch=x86-64-v4", __m512i, _mm512_mul_epu32)
JP_DEFINE_PHILOX(jp_philox_fill_4, "arch=x86-64-v3", __m256i, _mm256_mul_epu32)
JP_DEFINE_PHILOX(jp_philox_fill_2, "arch=x86-64", __m128i, _mm_mul_epu32)

/* pairs: (n, 16) pairs of words, the lower word first. */
JP_INLINE void jp_philox_fill(const uint32_t *key, uint32_t purpose, int64_t group, int64_t n, uint64_t *pairs)
{
    if (__builtin_cpu_supports("avx512vl")) jp_philox_fill_8(key, purpose, group, n, pairs);
    else if (__builtin_cpu_supports("avx2")) jp_philox_fill_4(key, purpose, group, n, pairs);
    else jp_philox_fill_2(key, purpose, group, n, pairs);
}
#else
JP_INLINE void jp_philox_fill(const uint32_t *key, uint32_t purpose, int64_t group, int64_t n, uint64_t *pairs)
{
    jp_philox_fill_portable(key, purpose, group, n, pairs);
}
#endif

#endif
