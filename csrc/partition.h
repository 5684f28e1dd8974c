/* Partition: nearest centres of k-means and pairwise mutual information of labels. */
#ifndef JP_PARTITION_H
#define JP_PARTITION_H

#include "panel.h" /* centres, and indicators of states, lie in panels of JP_PANEL_LANES columns */

/* Floats that jp_kmeans_pack writes: one panel row for each feature and one for the norms. */
int64_t jp_kmeans_packed_size(int64_t n_features, int64_t n_subsets);

/* Transpose centres (n_subsets, n_features) into panels, each ending in a row of -|c|^2 / 2. */
int jp_kmeans_pack(const float *restrict centers, int64_t n_features, int64_t n_subsets,
                   float *restrict packed);

/* Nearest centre (the first of equals) and squared distance for rows start .. stop - 1.
   points (n_rows, n_features), labels and distances (n_rows). About
   2 n_features n_subsets FLOPs a row. */
int jp_kmeans_assign(const float *restrict points, int64_t n_features,
                     const float *restrict centers, int64_t n_subsets,
                     const float *restrict packed, int64_t start, int64_t stop,
                     int32_t *restrict labels, float *restrict distances);

/* Lower distances (n_rows) to the squared distance from one more centre (n_features). */
int jp_kmeans_nearer(const float *restrict points, int64_t n_features,
                     const float *restrict center, int64_t start, int64_t stop,
                     float *restrict distances);

/* Add the weighted sum of each subset's rows to sums (n_subsets, n_features), its weight to
   mass (n_subsets). */
int jp_kmeans_sums(const float *restrict points, int64_t n_features,
                   const double *restrict weight, const int32_t *restrict labels,
                   int64_t n_subsets, int64_t start, int64_t stop, double *restrict sums,
                   double *restrict mass);

/* Pair (i, j), i in start .. stop - 1 and j >= i, of n_columns label columns: add

       N I(i; j) - (K_ij - K_i - K_j + 1) / 2      to information[i, j]
       N                                           to mass[i, j]

   where N is the weight of rows that know both labels and K counts states that occur
   (Miller and Madow's bias). labels (n_columns, n_rows), below 0 where missing; n_states
   (n_columns); weight (n_rows); work at least (m + 1) (m + 2) doubles for m the largest n_states.
   One table is counted for each pair: any number of states, about one add a row. */
int jp_information_scatter(const int32_t *restrict labels, int64_t n_rows,
                           const int32_t *restrict n_states, int64_t n_columns,
                           const double *restrict weight, int64_t start, int64_t stop,
                           double *restrict work, double *restrict information,
                           double *restrict mass);

/* The same for few states: counts of all pairs are one Gram matrix of indicator columns. Column c
   has indicators first[c] + v for states v < n_states[c] - 1 and known[c] for "not missing", which
   is indicator 0, always one, where no label is missing; n_indicators is padded to whole panels.

   jp_indicators fills panels (n_indicators / 32, depth, 32) for rows start .. start + depth - 1,
   plain and times the weight; jp_indicator_gram adds products of panels i <= j, for j in
   start .. stop - 1, to gram (n_indicators, n_indicators), exact below 2^24 a row block. */
int jp_indicators(const int32_t *restrict labels, int64_t n_rows,
                  const int32_t *restrict n_states, int64_t n_columns,
                  const int64_t *restrict first, const int64_t *restrict known,
                  const double *restrict weight, int64_t n_indicators, int64_t start,
                  int64_t depth, float *restrict plain, float *restrict weighted);

int jp_indicator_gram(const float *restrict plain, const float *restrict weighted,
                      int64_t n_indicators, int64_t depth, int64_t start, int64_t stop,
                      double *restrict gram);

/* Counts below `least` (half the smallest weight) are rounding, hence zero. */
int jp_information_gram(const double *restrict gram, int64_t n_indicators,
                        const int32_t *restrict n_states, int64_t n_columns,
                        const int64_t *restrict first, const int64_t *restrict known,
                        double least, int64_t start, int64_t stop, double *restrict work,
                        double *restrict information, double *restrict mass);

#endif
