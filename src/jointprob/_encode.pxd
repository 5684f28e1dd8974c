# cython: language_level=3
"""Structs of csrc/encode.h, for this glue and that of the score stage."""

from libc.stdint cimport int64_t


cdef extern from "encode.h" nogil:
    ctypedef struct jp_piece:
        pass

    ctypedef struct jp_tail:
        pass

    ctypedef struct jp_marginal:
        const double *keys
        int64_t n_keys
        const jp_piece *pieces
        int64_t n_pieces
        const jp_tail *tails
