# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: freethreading_compatible=True
"""Glue of augmentation: converts arguments and errors, holds no algorithm."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memset


cdef extern from "augment.h" nogil:
    enum:
        JP_AUGMENT_STEPS
    ctypedef struct jp_augment_step:
        int32_t kind, dtype, channels, position
        int32_t options[4]
        int64_t n_parameters
        const double *parameters
        const uint8_t *active
        const int64_t *sizes
        const void *shared
    ctypedef struct jp_augment_place:
        pass
    ctypedef struct jp_augment_program:
        int64_t n_images, n_steps
        const jp_augment_step *steps
        const jp_augment_place *images
        const jp_augment_place *outputs
        const int64_t *indices
        int64_t epoch
        uint64_t seed
        int32_t dtype, channels
    int jp_augment_run(const jp_augment_program *, int64_t, int64_t, uint8_t *)
    int64_t jp_augment_scratch(const jp_augment_program *)
    int jp_augment_uniforms(uint64_t, int64_t, int64_t, const int64_t *, int64_t, int64_t,
                            double *)
    void jp_augment_product(const double *, const double *, int64_t, double *)
    void jp_augment_reach(const double *, const int64_t *, int64_t, double *, double *)


cdef int check(int status) except -1:
    if status != 0:
        raise ValueError(f"augment kernel failed with status {status}")
    return 0


cdef int pack_step(object step, int64_t n_images, jp_augment_step *packed) except -1:
    """One step of operation.py; its arrays stay alive as long as the step does."""
    cdef const double[:, ::1] parameters = step.parameters
    cdef const uint8_t[::1] active
    cdef const int64_t[:, ::1] sizes
    cdef const uint8_t[::1] shared
    cdef int k
    packed.kind, packed.dtype, packed.channels = step.kind, step.dtype, step.channels
    packed.position = step.position
    for k, option in enumerate(step.options[:4]):
        packed.options[k] = option
    packed.n_parameters = parameters.shape[1]
    if parameters.shape[0] != n_images:
        raise ValueError("parameters must have a row for each image")
    if parameters.shape[1] > 0 and n_images > 0:
        packed.parameters = &parameters[0, 0]
    if step.active is not None:
        active = step.active
        if active.shape[0] != n_images:
            raise ValueError("active must have a value for each image")
        packed.active = &active[0]
    if step.sizes is not None:
        sizes = step.sizes
        if sizes.shape[0] != n_images or sizes.shape[1] != 2:
            raise ValueError("sizes must have a row for each image")
        packed.sizes = &sizes[0, 0]
    if step.shared is not None:
        shared = step.shared
        packed.shared = &shared[0]
    return 0


cdef int pack(object program, jp_augment_program *packed, jp_augment_step *steps) except -1:
    """A Program of operation.py."""
    cdef const int64_t[:, ::1] images = program.images
    cdef const int64_t[:, ::1] outputs = program.outputs
    cdef const int64_t[::1] indices = program.indices
    cdef int64_t n = images.shape[0]
    if images.shape[1] != 6 or outputs.shape[1] != 6 or outputs.shape[0] != n:
        raise ValueError("images and outputs must be (n_images, 6)")
    if n == 0 or indices.shape[0] != n or len(program.steps) > JP_AUGMENT_STEPS:
        raise ValueError("no images, too few indices or too many steps")
    memset(steps, 0, JP_AUGMENT_STEPS * sizeof(jp_augment_step))
    for k, step in enumerate(program.steps):
        pack_step(step, n, &steps[k])
    packed.n_images, packed.n_steps, packed.steps = n, len(program.steps), steps
    packed.images = <const jp_augment_place *>&images[0, 0]
    packed.outputs = <const jp_augment_place *>&outputs[0, 0]
    packed.indices = &indices[0]
    packed.epoch, packed.seed = program.epoch, program.seed
    packed.dtype, packed.channels = program.dtype, program.channels
    return 0


def run(program, int64_t first, int64_t last, uint8_t[::1] scratch):
    """Images [first, last) of a program. Returns 0; where `scratch` is too small, the bytes that it
    takes, and nothing is done."""
    cdef jp_augment_program packed
    cdef jp_augment_step steps[JP_AUGMENT_STEPS]
    cdef int64_t needed
    cdef int status
    pack(program, &packed, steps)
    needed = jp_augment_scratch(&packed)
    if scratch.shape[0] < needed:
        return needed
    with nogil:
        status = jp_augment_run(&packed, first, last, &scratch[0])
    check(status)
    return 0


def uniforms(uint64_t seed, int64_t epoch, int64_t position,
             const int64_t[::1] indices,       # IN   (n_images,)
             double[:, ::1] draws):            # OUT  (n_images, n_draws) in [0, 1)
    """Random numbers of one operation."""
    if indices.shape[0] != draws.shape[0]:
        raise ValueError("indices and draws must have equal lengths")
    if draws.shape[0] == 0 or draws.shape[1] == 0:
        return
    check(jp_augment_uniforms(seed, epoch, position, &indices[0], draws.shape[0], draws.shape[1],
                              &draws[0, 0]))


def product(const double[:, :, ::1] first,     # IN   (n, 2, 3)
            const double[:, :, ::1] second,    # IN   (n, 2, 3)
            double[:, :, ::1] result):         # OUT  (n, 2, 3)
    """Matrices of `second` followed by `first`; last rows (0, 0, 1) are left out."""
    cdef int64_t n = result.shape[0]
    if first.shape[0] != n or second.shape[0] != n:
        raise ValueError("matrices must be equally many")
    if n > 0:
        jp_augment_product(&first[0, 0, 0], &second[0, 0, 0], n, &result[0, 0, 0])


def reach(const double[:, :, ::1] matrices,    # IN   (n, 2, 3)
          const int64_t[:, ::1] sizes):        # IN   (n, 2) height, width
    """The largest coordinate of the corners of all outputs, and the largest step of a pixel."""
    cdef double farthest = 0, step = 0
    if matrices.shape[0] != sizes.shape[0]:
        raise ValueError("matrices and sizes must be equally many")
    if sizes.shape[0] > 0:
        jp_augment_reach(&matrices[0, 0, 0], &sizes[0, 0], sizes.shape[0], &farthest, &step)
    return farthest, step
