"""Time each operation on images alone, one thread: images/s and bytes/s beside a copy of them.

Of a pixel of 3 bytes, a flip or a crop reads and writes 3 bytes and does no arithmetic. A bilinear
warp reads two words of 8 bytes, computes two coordinates, and per channel 4 conversions and 3
interpolations of 3 FLOPs (27 FLOPs a pixel in all): it is bound by loads and arithmetic, not by
memory. A warp along the axes does 6 FLOPs a channel. One call costs 60 to 200 us besides.
"""

import numpy as np
import pytest

from jointprob.augment import images as augment

SIDES = {32: 256, 224: 64}
OPERATIONS = {
    "vertical flip": lambda side: augment.VerticalFlip(1),
    "horizontal flip": lambda side: augment.HorizontalFlip(1),
    "quarter turn": lambda side: augment.Rotate90(1),
    "crop": lambda side: augment.RandomCrop(side * 6 // 7),
    "rotate": lambda side: augment.Rotate((15, 15)),
    "rotate, reflect": lambda side: augment.Rotate((15, 15), border="reflect"),
    "rotate, nearest": lambda side: augment.Rotate((15, 15), interpolation="nearest"),
    "resized crop": lambda side: augment.RandomResizedCrop(side),
}


@pytest.fixture(params=SIDES, ids=lambda side: f"side{side}")
def side(request):
    return request.param


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_operation(benchmark, name, dtype, side):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (SIDES[side], side, side, 3)).astype(dtype)
    pipeline = augment.Compose([OPERATIONS[name](side)])
    out = np.empty_like(pipeline(images))
    benchmark(pipeline, images, out=out, n_jobs=1)
    seconds = benchmark.stats.stats.median
    benchmark.extra_info["images/s"] = round(len(images) / seconds)
    benchmark.extra_info["GB/s"] = round(2 * out.nbytes / seconds / 1e9, 2)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_copy(benchmark, dtype, side):
    images = np.ones((SIDES[side], side, side, 3), dtype=dtype)
    out = np.empty_like(images)
    benchmark(np.copyto, out, images)
    benchmark.extra_info["images/s"] = round(len(images) / benchmark.stats.stats.median)
