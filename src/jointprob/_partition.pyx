# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: freethreading_compatible=True
"""Glue between NumPy arrays and csrc/partition.c: shapes are checked, errors become exceptions."""

from libc.stdint cimport int32_t, int64_t


cdef extern from "partition.h" nogil:
    int PANEL_LANES "JP_PANEL_LANES"
    int64_t jp_kmeans_packed_size(int64_t n_features, int64_t n_subsets)
    int jp_kmeans_pack(const float *centers, int64_t n_features, int64_t n_subsets, float *packed)
    int jp_kmeans_assign(
        const float *points, int64_t n_features, const float *centers, int64_t n_subsets,
        const float *packed, int64_t start, int64_t stop, int32_t *labels, float *distances)
    int jp_kmeans_nearer(
        const float *points, int64_t n_features, const float *center, int64_t start, int64_t stop,
        float *distances)
    int jp_kmeans_sums(
        const float *points, int64_t n_features, const double *weight, const int32_t *labels,
        int64_t n_subsets, int64_t start, int64_t stop, double *sums, double *mass)
    int jp_information_scatter(
        const int32_t *labels, int64_t n_rows, const int32_t *n_states, int64_t n_columns,
        const double *weight, int64_t start, int64_t stop, double *work, double *information,
        double *mass)
    int jp_indicators(
        const int32_t *labels, int64_t n_rows, const int32_t *n_states, int64_t n_columns,
        const int64_t *first, const int64_t *known, const double *weight, int64_t n_indicators,
        int64_t start, int64_t depth, float *plain, float *weighted)
    int jp_indicator_gram(
        const float *plain, const float *weighted, int64_t n_indicators, int64_t depth,
        int64_t start, int64_t stop, double *gram)
    int jp_information_gram(
        const double *gram, int64_t n_indicators, const int32_t *n_states, int64_t n_columns,
        const int64_t *first, const int64_t *known, double least, int64_t start, int64_t stop,
        double *work, double *information, double *mass)


LANES = PANEL_LANES


cdef int check(int status) except -1:
    if status != 0:
        raise ValueError(f"partition kernel refused its arguments (error {status})")
    return 0


cdef int require(bint holds, str what) except -1:
    if not holds:
        raise ValueError(f"partition kernel: {what}")
    return 0


def packed_size(int64_t n_features, int64_t n_subsets):
    """Number of floats of packed centres."""
    return jp_kmeans_packed_size(n_features, n_subsets)


def kmeans_pack(const float[:, ::1] centers, float[::1] packed):
    """Transpose centres (IN) into panels (OUT)."""
    cdef int64_t k = centers.shape[0], d = centers.shape[1]
    require(packed.shape[0] == jp_kmeans_packed_size(d, k), "size of packed centres")
    check(jp_kmeans_pack(&centers[0, 0], d, k, &packed[0]))


def kmeans_assign(
    const float[:, ::1] points,      # IN
    const float[:, ::1] centers,     # IN
    const float[::1] packed,         # IN
    int64_t start,
    int64_t stop,
    int32_t[::1] labels,             # OUT
    float[::1] distances,            # OUT
):
    """Nearest centre and squared distance of rows start .. stop - 1."""
    cdef int64_t k = centers.shape[0], d = centers.shape[1]
    cdef int status
    require(points.shape[1] == d, "points and centers differ in features")
    require(packed.shape[0] == jp_kmeans_packed_size(d, k), "size of packed centres")
    require(stop <= min(points.shape[0], labels.shape[0], distances.shape[0]), "row range")
    with nogil:
        status = jp_kmeans_assign(
            &points[0, 0], d, &centers[0, 0], k, &packed[0], start, stop, &labels[0],
            &distances[0])
    check(status)


def kmeans_nearer(
    const float[:, ::1] points,      # IN
    const float[::1] center,         # IN
    int64_t start,
    int64_t stop,
    float[::1] distances,            # IN, OUT
):
    """Lower distances to the squared distance from one more centre."""
    cdef int status
    require(points.shape[1] == center.shape[0], "points and center differ in features")
    require(stop <= min(points.shape[0], distances.shape[0]), "row range")
    with nogil:
        status = jp_kmeans_nearer(
            &points[0, 0], points.shape[1], &center[0], start, stop, &distances[0])
    check(status)


