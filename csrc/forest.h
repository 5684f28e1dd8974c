/* Forest: trees grown for a target on columns of bins, and the leaves that rows reach.

   A bin is a byte: 0 .. JP_MISSING_BIN - 1 are values in order, or levels, JP_MISSING_BIN is a
   missing cell. */
#ifndef JP_FOREST_H
#define JP_FOREST_H

#include "jp.h"

enum { JP_MISSING_BIN = 255, JP_SET_WORDS = 8, JP_THRESHOLD_SETS = 512, JP_DESCENT_ROWS = 4096 };

/* Flags of a test. */
enum {
    JP_TEST_LEVELS = 1,         /* a set of levels goes left, not the bins up to a threshold */
    JP_TEST_MISSING_LEFT = 2,   /* missing cells go left */
    JP_TEST_MISSING_UNSEEN = 4  /* no row of the node missed the cell when the tree was grown */
};

/* 16 bytes, so that one step down touches one cache line. */
typedef struct {
    int32_t child;  /* left child, the right one follows; a leaf's child is itself */
    uint32_t test;  /* column << 16 | threshold << 8 | flags, see jp_make_test */
    int32_t set;    /* bins that go right; JP_THRESHOLD_SETS and on are the trees' own */
    union {
        float share;   /* of the node's weight that goes left */
        int32_t leaf;  /* number of the leaf */
    } u;
} jp_node;

/* How the cells of a column become bins. */
typedef struct {
    const void *edges;    /* of numbers: double, increasing; of levels: uint8_t bin of each */
    int64_t n_edges;
    int64_t categorical;  /* levels, not numbers? */
} jp_edges;

/* Bins (n_columns, n_rows) of rows start .. stop - 1: the number of edges below a cell, or the bin
   of its level. cells: a column is double, NaN where missing, or int32_t, where codes beyond the
   edges count as missing. About 3 ns a number. */
int jp_forest_bin(const jp_edges *edges, const void *const *cells, int64_t n_columns,
                  int64_t n_rows, int64_t start, int64_t stop, uint8_t *restrict by_column);

typedef struct {
    int64_t n_rows, n_columns;
    const uint8_t *by_column;    /* (n_columns, n_rows); to grow classes and means */
    const uint8_t *by_row;       /* (n_rows, n_columns), a missing cell is n_bins; to boost */
    const uint8_t *categorical;  /* (n_columns): levels, not values in order? */
    const uint8_t *n_bins;       /* (n_columns): at most 254 */
} jp_bins;

/* A tree's tables. Node 0 is the root, and a parent stands before its children. */
typedef struct {
    int64_t n_outputs;  /* values of a node */
    int64_t capacity;   /* nodes that the tables have room for */
    jp_node *node;
    uint32_t *sets;     /* (capacity / 2, JP_SET_WORDS): levels that go right */
    float *value;       /* (capacity, n_outputs): see the growing kernel */
    int64_t n_nodes, n_sets, n_leaves;
} jp_grown;

typedef struct {
    int64_t n_candidates;   /* columns tried at a node */
    int64_t least_rows;     /* of a leaf */
    int64_t most_depth;
    int64_t random_splits;  /* one random split for each candidate, not the best one? */
} jp_growth;

/* Trees that rows descend, packed one after another. */
typedef struct {
    int64_t n_trees;
    const int64_t *node_at;  /* (n_trees + 1): first node, for the tables below */
    const int64_t *leaf_at;  /* (n_trees + 1): first leaf, for the leaf values */
    const jp_node *node;
    const uint32_t *sets;    /* (JP_THRESHOLD_SETS + n_sets, JP_SET_WORDS), thresholds' first */
    int64_t n_sets;          /* of levels */
} jp_forest;

/* Do the tables make sound trees, that rows of n_columns bins can descend? They may come from
   anywhere; JP_OK, or which kind of fault there is. seen (n_leaves) is work space. */
int jp_forest_check(const jp_forest *forest, int64_t n_nodes, int64_t n_leaves, int64_t n_columns,
                    uint8_t *restrict seen);

/* The bins that go right at every threshold, first with missing cells, then without:
   sets (JP_THRESHOLD_SETS, JP_SET_WORDS). */
int jp_forest_thresholds(uint32_t *restrict sets);

/* How often n_drawn draws for one tree take each of n_rows rows, at most 255 times. */
int jp_forest_bootstrap(const uint64_t key[2], int64_t tree, int64_t n_rows, int64_t n_drawn,
                        uint8_t *restrict times);

/* Bytes of work space for growing on n_bagged rows. */
int64_t jp_forest_work_size(const jp_bins *bins, int64_t n_bagged, int64_t n_classes);

/* Grow on the rows listed, by the Gini index of their labels (0 .. n_outputs - 1). The value of a
   node is the weight of each class; n_outputs is the number of classes. */
