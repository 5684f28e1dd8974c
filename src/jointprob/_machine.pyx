# cython: language_level=3
# cython: freethreading_compatible=True
"""Glue to csrc/machine.c: what the kernels run on."""


cdef extern from "machine.h" nogil:
    int jp_cpu_level()


def cpu_level():
    """Level of x86-64 (1, 3 or 4) whose clones of the kernels run; 0: one build of each."""
    return jp_cpu_level()
