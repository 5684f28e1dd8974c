"""Operations that move pixels: exact where pixels move whole, exactly rounded where they do not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import augment_geometry as reference
from scipy import ndimage

from jointprob.augment.images import (
    Affine,
    CenterCrop,
    Compose,
    HorizontalFlip,
    Pad,
    RandomCrop,
    RandomResizedCrop,
    Rotate,
    Rotate90,
    VerticalFlip,
)
from jointprob.augment.images.fusion import plan, product
from jointprob.augment.images.moves import BORDERS
from jointprob.augment.images.operation import Frame

TYPES = [np.uint8, np.uint16, np.float32]
NUMPY_PAD = {"constant": "constant", "edge": "edge", "reflect": "symmetric",
             "reflect101": "reflect", "wrap": "wrap"}  # fmt: skip


def pixels(shape, dtype=np.uint8, seed=0):
    rng = np.random.default_rng(seed)
    if dtype == np.float32:
        return rng.normal(size=shape).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def matrices_of(augment, images):
    """The fused matrices of a pipeline: one group."""
    n, height, width = images.shape[:3]
    channels = images.shape[3] if images.ndim == 4 else 1
    frame = Frame(np.tile([[height, width]], (n, 1)), channels, images.dtype)
    (move,) = plan(augment.operations, augment.parameters(np.arange(n)), frame).moves
    return move.matrices


def scipy_warp(image, matrix, size):
    """float64 bilinear by SciPy, which indexes (row, column)."""
    swapped = matrix[::-1, [1, 0]]
    layers = [
        ndimage.affine_transform(layer.astype(np.float64), swapped, matrix[::-1, 2], size, order=1,
                                 mode="grid-constant")
        for layer in np.moveaxis(image, -1, 0)
    ]  # fmt: skip
    return np.stack(layers, axis=-1)


# ---- whole pixels ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 8, 16])
def test_flips_and_quarter_turns_are_numpys(dtype, channels):
    images = pixels((2, 37, 37, channels), dtype)
    for operation, expected in [
        (HorizontalFlip(1), images[:, :, ::-1]),
        (VerticalFlip(1), images[:, ::-1]),
        *[(Rotate90(k), np.rot90(images, k, axes=(1, 2))) for k in range(-1, 4)],
        *[(Rotate((90 * k, 90 * k)), np.rot90(images, k, axes=(1, 2))) for k in range(-1, 4)],
    ]:
        np.testing.assert_array_equal(Compose([operation])(images), expected)


@pytest.mark.parametrize("width", [1, 2, 3, 5, 15, 16, 17, 64, 100])
def test_rows_of_any_length_are_reversed(width):
    for channels in (1, 2, 3, 4, 6):
        images = pixels((1, 2, width, channels))
        np.testing.assert_array_equal(Compose([HorizontalFlip(1)])(images), images[:, :, ::-1])


def test_two_flips_are_none():
    images = pixels((3, 20, 30, 3))
    for flip in (HorizontalFlip, VerticalFlip):
        np.testing.assert_array_equal(Compose([flip(1), flip(1)])(images), images)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("dtype", TYPES)
def test_padding_is_numpys(border, dtype):
    images = pixels((2, 7, 5, 3), dtype)
    result = Compose([Pad((3, 2, 1, 4), border=border)])(images)
    expected = np.pad(images, [(0, 0), (2, 4), (3, 1), (0, 0)], mode=NUMPY_PAD[border])
    np.testing.assert_array_equal(result, expected)


def test_padding_has_a_colour():
    result = Compose([Pad(1, fill=(1, 2, 300))])(np.zeros((1, 2, 2, 3), np.uint16))
    assert result[0, 0, 0].tolist() == [1, 2, 300]
    assert result[0, 1, 1].tolist() == [0, 0, 0]


def test_crops_are_windows():
    images = pixels((50, 12, 17, 3))
    np.testing.assert_array_equal(Compose([CenterCrop((6, 9))])(images), images[:, 3:9, 4:13])
    crop = Compose([RandomCrop((6, 9))])
    (drawn,) = crop.parameters(np.arange(50))
    tops = np.floor(drawn.values["y"] * 7).astype(int)
    lefts = np.floor(drawn.values["x"] * 9).astype(int)
    for image, result, top, left in zip(images, crop(images), tops, lefts, strict=True):
        np.testing.assert_array_equal(result, image[top : top + 6, left : left + 9])
    assert set(tops) == set(range(7))
    assert set(lefts) == set(range(9))


def test_crops_pad_where_asked():
    images = pixels((2, 5, 9, 1))
    result = Compose([CenterCrop((8, 4), pad_if_needed=True, border="edge")])(images)
    expected = np.pad(images, [(0, 0), (2, 1), (0, 0), (0, 0)], mode="edge")[:, :, 2:6]
    np.testing.assert_array_equal(result, expected)


def test_nan_stays_where_it_is():
    images = pixels((1, 6, 6, 3), np.float32)
    images[0, 2, 3, 1] = np.nan
    for operation in (HorizontalFlip(1), Rotate90(1), Pad(2), RandomCrop(6)):
        assert np.isnan(Compose([operation])(images)).sum() == 1
    turned = Compose([Rotate((30, 30))])(images)
    assert 1 <= np.isnan(turned).sum() <= 9
    assert not np.isnan(turned[..., [0, 2]]).any()


# ---- warps -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "operations",
    [
        [Rotate((-180, 180))],
        [Affine(scale=(0.5, 2), shear=((-20, 20), (-10, 10)), translate=0.2, rotate=40)],
        [HorizontalFlip(), Rotate((-15, 15)), RandomCrop((40, 50))],
        [Rotate((-30, 30)), VerticalFlip(), Affine(scale=(0.8, 1.2)), Rotate(10)],
    ],
)
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_fused_warps_are_one_exactly_rounded_warp(operations, channels):
    images = pixels((3, 61, 67, channels))
    augment = Compose(operations, seed=3)
    result = augment(images)
    matrices = matrices_of(augment, images)
    wanted = [scipy_warp(images[i], matrices[i], result.shape[1:3]) for i in range(3)]
    assert np.abs(result - wanted).max() <= 0.502
    assert (result == np.rint(wanted)).mean() >= 0.999


def test_half_pixel_shifts_round_ties_as_numpy_does():
    images = pixels((2, 33, 40, 3))
    result = Compose([Affine(translate=(0.5 / 40, 0.5 / 40))])(images[:, :, :])
    shifted = images.astype(float)
    across = (np.pad(shifted, [(0, 0), (0, 0), (1, 0), (0, 0)])[:, :, :-1] + shifted) / 2
    down = 0.5 / 40 * 33
    wanted = np.pad(across, [(0, 0), (1, 0), (0, 0), (0, 0)])[:, :-1] * down + across * (1 - down)
    assert (result == np.rint(wanted)).mean() >= 0.999


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("border", BORDERS)
def test_warps_agree_with_the_reference(border, interpolation, dtype):
    images = pixels((1, 9, 12, 3), dtype)
    affine = Affine(scale=(0.4, 0.6), rotate=(20, 80), translate=0.3, border=border,
                    interpolation=interpolation, fill=(0.0, 7.0, 9.0))  # fmt: skip
    augment = Compose([affine], seed=5)
    wanted = reference.warp(images[0], matrices_of(augment, images)[0], (9, 12), interpolation,
                            border, (0.0, 7.0, 9.0))  # fmt: skip
    result = augment(images)[0]
    tolerance = {np.uint8: 0.502, np.uint16: 0.55, np.float32: 1e-5}[dtype]
    assert np.abs(result - wanted).max() <= tolerance


def test_resized_crops_read_their_window_alone():
    images = pixels((20, 30, 41, 3))
    augment = Compose([HorizontalFlip(), RandomResizedCrop((24, 17))], seed=1)
    result = augment(images)
    flip, crop = augment.parameters(np.arange(20))
    frame = Frame(np.tile([[30, 41]], (20, 1)), 3, images.dtype)
    windows = augment.operations[1].move(crop, frame).windows
    for i, (x0, y0, x1, y1) in enumerate(windows):
        image = images[i, :, ::-1] if flip.applied[i] else images[i]
        window = image[y0:y1, x0:x1]
        step = np.array([(x1 - x0) / 17, (y1 - y0) / 24])
        matrix = np.column_stack([np.diag(step), step / 2 - 0.5])
        wanted = reference.warp(window, matrix, (24, 17), border="edge")
        assert np.abs(result[i] - wanted).max() <= 0.502
        share = (x1 - x0) * (y1 - y0) / (30 * 41)
        assert share <= 1


def test_a_crop_between_two_warps_hides_what_it_cut_off():
    images = np.full((1, 40, 40), 200, dtype=np.uint8)
    two = Compose([Rotate((10, 10)), CenterCrop(20), Rotate((45, 45))])(images)
    one_by_one = images
    for operation in two_operations():
        one_by_one = Compose([operation])(one_by_one)
    np.testing.assert_array_equal(two, one_by_one)
    assert two[0, 0, 0] == 0


def two_operations():
    return [Rotate((10, 10)), CenterCrop(20), Rotate((45, 45))]


def test_borders_that_differ_are_not_fused():
    images = pixels((2, 20, 20, 3))
    operations = [Pad(5, border="reflect"), Rotate((20, 20)), RandomResizedCrop(16)]
    together, alone = Compose(operations)(images), images
    for position, operation in enumerate(operations):
        # The same draws: an operation's are those of its place.
        before = [HorizontalFlip(0.0)] * position
        alone = Compose([*before, operation])(alone)
    np.testing.assert_array_equal(together, alone)


def test_two_rotations_are_one():
    images = pixels((1, 50, 50, 1))
    both = Compose([Rotate((20, 20)), Rotate((-20, -20))])(images)
    np.testing.assert_array_equal(both, images)


@given(st.lists(st.sampled_from(["flip", "turn", "pad", "crop"]), max_size=5), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_whole_pixel_pipelines_are_their_steps(names, seed):
    make = {"flip": lambda: HorizontalFlip(), "turn": lambda: Rotate90(),
            "pad": lambda: Pad((1, 2, 1, 2)), "crop": lambda: RandomCrop(9)}  # fmt: skip
    operations = [make[name]() for name in names]
    images = [pixels((12, 15, 2), seed=k) for k in range(3)]
    together, alone = Compose(operations, seed)(images), images
    for position, operation in enumerate(operations):
        alone = Compose([*[HorizontalFlip(0.0)] * position, operation], seed)(alone)
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_array_equal(a, b)


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 16)),
    st.sampled_from(TYPES),
    st.sampled_from(sorted(BORDERS)),
    st.sampled_from(["bilinear", "nearest"]),
    st.floats(0.05, 20),
    st.floats(-200, 200),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
@settings(max_examples=60, deadline=None)
def test_any_warp_of_any_image(shape, dtype, border, interpolation, scale, angle, reverse):
    """Bounds hold, strides do not matter, one image is as many."""
    images = pixels((2, *shape), dtype)
    steps = [-1 if backwards else 1 for backwards in reverse]
    strided = images[:, :: steps[0], :: steps[1], :: steps[2]]
    augment = Compose(
        [
            HorizontalFlip(),
            Affine(scale=(scale, scale), rotate=(angle, angle), translate=0.3, border=border,
                   interpolation=interpolation),
            RandomCrop(5, pad_if_needed=True, border=border),
        ]
    )  # fmt: skip
    result = augment(strided)
    np.testing.assert_array_equal(result, augment(np.ascontiguousarray(strided)))
    np.testing.assert_array_equal(result[1:], augment(strided[1:], indices=[1]))
    least = min(0, images.min()) if border == "constant" else images.min()
    assert least - 1e-5 <= result.min() <= result.max() <= max(0, images.max()) + 1e-5


def test_matrices_multiply():
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(2, 5, 2, 3))
    point = np.array([3.0, -2.0, 1.0])
    inner = np.append((second @ point), np.ones((5, 1)), axis=1)
    np.testing.assert_allclose(
        product(first, second) @ point, np.einsum("nij,nj->ni", first, inner)
    )


# ---- draws -------------------------------------------------------------------------------------


def test_probabilities_and_ranges_are_kept():
    flip, turn, crop = Compose(
        [HorizontalFlip(0.3), Rotate((-10, 30)), RandomResizedCrop(8, scale=(0.2, 0.5))]
    ).parameters(np.arange(20_000))
    assert abs(flip.applied.mean() - 0.3) < 0.015
    assert turn.applied.all()
    angle, scale = turn.values["angle"], crop.values["scale"]
    assert -10 <= angle.min() < -9.9 < 29.9 < angle.max() <= 30
    assert abs(angle.mean() - 10) < 0.4
    assert 0.2 <= scale.min() <= scale.max() <= 0.5
    assert abs(np.log(crop.values["ratio"]).mean()) < 0.01
    assert abs(np.corrcoef(angle, scale)[0, 1]) < 0.03


def test_draws_are_keyed_by_seed_epoch_index_and_place():
    augment = Compose([Rotate(90), Rotate(90)], seed=1)
    first, second = (drawn.values["angle"] for drawn in augment.parameters([5, 6]))
    assert len({*first, *second}) == 4
    assert augment.parameters([6])[0].values["angle"] == first[1]
    assert augment.parameters([5], epoch=1)[0].values["angle"] != first[0]
    assert Compose([Rotate(90)], seed=2).parameters([5])[0].values["angle"] != first[0]
