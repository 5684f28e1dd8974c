# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: freethreading_compatible=True
"""Glue between NumPy arrays and csrc/forest*.c: shapes are checked, errors become exceptions."""

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_FORMAT,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free


cdef extern from "forest.h" nogil:
    int JP_MISSING_BIN
    int JP_SET_WORDS
    int JP_SLOPES_ONE
    int JP_SLOPES_MANY

    ctypedef struct jp_edges:
        const void *edges
        int64_t n_edges
        int64_t categorical

    ctypedef struct jp_bins:
        int64_t n_rows
        int64_t n_columns
        const uint8_t *by_column
        const uint8_t *by_row
        const uint8_t *categorical
        const uint8_t *n_bins

    ctypedef struct jp_node:
        int32_t child

    ctypedef struct jp_grown:
        int64_t n_outputs
        int64_t capacity
        jp_node *node
        uint32_t *sets
        float *value
        int64_t n_nodes
        int64_t n_sets
        int64_t n_leaves

    ctypedef struct jp_growth:
        int64_t n_candidates
        int64_t least_rows
        int64_t most_depth
        int64_t random_splits

    ctypedef struct jp_forest:
        int64_t n_trees
        const int64_t *node_at
        const int64_t *leaf_at
        const jp_node *node
        const uint32_t *sets
        int64_t n_sets

    ctypedef struct jp_steps:
        pass

    ctypedef struct jp_boosting:
        int64_t most_leaves
        int64_t most_depth
        double least_rows
        double penalty
        double level_penalty
        double level_rows
        double least_gain

    int JP_THRESHOLD_SETS
    int jp_forest_check(const jp_forest *, int64_t, int64_t, int64_t, uint8_t *)
    int jp_forest_thresholds(uint32_t *)
    int jp_forest_bootstrap(const uint64_t *, int64_t, int64_t, int64_t, uint8_t *)
    int jp_forest_bin(const jp_edges *, const void **, int64_t, int64_t, int64_t, int64_t,
                      uint8_t *)
    int64_t jp_forest_work_size(const jp_bins *, int64_t, int64_t)
    int jp_forest_grow_classes(const jp_bins *, const uint32_t *, int64_t, const uint16_t *,
                               const float *, const jp_growth *, const uint64_t *, int64_t,
                               jp_grown *, void *)
    int jp_forest_grow_means(const jp_bins *, const uint32_t *, int64_t, const float *,
                             const float *, const jp_growth *, const uint64_t *, int64_t,
                             jp_grown *, void *)
    int jp_forest_shrink(const jp_grown *, const float *, double, float *)
    int jp_forest_leaves(const jp_forest *, int64_t, const uint8_t *, int64_t, int64_t, int64_t,
                         int32_t *)
    jp_steps *jp_forest_new_steps(const jp_forest *)
    void jp_forest_free_steps(jp_steps *)
    int jp_forest_add_numbers(const jp_forest *, const jp_steps *, int64_t, int64_t,
                              const float *, int64_t, const uint8_t *, int64_t, int64_t, int64_t,
                              float *)
    int jp_forest_add_shares(const jp_forest *, const jp_steps *, int64_t, int64_t,
                             const uint16_t *, int64_t, const uint8_t *, int64_t, int64_t,
                             int64_t, float *)
    int jp_forest_add_both_ways(const jp_forest *, const float *, const uint16_t *, int64_t, int,
                                const uint8_t *, int64_t, int64_t, int64_t, float *)
    int jp_forest_say(const float *, const float *, float, int64_t, int64_t, float *)
    int jp_forest_count(const jp_forest *, const uint8_t *, int64_t, int64_t, const int64_t *,
                        const double *, const float *, float, int64_t, float *, float *)
    int jp_forest_class_gains(const jp_node *, int64_t, const float *, int64_t, double *, double *)
    int jp_forest_mean_gains(const jp_node *, int64_t, const float *, double *, double *)
    int JP_SPREAD_CELLS
    int jp_forest_spread(const int32_t *, int64_t, const int64_t *, const uint8_t *,
                         const float *, float *)
    int64_t jp_boost_work_size(const jp_bins *, int64_t, int64_t, int64_t)
    int jp_boost_grow(const jp_bins *, const uint32_t *, int64_t, const float *, int64_t,
                      const jp_boosting *, jp_grown *, int32_t *, void *)
    int jp_boost_log_loss(const uint16_t *, const float *, const float *, int64_t, int64_t,
                          int64_t, const float *, float *, float *, float *)
    int jp_boost_square_loss(const float *, const float *, const float *, int64_t, int64_t,
                             float *)
    int jp_boost_steps(const jp_grown *, double, double, double, float *)
    int jp_boost_leaf_values(const int32_t *, int64_t, const float *, const float *, int64_t,
                             int64_t, double, double, double, double *, float *)
    int jp_boost_move(const int32_t *, const float *, int64_t, int64_t, int64_t, float *)
    int JP_SMALL_LEAVES
    int jp_forest_small_leaves(const jp_grown *, const uint32_t *, const uint8_t *, int64_t,
                               int64_t, int32_t *)


