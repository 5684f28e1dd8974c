/* The joint stage: one latent tree over blocks of columns, its up-down pass and its EM.

   p(x) = sum over z of P(z_0) * prod over b of P(z_b | z_parent(b)) * prod over b of f_b(x_b | z_b).

   The states of a categorical block are arranged in cells of equal width: a level belongs to one cell
   and only the states of that cell can emit it, so a row with every cell known touches width x width
   numbers per edge instead of n_states x n_states. */
#ifndef JP_JOINT_H
#define JP_JOINT_H

#include "jp.h"

#ifdef __cplusplus
extern "C" {
#endif

#define JP_TILE 128 /* rows that go through the tree together: their messages stay in L2 */

typedef struct {
    int64_t n_blocks;
    const int64_t *parent;        /* parents come first; -1 for block 0 */
    const int64_t *n_states;
    const int64_t *n_cells;       /* n_states = n_cells * width */
    const int64_t *n_levels;      /* 0 for a block without levels (Gaussians) */
    const int64_t *transition_at; /* offset of block b's (n_states[parent], n_states[b]) table */
    const int64_t *emission_at;   /* offset of its (n_levels, width) table */
    const int64_t *cell_at;       /* offset of its (n_levels,) level -> cell */
    const int64_t *message_at;    /* offset of its (n_levels, n_states[parent]) table, or -1 */
    const int32_t *cell;
    float *transition;            /* P(z_b | z_parent) */
    float *transposed;            /* the same tables as (n_states[b], n_states[parent]) */
    float *emission;              /* P(level | z), within the level's cell */
    float *unseen;                /* (n_blocks,) P(a level never seen in fit | z) */
    float *message;               /* of a childless block: sum over z of P(z | z_parent) P(level | z) */
} jp_tree;

/* What is known of each row. codes >= 0 are levels, -1 is missing, -2 a level unseen in fit.
   A block with leaf_at >= 0 takes its likelihoods from columns leaf_at .. of leaf instead. */
typedef struct {
    const int32_t *codes;   /* (n_rows, n_codes) */
    int64_t n_codes;
    const int64_t *code_column; /* (n_blocks,) */
    const int64_t *rows;    /* (stop,) row numbers into codes, or NULL for the identity */
    const float *leaf;      /* (n_rows of this call, n_leaf), scaled so that a row's largest is near 1 */
    int64_t n_leaf;
    const int64_t *leaf_at; /* (n_blocks,) or -1 */
} jp_evidence;

/* Expected counts, in rows. */
typedef struct {
    float *transition; /* as jp_tree.transition, still to be multiplied by the table itself */
    float *emission;   /* as jp_tree.emission */
    float *message;    /* as jp_tree.message: sums of P(z_parent | rest) by level */
} jp_counts;

/* Bytes of work space for a pass; `full` asks for the one of jp_tree_marginals. */
int64_t jp_tree_work_size(const jp_tree *tree, int full);

/* log_prob[start:stop] = log p(row), without the scale of its leaf. */
int jp_tree_log_prob(const jp_tree *tree, const jp_evidence *evidence, int64_t start, int64_t stop,
                     void *work, double *log_prob);

/* Adds the expected counts of rows start..stop, each weight[i] times (weight NULL: once), and overwrites
   leaf_posterior (n_rows, n_leaf) of the blocks that have a leaf with P(z | row) * weight. */
int jp_tree_expect(const jp_tree *tree, const jp_evidence *evidence, const double *weight, int64_t start,
                   int64_t stop, void *work, double *log_prob, jp_counts *counts, float *leaf_posterior);

/* For every block: cavity = P(z_b | everything but block b's own cells) and
   posterior = P(z_b | row), both (n_rows, total states) with block b at column state_at[b]. */
int jp_tree_marginals(const jp_tree *tree, const jp_evidence *evidence, const int64_t *state_at,
                      int64_t n_total, int64_t start, int64_t stop, void *work, double *log_prob,
                      float *cavity, float *posterior);

/* Draws z ~ P(z | row): states (n_rows, n_blocks). Row i's draw depends on (seed, draw_key[i]) alone. */
int jp_tree_sample(const jp_tree *tree, const jp_evidence *evidence, uint64_t seed,
                   const uint64_t *draw_key, int64_t start, int64_t stop, void *work, double *log_prob,
                   int32_t *states);

/* The running state of mini-batch EM, in the layouts of jp_tree. Counts are shares of a row. */
typedef struct {
    float *transition;        /* running expected transitions */
    float *emission;          /* running expected emissions */
    const float *level_share; /* at jp_tree.cell_at: each level's share of the rows of its cell */
    double rows;              /* rows of the whole table: turns shares into counts */
    double smoothing;         /* pseudo-rows that pull a transition towards the block's marginal */
    double emission_smoothing;
} jp_running;

int64_t jp_tree_maximise_work_size(const jp_tree *tree);

/* Moves the running counts towards the batch's by `step`, sets the batch's to zero, and derives all tables
   of blocks first..last. work: jp_tree_maximise_work_size doubles. */
int jp_tree_maximise(jp_tree *tree, jp_counts *batch, jp_running *running, double batch_rows, double step,
                     int64_t first, int64_t last, double *work);

/* transposed and message from transition and emission, for blocks first..last. */
int jp_tree_derive(jp_tree *tree, int64_t first, int64_t last);

/* From what jp_tree_expect added to expected counts of (z_parent, z_b) and of (level, z_b); the messages are used
   up. */
int jp_tree_finish_counts(const jp_tree *tree, jp_counts *counts);

int64_t jp_tree_adapt_work_size(const jp_tree *tree);

/* Tables of `to`, a copy of `prior`: prior's tables adapted to finished counts (in rows), which shrink to them by
   marginal_rows (how common each state or level is) and state_rows (for each state of the parent) pseudo-rows.
   work: jp_tree_adapt_work_size doubles. */
int jp_tree_adapt(const jp_tree *prior, const jp_counts *counts, double marginal_rows, double state_rows,
                  jp_tree *to, double *work);

/* Numbers in the flat tables of a tree; transposed has as many as transition. */
typedef struct {
    int64_t transition, emission, message, cell;
} jp_tree_sizes;

/* Tables that jp_tree_check finds at fault; append-only. */
enum {
    JP_TABLE_TRANSITION = 1, /* outside its array, or no distributions */
    JP_TABLE_TRANSPOSED,     /* not the transitions, turned */
    JP_TABLE_CELL,
    JP_TABLE_EMISSION,
    JP_TABLE_MESSAGE
};

/* 0 if blocks first..last of a tree from an untrusted source can be used, else the table at fault, and its block.
   parent, n_states, n_cells and n_levels must be sound: parents before their children, n_cells a divisor of
   n_states, no size above that of its table. work: the largest n_states, doubles. */
int jp_tree_check(const jp_tree *tree, const jp_tree_sizes *sizes, double rounding, int64_t first, int64_t last,
                  double *work, int64_t *block);

/* counts (n_from, n_to) += weight of rows start..stop by the pair of their labels; -1 is skipped. */
int jp_count_pairs(const int32_t *from, const int32_t *to, const double *weight, int64_t n_from,
                   int64_t n_to, int64_t start, int64_t stop, double *counts);

#ifdef __cplusplus
}
#endif

#endif
