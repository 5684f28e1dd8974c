"""Geometric operations on images, pixel by pixel: the specification of csrc/augment_warp.c."""

import numpy as np


def border_index(i, n, border):
    """Which of n pixels is seen at i; None where a constant is."""
    if 0 <= i < n:
        return i
    if border == "constant":
        return None
    if border == "edge":
        return min(max(i, 0), n - 1)
    if border == "wrap":
        return i % n
    if border == "reflect":  # d c b a | a b c d | d c b a
        i %= 2 * n
        return i if i < n else 2 * n - 1 - i
    i %= max(1, 2 * (n - 1))  # reflect101: d c b | a b c d | c b a
    return i if i < n else 2 * (n - 1) - i


def pixel(image, x, y, border, fill):
    height, width = image.shape[:2]
    column, row = border_index(x, width, border), border_index(y, height, border)
    if row is None or column is None:
        return np.broadcast_to(np.asarray(fill, dtype=np.float64), image.shape[2:])
    return image[row, column].astype(np.float64)


def bilinear(image, x, y, border, fill):
    column, row = int(np.floor(x)), int(np.floor(y))
    right, down = x - column, y - row
    return sum(
        weight * pixel(image, column + i, row + j, border, fill)
        for i, j, weight in [
            (0, 0, (1 - right) * (1 - down)),
            (1, 0, right * (1 - down)),
            (0, 1, (1 - right) * down),
            (1, 1, right * down),
        ]
        if weight > 0
    )


def nearest(image, x, y, border, fill):
    return pixel(image, int(np.floor(x + 0.5)), int(np.floor(y + 0.5)), border, fill)


def warp(image, matrix, size, interpolation="bilinear", border="constant", fill=0.0):
    """float64 (height, width, channels) of an image (H, W, C) through an inverse matrix (2, 3)."""
    read = {"bilinear": bilinear, "nearest": nearest}[interpolation]
    height, width = size
    result = np.empty((height, width, image.shape[2]))
    for y in range(height):
        for x in range(width):
            result[y, x] = read(image, *(matrix @ [x, y, 1]), border, fill)
    return result