MISSING_BIN = JP_MISSING_BIN
SET_WORDS = JP_SET_WORDS
THRESHOLD_SETS = JP_THRESHOLD_SETS
SPREAD_CELLS = JP_SPREAD_CELLS
SLOPES_ONE = JP_SLOPES_ONE
SMALL_LEAVES = JP_SMALL_LEAVES
SLOPES_MANY = JP_SLOPES_MANY

cdef enum:
    NODE_WORDS = 4  # int32 words of a node


cdef int check(int status) except -1:
    if status != 0:
        raise ValueError(f"forest kernel refused its arguments (error {status})")
    return 0


cdef int require(bint holds, str what) except -1:
    if not holds:
        raise ValueError(f"forest kernel: {what}")
    return 0


# Buffers, not typed memoryviews, which cost three times as much for each of many columns. Whoever
# asks keeps the array.
cdef const void *address(array, bytes formats, int64_t itemsize, int64_t *n) except? NULL:
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
    try:
        require(view.ndim == 1 and view.itemsize == itemsize and <bytes>view.format in formats,
                "a column of another type")
        n[0] = view.shape[0]
        return view.buf
    finally:
        PyBuffer_Release(&view)


cdef class Edges:
    """How columns become bins, as C structs; keeps their arrays alive.

    Edges of a numeric column are float64, of a categorical one uint8 bins of its levels.
    """

    cdef jp_edges *c
    cdef int64_t n_columns
    cdef tuple _keep

    def __cinit__(self, tuple edges, tuple categorical):
        cdef int64_t j
        cdef jp_edges *c
        self.n_columns, self._keep = len(edges), edges
        require(len(categorical) == self.n_columns, "an entry for each column")
        self.c = <jp_edges *>calloc(self.n_columns + 1, sizeof(jp_edges))
        if self.c == NULL:
            raise MemoryError("no memory for edges")
        for j in range(self.n_columns):
            c = self.c + j
            c.categorical = categorical[j]
            c.edges = (address(edges[j], b"B", 1, &c.n_edges) if c.categorical
                       else address(edges[j], b"d", 8, &c.n_edges))

    def __dealloc__(self):
        free(self.c)

    def bin(self, list columns, int64_t start, int64_t stop, uint8_t[:, ::1] by_column):
        """Bins (OUT) of rows start .. stop - 1; numbers are float64, levels int32."""
        cdef int64_t j, n, n_rows = by_column.shape[1]
        cdef int status
        cdef tuple keep = tuple(columns)
        require(len(keep) == self.n_columns and by_column.shape[0] == self.n_columns, "columns")
        require(0 <= start <= stop <= n_rows, "rows")
        if start == stop or self.n_columns == 0:
            return
        cdef const void **cells = <const void **>calloc(self.n_columns, sizeof(void *))
        if cells == NULL:
            raise MemoryError("no memory for columns")
        try:
            for j in range(self.n_columns):
                cells[j] = (address(keep[j], b"il", 4, &n) if self.c[j].categorical
                            else address(keep[j], b"d", 8, &n))
                require(n == n_rows, "columns of different lengths")
            with nogil:
                status = jp_forest_bin(self.c, cells, self.n_columns, n_rows, start, stop,
                                       &by_column[0, 0])
        finally:
            free(cells)
        check(status)


