"""The numbers that ``tests/c/test_philox.c`` is held to are NumPy's own.

``python tests/test_philox.py > tests/c/philox_numpy.h`` writes them anew.
"""

from pathlib import Path

import numpy as np

HEADER = Path(__file__).parent / "c" / "philox_numpy.h"
LAST = 2**64 - 1
KEYS = [(0, 0), (1, 0), (LAST, LAST), (0x243F6A8885A308D3, 0x13198A2E03707344)]
# A counter of all ones in its first words proves the carry of c + 1.
COUNTERS = [(0, 0, 0, 0), (41, 2, 3, 0), (LAST, 5, 0, 0), (LAST, LAST, LAST, 7)]


def words(key, counter):
    """First block of four 64-bit words, uint64 (4,)."""
    return np.random.Philox(key=_uint64(key), counter=_uint64(counter)).random_raw(4)


def uniforms(key, counter):
    """The same block as uniforms in [0, 1), float64 (4,)."""
    bits = np.random.Philox(key=_uint64(key), counter=_uint64(counter))
    return np.random.Generator(bits).random(4)


def _uint64(values):
    return np.array(values, dtype=np.uint64)


def _rows(rows, width, ctype, name, show):
    lines = ",\n".join("    {" + ", ".join(map(show, row)) + "}" for row in rows)
    return f"static const {ctype} {name}[N_NUMPY_BLOCKS][{width}] = {{\n{lines},\n}};\n"


def header():
    """The C header with every key, counter, block of words and block of uniforms."""
    cases = [(key, counter) for key in KEYS for counter in COUNTERS]

    def hexadecimal(word):
        return f"UINT64_C(0x{int(word):016x})"

    def exact(value):
        return float(value).hex()

    return (
        "/* Written by tests/test_philox.py from numpy.random.Philox. */\n"
        f"enum {{ N_NUMPY_BLOCKS = {len(cases)} }};\n"
        + _rows([key for key, _ in cases], 2, "uint64_t", "numpy_key", hexadecimal)
        + _rows([counter for _, counter in cases], 4, "uint64_t", "numpy_counter", hexadecimal)
        + _rows([words(*case) for case in cases], 4, "uint64_t", "numpy_word", hexadecimal)
        + _rows([uniforms(*case) for case in cases], 4, "double", "numpy_uniform", exact)
    )


def test_c_header_holds_numpys_numbers():
    assert HEADER.read_text() == header()


if __name__ == "__main__":
    print(header(), end="")
