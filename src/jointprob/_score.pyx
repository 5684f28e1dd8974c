# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: freethreading_compatible=True
"""Glue to csrc/score.c: arguments in, errors out, no algorithm."""

from cpython.buffer cimport (
    Py_buffer, PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.pycapsule cimport (
    PyCapsule_GetContext, PyCapsule_GetPointer, PyCapsule_New, PyCapsule_SetContext,
)
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int32_t, int64_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc

from jointprob import _density, _encode, _joint

from jointprob._density cimport jp_gauss
from jointprob._encode cimport jp_marginal, jp_piece, jp_tail
from jointprob._joint cimport jp_tree


cdef extern from "score.h" nogil:
    int JP_OK
    int JP_ERR_VALUE
    int64_t JP_SCORE_VERSION
    int64_t JP_SCORE_LOG_PROB
    const char *JP_SCORE_CAPSULE
    const char *JP_SCORER_CAPSULE

    ctypedef struct jp_score_categorical:
        int64_t column
        int64_t n_levels

    ctypedef struct jp_score_numeric:
        int64_t column
        int64_t companion
        int64_t n_atoms
        const double *atoms

    ctypedef struct jp_score_member:
        int64_t encoding
        double log_weight
        jp_tree tree
        const int64_t *code_column
        const int64_t *leaf_at
        int64_t n_leaf
        int64_t n_gauss
        const jp_gauss *gauss
        const int64_t *z_column

    ctypedef struct jp_score_output:
        int64_t kind
        int64_t which
        int64_t at
        int64_t size

    ctypedef struct jp_score_stages:
        void *encode_column
        void *gauss_work_size
        void *gauss_leaf
        void *tree_work_size
        void *tree_log_prob
        void *tree_marginals

    ctypedef struct jp_scorer:
        int64_t n_columns
        int64_t n_codes
        int64_t n_categorical
        int64_t n_numeric
        int64_t n_encodings
        int64_t n_members
        int64_t n_outputs
        int64_t width
        int64_t most_leaves
        int64_t most_blocks
        int64_t most_states
        int64_t most_gauss_columns
        int64_t most_levels
        const jp_score_categorical *categorical
        const jp_score_numeric *numeric
        const jp_marginal *marginals
        const jp_score_member *members
        const jp_score_output *outputs
        const jp_score_stages *stages

    ctypedef struct jp_score_api:
        int64_t version
        int64_t (*work_size)(const jp_scorer *) noexcept nogil
        int (*rows)(const jp_scorer *, const double *, int64_t, int64_t, void *,
                    double *) noexcept nogil

    int64_t jp_score_work_size(const jp_scorer *) noexcept
    int jp_score_rows(const jp_scorer *, const double *, int64_t, int64_t, void *,
                      double *) noexcept


cdef void *_pointer(capsule) except NULL:
    return PyCapsule_GetPointer(capsule, NULL)


cdef jp_score_stages _stages
_stages.encode_column = _pointer(_encode.encode_column_c)
_stages.gauss_work_size = _pointer(_density.gauss_work_size_c)
_stages.gauss_leaf = _pointer(_density.gauss_leaf_c)
_stages.tree_work_size = _pointer(_joint.tree_work_size_c)
_stages.tree_log_prob = _pointer(_joint.tree_log_prob_c)
_stages.tree_marginals = _pointer(_joint.tree_marginals_c)

cdef jp_score_api _api
_api.version = JP_SCORE_VERSION
_api.work_size = jp_score_work_size
_api.rows = jp_score_rows
_C_API = PyCapsule_New(&_api, JP_SCORE_CAPSULE, NULL)


cdef class _Work:
    """Work space of one call at a time."""

    cdef void *at

    def __cinit__(self, int64_t size):
        self.at = malloc(<size_t>size)
        if self.at == NULL:
            raise MemoryError(f"no {size} bytes of work space")

    def __dealloc__(self):
        free(self.at)


cdef void *_zeros(int64_t n, size_t size) except NULL:
    cdef void *at = calloc(n + 1, size)
    if at == NULL:
        raise MemoryError("no memory for a scorer")
    return at


# Buffers, not typed memoryviews, whose code would be half of this module. The arrays are kept by
# whoever asks, so that their addresses outlast the buffers.
cdef void *_address(
    array, bytes formats, Py_ssize_t itemsize, bint writeable=False
) except? NULL:
    cdef Py_buffer view
    cdef int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (PyBUF_WRITABLE if writeable else 0)
    PyObject_GetBuffer(array, &view, flags)
    try:
        if view.itemsize != itemsize or (<bytes>view.format) not in formats:
            raise ValueError(f"an array holds {(<bytes>view.format)!r} of {view.itemsize} bytes")
        return view.buf
    finally:
        PyBuffer_Release(&view)


cdef const int64_t *_sizes(array) except? NULL:
    return <const int64_t *>_address(array, b"lq", 8)


cdef double *_doubles(array, bint writeable=False) except? NULL:
    return <double *>_address(array, b"d", 8, writeable)


cdef float *_floats(array) except? NULL:
    return <float *>_address(array, b"f", 4)


cdef _view_tree(tree, jp_tree *c):
    c.n_blocks = len(tree.parent)
    c.parent = _sizes(tree.parent)
    c.n_states = _sizes(tree.n_states)
    c.n_cells = _sizes(tree.n_cells)
    c.n_levels = _sizes(tree.n_levels)
    c.transition_at = _sizes(tree.transition_at)
    c.emission_at = _sizes(tree.emission_at)
    c.cell_at = _sizes(tree.cell_at)
    c.message_at = _sizes(tree.message_at)
    c.cell = <const int32_t *>_address(tree.cell, b"i", 4)
    c.transition = _floats(tree.transition)
    c.transposed = _floats(tree.transposed)
    c.emission = _floats(tree.emission)
    c.unseen = _floats(tree.unseen)
    c.message = _floats(tree.message)


cdef _view_gauss(gaussians, jp_gauss *c):
    c.n_columns, c.n_padded = gaussians.mean_lanes.shape
    c.n_states = gaussians.n_states
    c.mean_lanes = _floats(gaussians.mean_lanes)
    c.whitening_lanes = _floats(gaussians.whitening_lanes)
    c.log_norm = _floats(gaussians.log_norm)
    c.covariance_lanes = _doubles(gaussians.covariance_lanes)


cdef _view_marginal(marginal, jp_marginal *c):
    c.keys, c.n_keys = _doubles(marginal.keys), len(marginal.keys)
    c.pieces, c.n_pieces = <const jp_piece *>_doubles(marginal.pieces), len(marginal.pieces)
    c.tails = <const jp_tail *>_doubles(marginal.tails)


cdef void _let_go(object capsule) noexcept:
    Py_DECREF(<object>PyCapsule_GetContext(capsule))


cdef class Kernel:
    """A view of a joint's arrays as the C struct, and work spaces for calls.

    Parameters
    ----------
    plan : Plan
        See `jointprob.score.plan`.
    """

    cdef jp_scorer c
    cdef jp_score_categorical *_categorical
    cdef jp_score_numeric *_numeric
    cdef jp_marginal *_marginals
    cdef jp_score_member *_members
    cdef jp_gauss *_gauss
    cdef jp_score_output *_outputs
    cdef readonly int64_t work_size
    cdef bint _is_scalar
    cdef object _keep
    cdef list _idle

    def __cinit__(self, plan):
        self._keep = plan
        self.c.stages = &_stages
        self._idle = []
        self._view_columns(plan)
        self._view_members(plan)
        self._view_outputs(plan)
        self.work_size = jp_score_work_size(&self.c)

    def __dealloc__(self):
        free(self._categorical)
        free(self._numeric)
        free(self._marginals)
        free(self._members)
        free(self._gauss)
        free(self._outputs)

    cdef _view_columns(self, plan):
        self.c.n_columns, self.c.n_codes = plan.n_columns, plan.n_codes
        self.c.n_categorical, self.c.n_numeric = len(plan.categorical), len(plan.numeric)
        self.c.n_encodings = len(plan.marginals)
        self.c.categorical = self._categorical = <jp_score_categorical *>_zeros(
            self.c.n_categorical, sizeof(jp_score_categorical))
        self.c.numeric = self._numeric = <jp_score_numeric *>_zeros(
            self.c.n_numeric, sizeof(jp_score_numeric))
        self.c.marginals = self._marginals = <jp_marginal *>_zeros(
            self.c.n_encodings * self.c.n_numeric, sizeof(jp_marginal))
        for i, (column, n_levels) in enumerate(plan.categorical):
            self._categorical[i].column, self._categorical[i].n_levels = column, n_levels
        for j, (column, companion, atoms) in enumerate(plan.numeric):
            self._numeric[j].column, self._numeric[j].companion = column, companion
            self._numeric[j].n_atoms, self._numeric[j].atoms = len(atoms), _doubles(atoms)
        for i, marginal in enumerate(marginal for row in plan.marginals for marginal in row):
            _view_marginal(marginal, &self._marginals[<int64_t>i])

    cdef _view_members(self, plan):
        cdef jp_score_member *to
        cdef jp_gauss *gauss
        cdef int64_t i
        self.c.n_members = len(plan.members)
        self.c.members = self._members = <jp_score_member *>_zeros(
            self.c.n_members, sizeof(jp_score_member))
        self._gauss = gauss = <jp_gauss *>_zeros(
            sum([len(member.tree.gaussians) for member in plan.members]), sizeof(jp_gauss))
        for i, member in enumerate(plan.members):
            to = &self._members[i]
            tree = member.tree
            _view_tree(tree, &to.tree)
            to.encoding, to.log_weight = member.encoding, member.log_weight
            to.code_column, to.leaf_at = _sizes(tree.code_column), _sizes(tree.leaf_at)
            to.n_leaf, to.n_gauss = tree.n_leaf, len(tree.gaussians)
            to.gauss, to.z_column = gauss, _sizes(member.z_columns)
            for gaussians in tree.gaussians:
                _view_gauss(gaussians, gauss)
                gauss += 1
        self.c.most_leaves, self.c.most_blocks = plan.most_leaves, plan.most_blocks
        self.c.most_states = plan.most_states
        self.c.most_gauss_columns = plan.most_gauss_columns

    cdef _view_outputs(self, plan):
        cdef int64_t i
        self.c.n_outputs, self.c.width = len(plan.outputs), plan.width
        self.c.most_levels = plan.most_levels
        self.c.outputs = self._outputs = <jp_score_output *>_zeros(
            self.c.n_outputs, sizeof(jp_score_output))
        for i, output in enumerate(plan.outputs):
            self._outputs[i].kind, self._outputs[i].which = output.kind, output.which
            self._outputs[i].at, self._outputs[i].size = output.at, output.size
        self._is_scalar = self.c.n_outputs == 1 and self._outputs[0].kind == JP_SCORE_LOG_PROB

    @property
    def address(self):
        """Address of the ``jp_scorer``, valid as long as this object lives."""
        return <uintptr_t>&self.c

    @property
    def capsule(self):
        """The ``jp_scorer`` in a capsule of that name, which keeps this object alive."""
        capsule = PyCapsule_New(&self.c, JP_SCORER_CAPSULE, _let_go)
        PyCapsule_SetContext(capsule, <void *>self)
        Py_INCREF(self)
        return capsule

    cdef int _score(self, const double *rows, int64_t start, int64_t stop, double *out) except -100:
        """One call of the kernel, in a work space that no other call is using."""
        cdef _Work work
        cdef int status
        try:
            work = <_Work>self._idle.pop()
        except IndexError:
            work = _Work(self.work_size)
        with nogil:
            status = jp_score_rows(&self.c, rows, start, stop, work.at, out)
        self._idle.append(work)
        return status

    def __call__(self, rows, *, out=None, n_jobs=None):
        cdef Py_buffer view
        cdef double one
        cdef int status
        if out is None and self._is_scalar:
            try:
                PyObject_GetBuffer(rows, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
            except (BufferError, TypeError, ValueError):
                return self._call(rows, out, n_jobs)
            try:
                if not self._is_row(&view):
                    return self._call(rows, out, n_jobs)
                status = self._score(<const double *>view.buf, 0, 1, &one)
            finally:
                PyBuffer_Release(&view)
            if status != JP_OK:
                self._refuse(rows, 0, status)
            return one
        return self._call(rows, out, n_jobs)

    cdef bint _is_row(self, Py_buffer *view):
        """One row of float64."""
        return (view.ndim == 1 and view.itemsize == 8 and view.format[0] == b"d"
                and view.format[1] == 0 and view.shape[0] == self.c.n_columns)

    def score(self, rows, int64_t start, int64_t stop, out):
        """Writes the outputs of rows start..stop; out is (n_rows, width)."""
        if rows.shape[1:] != (self.c.n_columns,) or out.shape[1:] != (self.c.width,):
            raise ValueError(f"rows are {rows.shape}, out is {out.shape}; allowed are "
                             f"(n_rows, {self.c.n_columns}) and (n_rows, {self.c.width})")
        if not 0 <= start <= stop <= min(len(rows), len(out)):
            raise ValueError(f"rows {start} to {stop} of {len(rows)}, into {len(out)}")
        status = self._score(_doubles(rows), start, stop, _doubles(out, True))
        if status != JP_OK:
            self._refuse(rows, start, status)
