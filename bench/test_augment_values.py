"""Operations on values alone: 64 images of 224 x 224 x 3, one thread.

Per value, uint8: tables read 1 byte, write 1 and look up 1 (7 instructions for 32 values with
AVX-512, one load each elsewhere); noise takes 2 bytes of Philox (5 products of 32 x 32 bits for 16
bytes), one lookup of 2 bytes and 8 operations; normalize and to_float do 2 FLOPs and write 4 bytes:
memory bounds them (750 kB an image; past the caches where the batch is larger than they are). A
blur of radius r does 4 r + 2 FLOPs in float32, a resize 2 to 3 taps an axis, hue 12, saturation 5.
Noise on floats takes 4 bytes of Philox and 25 FLOPs a value. Shot noise is bound by mispredicted
branches: a search of 1 to 3 steps on uint8, half a rejection and a logarithm or two elsewhere.
"""

import numpy as np
import pytest

from jointprob.augment.images import (
    Brightness,
    Compose,
    Contrast,
    CutMix,
    Erase,
    Gamma,
    GaussianBlur,
    GaussianNoise,
    Grayscale,
    Hue,
    MixUp,
    Normalize,
    Resize,
    Saturation,
    ShotNoise,
    ToFloat,
)

OPERATIONS = {
    "brightness": Brightness(30),
    "contrast": Contrast(),
    "gamma": Gamma(),
    "saturation": Saturation(),
    "hue": Hue(),
    "grayscale": Grayscale(),
    "noise": GaussianNoise(10),
    "shot": ShotNoise(255),
    "blur": GaussianBlur(1.0),
    "resize_112": Resize(112),
    "resize_192": Resize(192),
    "resize_300": Resize(300),
    "erase": Erase(),
    "mixup": MixUp(),
    "cutmix": CutMix(),
    "normalize": Normalize(),
    "to_float": ToFloat(),
}
SLOW = {"shot": 8}  # images, where 64 take too long


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("name", OPERATIONS)
def test_operation(benchmark, name, dtype):
    n = SLOW.get(name, 64)
    white = 255 if dtype == np.uint8 else 1
    images = (np.random.default_rng(0).uniform(0, white, (n, 224, 224, 3))).astype(dtype)
    augment = Compose([OPERATIONS[name]], seed=0)
    out = augment(images)
    benchmark.extra_info["images"] = n
    benchmark(augment, images, out=out, n_jobs=1)
