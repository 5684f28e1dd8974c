"""Code that only the user knows, compiled by numba into the fit; joints in numba's loops."""

from jointprob.jit.family import Family

__all__ = ["Family"]
