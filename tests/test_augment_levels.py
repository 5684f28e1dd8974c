"""The same bytes on every CPU: kernels built for the baseline, for AVX2 and for AVX-512.

The installed package takes the highest level of this CPU; those below are built here.
"""

import ctypes
import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from jointprob import _augment
from jointprob.augment import images as augment

CSRC = Path(__file__).parents[1] / "csrc"
LEVELS = {"x86-64": "sse2", "x86-64-v3": "avx2", "x86-64-v4": "avx512bw"}
FLAGS = ["-std=gnu11", "-O2", "-shared", "-fPIC", "-fno-math-errno", "-fno-trapping-math",
         "-fopenmp-simd", "-ffp-contract=off", "-DJP_NO_CLONES", "-Wno-psabi"]  # fmt: skip
PIPELINES = {
    "warp": [augment.HorizontalFlip(), augment.Rotate(40), augment.RandomCrop((40, 45))],
    "edge": [augment.RandomResizedCrop((50, 37)), augment.Affine(shear=20, border="reflect")],
    "noise": [augment.GaussianNoise(10), augment.ShotNoise()],
    "colour": [augment.Brightness(), augment.Contrast(), augment.Gamma(), augment.Saturation(),
               augment.Hue(), augment.Grayscale(p=0.5)],
    "filter": [augment.GaussianBlur(), augment.Resize((31, 70)), augment.Erase()],
}  # fmt: skip


class Step(ctypes.Structure):
    """jp_augment_step."""

    _fields_ = (
        ("numbers", ctypes.c_int32 * 8),
        ("n_parameters", ctypes.c_int64),
        ("arrays", ctypes.c_void_p * 4),
    )


class Program(ctypes.Structure):
    """jp_augment_program."""

    _fields_ = (
        ("sizes", ctypes.c_int64 * 2),
        ("pointers", ctypes.c_void_p * 4),
        ("epoch", ctypes.c_int64),
        ("seed", ctypes.c_uint64),
        ("type", ctypes.c_int32 * 2),
    )


def address(array):
    return None if array is None else array.__array_interface__["data"][0]


def packed(program):
    """A Program of operation.py as C has it."""
    steps = (Step * len(program.steps))()
    for step, c_step in zip(program.steps, steps, strict=True):
        options = (*step.options, 0, 0, 0, 0)[:4]
        numbers = (step.kind, step.dtype, step.channels, step.position, *options)
        arrays = [step.parameters, step.active, step.sizes, step.shared]
        c_step.numbers = numbers
        c_step.n_parameters = step.parameters.shape[1]
        c_step.arrays = tuple(address(array) for array in arrays)
    places = [address(array) for array in (program.images, program.outputs, program.indices)]
    return Program(
        (len(program.images), len(steps)), (ctypes.addressof(steps), *places), program.epoch,
        program.seed, (program.dtype, program.channels),
    ), steps  # fmt: skip


def lower_levels():
    """Levels of this CPU but the highest."""
    if platform.machine() != "x86_64" or not Path("/proc/cpuinfo").exists():
        return []
    flags = Path("/proc/cpuinfo").read_text().split()
    return [level for level, flag in LEVELS.items() if flag in flags][:-1]


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    """Kernels of each level."""
    if not CSRC.is_dir() or shutil.which("cc") is None or not lower_levels():
        pytest.skip("needs sources, a C compiler and a CPU of two levels")
    folder = tmp_path_factory.mktemp("levels")
    sources = sorted(map(str, CSRC.glob("augment*.c")))
    builds = {}
    for level in lower_levels():
        command = ["cc", *FLAGS, f"-march={level}", *sources, "-lm", "-o", folder / f"{level}.so"]
        builds[level] = subprocess.Popen(command)
    assert not any(build.wait() for build in builds.values())
    return {level: ctypes.CDLL(str(folder / f"{level}.so")) for level in builds}


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("name", PIPELINES)
def test_all_levels_give_the_same_bytes(name, channels, libraries, monkeypatch):
    if name == "colour" and channels != 3:
        pytest.skip("colours have three channels")
    images = np.random.default_rng(0).integers(0, 256, (4, 61, 67, channels), dtype=np.uint8)
    pipeline = augment.Compose(PIPELINES[name], seed=3)
    results = {"released": pipeline(images)}
    for level, library in libraries.items():

        def run(program, first, last, scratch, library=library):
            c_program, _steps = packed(program)
            needed = library.jp_augment_scratch(ctypes.byref(c_program))
            if len(scratch) < needed:
                return needed
            arguments = [ctypes.byref(c_program), ctypes.c_int64(first), ctypes.c_int64(last)]
            assert library.jp_augment_run(*arguments, ctypes.c_void_p(address(scratch))) == 0
            return 0

        monkeypatch.setattr(_augment, "run", run)
        results[level] = pipeline(images)
    for level, result in results.items():
        np.testing.assert_array_equal(result, results["released"], err_msg=level)