cdef class Bins:
    """View of a binned table as the C struct; keeps its arrays alive."""

    cdef jp_bins c
    cdef object _keep

    def __cinit__(self, const uint8_t[:, ::1] by_column, const uint8_t[:, ::1] by_row,
                  const uint8_t[::1] categorical, const uint8_t[::1] n_bins):
        cdef int64_t d = by_column.shape[0], n = by_column.shape[1]
        require(by_row.shape[0] == n and by_row.shape[1] == d, "by_row is not by_column turned")
        require(categorical.shape[0] == d and n_bins.shape[0] == d, "an entry for each column")
        require(n > 0 and d > 0, "no rows or no columns")
        self._keep = (by_column, by_row, categorical, n_bins)
        self.c = jp_bins(n, d, &by_column[0, 0], &by_row[0, 0], &categorical[0], &n_bins[0])

    def work_size(self, int64_t n_bagged, int64_t n_classes):
        """Bytes of work space for growing."""
        return jp_forest_work_size(&self.c, n_bagged, n_classes)

    def boost_work_size(self, int64_t n_listed, int64_t width, int64_t most_leaves):
        """Bytes of work space for boosting."""
        return jp_boost_work_size(&self.c, n_listed, width, most_leaves)


cdef class Grown:
    """Tables of one tree while it grows; keeps its arrays alive."""

    cdef jp_grown c
    cdef object _keep

    def __cinit__(self, int32_t[:, ::1] node, uint32_t[:, ::1] sets, float[:, ::1] value):
        cdef int64_t n = node.shape[0]
        require(n > 0 and node.shape[1] == NODE_WORDS and value.shape[0] == n, "room for nodes")
        require(2 * sets.shape[0] >= n - 1 and sets.shape[0] > 0
                and sets.shape[1] == JP_SET_WORDS, "room for a set at every inner node")
        self._keep = (node, sets, value)
        self.c = jp_grown(value.shape[1], n, <jp_node *>&node[0, 0], &sets[0, 0], &value[0, 0],
                          0, 0, 0)

    @property
    def n_nodes(self):
        """Nodes of the last tree grown."""
        return self.c.n_nodes

    @property
    def n_sets(self):
        """Sets of levels of the last tree grown."""
        return self.c.n_sets

    @property
    def n_leaves(self):
        """Leaves of the last tree grown."""
        return self.c.n_leaves

    def grow_classes(self, Bins bins, const uint32_t[::1] rows, const uint16_t[::1] label,
                     const float[::1] weight, int64_t n_candidates, int64_t least_rows,
                     int64_t most_depth, bint random_splits, uint64_t seed, uint64_t stream,
                     int64_t tree, uint8_t[::1] work):
        """Grow by the Gini index on the rows (label and weight stand beside them)."""
        cdef int64_t n = rows.shape[0]
        cdef jp_growth growth = jp_growth(n_candidates, least_rows, most_depth, random_splits)
        cdef uint64_t *key = [seed, stream]
        require(label.shape[0] == n and weight.shape[0] == n and n > 0,
                "one label, one weight a row")
        require(work.shape[0] >= jp_forest_work_size(&bins.c, n, self.c.n_outputs), "work space")
        cdef int status
        with nogil:
            status = jp_forest_grow_classes(&bins.c, &rows[0], n, &label[0], &weight[0], &growth,
                                            key, tree, &self.c, &work[0])
        check(status)

    def grow_means(self, Bins bins, const uint32_t[::1] rows, const float[::1] target,
                   const float[::1] weight, int64_t n_candidates, int64_t least_rows,
                   int64_t most_depth, bint random_splits, uint64_t seed, uint64_t stream,
                   int64_t tree, uint8_t[::1] work):
        """Grow by variance on the rows (target and weight stand beside them)."""
        cdef int64_t n = rows.shape[0]
        cdef jp_growth growth = jp_growth(n_candidates, least_rows, most_depth, random_splits)
        cdef uint64_t *key = [seed, stream]
        require(target.shape[0] == n and weight.shape[0] == n and n > 0,
                "one target, one weight a row")
        require(work.shape[0] >= jp_forest_work_size(&bins.c, n, 0), "work space")
        cdef int status
        with nogil:
            status = jp_forest_grow_means(&bins.c, &rows[0], n, &target[0], &weight[0], &growth,
                                          key, tree, &self.c, &work[0])
        check(status)

    def shrink(self, const float[::1] prior, double strength, float[:, ::1] means):
        """Means of the nodes, each shrunk towards its ancestors (OUT)."""
        require(means.shape[0] >= self.c.n_nodes, "a mean for every node")
        require(means.shape[1] == (1 if prior is None else self.c.n_outputs),
                "means of another size")
        require(prior is None or prior.shape[0] == self.c.n_outputs, "a prior for each class")
        check(jp_forest_shrink(&self.c, NULL if prior is None else &prior[0], strength,
                               &means[0, 0]))

    def boost(self, Bins bins, const uint32_t[::1] rows, const float[:, ::1] slopes,
              int64_t most_leaves, int64_t most_depth, double least_rows, double penalty,
              double level_penalty, double level_rows, double least_gain, int32_t[::1] leaf_of,
              uint8_t[::1] work):
        """Grow on slopes of the rows, the best leaf first; leaf_of (OUT) of every row listed."""
        cdef int64_t n = rows.shape[0], width = slopes.shape[1]
        cdef jp_boosting how = jp_boosting(most_leaves, most_depth, least_rows, penalty,
                                           level_penalty, level_rows, least_gain)
        require(slopes.shape[0] == bins.c.n_rows and leaf_of.shape[0] == bins.c.n_rows and n > 0,
                "slopes and a leaf for each row of the table")
        require(work.shape[0] >= jp_boost_work_size(&bins.c, n, width, most_leaves), "work space")
        cdef int status
        with nogil:
            status = jp_boost_grow(&bins.c, &rows[0], n, &slopes[0, 0], width, &how, &self.c,
                                   &leaf_of[0], &work[0])
        check(status)

    def steps(self, double penalty, double rate, double most, float[:, ::1] values):
        """Newton steps of the leaves for one score (OUT)."""
        require(values.shape[0] == self.c.n_leaves and values.shape[1] == 1, "a value for a leaf")
        check(jp_boost_steps(&self.c, penalty, rate, most, &values[0, 0]))

    def small_leaves(self, const uint32_t[:, ::1] sets, const uint8_t[:, ::1] by_column,
                     int32_t[::1] leaves):
        """Leaf of each row (OUT) in a small tree; sets with those of the thresholds.

        Rows of by_column are a multiple of 256, of which the first are asked about.
        """
        require(sets.shape[0] >= JP_THRESHOLD_SETS + self.c.n_sets
                and sets.shape[1] == JP_SET_WORDS, "sets")
        if leaves.shape[0] == 0:
            return
        cdef int status
        with nogil:
            status = jp_forest_small_leaves(&self.c, &sets[0, 0], &by_column[0, 0],
                                            by_column.shape[1], leaves.shape[0], &leaves[0])
        check(status)


