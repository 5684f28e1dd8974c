/* What both ways of growing write, and every descent reads. */
#ifndef JP_FOREST_NODE_H
#define JP_FOREST_NODE_H

#include <string.h>

#include "forest.h"

/* A division of a node's rows. */
typedef struct {
    double score;
    int64_t column;
    int threshold;              /* bins up to it go left, */
    uint32_t set[JP_SET_WORDS]; /* or these levels */
    int levels, missing_left, missing_seen;
} jp_split;

JP_INLINE void jp_add_level(uint32_t *set, int level)
{
    set[level / 32] |= UINT32_C(1) << (level % 32);
}

JP_INLINE uint32_t jp_has_level(const uint32_t *set, uint32_t level)
{
    return set[level / 32] >> (level % 32) & 1;
}

/* Missing is the highest bin, so it goes right; where it goes left, one is added to every bin
   before the comparison, which makes it 0. */
JP_INLINE uint32_t jp_make_test(const jp_split *s)
{
    uint32_t flags = (s->levels ? JP_TEST_LEVELS : 0u)
        | (s->missing_left ? JP_TEST_MISSING_LEFT : 0u)
        | (s->missing_seen ? 0u : JP_TEST_MISSING_UNSEEN);
    uint32_t threshold = s->levels ? 0 : (uint32_t)(s->threshold + (s->missing_left != 0));
    return (uint32_t)s->column << 16 | threshold << 8 | flags;
}

/* Every bin goes left, to the leaf itself. */
JP_INLINE void jp_make_leaf(jp_grown *out, int64_t node)
{
    int32_t everything = JP_MISSING_BIN + 256;
    out->node[node] = (jp_node){(int32_t)node, UINT32_C(255) << 8, everything,
                                {.leaf = (int32_t)out->n_leaves++}};
}

/* Give a node its test and room for two children. */
JP_INLINE void jp_make_inner(jp_grown *out, int64_t node, const jp_split *s, double share)
{
    int64_t set = s->threshold + (s->missing_left ? 256 : 0);
    if (s->levels) {
        set = JP_THRESHOLD_SETS + out->n_sets;
        uint32_t *right = out->sets + out->n_sets++ * JP_SET_WORDS;
        for (int k = 0; k < JP_SET_WORDS; k++) right[k] = ~s->set[k];
        right[JP_SET_WORDS - 1] &= ~(UINT32_C(1) << 31);
        if (!s->missing_left) jp_add_level(right, JP_MISSING_BIN);
    }
    out->node[node] = (jp_node){(int32_t)out->n_nodes, jp_make_test(s), (int32_t)set,
                                {.share = (float)share}};
    out->n_nodes += 2;
}

/* Where a bin goes: 0 left, 1 right. */
JP_INLINE uint32_t jp_goes_right(const jp_node *node, const uint32_t *sets, uint32_t bin)
{
    return jp_has_level(sets + (int64_t)node->set * JP_SET_WORDS, bin);
}

#endif
