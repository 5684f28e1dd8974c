# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: freethreading_compatible=True
"""Glue to csrc/joint.c: arguments in, errors out, no algorithm."""

from cpython.pycapsule cimport PyCapsule_New
from libc.stdint cimport int32_t, int64_t, uint64_t, uint8_t


cdef extern from "joint.h" nogil:
    ctypedef struct jp_tree_sizes:
        int64_t transition
        int64_t emission
        int64_t message
        int64_t cell

    ctypedef struct jp_evidence:
        const int32_t *codes
        int64_t n_codes
        const int64_t *code_column
        const int64_t *rows
        const float *leaf
        int64_t n_leaf
        const int64_t *leaf_at

    ctypedef struct jp_counts:
        float *transition
        float *emission
        float *message

    ctypedef struct jp_running:
        float *transition
        float *emission
        const float *level_share
        double rows
        double smoothing
        double emission_smoothing

    int64_t jp_tree_work_size(const jp_tree *, int)
    int64_t jp_tree_maximise_work_size(const jp_tree *)
    int jp_tree_log_prob(const jp_tree *, const jp_evidence *, int64_t, int64_t, void *, double *)
    int jp_tree_expect(const jp_tree *, const jp_evidence *, const double *, int64_t, int64_t,
                       void *, double *, jp_counts *, float *)
    int jp_tree_marginals(const jp_tree *, const jp_evidence *, const int64_t *, int64_t, int64_t,
                          int64_t, void *, double *, float *, float *)
    int jp_tree_sample(const jp_tree *, const jp_evidence *, uint64_t, const uint64_t *, int64_t,
                       int64_t, void *, double *, int32_t *)
    int jp_tree_maximise(jp_tree *, jp_counts *, jp_running *, double, double, int64_t, int64_t,
                         double *)
    int jp_tree_derive(jp_tree *, int64_t, int64_t)
    int jp_tree_finish_counts(const jp_tree *, jp_counts *)
    int64_t jp_tree_adapt_work_size(const jp_tree *)
    int jp_tree_adapt(const jp_tree *, const jp_counts *, double, double, jp_tree *, double *)
    int jp_tree_check(const jp_tree *, const jp_tree_sizes *, double, int64_t, int64_t, double *,
                      int64_t *)
    int jp_count_pairs(const int32_t *, const int32_t *, const double *, int64_t, int64_t,
                       int64_t, int64_t, double *)


# For the glue of the score stage, which calls them through pointers.
tree_work_size_c = PyCapsule_New(<void *>jp_tree_work_size, NULL, NULL)
tree_log_prob_c = PyCapsule_New(<void *>jp_tree_log_prob, NULL, NULL)
tree_marginals_c = PyCapsule_New(<void *>jp_tree_marginals, NULL, NULL)


cdef object _check(int status):
    if status != 0:
        raise ValueError(f"a kernel of the joint stage refused its arguments (error {status})")


cdef object _check_writable(bint writable):
    if not writable:
        raise ValueError("the tables are read-only")


cdef class Evidence:
    """What is known of each row: codes by column, for some blocks likelihoods outright."""

    cdef jp_evidence c
    cdef readonly int64_t n_rows
    cdef object _keep

    def __cinit__(self, const int32_t[:, ::1] codes, const int64_t[::1] code_column,
                  const int64_t[::1] rows=None, const float[:, ::1] leaf=None,
                  const int64_t[::1] leaf_at=None):
        self._keep = (codes, code_column, rows, leaf, leaf_at)
        self.c.codes = &codes[0, 0] if codes.size else NULL
        self.c.n_codes = codes.shape[1]
        self.c.code_column = &code_column[0]
        self.c.rows = &rows[0] if rows is not None and rows.size else NULL
        self.c.leaf = NULL
        self.c.leaf_at = NULL
        self.n_rows = codes.shape[0] if rows is None else rows.shape[0]
        if leaf is not None:
            if leaf.shape[0] != self.n_rows:
                raise ValueError("leaf must hold one row per row of evidence")
            self.c.n_leaf = leaf.shape[1]
            if leaf.size:
                self.c.leaf = &leaf[0, 0]
                self.c.leaf_at = &leaf_at[0]


cdef class Counts:
    """Expected counts of one batch."""

    cdef jp_counts c
    cdef object _keep

    def __cinit__(self, float[::1] transition, float[::1] emission, float[::1] message):
        self._keep = (transition, emission, message)
        self.c.transition = &transition[0]
        self.c.emission = &emission[0] if emission.size else NULL
        self.c.message = &message[0] if message.size else NULL