cdef class Forest:
    """View of packed trees as the C struct; keeps their arrays alive."""

    cdef jp_forest c
    cdef jp_steps *steps
    cdef object _keep
    cdef int64_t n_leaves

    def __cinit__(self, const int64_t[::1] node_at, const int64_t[::1] leaf_at,
                  const int32_t[:, ::1] node, const uint32_t[:, ::1] sets):
        cdef int64_t t = node_at.shape[0] - 1
        require(t > 0 and leaf_at.shape[0] == t + 1 and node_at[t] == node.shape[0]
                and node.shape[0] > 0 and node.shape[1] == NODE_WORDS
                and sets.shape[0] >= JP_THRESHOLD_SETS and sets.shape[1] == JP_SET_WORDS,
                "tables of different sizes")
        self._keep = (node_at, leaf_at, node, sets)
        self.n_leaves = leaf_at[t]
        self.c = jp_forest(t, &node_at[0], &leaf_at[0], <const jp_node *>&node[0, 0], &sets[0, 0],
                           sets.shape[0] - JP_THRESHOLD_SETS)
        self.steps = jp_forest_new_steps(&self.c)

    def __dealloc__(self):
        jp_forest_free_steps(self.steps)

    def leaves(self, int64_t tree, const uint8_t[:, ::1] by_row, int64_t start, int64_t stop,
               int32_t[::1] leaves):
        """Leaf of rows start .. stop - 1 in one tree (OUT)."""
        require(0 <= start <= stop <= by_row.shape[0] and leaves.shape[0] >= stop - start, "rows")
        if start == stop:
            return
        cdef int status
        with nogil:
            status = jp_forest_leaves(&self.c, tree, &by_row[0, 0], by_row.shape[1], start, stop,
                                      &leaves[0])
        check(status)

    def add(self, values, const uint8_t[:, ::1] by_row, int64_t start, int64_t stop,
            float[:, ::1] out, int64_t first=0, last=None):
        """Add the leaf values of rows start .. stop - 1 in some trees to these rows of out.

        uint16 values are in units of 1 / 65535.
        """
        cdef const float[:, ::1] numbers = None
        cdef const uint16_t[:, ::1] shares = None
        cdef int64_t stop_tree = self.c.n_trees if last is None else last
        cdef int64_t n_outputs = out.shape[1], d = by_row.shape[1]
        if values.dtype == "uint16":
            shares = values
        else:
            numbers = values
        require(values.shape[0] == self.n_leaves, "a value for each leaf")
        require(out.shape[1] == values.shape[1] and stop <= out.shape[0], "out")
        require(0 <= start <= stop <= by_row.shape[0], "rows")
        if start == stop:
            return
        cdef const float *f = NULL if numbers is None else &numbers[0, 0]
        cdef const uint16_t *u = NULL if shares is None else &shares[0, 0]
        cdef int status
        with nogil:
            if f != NULL:
                status = jp_forest_add_numbers(&self.c, self.steps, first, stop_tree, f,
                                               n_outputs, &by_row[0, 0], d, start, stop,
                                               &out[start, 0])
            else:
                status = jp_forest_add_shares(&self.c, self.steps, first, stop_tree, u,
                                              n_outputs, &by_row[0, 0], d, start, stop,
                                              &out[start, 0])
        check(status)

    def add_both_ways(self, values, bint everywhere, const uint8_t[:, ::1] by_row, int64_t start,
                      int64_t stop, float[:, ::1] out):
        """The same for rows with missing cells, by the weight of either side."""
        cdef const float[:, ::1] numbers = None
        cdef const uint16_t[:, ::1] shares = None
        if values.dtype == "uint16":
            shares = values
        else:
            numbers = values
        require(values.shape[0] == self.n_leaves, "a value for each leaf")
        require(out.shape[1] == values.shape[1] and stop <= out.shape[0], "out")
        require(0 <= start <= stop <= by_row.shape[0], "rows")
        if start == stop:
            return
        cdef const float *f = NULL if numbers is None else &numbers[0, 0]
        cdef const uint16_t *u = NULL if shares is None else &shares[0, 0]
        cdef int status
        cdef int64_t n_outputs = out.shape[1]
        with nogil:
            status = jp_forest_add_both_ways(&self.c, f, u, n_outputs, everywhere, &by_row[0, 0],
                                             by_row.shape[1], start, stop, &out[start, 0])
        check(status)

    def count(self, const uint8_t[:, ::1] by_row, const int64_t[::1] label,
              const double[::1] weight, const float[:, ::1] grown, float worth,
              float[:, ::1] counts, float[:, ::1] values):
        """Add rows to counts (INOUT) of their leaves; what these say then goes to values (OUT)."""
        cdef int64_t n = by_row.shape[0], d = by_row.shape[1], k = counts.shape[1]
        require(label.shape[0] == n and weight.shape[0] == n, "one label, one weight a row")
        require(counts.shape[0] == self.n_leaves and grown.shape[0] == self.n_leaves
                and values.shape[0] == self.n_leaves, "entries for each leaf")
        require(grown.shape[1] == k and values.shape[1] == k, "entries for each class")
        if n == 0:
            return
        cdef int status
        with nogil:
            status = jp_forest_count(&self.c, &by_row[0, 0], d, n, &label[0], &weight[0],
                                     &grown[0, 0], worth, k, &counts[0, 0], &values[0, 0])
        check(status)


