"""MixUp and CutMix: pixels and labels are mixed alike."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import augment_values as reference

from jointprob.augment.images import (
    Brightness,
    Compose,
    CutMix,
    HorizontalFlip,
    MixUp,
    RandomCrop,
    Resize,
    ToFloat,
    VerticalFlip,
)


def batch(n, h, w, c, dtype, seed=0):
    white = reference.WHITE[np.dtype(dtype).name]
    values = np.random.default_rng(seed).uniform(0, white, (n, h, w, c))
    return reference.stored(values, dtype)


def partners(drawn):
    n = len(drawn.applied)
    return np.floor(drawn.values["partner"] * n).astype(int)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 6), st.integers(1, 12), st.integers(1, 12), st.integers(1, 16),
    st.sampled_from([np.uint8, np.uint16, np.float32]), st.floats(0, 1),
    st.sampled_from(["NHWC", "NCHW"]),
)  # fmt: skip
def test_mixup_is_the_weighted_mean(n, h, w, c, dtype, p, layout):
    x, augment = batch(n, h, w, c, dtype), Compose([MixUp(1.0, p=p)], seed=3, layout=layout)
    order = (0, 3, 1, 2) if layout == "NCHW" else (0, 1, 2, 3)
    got, *_, labels = augment(x.transpose(order), labels=np.eye(n))
    got = got.transpose(np.argsort(order))
    drawn = augment.parameters(np.arange(n))[0]
    share = np.where(drawn.applied, drawn.values["share"], 1.0)
    kept = share[:, None, None, None]
    exact = kept * x.astype(float) + (1 - kept) * x[partners(drawn)]
    slack = {"uint8": 0.5001, "uint16": 0.52, "float32": 1e-6}[np.dtype(dtype).name]
    assert np.abs(got - exact).max() <= slack
    want = share[:, None] * np.eye(n) + (1 - share)[:, None] * np.eye(n)[partners(drawn)]
    np.testing.assert_allclose(labels, want, atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 6), st.integers(1, 15), st.integers(1, 15), st.integers(1, 16),
       st.sampled_from([np.uint8, np.uint16, np.float32]), st.integers(0, 99))  # fmt: skip
def test_cutmix_puts_a_rectangle_of_the_partner(n, h, w, c, dtype, seed):
    shades = np.linspace(0.1, 0.9, n) * reference.WHITE[np.dtype(dtype).name]
    x = np.broadcast_to(shades[:, None, None, None], (n, h, w, c)).astype(dtype)
    augment = Compose([CutMix()], seed=seed)
    got, *_, labels = augment(x, labels=np.eye(n))
    who = partners(augment.parameters(np.arange(n))[0])
    for i in range(n):
        other = (got[i, :, :, 0] != x[i, 0, 0, 0]) & (who[i] != i)
        assert (got[i][other] == x[who[i], 0, 0, 0]).all()
        rows, cols = other.any(1), other.any(0)
        assert other.sum() == rows.sum() * cols.sum()
        if who[i] != i:
            np.testing.assert_allclose(labels[i, i], 1 - other.mean(), atol=1e-12)
    np.testing.assert_allclose(labels.sum(1), 1)


def test_partners_are_read_before_anything_is_mixed():
    x = batch(16, 8, 8, 3, np.uint8)
    before = Compose([HorizontalFlip(0.5), Brightness(30)], seed=5)(x)
    augment = Compose([HorizontalFlip(0.5), Brightness(30), MixUp(1.0), ToFloat()], seed=5)
    drawn = augment.parameters(np.arange(16))[2]
    kept = drawn.values["share"][:, None, None, None]
    exact = kept * before + (1 - kept) * before[partners(drawn)]
    np.testing.assert_allclose(augment(x), exact / 255, atol=0.5001 / 255)


def test_nan_pixels_of_the_rest_do_not_spread_in_cutmix():
    x = np.ones((4, 8, 8), dtype=np.float32)
    x[0] = np.nan
    got = Compose([CutMix()], seed=1)(x)
    assert set(np.unique(np.isnan(got[0]))) <= {False, True}
    assert (~np.isnan(got[0])).any()


def test_integer_labels_and_their_errors():
    x = batch(4, 5, 5, 1, np.uint8)
    labels = Compose([MixUp(n_classes=3)])(x, labels=[0, 2, 1, 0]).labels
    assert labels.shape == (4, 3)
    np.testing.assert_allclose(labels.sum(1), 1)
    with pytest.raises(ValueError, match="n_classes"):
        Compose([MixUp()])(x, labels=[0, 2, 1, 0])
    with pytest.raises(ValueError, match="allowed are 0 to 1"):
        Compose([CutMix(n_classes=2)])(x, labels=[0, 2, 1, 0])


def test_labels_are_of_the_images_as_they_were_mixed():
    """What happens to the size afterwards does not matter."""
    x = batch(5, 9, 7, 1, np.uint8)
    mixed = Compose([CutMix()], seed=2)(x, labels=np.eye(5)).labels
    resized = Compose([CutMix(), Resize((3, 30))], seed=2)(x, labels=np.eye(5)).labels
    np.testing.assert_array_equal(mixed, resized)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.bool_])
def test_cutmix_takes_masks_along(dtype):
    """A mask that is a map of its image stays one, whatever moved before and afterwards."""
    x = np.random.default_rng(0).integers(0, 2, (6, 20, 18, 1), dtype=np.uint8)
    steps = [HorizontalFlip(), RandomCrop((15, 16)), CutMix(p=0.8), CutMix(), VerticalFlip()]
    images, masks, *_ = Compose(steps, seed=4)(x, masks=x.astype(dtype))
    assert masks.dtype == dtype
    np.testing.assert_array_equal(images, masks.astype(np.uint8))
    assert (images != Compose(steps[:2] + steps[4:], seed=4)(x)).any()


def test_what_cannot_be_mixed_is_refused():
    x = batch(2, 5, 5, 1, np.uint8)
    with pytest.raises(ValueError, match="MixUp mixes no masks"):
        Compose([MixUp()])(x, masks=x)
    with pytest.raises(ValueError, match="CutMix mixes no boxes"):
        Compose([CutMix()])(x, keypoints=[[(1, 1)]] * 2)


def test_images_of_different_sizes_are_refused():
    x = [np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8)]
    with pytest.raises(ValueError, match="one size"):
        Compose([MixUp()])(x)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MixUp(0), "alpha"),
        (lambda: CutMix(float("nan")), "alpha"),
        (lambda: MixUp(n_classes=0), "n_classes"),
        (lambda: CutMix(p=1.01), "p is"),
    ],
)
def test_bad_parameters(make, message):
    with pytest.raises(ValueError, match=message):
        make()
