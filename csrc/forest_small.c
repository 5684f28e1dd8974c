/* Small trees are not descended: all their nodes are compared, for a vector of rows at a time, and
   paths are chosen from below. A node costs a few instructions for as many rows as a vector has
   bytes: for a tree of 31 leaves less than one step down for each row. */
#include <string.h>

#include "forest_block.h"
#include "forest_compare.h"

enum { MOST_NODES = 2 * JP_SMALL_LEAVES - 1 };

/* Leaf of each of JP_LANES rows. taken: the leaf that a row reaches from each node. */
JP_CLONES
static void pass_tree(const jp_node *node, const jp_runs *runs, int64_t n_nodes,
                      const uint8_t *by_column, int64_t stride,
                      uint8_t (*restrict taken)[JP_LANES])
{
    for (int64_t k = n_nodes; k--;) {
        int64_t child = node[k].child;
        if (child == k) memset(taken[k], node[k].u.leaf, JP_LANES);
        else jp_choose(runs + k, by_column + runs[k].column * stride, taken[child],
                       taken[child + 1], taken[k]);
    }
}

/* by_column may be read up to the next multiple of JP_LANES beyond n. */
void jp_small_leaves(const jp_node *node, int64_t n_nodes, const uint32_t *sets,
                     const uint8_t *by_column, int64_t stride, int64_t n, int32_t *leaf)
{
    jp_runs runs[MOST_NODES];
    uint8_t taken[MOST_NODES][JP_LANES];
    for (int64_t k = 0; k < n_nodes; k++)
        if (node[k].child != k) jp_find_runs(node + k, sets, runs + k);
    for (int64_t first = 0; first < n; first += JP_LANES) {
        pass_tree(node, runs, n_nodes, by_column + first, stride, taken);
        int64_t m = n - first < JP_LANES ? n - first : JP_LANES;
        for (int64_t i = 0; i < m; i++) leaf[first + i] = taken[0][i];
    }
}

int jp_forest_small_leaves(const jp_grown *tree, const uint32_t *sets,
                           const uint8_t *restrict by_column, int64_t stride, int64_t n,
                           int32_t *restrict leaves)
{
    if (tree->n_leaves > JP_SMALL_LEAVES || n < 0 || stride < (n + JP_LANES - 1) / JP_LANES * JP_LANES)
        return JP_ERR_SIZE;
    jp_small_leaves(tree->node, tree->n_nodes, sets, by_column, stride, n, leaves);
    return JP_OK;
}
