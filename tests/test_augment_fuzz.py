"""Every operation over shapes, strides, types and parameters: what holds for all of them.

tests/augment_asan runs this file with the kernels under sanitizers.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jointprob.augment import images as augment
from jointprob.augment.images.operation import Operation

SIDES = st.one_of(st.integers(1, 8), st.integers(9, 70))
CHANNELS = st.one_of(st.sampled_from([1, 3, 4]), st.integers(1, 16))
DTYPES = st.sampled_from([np.uint8, np.uint16, np.float32])
BORDERS = st.sampled_from(["constant", "edge", "reflect", "reflect101", "wrap"])
INTERPOLATIONS = st.sampled_from(["nearest", "bilinear"])
SHARES = st.sampled_from([0.0, 0.5, 1.0])
SIZES = st.tuples(SIDES, SIDES)


def ranges(low, high):
    """(least, greatest) inside [low, high]."""
    part = st.floats(low, high)
    return st.tuples(part, part).map(lambda pair: tuple(sorted(pair)))


def operation(kind, *parameters, **named):
    return st.builds(kind, *parameters, p=SHARES, **named)


OPERATIONS = {
    "HorizontalFlip": operation(augment.HorizontalFlip),
    "VerticalFlip": operation(augment.VerticalFlip),
    "Rotate90": st.builds(augment.Rotate90, st.sampled_from([0, 1, 2, 3, (0, 2)])),
    "Rotate": operation(augment.Rotate, ranges(-400, 400), interpolation=INTERPOLATIONS,
                        border=BORDERS, fill=st.floats(0, 1)),
    "Affine": operation(augment.Affine, scale=ranges(0.05, 20), shear=st.floats(0, 40),
                        translate=st.floats(0, 2), rotate=st.floats(0, 180),
                        interpolation=INTERPOLATIONS, border=BORDERS),
    "RandomCrop": st.builds(augment.RandomCrop, SIZES, pad_if_needed=st.just(True),
                            border=BORDERS),
    "CenterCrop": st.builds(augment.CenterCrop, SIZES, pad_if_needed=st.just(True),
                            border=BORDERS),
    "RandomResizedCrop": st.builds(augment.RandomResizedCrop, SIZES, scale=ranges(0.01, 1),
                                   interpolation=INTERPOLATIONS),
    "Resize": st.builds(augment.Resize, SIZES,
                        interpolation=st.sampled_from(["area", "bilinear", "nearest"])),
    "Pad": st.builds(augment.Pad, st.tuples(*[st.integers(0, 9)] * 4), border=BORDERS),
    "GaussianNoise": operation(augment.GaussianNoise, ranges(0, 300)),
    "ShotNoise": operation(augment.ShotNoise, ranges(0.001, 2000)),
    "Brightness": operation(augment.Brightness, ranges(-300, 300)),
    "Contrast": operation(augment.Contrast, ranges(0, 3)),
    "Gamma": operation(augment.Gamma, ranges(0.1, 5)),
    "Saturation": operation(augment.Saturation, ranges(0, 3)),
    "Hue": operation(augment.Hue, ranges(-360, 360)),
    "Grayscale": operation(augment.Grayscale),
    "GaussianBlur": operation(augment.GaussianBlur, ranges(0, 12), border=BORDERS),
    "Erase": operation(augment.Erase, ranges(0, 1), fill=st.floats(0, 255)),
    "MixUp": operation(augment.MixUp),
    "CutMix": operation(augment.CutMix),
    "Normalize": st.builds(augment.Normalize, st.floats(-2, 2), st.floats(0.1, 3)),
    "ToFloat": st.builds(augment.ToFloat),
}  # fmt: skip
COLOURS = {"Saturation", "Hue", "Grayscale"}


def view(shape, dtype, form, seed):
    """An array of this shape within a larger one, laid out in one of many ways."""
    axes = np.random.default_rng(form).permutation(4)
    steps = np.random.default_rng([form, 1]).choice([1, 1, 2, -1], 4)
    offset = form % 4  # bytes: pixels may begin anywhere
    whole = [shape[axis] * abs(steps[axis]) for axis in axes]
    n_bytes = int(np.prod(whole)) * np.dtype(dtype).itemsize
    memory = np.random.default_rng(seed).integers(0, 256, n_bytes + 8, dtype=np.uint8)
    array = memory[offset : offset + n_bytes].view(dtype).reshape(whole)
    if dtype == np.float32:
        array[...] = np.random.default_rng(seed).random(whole)
    ordered = array.transpose(np.argsort(axes))
    cut = tuple(slice(None, None, int(step)) for step in steps)
    return memory, ordered[cut]


@st.composite
def cases(draw, name):
    """Images as they may come, and the operation between two others."""
    n, height, width = draw(st.integers(1, 4)), draw(SIDES), draw(SIDES)
    channels = 3 if name in COLOURS else draw(CHANNELS)
    form = draw(st.integers(0, 200))
    _, images = view((n, height, width, channels), draw(DTYPES), form, draw(st.integers(0, 9)))
    steps = [draw(OPERATIONS[name])]
    around = st.sampled_from([None, "Brightness", "HorizontalFlip", "Contrast", "GaussianNoise"])
    for place in (0, 1):
        if other := draw(around):
            steps.insert(place * len(steps), draw(OPERATIONS[other]))
    return images, steps, form


def written(pipeline, images, expected, form):
    """The result in an `out` of any layout, of which the bytes around stay as they were."""
    memory, out = view(expected.shape, expected.dtype, form + 1, 0)
    memory[:] = 0
    out[...] = np.frombuffer(b"AAAA", expected.dtype)[0]
    inside = memory == ord("A")
    memory[:] = 7
    assert pipeline(images, out=out) is out
    assert (memory[~inside] == 7).all()
    return out


@pytest.mark.parametrize("name", OPERATIONS)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_layout_memory_and_batches_do_not_matter(name, data):
    images, steps, form = data.draw(cases(name))
    pipeline = augment.Compose(steps, seed=form)
    given_images = images.copy()
    result = pipeline(images, n_jobs=1)
    np.testing.assert_array_equal(images, given_images)
    np.testing.assert_array_equal(pipeline(np.ascontiguousarray(images)), result)
    np.testing.assert_array_equal(written(pipeline, images, result, form), result)
    planes = augment.Compose(steps, seed=form, layout="NCHW")(images.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(planes.transpose(0, 2, 3, 1), result)
    if result.dtype == np.float32:
        assert np.isfinite(result).all()
    if not any(step.needs_batch for step in steps):
        last = pipeline(list(images[-1:]), indices=[len(images) - 1])
        np.testing.assert_array_equal(last[0], result[-1])


def test_every_operation_is_here():
    kinds = {name for name in augment.__all__ if isinstance(getattr(augment, name), type)
             and issubclass(getattr(augment, name), Operation)}  # fmt: skip
    assert kinds - {"PointOp"} == OPERATIONS.keys()  # PointOp: the user's code, by numba