cdef class Tree:
    """View of a latent tree's arrays as the C struct; keeps them alive."""

    cdef jp_tree c
    cdef jp_tree_sizes sizes
    cdef readonly bint writable
    cdef object _keep

    def __cinit__(self, const int64_t[::1] parent, const int64_t[::1] n_states,
                  const int64_t[::1] n_cells, const int64_t[::1] n_levels,
                  const int64_t[::1] transition_at, const int64_t[::1] emission_at,
                  const int64_t[::1] cell_at, const int64_t[::1] message_at,
                  const int32_t[::1] cell, const float[::1] transition,
                  const float[::1] transposed, const float[::1] emission,
                  const float[::1] unseen, const float[::1] message, bint writable):
        self.writable = writable
        self.sizes = jp_tree_sizes(transition.size, emission.size, message.size, cell.size)
        self._keep = (parent, n_states, n_cells, n_levels, transition_at, emission_at, cell_at,
                      message_at, cell, transition, transposed, emission, unseen, message)
        self.c.n_blocks = parent.shape[0]
        self.c.parent = &parent[0]
        self.c.n_states = &n_states[0]
        self.c.n_cells = &n_cells[0]
        self.c.n_levels = &n_levels[0]
        self.c.transition_at = &transition_at[0]
        self.c.emission_at = &emission_at[0]
        self.c.cell_at = &cell_at[0]
        self.c.message_at = &message_at[0]
        self.c.cell = &cell[0] if cell.size else NULL
        self.c.transition = <float *>&transition[0]
        self.c.transposed = <float *>&transposed[0]
        self.c.emission = <float *>&emission[0] if emission.size else NULL
        self.c.unseen = <float *>&unseen[0]
        self.c.message = <float *>&message[0] if message.size else NULL

    def work_size(self, bint full):
        """Bytes of work space for a pass; full for `marginals`."""
        return jp_tree_work_size(&self.c, full)

    def log_prob(self, Evidence evidence, int64_t start, int64_t stop, uint8_t[::1] work,
                 double[::1] log_prob):
        """Writes log p(row), without the leaves' own scale, to log_prob[start:stop]."""
        with nogil:
            status = jp_tree_log_prob(&self.c, &evidence.c, start, stop, &work[0], &log_prob[0])
        _check(status)

    def expect(self, Evidence evidence, const double[::1] weight, int64_t start, int64_t stop,
               uint8_t[::1] work, double[::1] log_prob, Counts counts,
               float[:, ::1] leaf_posterior):
        """Adds expected counts; overwrites leaf_posterior with weight * P(z | row)."""
        cdef const double *w = &weight[0] if weight is not None else NULL
        cdef float *leaf = &leaf_posterior[0, 0] if leaf_posterior.size else NULL
        with nogil:
            status = jp_tree_expect(&self.c, &evidence.c, w, start, stop, &work[0], &log_prob[0],
                                    &counts.c, leaf)
        _check(status)

    def marginals(self, Evidence evidence, const int64_t[::1] state_at, int64_t start, int64_t stop,
                  uint8_t[::1] work, double[::1] log_prob, float[:, ::1] cavity,
                  float[:, ::1] posterior):
        """Writes P(z_b | other blocks' cells) and P(z_b | row) for every block."""
        with nogil:
            status = jp_tree_marginals(&self.c, &evidence.c, &state_at[0], cavity.shape[1], start,
                                       stop, &work[0], &log_prob[0], &cavity[0, 0],
                                       &posterior[0, 0])
        _check(status)

    def sample(self, Evidence evidence, uint64_t seed, const uint64_t[::1] draw_key, int64_t start,
               int64_t stop, uint8_t[::1] work, double[::1] log_prob, int32_t[:, ::1] states):
        """Writes one draw of all latent states given each row."""
        with nogil:
            status = jp_tree_sample(&self.c, &evidence.c, seed, &draw_key[0], start, stop, &work[0],
                                    &log_prob[0], &states[0, 0])
        _check(status)

    def maximise_work_size(self):
        """Doubles of work space for `maximise`."""
        return jp_tree_maximise_work_size(&self.c)

    def derive(self, int64_t first, int64_t last):
        """Refreshes the tables that follow from transition and emission."""
        _check_writable(self.writable)
        with nogil:
            status = jp_tree_derive(&self.c, first, last)
        _check(status)

    def maximise(self, Counts batch, float[::1] transition, float[::1] emission,
                 const float[::1] level_share, double rows, double smoothing,
                 double emission_smoothing, double batch_rows, double step, int64_t first,
                 int64_t last, double[::1] work):
        """One M-step of blocks first..last from the running and the batch's counts."""
        cdef jp_running running
        _check_writable(self.writable)
        running.transition = &transition[0]
        running.emission = &emission[0] if emission.size else NULL
        running.level_share = &level_share[0] if level_share.size else NULL
        running.rows = rows
        running.smoothing = smoothing
        running.emission_smoothing = emission_smoothing
        with nogil:
            status = jp_tree_maximise(&self.c, &batch.c, &running, batch_rows, step, first, last,
                                      &work[0])
        _check(status)

    def finish_counts(self, Counts counts):
        """Turns what `expect` added into expected counts, in rows."""
        with nogil:
            status = jp_tree_finish_counts(&self.c, &counts.c)
        _check(status)

    def adapt_work_size(self):
        """Doubles of work space for `adapt`."""
        return jp_tree_adapt_work_size(&self.c)

    def adapt(self, Counts counts, double marginal_rows, double state_rows, Tree to,
              double[::1] work):
        """Writes this tree's tables, adapted to finished counts, to a copy of the tree."""
        _check_writable(to.writable)
        with nogil:
            status = jp_tree_adapt(&self.c, &counts.c, marginal_rows, state_rows, &to.c, &work[0])
        _check(status)

    def check(self, double rounding, int64_t first, int64_t last, double[::1] work):
        """The table at fault and its block, of blocks first..last; (0, block) if all are sound."""
        cdef int64_t block = 0
        with nogil:
            table = jp_tree_check(&self.c, &self.sizes, rounding, first, last, &work[0], &block)
        return table, block


def count_pairs(const int32_t[::1] first, const int32_t[::1] second, const double[::1] weight,
                double[:, ::1] counts):
    """Adds each row's weight to the cell of its pair of labels; -1 is skipped."""
    cdef const double *w = &weight[0] if weight is not None else NULL
    with nogil:
        status = jp_count_pairs(&first[0], &second[0], w, counts.shape[0], counts.shape[1], 0,
                                first.shape[0], &counts[0, 0])
    _check(status)
