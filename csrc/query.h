/* The query stage: Gaussians of a latent state, conditioned on what a row shows.

   State s has mean (n_states, d) and covariance (n_states, d, d), row-major; z (n_rows, d) holds NaN where
   a cell is unknown. All arithmetic is double: conditional variances may be a millionth of the scale. */
#ifndef JP_QUERY_H
#define JP_QUERY_H

#include "jp.h"

#define JP_MAX_QUERY_COLUMNS 64

typedef struct {
    int64_t n_columns; /* d, at most JP_MAX_QUERY_COLUMNS */
    int64_t n_states;
    const double *mean;
    const double *covariance;
} jp_states;

/* Doubles of work space for the calls below. */
int64_t jp_query_work_size(const jp_states *states);

/* For pairs order[start..stop) of (rows[p], state[p]): the joint normal of columns target[0..n_targets) given
   the row's other known cells: mean (n_pairs, n_targets) and lower Cholesky factor (n_pairs, n_targets,
   n_targets). A known cell of a target is not looked at. Neighbours of one state and one missing pattern share
   their factorisation, so `order` had best sort by both. FLOPs: d^2 a pair and d^3 / 3 a factorisation. */
int jp_condition_gaussian(const jp_states *states, const float *z, const int64_t *rows,
                          const int32_t *state, const int64_t *order, const int64_t *target,
                          int64_t n_targets, int64_t start, int64_t stop, double *work, double *mean,
                          double *factor);

/* For rows order[start..stop): out = z with the missing cells drawn from state[i] given the known ones;
   `normal` (n_rows, d) holds the standard normal numbers of the missing cells. */
int jp_draw_gaussian(const jp_states *states, const double *z, const int32_t *state, const int64_t *order,
                     const double *normal, int64_t start, int64_t stop, double *work, double *out);

/* For rows order[start..stop): whole[i] = log sum_s prior[i, s] N(z_i; s) over the known cells, and
   rest[i, j] = the same without known cell j (NaN where j is missing). prior (n_rows, n_prior) is read from
   column prior_at. All states count, however small: leaving a cell out may bring one to the fore.
   FLOPs: 2 d^2 + d exponentials per row and state. */
int jp_leave_one_out(const jp_states *states, const float *z, const int64_t *order, const float *prior,
                     int64_t n_prior, int64_t prior_at, int64_t start, int64_t stop, double *work,
                     double *whole, double *rest);

/* out (n_rows, n_draws): uniform in (0, 1), a function of (seed, key[i], draw) alone. */
int jp_query_uniform(uint64_t seed, const uint64_t *key, int64_t n_draws, int64_t start, int64_t stop,
                     double *out);

#endif