def kmeans_sums(
    const float[:, ::1] points,      # IN
    const double[::1] weight,        # IN
    const int32_t[::1] labels,       # IN
    int64_t start,
    int64_t stop,
    double[:, ::1] sums,             # IN, OUT
    double[::1] mass,                # IN, OUT
):
    """Add weighted row sums and weights of each subset."""
    cdef int status
    require(points.shape[1] == sums.shape[1], "points and sums differ in features")
    require(sums.shape[0] == mass.shape[0], "sums and mass differ in subsets")
    require(stop <= min(points.shape[0], weight.shape[0], labels.shape[0]), "row range")
    with nogil:
        status = jp_kmeans_sums(
            &points[0, 0], points.shape[1], &weight[0], &labels[0], sums.shape[0], start, stop,
            &sums[0, 0], &mass[0])
    check(status)


def information_scatter(
    const int32_t[:, ::1] labels,    # IN
    const int32_t[::1] n_states,     # IN
    const double[::1] weight,        # IN
    int64_t start,
    int64_t stop,
    double[::1] work,
    double[:, ::1] information,      # IN, OUT
    double[:, ::1] mass,             # IN, OUT
):
    """Add information and mass of pairs start .. stop - 1 with later columns, table by table."""
    cdef int status
    require_pairs(labels.shape[0], n_states, stop, work, information, mass)
    require(labels.shape[1] == weight.shape[0], "labels and weight differ in rows")
    with nogil:
        status = jp_information_scatter(
            &labels[0, 0], labels.shape[1], &n_states[0], labels.shape[0], &weight[0], start,
            stop, &work[0], &information[0, 0], &mass[0, 0])
    check(status)


def indicators(
    const int32_t[:, ::1] labels,    # IN
    const int32_t[::1] n_states,     # IN
    const int64_t[::1] first,        # IN
    const int64_t[::1] known,        # IN
    const double[::1] weight,        # IN
    int64_t start,
    int64_t depth,
    int64_t n_indicators,
    float[::1] plain,                # OUT
    float[::1] weighted,             # OUT
):
    """Fill panels of indicators for rows start .. start + depth - 1."""
    cdef int status
    require(min(plain.shape[0], weighted.shape[0]) >= n_indicators * depth, "size of panels")
    require(labels.shape[1] == weight.shape[0], "labels and weight differ in rows")
    require(
        labels.shape[0] == n_states.shape[0] == first.shape[0] == known.shape[0],
        "labels and n_states differ in columns")
    with nogil:
        status = jp_indicators(
            &labels[0, 0], labels.shape[1], &n_states[0], labels.shape[0], &first[0], &known[0],
            &weight[0], n_indicators, start, depth, &plain[0], &weighted[0])
    check(status)


def indicator_gram(
    const float[::1] plain,          # IN
    const float[::1] weighted,       # IN
    int64_t depth,
    int64_t start,
    int64_t stop,
    double[:, ::1] gram,             # IN, OUT
):
    """Add products of panels up to each of the panels start .. stop - 1."""
    cdef int status
    require(min(plain.shape[0], weighted.shape[0]) >= gram.shape[0] * depth, "size of panels")
    with nogil:
        status = jp_indicator_gram(
            &plain[0], &weighted[0], gram.shape[0], depth, start, stop, &gram[0, 0])
    check(status)


def information_gram(
    const double[:, ::1] gram,       # IN
    const int32_t[::1] n_states,     # IN
    const int64_t[::1] first,        # IN
    const int64_t[::1] known,        # IN
    double least,
    int64_t start,
    int64_t stop,
    double[::1] work,
    double[:, ::1] information,      # IN, OUT
    double[:, ::1] mass,             # IN, OUT
):
    """Add information and mass of pairs start .. stop - 1 with later columns, from the Gram."""
    cdef int status
    require_pairs(first.shape[0], n_states, stop, work, information, mass)
    with nogil:
        status = jp_information_gram(
            &gram[0, 0], gram.shape[0], &n_states[0], first.shape[0], &first[0], &known[0], least,
            start, stop, &work[0], &information[0, 0], &mass[0, 0])
    check(status)


cdef int require_pairs(
    int64_t n_columns, const int32_t[::1] n_states, int64_t stop, const double[::1] work,
    const double[:, ::1] information, const double[:, ::1] mass,
) except -1:
    cdef int64_t largest = 0, c
    require(n_states.shape[0] == n_columns >= stop, "column range")
    for c in range(n_columns):
        largest = max(largest, n_states[c])
    require(work.shape[0] >= (largest + 1) * (largest + 2), "size of work")
    require(information.shape[0] == information.shape[1] == n_columns, "shape of information")
    require(mass.shape[0] == mass.shape[1] == n_columns, "shape of mass")
    return 0
