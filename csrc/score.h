/* The score stage: plain rows of doubles through a whole joint, one at a time or many.

   p(row) = sum over m of weight_m * p_m(codes, z_m) * prod dz_m/dx. A scorer is a view of arrays that others own
   and that nobody writes: any number of threads may share it, each with a work space of its own.

   A row holds the table's columns in their order. A numeric cell is a finite number, NaN where it is missing.
   A categorical cell is the code of its level: 0, 1, ...; -1 or NaN where it is missing; -2, and every code past
   the last, for a level that fit did not see. */
#ifndef JP_SCORE_H
#define JP_SCORE_H

#include "density.h"
#include "encode.h"
#include "joint.h"

#ifdef __cplusplus
extern "C" {
#endif

#define JP_SCORE_VERSION 1 /* of jp_score_api and all structs below; members are only ever appended */

typedef struct {
    int64_t column; /* of a row; -1 for one that was all missing in fit and is passed over */
    int64_t n_levels;
} jp_score_categorical;

typedef struct {
    int64_t column;      /* of a row, or -1 likewise */
    int64_t companion;   /* column of codes that says which atom it is, or -1 */
    int64_t n_atoms;
    const double *atoms; /* ascending */
} jp_score_numeric;

/* One latent tree of the mixture. */
typedef struct {
    int64_t encoding; /* whose z it reads */
    double log_weight;
    jp_tree tree;
    const int64_t *code_column; /* (n_blocks) as in jp_evidence */
    const int64_t *leaf_at;     /* (n_blocks) */
    int64_t n_leaf;             /* states of all Gaussians together */
    int64_t n_gauss;
    const jp_gauss *gauss;      /* (n_gauss) in the order of their blocks, whose leaves follow one another */
    const int64_t *z_column;    /* columns of z of all Gaussians, one Gaussian after the other */
} jp_score_member;

enum {
    JP_SCORE_LOG_PROB = 0, /* log density of the row, nats; 0 if nothing is known of it */
    JP_SCORE_SUBSETS = 1,  /* P(subset | row) at the root of member `which` */
    JP_SCORE_LEVELS = 2    /* P(level | the row's other cells) of categorical column `which` */
};

typedef struct {
    int64_t kind;
    int64_t which; /* a member, or a column of codes */
    int64_t at;    /* first of its numbers among a row's outputs */
    int64_t size;
} jp_score_output;

/* The stages that a scorer calls. A table, as the package holds each of them in a module of its own. */
typedef struct {
    int (*encode_column)(const double *x, int64_t start, int64_t stop, const jp_marginal *marginal,
                         const double *atoms, int64_t n_atoms, int32_t *codes, int64_t codes_stride, float *z,
                         int64_t z_stride, double *log_jacobian);
    int64_t (*gauss_work_size)(const jp_gauss *gauss);
    int (*gauss_leaf)(const jp_gauss *gauss, const float *z, const int64_t *rows, int64_t start, int64_t stop,
                      double negligible, float *leaf, int64_t n_leaf, int64_t leaf_at, double *log_scale,
                      void *work);
    int64_t (*tree_work_size)(const jp_tree *tree, int full);
    int (*tree_log_prob)(const jp_tree *tree, const jp_evidence *evidence, int64_t start, int64_t stop, void *work,
                         double *log_prob);
    int (*tree_marginals)(const jp_tree *tree, const jp_evidence *evidence, const int64_t *state_at,
                          int64_t n_total, int64_t start, int64_t stop, void *work, double *log_prob,
                          float *cavity, float *posterior);
} jp_score_stages;

/* Where all are linked together. */
#define JP_SCORE_STAGES {jp_encode_column, jp_gauss_work_size, jp_gauss_leaf, \
                         jp_tree_work_size, jp_tree_log_prob, jp_tree_marginals}

typedef struct {
    int64_t n_columns; /* of a row */
    int64_t n_codes;   /* categorical columns and companions */
    int64_t n_categorical, n_numeric, n_encodings, n_members, n_outputs;
    int64_t width;     /* numbers of all outputs together */
    int64_t most_leaves, most_blocks, most_states; /* of one member */
    int64_t most_gauss_columns;
    int64_t most_levels; /* of one output */
    const jp_score_categorical *categorical;
    const jp_score_numeric *numeric;
    const jp_marginal *marginals; /* (n_encodings, n_numeric) */
    const jp_score_member *members;
    const jp_score_output *outputs;
    const jp_score_stages *stages;
} jp_scorer;

/* Bytes of work space for one thread's calls. */
int64_t jp_score_work_size(const jp_scorer *scorer);

/* out (n_rows, width): outputs of rows start..stop of rows (n_rows, n_columns). A row's bits depend on the row
   alone. JP_ERR_VALUE: infinity, a fraction or a code below -2, or a row of probability zero whose posterior is
   asked for; rows before it may have been written. */
int jp_score_rows(const jp_scorer *scorer, const double *rows, int64_t start, int64_t stop, void *work, double *out);

/* What the package hands out to other compiled code, in a capsule that PyCapsule_Import finds; the attribute
   `capsule` of a Python Scorer holds its jp_scorer. */
#define JP_SCORE_CAPSULE "jointprob._C_API"
#define JP_SCORER_CAPSULE "jp_scorer"

typedef struct {
    int64_t version; /* JP_SCORE_VERSION of the package; at least that of the header it is used with */
    int64_t (*work_size)(const jp_scorer *scorer);
    int (*rows)(const jp_scorer *scorer, const double *rows, int64_t start, int64_t stop, void *work, double *out);
} jp_score_api;

#ifdef __cplusplus
}
#endif

#endif