def say(const float[:, ::1] counts, const float[:, ::1] grown, float worth,
        float[:, ::1] values):
    """What leaves say by their counts and what they said when grown (OUT)."""
    cdef int64_t n = counts.shape[0], k = counts.shape[1]
    require(grown.shape[0] == n and values.shape[0] == n, "entries for each leaf")
    require(grown.shape[1] == k and values.shape[1] == k and n > 0, "entries for each class")
    with nogil:
        jp_forest_say(&counts[0, 0], &grown[0, 0], worth, n, k, &values[0, 0])


def check_trees(const int64_t[::1] node_at, const int64_t[::1] leaf_at,
                const int32_t[:, ::1] node, const uint32_t[:, ::1] sets, int64_t n_columns,
                uint8_t[::1] seen):
    """ValueError unless rows of so many bins can descend the trees; seen is work space."""
    cdef int64_t t = node_at.shape[0] - 1, n_leaves = seen.shape[0]
    require(t > 0 and leaf_at.shape[0] == t + 1 and node.shape[0] > 0
            and node.shape[1] == NODE_WORDS and n_leaves > 0
            and sets.shape[0] >= JP_THRESHOLD_SETS and sets.shape[1] == JP_SET_WORDS,
            "tables of different sizes")
    cdef jp_forest c = jp_forest(t, &node_at[0], &leaf_at[0], <const jp_node *>&node[0, 0],
                                 &sets[0, 0], sets.shape[0] - JP_THRESHOLD_SETS)
    cdef int status
    with nogil:
        status = jp_forest_check(&c, node.shape[0], n_leaves, n_columns, &seen[0])
    check(status)


