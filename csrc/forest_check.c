/* Trees that were read from a file: no descent may leave its tables, or go on for ever. */
#include <string.h>

#include "forest_node.h"

enum { EVERY_BIN_LEFT = JP_MISSING_BIN + 256 };

/* A node's own entries. Children stand behind their parent, so every descent ends. */
static int sound(const jp_node *node, int64_t i, int64_t n_nodes, int64_t n_leaves, int64_t n_sets,
                 int64_t n_columns)
{
    if (node->child == i)
        return node->test == UINT32_C(255) << 8 && node->set == EVERY_BIN_LEFT
            && node->u.leaf >= 0 && node->u.leaf < n_leaves;
    int64_t first = node->test & JP_TEST_LEVELS ? JP_THRESHOLD_SETS : 0;
    int64_t last = node->test & JP_TEST_LEVELS ? JP_THRESHOLD_SETS + n_sets : JP_THRESHOLD_SETS;
    return node->child > i && node->child % 2 == 1 && node->child < n_nodes - 1
        && (node->test & 255) < 8 && node->test >> 16 < n_columns
        && node->set >= first && node->set < last && node->u.share >= 0 && node->u.share <= 1;
}

/* Every pair of children has one parent, so rows that go both ways meet each leaf once. */
static int check_tree(const jp_node *node, int64_t n_nodes, int64_t n_leaves, int64_t n_sets,
                      int64_t n_columns, uint8_t *restrict seen)
{
    if (n_leaves < 1 || n_nodes != 2 * n_leaves - 1) return JP_ERR_SIZE;
    memset(seen, 0, (size_t)n_leaves);
    for (int64_t i = 0; i < n_nodes; i++) {
        if (!sound(node + i, i, n_nodes, n_leaves, n_sets, n_columns)) return JP_ERR_VALUE;
        if (node[i].child == i) continue;
        uint8_t *pair = seen + node[i].child / 2;
        if (*pair) return JP_ERR_VALUE;
        *pair = 1;
    }
    return JP_OK;
}

int jp_forest_check(const jp_forest *forest, int64_t n_nodes, int64_t n_leaves, int64_t n_columns,
                    uint8_t *restrict seen)
{
    const int64_t *node_at = forest->node_at, *leaf_at = forest->leaf_at;
    if (node_at[0] || leaf_at[0]) return JP_ERR_SIZE;
    for (int64_t t = 0; t < forest->n_trees; t++) {
        if (node_at[t + 1] < node_at[t] || node_at[t + 1] > n_nodes || leaf_at[t + 1] < leaf_at[t]
            || leaf_at[t + 1] > n_leaves) return JP_ERR_SIZE;
        int status = check_tree(forest->node + node_at[t], node_at[t + 1] - node_at[t],
                                leaf_at[t + 1] - leaf_at[t], forest->n_sets, n_columns, seen);
        if (status) return status;
    }
    return node_at[forest->n_trees] == n_nodes && leaf_at[forest->n_trees] == n_leaves
        ? JP_OK : JP_ERR_SIZE;
}
