"""``cimport jointprob``: scorers without Python. Compile with `jointprob.get_include()`."""

from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_Import
from libc.stdint cimport int64_t


cdef extern from "score.h" nogil:
    int64_t JP_SCORE_VERSION
    const char *JP_SCORE_CAPSULE
    const char *JP_SCORER_CAPSULE

    ctypedef struct jp_scorer:
        int64_t n_columns
        int64_t width

    ctypedef struct jp_score_api:
        int64_t version
        int64_t (*work_size)(const jp_scorer *) noexcept nogil
        int (*rows)(const jp_scorer *, const double *, int64_t, int64_t, void *,
                    double *) noexcept nogil


cdef inline const jp_score_api *score_api() except NULL:
    """The functions of the installed package."""
    api = <const jp_score_api *>PyCapsule_Import(JP_SCORE_CAPSULE, 0)
    if api.version < JP_SCORE_VERSION:
        raise ImportError(f"compiled for version {JP_SCORE_VERSION} of jointprob's C interface, "
                          f"but the installed package has version {api.version}")
    return api


cdef inline const jp_scorer *scorer_of(scorer) except NULL:
    """The struct behind a Scorer, valid as long as the Scorer lives."""
    return <const jp_scorer *>PyCapsule_GetPointer(scorer.capsule, JP_SCORER_CAPSULE)
