"""Blur, resize and erase: reference, compute, compare."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import augment_values as reference

from jointprob.augment.images import Brightness, Compose, Erase, GaussianBlur, Resize

MODES = {"reflect101": "mirror", "reflect": "reflect", "edge": "nearest", "wrap": "wrap",
         "constant": "constant"}  # fmt: skip


@st.composite
def images(draw):
    """Two images of any type, sometimes strided."""
    dtype = draw(st.sampled_from([np.uint8, np.uint16, np.float32]))
    h, w, c = draw(st.integers(1, 30)), draw(st.integers(1, 30)), draw(st.integers(1, 16))
    step = draw(st.sampled_from([1, 2]))
    white = reference.WHITE[np.dtype(dtype).name]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return reference.stored(rng.uniform(0, white, (2, h * step, w, c)), dtype)[:, ::step]


def exactly_rounded(got, exact):
    """Half a level and what single precision of the sums leaves."""
    if got.dtype == np.float32:
        np.testing.assert_allclose(got, exact, rtol=2e-6, atol=2e-6)
        return
    slack = 1e-4 if got.dtype == np.uint8 else 0.04
    assert np.abs(got - np.clip(exact, 0, np.iinfo(got.dtype).max)).max() <= 0.5 + slack


@settings(max_examples=60, deadline=None)
@given(images(), st.floats(0, 6), st.sampled_from(sorted(MODES)))
def test_blur_is_its_reference(x, sigma, border):
    got = Compose([GaussianBlur(sigma, border=border)])(x)
    for image, blurred in zip(x, got, strict=True):
        exactly_rounded(blurred, reference.blur(image, sigma, MODES[border]))


@settings(max_examples=80, deadline=None)
@given(images(), st.integers(1, 40), st.integers(1, 40))
def test_resize_is_its_reference(x, height, width):
    got = Compose([Resize((height, width))])(x)
    assert got.shape == (2, height, width, x.shape[-1])
    for image, resized in zip(x, got, strict=True):
        exactly_rounded(resized, reference.resize(image, height, width))


def test_area_of_a_whole_factor_is_the_mean_of_blocks():
    x = np.random.default_rng(0).integers(0, 256, (1, 48, 60, 3), dtype=np.uint8)
    want = x.reshape(1, 16, 3, 12, 5, 3).mean((2, 4))
    got = Compose([Resize((16, 12))])(x)
    assert np.abs(got - want).max() <= 0.5 + 1e-5


def test_resize_to_the_same_size_changes_nothing():
    x = np.random.default_rng(0).uniform(0, 1, (2, 9, 7, 3)).astype(np.float32)
    np.testing.assert_array_equal(Compose([Resize((9, 7))])(x), x)


def test_images_of_different_sizes():
    rng = np.random.default_rng(0)
    sizes = [(5, 8), (40, 3), (17, 17), (5, 8)]
    x = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    got = Compose([GaussianBlur((0.5, 3)), Resize(12), Brightness(5)], seed=1)(x)
    drawn = Compose([GaussianBlur((0.5, 3))], seed=1).parameters(range(4))[0].values["sigma"]
    assert {image.shape for image in got} == {(12, 12, 3)}
    blurred = Compose([GaussianBlur((0.5, 3))], seed=1)(x)
    for image, result, sigma in zip(x, blurred, drawn, strict=True):
        exactly_rounded(result, reference.blur(image, sigma))


def test_blur_is_of_mass_one_and_spreads_a_dot():
    dot = np.zeros((1, 41, 41), dtype=np.float32)
    dot[0, 20, 20] = 1
    got = Compose([GaussianBlur(2.0)])(dot)[0].astype(float)
    offsets = np.arange(-20, 21)
    np.testing.assert_allclose(got.sum(), 1, atol=1e-6)
    np.testing.assert_allclose((got.sum(0) * offsets**2).sum(), 4.0, rtol=0.02)


def test_nan_pixels_stay_where_blur_and_resize_reach():
    x = np.random.default_rng(0).uniform(0, 1, (1, 21, 21)).astype(np.float32)
    x[0, 10, 10] = np.nan
    got = np.isnan(Compose([GaussianBlur(1.0)])(x)[0])
    want = np.zeros((21, 21), dtype=bool)
    want[7:14, 7:14] = True
    np.testing.assert_array_equal(got, want)
    halved = np.isnan(Compose([Resize(7)])(x)[0])
    assert halved[3, 3] and halved.sum() == 1


@settings(max_examples=40, deadline=None)
@given(images(), st.floats(0, 1), st.floats(0.2, 5), st.integers(0, 99))
def test_erase_fills_a_rectangle_of_the_area(x, area, ratio, seed):
    got = Compose([Erase(area, ratio=ratio, fill=1.0)], seed=seed)(x)
    height, width = x.shape[1:3]
    ideal = np.sqrt([area * height * width * ratio, area * height * width / ratio])
    sides = np.clip(np.rint(ideal), 0, (height, width)).astype(int)
    for image, erased in zip(x, got, strict=True):
        changed = (image != erased).any(-1)
        rows, cols = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        assert changed.sum() <= sides.prod()
        if changed.any():
            box = erased[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
            assert (box[changed[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]] == 1).all()
            assert len(box) <= sides[0] and box.shape[1] <= sides[1]


def test_erase_fills_channels():
    x = np.zeros((2, 10, 10, 3), dtype=np.uint8)
    got = Compose([Erase(0.25, ratio=1.0, fill=(1, 2, 3))])(x)
    for image in got:
        filled = image[image.any(-1)]
        np.testing.assert_array_equal(filled, np.tile([1, 2, 3], (25, 1)))
    with pytest.raises(ValueError, match="fill has 2 values"):
        Compose([Erase(fill=(1, 2))])(x)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianBlur(-1), "sigma"),
        (lambda: GaussianBlur((2, 1)), "greater"),
        (lambda: GaussianBlur(float("nan")), "sigma"),
        (lambda: GaussianBlur(1, border="mirror"), "border"),
        (lambda: Erase((0.5, 0.1)), "greater"),
        (lambda: Erase(1.5), "area"),
        (lambda: Erase(ratio=0.0), "ratio"),
        (lambda: Erase(p=2), "p is"),
    ],
)
def test_bad_parameters(make, message):
    with pytest.raises(ValueError, match=message):
        make()
