"""Batches of images and what belongs to them: layouts, lists, threads, boxes, bad input."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jointprob.augment.images import (
    Affine,
    CenterCrop,
    Compose,
    HorizontalFlip,
    Pad,
    RandomCrop,
    RandomResizedCrop,
    Resize,
    Rotate,
    Rotate90,
    VerticalFlip,
)

PIPELINE = [HorizontalFlip(), Rotate(25), RandomCrop((20, 24)), Affine(scale=(0.9, 1.1))]


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


# ---- layouts, lists, threads -------------------------------------------------------------------


def test_one_image_is_a_batch_of_one():
    """Three dimensions are grey images: (H, W, 3) alone is H of them, each three pixels wide."""
    image, flip = pixels(20, 24, 3), Compose([HorizontalFlip(p=1.0)])
    np.testing.assert_array_equal(flip(image[np.newaxis])[0], image[:, ::-1])
    np.testing.assert_array_equal(flip([image])[0], image[:, ::-1])
    np.testing.assert_array_equal(flip(image), image[:, :, ::-1])


def test_results_do_not_depend_on_batch_order_or_threads():
    images = pixels(40, 64, 64, 3)
    augment = Compose(PIPELINE, seed=9)
    whole = augment(images, n_jobs=1)
    np.testing.assert_array_equal(augment(images, n_jobs=2), whole)
    np.testing.assert_array_equal(augment(images, n_jobs=5), whole)
    order = np.random.default_rng(0).permutation(40)
    np.testing.assert_array_equal(augment(images[order], indices=order), whole[order])
    for i in (0, 17, 39):
        np.testing.assert_array_equal(augment(images[i : i + 1], indices=[i])[0], whole[i])
    assert not np.array_equal(augment(images, epoch=1), whole)


def test_layouts_and_strides_do_not_matter():
    images = pixels(5, 33, 41, 3)
    expected = Compose(PIPELINE)(images)
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    moved = Compose(PIPELINE, layout="NCHW")(planes)
    assert moved.flags.c_contiguous
    np.testing.assert_array_equal(moved.transpose(0, 2, 3, 1), expected)
    wide = pixels(10, 66, 82, 4)
    wide[::2, ::2, ::2, :3] = images
    np.testing.assert_array_equal(Compose(PIPELINE)(wide[::2, ::2, ::2, :3]), expected)
    np.testing.assert_array_equal(Compose(PIPELINE)(images[..., 0]), expected[..., 0])
    one = np.broadcast_to(images[:1], (5, 33, 41, 3))
    np.testing.assert_array_equal(Compose(PIPELINE)(one)[0], expected[0])


def test_lists_hold_images_of_any_size():
    images = [pixels(30 + 3 * k, 40 - k, 3, seed=k) for k in range(6)]
    results = Compose(PIPELINE)(images)
    for k, (image, result) in enumerate(zip(images, results, strict=True)):
        np.testing.assert_array_equal(result, Compose(PIPELINE)(image[None], indices=[k])[0])
    turned = Compose([Rotate90(1)])(images)
    assert [t.shape for t in turned] == [(i.shape[1], i.shape[0], 3) for i in images]


def test_out_is_filled_and_input_is_kept():
    images = pixels(4, 30, 30, 3)
    before = images.copy()
    augment = Compose(PIPELINE)
    expected = augment(images)
    out = np.zeros((4, 20, 24, 3), dtype=np.uint8)
    assert augment(images, out=out) is out
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(images, before)
    holder = np.full((4, 40, 24, 6), 77, dtype=np.uint8)
    augment(images, out=holder[:, ::2, :, ::2])
    np.testing.assert_array_equal(holder[:, ::2, :, ::2], expected)
    assert (holder[:, 1::2] == 77).all()
    assert (holder[..., 1::2] == 77).all()
    outs = [np.empty((20, 24, 3), np.uint8) for _ in images]
    augment(list(images), out=outs)
    np.testing.assert_array_equal(outs, expected)


def test_neighbours_of_out_are_not_touched():
    images = pixels(3, 24, 24, 3)
    holder = np.full((3, 30, 30, 3), 77, dtype=np.uint8)
    for operations in ([HorizontalFlip(1)], [Rotate((20, 20))], [Rotate90(1)]):
        Compose(operations)(images, out=holder[:, 3:27, 3:27])
        frame = np.ones((30, 30), dtype=bool)
        frame[3:27, 3:27] = False
        assert (holder[:, frame] == 77).all()


def test_no_operation_copies():
    images = pixels(2, 5, 6)
    result = Compose([])(images)
    assert not np.shares_memory(result, images)
    np.testing.assert_array_equal(result, images)


def test_pipelines_can_be_pickled_and_copied():
    images = pixels(3, 30, 30, 3)
    augment = Compose(PIPELINE, seed=4)
    for twin in (pickle.loads(pickle.dumps(augment)), copy.deepcopy(augment)):
        np.testing.assert_array_equal(twin(images), augment(images))
    assert "Rotate(" in repr(augment)


# ---- masks, boxes, keypoints -------------------------------------------------------------------


def test_masks_move_by_nearest_neighbour():
    images = pixels(6, 30, 30, 3)
    masks = (images[..., 0] > 128).astype(np.uint8) * 7
    result = Compose(PIPELINE, mask_fill=255)(images, masks=masks)
    assert set(np.unique(result.masks)) == {0, 7, 255}
    flip = Compose([HorizontalFlip(1)])(images, masks=masks == 7)
    assert flip.masks.dtype == bool
    np.testing.assert_array_equal(flip.masks, (masks == 7)[:, :, ::-1])
    assert flip.boxes is None


@pytest.mark.parametrize(
    "operations",
    [
        [HorizontalFlip(1)],
        [VerticalFlip(1), Rotate90(1)],
        [Rotate90(3), Pad((2, 5))],
        [CenterCrop((30, 28))],
        [RandomCrop(30), HorizontalFlip(), Rotate90(2)],
    ],
)
def test_keypoints_land_where_their_pixels_do(operations):
    rng = np.random.default_rng(2)
    images = np.zeros((8, 32, 32), dtype=np.uint8)
    points = rng.integers(6, 26, (8, 1, 2))
    images[np.arange(8), points[:, 0, 1], points[:, 0, 0]] = 255
    result = Compose(operations)(images, keypoints=points)
    for image, (point,) in zip(result.images, result.keypoints, strict=True):
        np.testing.assert_allclose(point, np.argwhere(image == 255)[0, ::-1], atol=1e-9)


@pytest.mark.parametrize(
    "operations",
    [PIPELINE, [RandomResizedCrop(40, scale=(0.5, 1))], [Rotate(40), CenterCrop(30), Rotate(40)]],
)
def test_keypoints_land_where_warps_bring_them(operations):
    y, x = np.mgrid[:48, :48].astype(np.float32)
    spot = np.exp(-((x - 25) ** 2 + (y - 22) ** 2) / 8)
    images = np.repeat(spot[None], 10, axis=0)
    result = Compose(operations, seed=6)(images, keypoints=[[(25.0, 22.0, 9.0)]] * 10)
    for image, (point,) in zip(result.images, result.keypoints, strict=True):
        rows, columns = np.indices(image.shape)
        centre = [np.average(columns, weights=image), np.average(rows, weights=image)]
        if min(centre) > 8 and max(centre) < min(image.shape) - 8:
            np.testing.assert_allclose(point[:2], centre, atol=0.1)
        assert point[2] == 9


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_boxes_contain_their_keypoints(seed):
    rng = np.random.default_rng(seed)
    images = np.zeros((4, 30, 40), dtype=np.uint8)
    low = rng.uniform(0, 20, (4, 2, 2))
    boxes = np.concatenate([low, low + rng.uniform(1, 10, (4, 2, 2))], axis=2)
    points = low + rng.uniform(0, 1, low.shape) * (boxes[..., 2:] - low) - 0.5
    given_boxes = np.concatenate([boxes, np.arange(8).reshape(4, 2, 1)], axis=2)
    result = Compose(PIPELINE[:3], seed)(images, boxes=given_boxes, keypoints=points)
    for i, kept in enumerate(result.boxes):
        for x0, y0, x1, y1, number in kept:
            x, y = result.keypoints[i][int(number) - 2 * i] + 0.5
            assert (x0 <= x <= x1 and y0 <= y <= y1) or not (0 <= x <= 24 and 0 <= y <= 20)
            assert 0 <= x0 < x1 <= 24
            assert 0 <= y0 < y1 <= 20


def test_box_formats_agree():
    images = np.zeros((3, 40, 50), dtype=np.uint8)
    corners = np.array([[5.0, 6, 25, 36], [10, 0, 50, 40]])
    low, side = corners[:, :2], corners[:, 2:] - corners[:, :2]
    scale = np.array([50, 40])
    formats = {
        "pascal_voc": corners,
        "coco": np.hstack([low, side]),
        "yolo": np.hstack([(low + side / 2) / scale, side / scale]),
    }
    results = {name: Compose(PIPELINE, box_format=name)(images, boxes=[boxes] * 3).boxes
               for name, boxes in formats.items()}  # fmt: skip
    for voc, coco, yolo in zip(*results.values(), strict=True):
        np.testing.assert_allclose(np.hstack([voc[:, :2], voc[:, 2:] - voc[:, :2]]), coco)
        np.testing.assert_allclose((yolo[:, :2] - yolo[:, 2:] / 2) * [24, 20], coco[:, :2])


def test_boxes_are_dropped_by_visibility():
    images = np.zeros((1, 10, 10), dtype=np.uint8)
    boxes = [[[0, 0, 4, 10, 1], [4, 4, 6, 6, 2], [0, 0, 2, 2, 3], [2, 2, 4, 4, 4]]]
    crop = [CenterCrop(4)]  # columns and rows 3 to 6
    assert Compose(crop)(images, boxes=boxes).boxes[0][:, 4].tolist() == [1, 2, 4]
    result = Compose(crop, min_visibility=0.25)(images, boxes=boxes).boxes[0]
    assert result.tolist() == [[1, 1, 3, 3, 2]]
    assert Compose(crop)(images, boxes=[[]]).boxes[0].shape == (0, 4)


def test_labels_come_along():
    images = pixels(4, 8, 8)
    result = Compose([HorizontalFlip()])(images, labels=[3, 1, 2, 0])
    assert result.labels.tolist() == [3, 1, 2, 0]


# ---- bad input ---------------------------------------------------------------------------------

GOOD = np.zeros((2, 8, 8, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((8, 8), np.uint8), "shape"),
        (np.zeros((1, 2, 3, 4, 5), np.uint8), "shape"),
        (np.zeros((2, 8, 8)), "float64"),
        (np.zeros((2, 8, 8), np.int32), "int32"),
        (np.zeros((2, 8, 8), ">u2"), "u2"),
        (np.zeros((2, 0, 8), np.uint8), "pixel"),
        (np.zeros((0, 8, 8), np.uint8), "one image"),
        (np.zeros((2, 8, 8, 0), np.uint8), "pixel"),
        (np.zeros((2, 8, 8, 17), np.uint8), "17 channels"),
        ([], "empty"),
        ([np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.float32)], r"images\[1\]"),
        ([np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2, 4), np.uint8)], r"images\[1\]"),
        ([np.zeros((2, 0), np.uint8)], r"images\[0\]"),
    ],
)
def test_bad_images(images, message):
    with pytest.raises((ValueError, TypeError), match=message):
        Compose([HorizontalFlip()])(images)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rotate((30, 10)), "angle"),
        (lambda: Rotate((0, 1, 2)), "angle"),
        (lambda: Rotate("far"), "angle"),
        (lambda: Rotate(np.nan), "angle"),
        (lambda: Affine(scale=(2, 1)), "scale"),
        (lambda: Affine(scale=0), "scale"),
        (lambda: Affine(shear=((45, 45), (45, 45))), "shear"),
        (lambda: Affine(border="mirror"), "border"),
        (lambda: Rotate(interpolation="cubic"), "interpolation"),
        (lambda: RandomResizedCrop(8, scale=(0.5, 0.1)), "scale"),
        (lambda: RandomCrop((0, 5)), "size"),
        (lambda: RandomCrop(2.5), "size"),
        (lambda: Resize((1, 2, 3)), "size"),
        (lambda: Pad(-1), "padding"),
        (lambda: Pad((1, 2, 3)), "padding"),
        (lambda: Rotate90(0.5), "turns"),
        (lambda: HorizontalFlip(p=1.5), "p is"),
        (lambda: HorizontalFlip(p="always"), "p is"),
        (lambda: Compose([np.fliplr]), "operation"),
        (lambda: Compose([HorizontalFlip()] * 61), "61"),
        (lambda: Compose([], seed=-1), "seed"),
        (lambda: Compose([], seed=0.5), "seed"),
        (lambda: Compose([], layout="CHW"), "layout"),
        (lambda: Compose([], box_format="voc"), "box_format"),
    ],
)
def test_bad_parameters(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"masks": GOOD[:1]}, "masks"),
        ({"masks": np.zeros((2, 8, 9), np.uint8)}, "masks"),
        ({"masks": np.zeros((2, 8, 8), np.int64)}, "masks"),
        ({"boxes": [[]]}, "boxes"),
        ({"boxes": [[], [[1, 2, 3]]]}, r"boxes\[1\]"),
        ({"boxes": [[], [[1, 2, np.nan, 5]]]}, r"boxes\[1\]"),
        ({"boxes": [[], [[5, 5, 2, 7]]]}, "image 1.*no area"),
        ({"boxes": [[[9, 1, 12, 3]], []]}, "image 0.*outside"),
        ({"keypoints": [[]]}, "keypoints"),
        ({"labels": [1, 2, 3]}, "labels"),
        ({"indices": [1]}, "indices"),
        ({"indices": [0.5, 1.5]}, "indices"),
        ({"epoch": -1}, "epoch"),
        ({"n_jobs": 0}, "n_jobs"),
        ({"out": np.zeros((2, 8, 8), np.uint8)}, "out"),
        ({"out": np.zeros((2, 8, 8, 3), np.float32)}, "out"),
        ({"out": [np.zeros((8, 8, 3), np.uint8)] * 2}, "out"),
        ({"out": GOOD}, "overlaps"),
        ({"out": np.broadcast_to(np.uint8(0), (2, 8, 8, 3))}, "out"),
    ],
)
def test_bad_arguments_write_nothing(arguments, message):
    arguments = dict(arguments)
    out = arguments.setdefault("out", np.full_like(GOOD, 5))
    before = np.array(out)
    with pytest.raises((ValueError, TypeError), match=message):
        Compose([VerticalFlip(1), Rotate((3, 3))])(GOOD, **arguments)
    np.testing.assert_array_equal(out, before)


def test_out_may_not_overlap_partly():
    memory = np.zeros((3, 8, 8, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="overlaps"):
        Compose([HorizontalFlip()])(memory[:2], out=memory[1:])
    planes = np.zeros((2, 8, 16), dtype=np.uint8)
    Compose([HorizontalFlip(1)])(planes[:, :, ::2], out=planes[:, :, 1::2])


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (RandomCrop(9), "RandomCrop to .* larger than image 0 of"),
        (CenterCrop((9, 3)), "CenterCrop to .* larger than image 0 of"),
        (Rotate90(), "different sizes"),
        (CenterCrop(4, p=0.5), "different sizes"),
    ],
)
def test_sizes_that_do_not_fit(operation, message):
    with pytest.raises(ValueError, match=message):
        Compose([operation])(np.zeros((20, 6, 8), dtype=np.uint8))


def test_colours_of_borders_fit_the_channels():
    with pytest.raises(ValueError, match="fill has 2 values"):
        Compose([Pad(1, fill=(1, 2))])(GOOD)


def test_warps_that_reach_too_far():
    with pytest.raises(ValueError, match="beyond"):
        Compose([Affine(scale=1e-3)] * 4)(GOOD)
