# cython: language_level=3
"""The struct of csrc/density.h, for this glue and that of the score stage."""

from libc.stdint cimport int64_t


cdef extern from "density.h" nogil:
    ctypedef struct jp_gauss:
        int64_t n_columns
        int64_t n_states
        int64_t n_padded
        float *mean_lanes
        float *whitening_lanes
        float *log_norm
        double *covariance_lanes
        const double *grain
