# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: freethreading_compatible=True
"""Glue to csrc/density.c: arguments in, errors out, no algorithm."""

from cpython.pycapsule cimport PyCapsule_New
from libc.stdint cimport int64_t, uint8_t


cdef extern from "density.h" nogil:
    ctypedef struct jp_gauss_sums:
        double *weight
        double *sum
        double *square

    int64_t jp_gauss_work_size(const jp_gauss *)
    int jp_gauss_derive(jp_gauss *, void *)
    int jp_gauss_leaf(const jp_gauss *, const float *, const int64_t *, int64_t, int64_t, double,
                      float *, int64_t, int64_t, double *, void *)
    int jp_gauss_expect(const jp_gauss *, const float *, const int64_t *, const float *, int64_t,
                        int64_t, int64_t, int64_t, jp_gauss_sums *)
    int jp_gauss_maximise(jp_gauss *, jp_gauss_sums *, jp_gauss_sums *, double, double, double,
                          double, double, void *)


# For the glue of the score stage, which calls them through pointers.
gauss_work_size_c = PyCapsule_New(<void *>jp_gauss_work_size, NULL, NULL)
gauss_leaf_c = PyCapsule_New(<void *>jp_gauss_leaf, NULL, NULL)


cdef object _check(int status):
    if status != 0:
        raise ValueError(f"a kernel of the density stage refused its arguments (error {status})")


cdef class Sums:
    """Responsibility-weighted sums of one block."""

    cdef jp_gauss_sums c
    cdef object _keep

    def __cinit__(self, double[::1] weight, double[:, ::1] sum, double[:, ::1] square):
        self._keep = (weight, sum, square)
        self.c.weight = &weight[0]
        self.c.sum = &sum[0, 0]
        self.c.square = &square[0, 0]


cdef object _check_writable(bint writable):
    if not writable:
        raise ValueError("the Gaussians are read-only")


cdef class Gauss:
    """View of a Gaussian block's arrays as the C struct; keeps them alive."""

    cdef jp_gauss c
    cdef readonly bint writable
    cdef object _keep

    def __cinit__(self, int64_t n_states, const float[:, ::1] mean_lanes,
                  const float[:, ::1] whitening_lanes, const float[::1] log_norm,
                  const double[:, ::1] covariance_lanes, const double[::1] grain, bint writable):
        self.writable = writable
        self._keep = (mean_lanes, whitening_lanes, log_norm, covariance_lanes, grain)
        self.c.grain = &grain[0] if grain is not None else NULL
        self.c.n_columns = mean_lanes.shape[0]
        self.c.n_states = n_states
        self.c.n_padded = mean_lanes.shape[1]
        self.c.mean_lanes = <float *>&mean_lanes[0, 0]
        self.c.whitening_lanes = <float *>&whitening_lanes[0, 0]
        self.c.log_norm = <float *>&log_norm[0]
        self.c.covariance_lanes = <double *>&covariance_lanes[0, 0]

    def work_size(self):
        """Bytes of work space for any call."""
        return jp_gauss_work_size(&self.c)

    def derive(self, uint8_t[::1] work):
        """Refreshes whitening and norms from the covariances."""
        _check_writable(self.writable)
        with nogil:
            status = jp_gauss_derive(&self.c, &work[0])
        _check(status)

    def leaf(self, const float[:, ::1] z, const int64_t[::1] rows, int64_t start, int64_t stop,
             double negligible, float[:, ::1] leaf, int64_t leaf_at, double[::1] log_scale,
             uint8_t[::1] work):
        """Writes scaled likelihoods of every state; adds the scale to log_scale."""
        cdef const int64_t *r = &rows[0] if rows is not None else NULL
        with nogil:
            status = jp_gauss_leaf(&self.c, &z[0, 0], r, start, stop, negligible, &leaf[0, 0],
                                   leaf.shape[1], leaf_at,
                                   &log_scale[0], &work[0])
        _check(status)

    def expect(self, const float[:, ::1] z, const int64_t[::1] rows, const float[:, ::1] posterior,
               int64_t leaf_at, int64_t start, int64_t stop, Sums sums):
        """Adds each row's moments, weighted by its posterior."""
        cdef const int64_t *r = &rows[0] if rows is not None else NULL
        with nogil:
            status = jp_gauss_expect(&self.c, &z[0, 0], r, &posterior[0, 0], posterior.shape[1],
                                     leaf_at, start, stop, &sums.c)
        _check(status)

    def maximise(self, Sums batch, Sums running, double batch_rows, double step, double rows,
                 double shrinkage, double floor, uint8_t[::1] work):
        """One M-step from the running and the batch's sums."""
        _check_writable(self.writable)
        with nogil:
            status = jp_gauss_maximise(&self.c, &batch.c, &running.c, batch_rows, step, rows,
                                       shrinkage, floor, &work[0])
        _check(status)
