"""What every kernel's benchmark is measured against."""

import pytest
from machine import copy_bytes_per_second, matmul_flops_per_second


@pytest.fixture(scope="session")
def limits():
    """FLOPs and bytes per second that this machine reaches."""
    return matmul_flops_per_second(), copy_bytes_per_second()
