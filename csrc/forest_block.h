/* A block of rows on its way down a forest, and the two ways to take it there quickly. */
#ifndef JP_FOREST_BLOCK_H
#define JP_FOREST_BLOCK_H

#include "forest.h"

enum { JP_GROUP = 8 };

typedef struct {
    uint32_t row, at;
} jp_open_row;

typedef struct {
    int64_t n, n_columns;
    uint8_t *by_column;  /* (n_columns, JP_DESCENT_ROWS) */
    uint8_t *wide;       /* (JP_DESCENT_ROWS + 1, n_columns, 2), see forest_steps.c */
    jp_open_row open[JP_DESCENT_ROWS + JP_GROUP];
    int32_t leaf[JP_DESCENT_ROWS + 1];
    uint8_t exit[JP_DESCENT_ROWS];
} jp_row_block;

/* A forest is larger than the caches: a tree is fetched in its order before rows jump about in it,
   which costs a tenth of what they would wait for. */
JP_INLINE void jp_fetch(const void *from, int64_t n_bytes)
{
    for (int64_t i = 0; i < n_bytes; i += 64) __builtin_prefetch((const char *)from + i);
}

/* Leaves of a block's rows in a tree of at most JP_SMALL_LEAVES leaves, see forest_small.c. */
void jp_small_leaves(const jp_node *node, int64_t n_nodes, const uint32_t *sets,
                     const uint8_t *by_column, int64_t stride, int64_t n, int32_t *leaf);

/* The same in any tree, see forest_steps.c. */
void jp_step_leaves(const jp_forest *forest, const jp_steps *steps, int64_t tree,
                    jp_row_block *block);

/* Room for blocks; NULL where copies of n rows do not pay, or there is no memory. */
jp_row_block *jp_new_block(const jp_forest *forest, const jp_steps *steps, int64_t n_columns,
                           int64_t n);

/* Copy n rows; 0 where one has a level that no step knows. */
int jp_fill_block(jp_row_block *block, const jp_steps *steps, const uint8_t *bins, int64_t n);

/* Leaves of the block's rows in one tree. */
const int32_t *jp_block_leaves(const jp_forest *forest, const jp_steps *steps, int64_t tree,
                               jp_row_block *block);

#endif
