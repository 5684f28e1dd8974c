/* Rows with missing cells: both ways down a tree, by the share of the weight that went there. */
#include "forest_node.h"

enum { MOST_OPEN = 4096 };

typedef struct {
    int32_t node;
    float weight;
} open_node;

JP_INLINE int forks(uint32_t test, uint32_t bin, int everywhere)
{
    return bin == JP_MISSING_BIN && (everywhere || (test & JP_TEST_MISSING_UNSEEN));
}

/* One row in one tree: the weighted values of every leaf that it may reach. */
static void add_reachable(const jp_node *nodes, const uint32_t *sets, const uint8_t *bins,
                          int everywhere,
                          const float *values, const uint16_t *shares, int64_t first,
                          int64_t n_outputs, float *sums)
{
    open_node open[MOST_OPEN];
    int n_open = 1;
    open[0] = (open_node){0, 1};
    while (n_open) {
        open_node o = open[--n_open];
        const jp_node *node = nodes + o.node;
        while (node->child != o.node) {
            uint32_t bin = bins[node->test >> 16];
            if (forks(node->test, bin, everywhere) && n_open < MOST_OPEN) {
                open[n_open++] = (open_node){node->child + 1, o.weight * (1 - node->u.share)};
                o = (open_node){node->child, o.weight * node->u.share};
            } else {
                o.node = node->child + (int32_t)jp_goes_right(node, sets, bin);
            }
            node = nodes + o.node;
        }
        int64_t at = (first + node->u.leaf) * n_outputs;
        for (int64_t k = 0; k < n_outputs; k++)
            sums[k] += o.weight * (values ? values[at + k] : shares[at + k] * (1.0f / 65535));
    }
}

int jp_forest_add_both_ways(const jp_forest *forest, const float *restrict values,
                            const uint16_t *restrict shares, int64_t n_outputs, int everywhere,
                            const uint8_t *restrict by_row, int64_t n_columns, int64_t start,
                            int64_t stop, float *restrict out)
{
    if (forest->n_trees < 1 || n_columns < 1 || n_columns > 65535 || start < 0 || stop < start
        || n_outputs < 1 || !values == !shares)
        return JP_ERR_SIZE;
    for (int64_t tree = 0; tree < forest->n_trees; tree++) {
        const jp_node *tree_nodes = forest->node + forest->node_at[tree];
        for (int64_t row = start; row < stop; row++)
            add_reachable(tree_nodes, forest->sets, by_row + row * n_columns, everywhere, values, shares,
                          forest->leaf_at[tree], n_outputs, out + (row - start) * n_outputs);
    }
    return JP_OK;
}