int jp_forest_grow_classes(const jp_bins *bins, const uint32_t *restrict rows, int64_t n_bagged,
                           const uint16_t *restrict label, const float *restrict weight,
                           const jp_growth *growth, const uint64_t key[2], int64_t tree,
                           jp_grown *out, void *work);

/* Grow on the rows listed, by the variance of their targets. The value of a node is its weight
   and the weighted sum of its targets; n_outputs is 2. */
int jp_forest_grow_means(const jp_bins *bins, const uint32_t *restrict rows, int64_t n_bagged,
                         const float *restrict target, const float *restrict weight,
                         const jp_growth *growth, const uint64_t key[2], int64_t tree,
                         jp_grown *out, void *work);

/* Means of the nodes, each shrunk towards its ancestors:

       m(node) = m(parent) + (mean(node) - mean(parent)) / (1 + strength / weight(parent))

   (hierarchical shrinkage, Agarwal et al. 2022, arXiv:2202.00858). A class's mean is its share,
   half a row of the prior over classes added at the root. means (n_nodes, n_classes), or
   (n_nodes, 1) with prior NULL for trees grown by variance. */
int jp_forest_shrink(const jp_grown *tree, const float *restrict prior, double strength,
                     float *restrict means);

/* Leaf that each of the rows start .. stop - 1 reaches in one tree. by_row (n_rows, n_columns)
   bins; leaves (stop - start). */
int jp_forest_leaves(const jp_forest *forest, int64_t tree, const uint8_t *restrict by_row,
                     int64_t n_columns, int64_t start, int64_t stop, int32_t *restrict leaves);

enum { JP_STEP_COLUMNS = 1024, JP_SMALL_LEAVES = 64 };

/* Leaves of n rows in a tree just grown, of at most JP_SMALL_LEAVES leaves. by_column
   (n_columns, stride) bins, stride up to the next multiple of 256 of n or more; sets with those of
   the thresholds. */
int jp_forest_small_leaves(const jp_grown *tree, const uint32_t *sets,
                           const uint8_t *restrict by_column, int64_t stride, int64_t n,
                           int32_t *restrict leaves);

/* Trees in the form that many rows descend quickly, see forest_steps.c. */
typedef struct {
    int64_t n_words;
    uint64_t *word;
    int32_t *leaf;                       /* number of the leaf in each slot */
    uint8_t by_levels[JP_STEP_COLUMNS];  /* does a step divide levels of this column? */
} jp_steps;

/* NULL where trees divide too many columns for it, or there is no memory. */
jp_steps *jp_forest_new_steps(const jp_forest *forest);

void jp_forest_free_steps(jp_steps *steps);

/* Add the leaf values of trees first .. last - 1 to out (stop - start, n_outputs) for rows
   start .. stop - 1. values (n_leaves of all trees, n_outputs). With steps about one nanosecond a level, without
   them (NULL) two. */
int jp_forest_add_numbers(const jp_forest *forest, const jp_steps *steps, int64_t first,
                          int64_t last, const float *restrict values, int64_t n_outputs,
                          const uint8_t *restrict by_row, int64_t n_columns, int64_t start,
                          int64_t stop, float *restrict out);

/* The same for all trees, with steps that are made for this call alone. */
int jp_forest_add(const jp_forest *forest, const float *restrict values, int64_t n_outputs,
                  const uint8_t *restrict by_row, int64_t n_columns, int64_t start, int64_t stop,
                  float *restrict out);

/* The same for 16-bit values, in units of 1 / 65535. */
int jp_forest_add_shares(const jp_forest *forest, const jp_steps *steps, int64_t first,
                         int64_t last, const uint16_t *restrict values, int64_t n_outputs,
                         const uint8_t *restrict by_row, int64_t n_columns, int64_t start,
                         int64_t stop, float *restrict out);

/* The same for rows with missing cells: where none was missing when the tree was grown, or with
   `everywhere` in any case, a row goes both ways, by the share of the weight that went there.
   Exactly one of values and shares is given. */
int jp_forest_add_both_ways(const jp_forest *forest, const float *restrict values,
                            const uint16_t *restrict shares, int64_t n_outputs, int everywhere,
                            const uint8_t *restrict by_row, int64_t n_columns, int64_t start,
                            int64_t stop, float *restrict out);

/* ---- leaves that go on counting ---- */

/* Shares of the classes that leaves say, (counts + worth grown) / (sum of counts + worth), all
   (n_leaves, n_classes): grown are the shares they said when they were grown. */
int jp_forest_say(const float *restrict counts, const float *restrict grown, float worth,
                  int64_t n_leaves, int64_t n_classes, float *restrict values);

/* Add rows to the counts (n_leaves of all trees, n_classes) of the leaves they reach in every
   tree, and write what these leaves say then to values, as above. by_row (n_rows, n_columns);
   label (n_rows) 0 .. n_classes - 1; weight (n_rows). */
