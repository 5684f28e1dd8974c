# cython: language_level=3
"""The struct of csrc/joint.h, for this glue and that of the score stage."""

from libc.stdint cimport int32_t, int64_t


cdef extern from "joint.h" nogil:
    ctypedef struct jp_tree:
        int64_t n_blocks
        const int64_t *parent
        const int64_t *n_states
        const int64_t *n_cells
        const int64_t *n_levels
        const int64_t *transition_at
        const int64_t *emission_at
        const int64_t *cell_at
        const int64_t *message_at
        const int32_t *cell
        float *transition
        float *transposed
        float *emission
        float *unseen
        float *message
