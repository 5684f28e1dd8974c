/* Tables of 256 entries, looked up 32 at a time where the CPU permutes words of two vectors. */
#ifndef JP_TABLE_LANES_H
#define JP_TABLE_LANES_H

#include "panel.h"

enum { JP_TABLE_LANES = 32 };

typedef uint16_t jp_words __attribute__((vector_size(64), aligned(2), may_alias));
typedef int16_t jp_signed_words __attribute__((vector_size(64), aligned(2), may_alias));
typedef uint8_t jp_bytes __attribute__((vector_size(32), aligned(1), may_alias));

/* Whether the permutation is one instruction; elsewhere a loop over bytes is faster. */
JP_INLINE int jp_has_table_lanes(void) { return jp_vector_lanes() == 16; }

#define JP_CHOOSE(condition, a, b) (((jp_words)(condition) & (a)) | (~(jp_words)(condition) & (b)))

/* table: 8 vectors; a macro, as vectors wider than the default's registers are no arguments. */
#define JP_TABLE_AT(table, index, result)                                                         \
    do {                                                                                          \
        const jp_words q0 = __builtin_shuffle((table)[0], (table)[1], index);                     \
        const jp_words q1 = __builtin_shuffle((table)[2], (table)[3], index);                     \
        const jp_words q2 = __builtin_shuffle((table)[4], (table)[5], index);                     \
        const jp_words q3 = __builtin_shuffle((table)[6], (table)[7], index);                     \
        const jp_signed_words odd = ((index)&64) != 0, high = ((index)&128) != 0;                 \
        const jp_words low_half = JP_CHOOSE(odd, q1, q0), high_half = JP_CHOOSE(odd, q3, q2);     \
        (result) = JP_CHOOSE(high, high_half, low_half);                                          \
    } while (0)

/* out = table[x], n bytes. */
JP_INLINE void jp_look_up(const uint8_t *restrict x, const uint8_t *restrict table, int64_t n,
                          uint8_t *restrict out)
{
    int64_t i = 0;
#if defined(__GNUC__) && !defined(__clang__)
    if (jp_has_table_lanes() && n >= 4 * JP_TABLE_LANES) {
        jp_words lanes[8];
        for (int v = 0; v < 8; v++)
            lanes[v] = __builtin_convertvector(*(const jp_bytes *)(table + 32 * v), jp_words);
        for (; i + JP_TABLE_LANES <= n; i += JP_TABLE_LANES) {
            const jp_words index = __builtin_convertvector(*(const jp_bytes *)(x + i), jp_words);
            jp_words found;
            JP_TABLE_AT(lanes, index, found);
            *(jp_bytes *)(out + i) = __builtin_convertvector(found, jp_bytes);
        }
    }
#endif
    for (; i < n; i++) out[i] = table[x[i]];
}

#endif