def thresholds(uint32_t[:, ::1] sets):
    """The bins that go right at every threshold (OUT)."""
    require(sets.shape[0] >= JP_THRESHOLD_SETS and sets.shape[1] == JP_SET_WORDS, "sets")
    check(jp_forest_thresholds(&sets[0, 0]))


def bootstrap(uint64_t seed, uint64_t stream, int64_t tree, int64_t n_drawn,
              uint8_t[::1] times):
    """How often so many draws for one tree take each row (OUT)."""
    cdef uint64_t *key = [seed, stream]
    require(times.shape[0] > 0, "no rows")
    check(jp_forest_bootstrap(key, tree, times.shape[0], n_drawn, &times[0]))


def log_loss_slopes(const uint16_t[::1] label, const float[::1] weight,
                    const float[:, ::1] scores, const float[:, ::1] sketch,
                    float[:, ::1] gradient, float[:, ::1] curvature, float[:, ::1] slopes):
    """Slopes of the log loss to grow on (OUT); of many scores gradients and curvatures (OUT)."""
    cdef int64_t n = scores.shape[0], k = scores.shape[1]
    require(n > 0 and label.shape[0] == n and weight.shape[0] == n and slopes.shape[0] == n,
            "entries for each row")
    require(slopes.shape[1] == (JP_SLOPES_ONE if k == 1 else JP_SLOPES_MANY), "slopes")
    require(k == 1 or (sketch.shape[0] == k and sketch.shape[1] == JP_SLOPES_MANY), "sketch")
    require(k == 1 or (gradient.shape[0] == n and gradient.shape[1] == k
                       and curvature.shape[0] == n and curvature.shape[1] == k), "gradients")
    cdef const float *s = NULL if k == 1 else &sketch[0, 0]
    cdef float *g = NULL if k == 1 else &gradient[0, 0]
    cdef float *h = NULL if k == 1 else &curvature[0, 0]
    cdef int status
    with nogil:
        status = jp_boost_log_loss(&label[0], &weight[0], &scores[0, 0], k, 0, n, s, g, h,
                                   &slopes[0, 0])
    check(status)


