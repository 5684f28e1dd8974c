"""Operations on values alone: 64 images of 224 x 224 x 3, one thread."""

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
