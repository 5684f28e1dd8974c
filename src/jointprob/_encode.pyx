# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: freethreading_compatible=True
"""Glue of the encode stage: converts arguments and errors, holds no algorithm."""

from cpython.pycapsule cimport PyCapsule_New
from libc.stdint cimport int32_t, int64_t


cdef extern from "encode.h" nogil:
    int jp_encode_forward(const double *, int64_t, int64_t, const jp_marginal *,
                          double *, double *)
    int jp_encode_inverse(const double *, int64_t, int64_t, const jp_marginal *, double *)
    int jp_encode_column(const double *, int64_t, int64_t, const jp_marginal *,
                         const double *, int64_t, int32_t *, int64_t,
                         float *, int64_t, double *)


# For the glue of the score stage, which calls it through a pointer.
encode_column_c = PyCapsule_New(<void *>jp_encode_column, NULL, NULL)


cdef int pack(const double[::1] keys, const double[:, ::1] pieces, const double[:, ::1] tails,
              jp_marginal *marginal) except -1:
    if pieces.shape[0] < 1 or pieces.shape[1] != 8 or tails.shape[0] != 2 or tails.shape[1] != 4:
        raise ValueError("pieces must be (n_pieces, 8) and tails (2, 4)")
    if keys.shape[0] < pieces.shape[0]:
        raise ValueError("keys must be at least as many as pieces")
    marginal.keys = &keys[0]
    marginal.n_keys = keys.shape[0]
    marginal.pieces = <const jp_piece *>&pieces[0, 0]
    marginal.n_pieces = pieces.shape[0]
    marginal.tails = <const jp_tail *>&tails[0, 0]
    return 0


cdef int check(int status) except -1:
    if status != 0:
        raise ValueError(f"encode kernel failed with status {status}")
    return 0


def forward(const double[::1] x,               # IN   (n_rows,)
            const double[::1] keys,            # IN   (n_keys,)
            const double[:, ::1] pieces,       # IN   (n_pieces, 8)
            const double[:, ::1] tails,        # IN   (2, 4)
            double[::1] z,                     # OUT  (n_rows,)
            double[::1] log_slope):            # OUT  (n_rows,)
    """Transform values: z and log dz/dx."""
    cdef jp_marginal marginal
    cdef int64_t n_rows = x.shape[0]
    cdef int status
    pack(keys, pieces, tails, &marginal)
    if z.shape[0] != n_rows or log_slope.shape[0] != n_rows:
        raise ValueError("x, z and log_slope must have equal lengths")
    if n_rows == 0:
        return
    with nogil:
        status = jp_encode_forward(&x[0], 0, n_rows, &marginal, &z[0], &log_slope[0])
    check(status)


def inverse(const double[::1] z,               # IN   (n_rows,)
            const double[::1] keys,            # IN   (n_keys,)
            const double[:, ::1] pieces,       # IN   (n_pieces, 8)
            const double[:, ::1] tails,        # IN   (2, 4)
            double[::1] x):                    # OUT  (n_rows,)
    """Transform back: x of z."""
    cdef jp_marginal marginal
    cdef int64_t n_rows = z.shape[0]
    cdef int status
    pack(keys, pieces, tails, &marginal)
    if x.shape[0] != n_rows:
        raise ValueError("z and x must have equal lengths")
    if n_rows == 0:
        return
    with nogil:
        status = jp_encode_inverse(&z[0], 0, n_rows, &marginal, &x[0])
    check(status)


def encode_column(const double[::1] x,             # IN   (n_rows,)
                  int64_t start, int64_t stop,     # IN   rows of this call
                  const double[::1] keys,          # IN   (n_keys,)
                  const double[:, ::1] pieces,     # IN   (n_pieces, 8)
                  const double[:, ::1] tails,      # IN   (2, 4)
                  const double[::1] atoms,         # IN   (n_atoms,) ascending, may be empty
                  int32_t[:, ::1] codes,           # OUT  (n_rows, n_codes)
                  int64_t code_column,             # IN   column of codes, used if there are atoms
                  float[:, ::1] z,                 # OUT  (n_rows, n_numeric)
                  int64_t z_column,                # IN   column of z
                  double[::1] log_jacobian):       # INOUT (n_rows,)
    """Transform rows [start, stop) of one column into their places in codes and z."""
    cdef jp_marginal marginal
    cdef int64_t n_rows = x.shape[0], n_atoms = atoms.shape[0]
    cdef int32_t *codes_out = NULL
    cdef const double *atoms_in = NULL
    cdef int status
    pack(keys, pieces, tails, &marginal)
    if z.shape[0] != n_rows or log_jacobian.shape[0] != n_rows:
        raise ValueError("x, z and log_jacobian must have equal lengths")
    if not 0 <= start <= stop <= n_rows or not 0 <= z_column < z.shape[1]:
        raise ValueError("rows or columns outside the arrays")
    if start == stop:
        return
    if n_atoms > 0:
        if codes.shape[0] != n_rows or not 0 <= code_column < codes.shape[1]:
            raise ValueError("codes has no such column")
        codes_out = &codes[0, code_column]
        atoms_in = &atoms[0]
    with nogil:
        status = jp_encode_column(&x[0], start, stop, &marginal, atoms_in, n_atoms,
                                  codes_out, codes.shape[1], &z[0, z_column], z.shape[1],
                                  &log_jacobian[0])
    check(status)
