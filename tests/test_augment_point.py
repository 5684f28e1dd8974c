"""Maps and colours: reference, compute, compare; what is fused is what is done one by one."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from reference import augment_values as reference

from jointprob.augment.images import (
    Brightness,
    Compose,
    Contrast,
    Gamma,
    GaussianNoise,
    Grayscale,
    Hue,
    Normalize,
    PointOp,
    Saturation,
    ToFloat,
)

DTYPES = st.sampled_from([np.uint8, np.uint16, np.float32])


@st.composite
def batches(draw, channels=None):
    """Batches of any type, sometimes strided."""
    dtype = draw(DTYPES)
    c = channels or draw(st.integers(1, 16))
    n, h, w = draw(st.integers(1, 3)), draw(st.integers(1, 9)), draw(st.integers(1, 40))
    seed = draw(st.integers(0, 2**32 - 1))
    step = draw(st.sampled_from([1, 2]))
    rng = np.random.default_rng(seed)
    white = reference.WHITE[np.dtype(dtype).name]
    images = rng.uniform(0, white, (n, h, w * step, c))
    return reference.stored(images, dtype)[:, :, ::step]


def nearest(got, exact):
    """Half a level from the float64 value, and a millionth of white for float32 sums before it."""
    white = reference.WHITE[got.dtype.name]
    if got.dtype == np.float32:
        np.testing.assert_allclose(got, exact, rtol=3e-6, atol=3e-6)
        return
    assert np.abs(got - np.clip(exact, 0, white)).max() <= 0.5 + 1e-6 * white


@settings(max_examples=60, deadline=None)
@given(batches(), st.floats(-400, 400), st.floats(0, 4), st.floats(0.2, 5))
def test_maps_are_their_reference(x, shift, factor, power):
    white = reference.WHITE[x.dtype.name]
    pipelines = {
        Brightness((shift, shift)): lambda v: reference.brightness(v, shift),
        Contrast((factor, factor)): lambda v: reference.contrast(v, factor),
        Gamma(power): lambda v: reference.gamma(v, power, white),
    }
    for operation, twin in pipelines.items():
        before = x.copy()
        got = Compose([operation])(x)
        nearest(got, np.stack([twin(image.astype(np.float64)) for image in x]))
        np.testing.assert_array_equal(x, before)


@settings(max_examples=40, deadline=None)
@given(batches())
def test_normalize_and_to_float(x):
    c = x.shape[-1]
    mean, std = np.linspace(0.2, 0.6, c), np.linspace(0.2, 0.3, c)
    got = Compose([Normalize(tuple(mean), tuple(std))])(x)
    np.testing.assert_allclose(got, reference.normalize(x, mean, std), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(Compose([ToFloat()])(x), reference.normalize(x, 0, 1), rtol=1e-6)


@settings(max_examples=50, deadline=None)
@given(batches(channels=3), st.floats(0, 4), st.floats(-360, 360))
def test_colours_are_their_reference(x, factor, degrees):
    v = x.astype(np.float64)
    nearest(Compose([Saturation((factor, factor))])(x), reference.saturation(v, factor))
    nearest(Compose([Grayscale()])(x), reference.saturation(v, 0.0))
    nearest(Compose([Hue((degrees, degrees))])(x), reference.hue(v, degrees))


@settings(max_examples=40, deadline=None)
@given(
    batches(channels=3),
    st.lists(st.sampled_from(range(7)), min_size=1, max_size=7),
    st.integers(0, 1000),
)
def test_a_fused_chain_is_its_steps_one_by_one(x, chosen, seed):
    every = [Brightness(40), Contrast(0.5), Gamma((0.5, 2)), Normalize(), GaussianNoise(5),
             Saturation(0.5), ToFloat()]  # fmt: skip
    operations = [every[k] for k in chosen]
    fused = Compose(operations, seed=seed)
    drawn = fused.parameters(np.arange(len(x)))
    step_by_step = x
    for position, operation in enumerate(operations):
        alone = Compose([Unchanged()] * position + [operation], seed=seed)
        assert np.array_equal(alone.parameters([0])[position].applied, drawn[position].applied[:1])
        step_by_step = alone(step_by_step)
    np.testing.assert_array_equal(fused(x), step_by_step)


def Unchanged():
    """An operation that holds a place."""
    return Brightness(0.0, p=0.0)


def test_contrast_keeps_the_mean():
    x = np.random.default_rng(0).integers(90, 160, (4, 64, 64, 3), dtype=np.uint8)
    got = Compose([Contrast((0.3, 1.5))], seed=3)(x)
    np.testing.assert_allclose(got.mean((1, 2, 3)), x.mean((1, 2, 3)), atol=0.02)


def test_hue_keeps_value_and_saturation_and_turns_back():
    x = np.random.default_rng(0).uniform(0, 1, (2, 20, 20, 3)).astype(np.float32)
    turned = Compose([Hue((75, 75))])(x)
    np.testing.assert_allclose(turned.max(-1), x.max(-1), atol=1e-6)
    np.testing.assert_allclose(turned.min(-1), x.min(-1), atol=1e-6)
    np.testing.assert_allclose(Compose([Hue((-75, -75))])(turned), x, atol=1e-5)


@pytest.mark.parametrize(
    "operation",
    [Brightness(0.1), Contrast(), Gamma(), Hue(), Saturation(), Normalize(), ToFloat(),
     GaussianNoise(0.1)],
)  # fmt: skip
def test_nan_pixels_stay_and_no_others_come(operation):
    x = np.random.default_rng(0).uniform(0, 1, (2, 9, 11, 3)).astype(np.float32)
    x[0, 3, 4], x[1, 0, 0] = np.nan, np.nan
    got = Compose([operation])(x)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(x))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_users_function(dtype):
    pytest.importorskip("numba")

    def solarize(v):
        return v if v < 100 else 255 - v

    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (2, 7, 50, 3)).astype(dtype)
    want = reference.stored(np.where(x < 100, x, 255.0 - x), dtype)
    operation = PointOp(solarize)
    np.testing.assert_array_equal(Compose([operation])(x), want)
    chain = Compose([Brightness((9, 9)), operation, Brightness((-9, -9))])(x)
    one_by_one = x
    for part in Brightness((9, 9)), operation, Brightness((-9, -9)):
        one_by_one = Compose([part])(one_by_one)
    np.testing.assert_array_equal(chain, one_by_one)


def absolute(v):
    return abs(v)


def test_the_users_function_travels_and_is_checked():
    pytest.importorskip("numba")
    x = np.full((1, 2, 2), -3, dtype=np.float32)
    twin = pickle.loads(pickle.dumps(PointOp(absolute)))
    np.testing.assert_array_equal(Compose([twin])(x), -x)
    with pytest.raises(TypeError, match="cannot compile"):
        PointOp(lambda v: v.no_such_thing)
    with pytest.raises(TypeError, match="allowed is a function"):
        PointOp(3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Brightness((5, -5)), "greater"),
        (lambda: Brightness(float("nan")), "shift"),
        (lambda: Brightness("a"), "shift"),
        (lambda: Contrast((-1, 1)), "factor"),
        (lambda: Contrast(0.2, p=1.5), "p is 1.5"),
        (lambda: Gamma(0.0), "gamma"),
        (lambda: Gamma((2.0, 0.5)), "greater"),
        (lambda: Gamma(float("nan")), "gamma"),
        (lambda: Hue(400), "degrees"),
        (lambda: Saturation((0.5, float("inf"))), "factor"),
        (lambda: Normalize((), 1.0), "mean is empty"),
        (lambda: Normalize(0.5, 0.0), "std"),
        (lambda: Normalize(0.5, (0.1, float("nan"))), "std"),
    ],
)
def test_bad_parameters(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_wrong_channels_are_refused():
    x = np.zeros((2, 4, 4, 2), dtype=np.uint8)
    for operation in Hue(), Saturation(), Grayscale():
        with pytest.raises(ValueError, match="3 channels"):
            Compose([operation])(x)
    with pytest.raises(ValueError, match="mean has 3 values, the images 2"):
        Compose([Normalize()])(x)


def test_all_levels_of_all_types():
    """Every level of uint16 and uint8 is rounded as float64 says, ties included."""
    for dtype, n in (np.uint8, 256), (np.uint16, 65536):
        x = np.arange(n, dtype=dtype).reshape(1, 1, n)
        for shift in -7.5, 0.5, 0.25, 1.5:
            got = Compose([Brightness((shift, shift))])(x)
            np.testing.assert_array_equal(got, reference.brightness(x, shift))
        got = Compose([Contrast((0.5, 0.5))])(x)
        np.testing.assert_array_equal(got, reference.contrast(x, 0.5))
    x = np.arange(256, dtype=np.uint8).reshape(1, 1, 256)
    np.testing.assert_array_equal(Compose([Gamma(2.2)])(x), reference.gamma(x, 2.2))


@settings(max_examples=20, deadline=None)
@given(hnp.arrays(np.uint8, (4, 5, 6, 3)), st.integers(1, 3))
def test_batches_and_threads_do_not_matter(x, n_jobs):
    augment = Compose([Brightness(50), Contrast(), Hue(), Gamma()], seed=5)
    whole = augment(x, epoch=2, n_jobs=n_jobs)
    for i in range(len(x)):
        np.testing.assert_array_equal(augment(x[i : i + 1], indices=[i], epoch=2)[0], whole[i])
