# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: freethreading_compatible=True
"""Glue to csrc/query.c: arguments in, errors out, no algorithm."""

from libc.stdint cimport int32_t, int64_t, uint64_t


cdef extern from "query.h" nogil:
    ctypedef struct jp_states:
        int64_t n_columns
        int64_t n_states
        const double *mean
        const double *covariance

    int64_t jp_query_work_size(const jp_states *)
    int jp_condition_gaussian(const jp_states *, const float *, const int64_t *, const int32_t *,
                              const int64_t *, const int64_t *, int64_t, int64_t, int64_t, double *,
                              double *, double *)
    int jp_draw_gaussian(const jp_states *, const double *, const int32_t *, const int64_t *,
                         const double *, int64_t, int64_t, double *, double *)
    int jp_leave_one_out(const jp_states *, const float *, const int64_t *, const float *, int64_t,
                         int64_t, int64_t, int64_t, double *, double *, double *)
    int jp_query_uniform(uint64_t, const uint64_t *, int64_t, int64_t, int64_t, double *)


cdef object _check(int status):
    if status != 0:
        raise ValueError(f"a kernel of the query stage refused its arguments (error {status})")


cdef class States:
    """The Gaussians of a block, one a state; keeps their arrays alive."""

    cdef jp_states c
    cdef object _keep

    def __cinit__(self, const double[:, ::1] mean, const double[:, :, ::1] covariance):
        self._keep = (mean, covariance)
        self.c.n_states = mean.shape[0]
        self.c.n_columns = mean.shape[1]
        self.c.mean = &mean[0, 0]
        self.c.covariance = &covariance[0, 0, 0]

    def work_size(self):
        """Doubles of work space for any call."""
        return jp_query_work_size(&self.c)

    def condition(self, const float[:, ::1] z, const int64_t[::1] rows, const int32_t[::1] state,
                  const int64_t[::1] order, const int64_t[::1] target, double[::1] work,
                  double[:, ::1] mean, double[:, :, ::1] factor):
        """Writes the normal of the target columns given the row's known cells, pair by pair."""
        if rows.shape[0] == 0:
            return
        with nogil:
            status = jp_condition_gaussian(&self.c, &z[0, 0], &rows[0], &state[0], &order[0],
                                           &target[0], target.shape[0], 0, rows.shape[0], &work[0],
                                           &mean[0, 0], &factor[0, 0, 0])
        _check(status)

    def draw(self, const double[:, ::1] z, const int32_t[::1] state, const int64_t[::1] order,
             const double[:, ::1] normal, double[::1] work, double[:, ::1] out):
        """Writes z with its missing cells drawn from each row's state."""
        if z.shape[0] == 0:
            return
        with nogil:
            status = jp_draw_gaussian(&self.c, &z[0, 0], &state[0], &order[0], &normal[0, 0], 0,
                                      z.shape[0], &work[0], &out[0, 0])
        _check(status)

    def leave_one_out(self, const float[:, ::1] z, const int64_t[::1] order,
                      const float[:, ::1] prior, int64_t prior_at, double[::1] work,
                      double[::1] whole, double[:, ::1] rest):
        """Writes log densities of each row, whole and without each of its known cells."""
        if z.shape[0] == 0:
            return
        with nogil:
            status = jp_leave_one_out(&self.c, &z[0, 0], &order[0], &prior[0, 0], prior.shape[1],
                                      prior_at, 0, z.shape[0], &work[0], &whole[0], &rest[0, 0])
        _check(status)


def uniform(uint64_t seed, const uint64_t[::1] key, double[:, ::1] out):
    """Writes numbers in (0, 1) that depend on (seed, key of the row, column) alone."""
    if out.size == 0:
        return
    with nogil:
        status = jp_query_uniform(seed, &key[0], out.shape[1], 0, out.shape[0], &out[0, 0])
    _check(status)
