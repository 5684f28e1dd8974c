/* Philox4x64-10 and Philox4x32-10: random numbers as a function of where they are used.

   Salmon, Moraes, Dror, Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3",
   SC '11, doi:10.1145/2063384.2063405.

   The counter is (row, draw, stage, 0) and the key is the seed, so that a draw never depends on
   threads, blocks or batches. NumPy counts before it draws: the first block of
   numpy.random.Philox(key=key, counter=c) is ours at counter c + 1. */
#ifndef JP_PHILOX_H
#define JP_PHILOX_H

#include <stdint.h>

#include "jp.h"

/* Third word of the counter; append-only, or saved seeds would draw other samples. */
enum {
    JP_STAGE_ENCODE = 1,
    JP_STAGE_PARTITION = 2,
    JP_STAGE_DENSITY = 3,
    JP_STAGE_JOINT = 4,
    JP_STAGE_QUERY = 5,
    JP_STAGE_FOREST = 6,
    JP_STAGE_AUGMENT = 7
};

enum { JP_PHILOX_ROUNDS = 10 };

typedef struct { uint64_t word[4]; } jp_philox64;
typedef struct { uint32_t word[4]; } jp_philox32;

/* High half of a 128-bit product from four 64-bit ones. */
JP_INLINE uint64_t jp_mulhi64_portable(uint64_t a, uint64_t b) {
    const uint64_t a_low = (uint32_t)a, a_high = a >> 32;
    const uint64_t b_low = (uint32_t)b, b_high = b >> 32;
    const uint64_t mid = a_high * b_low + (a_low * b_low >> 32);
    const uint64_t carry = a_low * b_high + (uint32_t)mid;
    return a_high * b_high + (mid >> 32) + (carry >> 32);
}

JP_INLINE uint64_t jp_mulhi64(uint64_t a, uint64_t b) {
#ifdef __SIZEOF_INT128__
    return (uint64_t)((__extension__(unsigned __int128)a * b) >> 64);
#else
    return jp_mulhi64_portable(a, b);
#endif
}

JP_INLINE uint32_t jp_mulhi32(uint32_t a, uint32_t b) {
    return (uint32_t)((uint64_t)a * b >> 32);
}

/* Four 64-bit words for one counter; for tables. */
JP_INLINE jp_philox64 jp_philox4x64(uint64_t c0, uint64_t c1, uint64_t c2, uint64_t c3,
                                    uint64_t key0, uint64_t key1) {
    const uint64_t m0 = UINT64_C(0xD2E7470EE14C6C93), m1 = UINT64_C(0xCA5A826395121157);
    for (int round = 0; round < JP_PHILOX_ROUNDS; round++) {
        const uint64_t high0 = jp_mulhi64(m0, c0), low0 = m0 * c0;
        const uint64_t high1 = jp_mulhi64(m1, c2), low1 = m1 * c2;
        c0 = high1 ^ c1 ^ key0;
        c1 = low1;
        c2 = high0 ^ c3 ^ key1;
        c3 = low0;
        key0 += UINT64_C(0x9E3779B97F4A7C15);
        key1 += UINT64_C(0xBB67AE8584CAA73B);
    }
    return (jp_philox64){{c0, c1, c2, c3}};
}

/* Four 32-bit words for one counter; for pixels, where loops over counters fill vector lanes. */
JP_INLINE jp_philox32 jp_philox4x32(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3,
                                    uint32_t key0, uint32_t key1) {
    const uint32_t m0 = UINT32_C(0xD2511F53), m1 = UINT32_C(0xCD9E8D57);
    for (int round = 0; round < JP_PHILOX_ROUNDS; round++) {
        const uint32_t high0 = jp_mulhi32(m0, c0), low0 = m0 * c0;
        const uint32_t high1 = jp_mulhi32(m1, c2), low1 = m1 * c2;
        c0 = high1 ^ c1 ^ key0;
        c1 = low1;
        c2 = high0 ^ c3 ^ key1;
        c3 = low0;
        key0 += UINT32_C(0x9E3779B9);
        key1 += UINT32_C(0xBB67AE85);
    }
    return (jp_philox32){{c0, c1, c2, c3}};
}

/* The counter layout of this library. */
JP_INLINE jp_philox64 jp_draw64(int64_t row, int64_t draw, int64_t stage, const uint64_t key[2]) {
    return jp_philox4x64((uint64_t)row, (uint64_t)draw, (uint64_t)stage, 0, key[0], key[1]);
}

JP_INLINE jp_philox32 jp_draw32(uint32_t row, uint32_t draw, uint32_t stage,
                                const uint32_t key[2]) {
    return jp_philox4x32(row, draw, stage, 0, key[0], key[1]);
}

/* Uniform in [0, 1) on the grid of 2^-53: NumPy's Generator.random of the same word. */
JP_INLINE double jp_uniform(uint64_t word) {
    return (double)(int64_t)(word >> 11) * 0x1p-53;
}

/* Uniform in (0, 1): safe under log and under the normal quantile. Mean 1/2 exactly. */
JP_INLINE double jp_uniform_open(uint64_t word) {
    return ((double)(int64_t)(word >> 12) + 0.5) * 0x1p-52;
}

/* Uniform in [0, 1) on the grid of 2^-24. */
JP_INLINE float jp_uniformf(uint32_t word) {
    return (float)(int32_t)(word >> 8) * 0x1p-24f;
}

/* Uniform in (0, 1), single precision. */
JP_INLINE float jp_uniformf_open(uint32_t word) {
    return ((float)(int32_t)(word >> 9) + 0.5f) * 0x1p-23f;
}

#endif
