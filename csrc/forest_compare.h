/* A node's test as runs of bins that go right, for many rows at a time. */
#ifndef JP_FOREST_COMPARE_H
#define JP_FOREST_COMPARE_H

#include "forest_node.h"

enum { JP_LANES = 256, JP_MOST_RUNS = 16 };

typedef struct {
    uint32_t column;
    int n_runs;                                       /* -1 where they are too many, */
    const uint32_t *set;                              /* and rows look their bins up here */
    uint8_t first[JP_MOST_RUNS], more[JP_MOST_RUNS];  /* each run: first bin, and how many more */
} jp_runs;

/* The next bin from `bin` on that is in the set, or (flip all ones) that is not; 256 if none. */
JP_INLINE int jp_next_bin(const uint32_t *set, int bin, uint32_t flip)
{
    if (bin > JP_MISSING_BIN) return JP_MISSING_BIN + 1;
    uint32_t word = (set[bin / 32] ^ flip) & (UINT32_MAX << bin % 32);
    for (int at = bin / 32; ; word = set[at] ^ flip) {
        if (word) return at * 32 + __builtin_ctz(word);
        if (++at == JP_SET_WORDS) return JP_MISSING_BIN + 1;
    }
}

JP_INLINE void jp_find_runs(const jp_node *node, const uint32_t *sets, jp_runs *out)
{
    out->column = node->test >> 16;
    out->set = sets + (int64_t)node->set * JP_SET_WORDS;
    out->n_runs = 0;
    if (!(node->test & JP_TEST_LEVELS)) {
        uint32_t missing_left = node->test >> 1 & 1;
        uint32_t first = (node->test >> 8 & 255) + 1 - missing_left;
        uint32_t last = JP_MISSING_BIN - missing_left;
        if (first > last) return;
        out->first[0] = (uint8_t)first;
        out->more[0] = (uint8_t)(last - first);
        out->n_runs = 1;
        return;
    }
    for (int bin = 0; (bin = jp_next_bin(out->set, bin, 0)) <= JP_MISSING_BIN; ) {
        int end = jp_next_bin(out->set, bin, UINT32_MAX);
        if (out->n_runs == JP_MOST_RUNS) {
            out->n_runs = -1;
            return;
        }
        out->first[out->n_runs] = (uint8_t)bin;
        out->more[out->n_runs++] = (uint8_t)(end - 1 - bin);
        bin = end;
    }
}

/* 255 for the rows that go right, 0 for the others. */
JP_INLINE void jp_compare(const jp_runs *node, const uint8_t *restrict bin,
                          uint8_t *restrict right)
{
    if (node->n_runs < 0) {
        for (int i = 0; i < JP_LANES; i++) right[i] = jp_has_level(node->set, bin[i]) ? 255 : 0;
        return;
    }
    memset(right, 0, JP_LANES);
    for (int k = 0; k < node->n_runs; k++) {
        uint8_t first = node->first[k], more = node->more[k];
        for (int i = 0; i < JP_LANES; i++)
            right[i] |= (uint8_t)(bin[i] - first) <= more ? 255 : 0;
    }
}

/* out = right ? b : a. One run is what nearly every node has. */
JP_INLINE void jp_choose(const jp_runs *node, const uint8_t *restrict bin, const uint8_t *a,
                         const uint8_t *b, uint8_t *out)
{
    if (node->n_runs == 1) {
        uint8_t first = node->first[0], more = node->more[0];
#pragma omp simd
        for (int i = 0; i < JP_LANES; i++)
            out[i] = (uint8_t)(bin[i] - first) <= more ? b[i] : a[i];
        return;
    }
    uint8_t right[JP_LANES];
    jp_compare(node, bin, right);
#pragma omp simd
    for (int i = 0; i < JP_LANES; i++) out[i] = right[i] ? b[i] : a[i];
}

#endif
