"""Code that only the user knows, compiled by numba into the fit; joints in numba's loops."""

from jointprob.jit.family import Family
from jointprob.jit.scoring import log_prob

__all__ = ["Family", "log_prob"]
