"""Memory for panels, the layout of ``csrc/panel.h``."""

from __future__ import annotations

import numpy as np

from jointprob.partition.weights import Points

CACHE_LINE = 64


def empty_panels(n_floats: int) -> Points:
    """Floats from the start of a cache line, which a vector load then never straddles."""
    memory = np.empty(4 * n_floats + CACHE_LINE, dtype=np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    return memory[start : start + 4 * n_floats].view(np.float32)
