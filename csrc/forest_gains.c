/* What the splits on each column gain on rows that a tree was not grown on. */
#include <math.h>

#include "forest_node.h"

/* Sums of inner nodes from those of their children, which stand behind them. */
static void add_up(const jp_node *node, int64_t n_nodes, int64_t n_sums, double *sums)
{
    for (int64_t i = n_nodes - 1; i >= 0; i--) {
        int64_t child = node[i].child;
        if (child == i) continue;
        for (int64_t k = 0; k < n_sums; k++)
            sums[i * n_sums + k] = sums[child * n_sums + k] + sums[(child + 1) * n_sums + k];
    }
}

int jp_forest_class_gains(const jp_node *restrict node, int64_t n_nodes,
                          const float *restrict log_share, int64_t n_classes,
                          double *restrict sums, double *restrict gains)
{
    if (n_nodes < 1 || n_classes < 1) return JP_ERR_SIZE;
    add_up(node, n_nodes, n_classes, sums);
    for (int64_t i = 0; i < n_nodes; i++) {
        int64_t child = node[i].child;
        if (child == i) continue;
        double gain = 0;
        for (int64_t side = child; side < child + 2; side++)
            for (int64_t k = 0; k < n_classes; k++)
                gain += sums[side * n_classes + k]
                    * (double)(log_share[side * n_classes + k] - log_share[i * n_classes + k]);
        gains[node[i].test >> 16] += gain;
    }
    return JP_OK;
}

int jp_forest_mean_gains(const jp_node *restrict node, int64_t n_nodes,
                         const float *restrict mean, double *restrict sums,
                         double *restrict gains)
{
    if (n_nodes < 1) return JP_ERR_SIZE;
    add_up(node, n_nodes, 2, sums);
    for (int64_t i = 0; i < n_nodes; i++) {
        int64_t child = node[i].child;
        if (child == i) continue;
        double gain = 0, before = mean[i];
        for (int64_t side = child; side < child + 2; side++) {
            double weight = sums[2 * side], sum = sums[2 * side + 1], after = mean[side];
            gain += (before - after) * ((before + after) * weight - 2 * sum);
        }
        gains[node[i].test >> 16] += gain;
    }
    return JP_OK;
}