def square_loss_slopes(const float[::1] target, const float[::1] weight,
                       const float[:, ::1] scores, float[:, ::1] slopes):
    """Slopes of half the squared error to grow on (OUT)."""
    cdef int64_t n = scores.shape[0]
    require(n > 0 and target.shape[0] == n and weight.shape[0] == n and slopes.shape[0] == n
            and scores.shape[1] == 1 and slopes.shape[1] == JP_SLOPES_ONE, "entries for each row")
    with nogil:
        jp_boost_square_loss(&target[0], &weight[0], &scores[0, 0], 0, n, &slopes[0, 0])


def leaf_values(const int32_t[::1] leaf_of, const float[:, ::1] gradient,
                const float[:, ::1] curvature, double penalty, double rate, double most,
                double[::1] work, float[:, ::1] values):
    """Newton steps of the leaves (OUT)."""
    cdef int64_t n = leaf_of.shape[0], k = gradient.shape[1]
    require(curvature.shape[1] == k and values.shape[1] == k, "entries for each score")
    require(n > 0 and gradient.shape[0] == n and curvature.shape[0] == n, "entries for each row")
    require(work.shape[0] >= 2 * values.shape[0] * k, "work space")
    cdef int status
    with nogil:
        status = jp_boost_leaf_values(&leaf_of[0], n, &gradient[0, 0], &curvature[0, 0], k,
                                      values.shape[0], penalty, rate, most, &work[0],
                                      &values[0, 0])
    check(status)


def move(const int32_t[::1] leaf_of, const float[:, ::1] values, float[:, ::1] scores):
    """Add the values of their leaves to the scores of rows."""
    cdef int64_t n = leaf_of.shape[0], k = scores.shape[1]
    require(scores.shape[0] == n and values.shape[1] == k, "entries for each row")
    if n == 0:
        return
    cdef int status
    with nogil:
        status = jp_boost_move(&leaf_of[0], &values[0, 0], k, 0, n, &scores[0, 0])
    check(status)


def spread(const int32_t[::1] leaf, const int64_t[::1] first, const uint8_t[::1] cell,
           const float[::1] weight, float[:, ::1] out):
    """Add the weights of the training rows in each row's leaf at their cells (to out)."""
    require(out.shape[0] == leaf.shape[0] and out.shape[1] == JP_SPREAD_CELLS, "out")
    require(cell.shape[0] == weight.shape[0] and first.shape[0] > 1
            and first[first.shape[0] - 1] == cell.shape[0], "a cell and a weight for each row")
    if leaf.shape[0] == 0 or cell.shape[0] == 0:
        return
    cdef int status
    with nogil:
        status = jp_forest_spread(&leaf[0], leaf.shape[0], &first[0], &cell[0], &weight[0],
                                  &out[0, 0])
    check(status)


def gains(const int32_t[:, ::1] node, const float[:, ::1] said, double[:, ::1] sums,
          double[::1] gains):
    """Add what the splits on each column gain (to gains); sums of inner nodes are written.

    With one column, said are means and sums (weight, sum of targets); else log shares, and
    weights by class.
    """
    cdef int64_t n = node.shape[0], k = said.shape[1], status
    require(n > 0 and node.shape[1] == NODE_WORDS and said.shape[0] == n and sums.shape[0] == n,
            "entries for each node")
    require(sums.shape[1] == (2 if k == 1 else k) and gains.shape[0] > 0, "sums")
    cdef const jp_node *nodes = <const jp_node *>&node[0, 0]
    with nogil:
        if k == 1:
            status = jp_forest_mean_gains(nodes, n, &said[0, 0], &sums[0, 0], &gains[0])
        else:
            status = jp_forest_class_gains(nodes, n, &said[0, 0], k, &sums[0, 0], &gains[0])
    check(status)