int jp_forest_count(const jp_forest *forest, const uint8_t *restrict by_row, int64_t n_columns,
                    int64_t n_rows, const int64_t *restrict label, const double *restrict weight,
                    const float *restrict grown, float worth, int64_t n_classes,
                    float *restrict counts, float *restrict values);

/* ---- what splits gain ---- */

/* Add to gains (n_columns) what the splits on each column gain in log likelihood. log_share
   (n_nodes, n_classes); sums (n_nodes, n_classes): weight of the rows that reach each leaf, by
   class; those of inner nodes are written. */
int jp_forest_class_gains(const jp_node *restrict node, int64_t n_nodes,
                          const float *restrict log_share, int64_t n_classes,
                          double *restrict sums, double *restrict gains);

/* The same for numbers, in squared error. sums (n_nodes, 2): weight, weighted sum of targets. */
int jp_forest_mean_gains(const jp_node *restrict node, int64_t n_nodes,
                         const float *restrict mean, double *restrict sums,
                         double *restrict gains);

/* ---- predictive distributions ---- */

enum { JP_SPREAD_CELLS = 256 };

/* Add to out (n_rows, JP_SPREAD_CELLS) the weights of the training rows that share the row's leaf,
   each at its cell of the target: those of leaf l stand at first[l] .. first[l + 1] - 1. */
int jp_forest_spread(const int32_t *restrict leaf, int64_t n_rows, const int64_t *restrict first,
                     const uint8_t *restrict cell, const float *restrict weight,
                     float *restrict out);

/* ---- boosting ---- */

/* Gradients of a row: one and its curvature, or seven and theirs. */
enum { JP_SLOPES_ONE = 2, JP_SLOPES_MANY = 8 };

typedef struct {
    int64_t most_leaves;
    int64_t most_depth;
    double least_rows;         /* of a leaf, by its share of the curvature */
    double penalty;            /* added to the curvature of a leaf */
    double level_penalty;      /* more of it where levels are divided, */
    double level_rows;         /* and the rows that a level must have to be ordered by its slope */
    double least_gain;
} jp_boosting;

/* Bytes of work space for boosting on n_listed rows. */
int64_t jp_boost_work_size(const jp_bins *bins, int64_t n_listed, int64_t width,
                           int64_t most_leaves);

/* Grow one tree, best leaf first, on the rows listed. slopes (n_rows, width): gradients of the
   loss, then the curvature; a division gains sum_k G_k^2 / (H + penalty) over both sides. The
   value of a node is (H, G_0); leaf_of (n_rows) gets the leaf of each row listed. About
   width / 4 ns a row, column and level. */
int jp_boost_grow(const jp_bins *bins, const uint32_t *restrict rows, int64_t n_listed,
                  const float *restrict slopes, int64_t width, const jp_boosting *how,
                  jp_grown *out, int32_t *restrict leaf_of, void *work);

/* Slopes of the log loss at scores (n_rows, n_scores), or (n_rows, 1) for two classes, for rows
   start .. stop - 1. One score: slopes (n_rows, 2), gradient and curvature. More: gradient and
   curvature (n_rows, n_scores) of each score, and slopes (n_rows, 8) to grow on: gradients times
   sketch (n_scores, 8), its last column unused, with the row's weight as the curvature (sketched
   boosting: Iosipoi & Vakhrushev 2022, arXiv:2211.12858). */
int jp_boost_log_loss(const uint16_t *restrict label, const float *restrict weight,
                      const float *restrict scores, int64_t n_scores, int64_t start, int64_t stop,
                      const float *restrict sketch, float *restrict gradient,
                      float *restrict curvature, float *restrict slopes);

/* Slopes (n_rows, 2) of half the squared error of numbers. */
int jp_boost_square_loss(const float *restrict target, const float *restrict weight,
                         const float *restrict scores, int64_t start, int64_t stop,
                         float *restrict slopes);

/* Newton steps of the leaves for one score: values (n_leaves) = -rate G / (H + penalty), at most
   rate `most` in size, from the tree's own values. */
int jp_boost_steps(const jp_grown *tree, double penalty, double rate, double most,
                   float *restrict values);

/* The same for many scores: values (n_leaves, n_scores); work (2, n_leaves, n_scores). */
int jp_boost_leaf_values(const int32_t *restrict leaf_of, int64_t n_rows,
                         const float *restrict gradient, const float *restrict curvature,
                         int64_t n_scores, int64_t n_leaves, double penalty, double rate,
                         double most, double *restrict work, float *restrict values);

/* Add to scores (n_rows, n_scores) of rows start .. stop - 1 the values of their leaves. */
int jp_boost_move(const int32_t *restrict leaf_of, const float *restrict values, int64_t n_scores,
                  int64_t start, int64_t stop, float *restrict scores);

#endif
