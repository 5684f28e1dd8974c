"""How far bytes are from float64 results rounded once, and the law of the noise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from . import sets, speed
from .sets import Batch

N_IMAGES = 16
TIE = 1e-6  # a value this near to a half may be rounded either way


def errors(
    name: str, dtype: str, folder: Path, with_ours: bool = True, with_peers: bool = True
) -> dict[str, Any]:
    """Share of values exactly rounded and largest error, by operation and library."""
    batch = Batch(sets.load(name, dtype, folder).images[:N_IMAGES])
    modules, failed = speed.libraries(with_ours, with_peers)
    found: dict[str, Any] = {}
    for operation, (special, reference) in REFERENCES.items():
        truth = reference(batch)
        found[operation] = {}
        for library, module in modules.items():
            make = getattr(module, special, getattr(module, operation, None))
            if make is None or library == "memory":
                continue
            try:
                distance = np.abs(make(batch)() - truth)
            except Exception as error:  # noqa: BLE001 (another library's failure is a result)
                failed.append(f"{operation}, {library}: {str(error).splitlines()[0][:120]}")
                continue
            found[operation][library] = {
                "exact": float((distance <= 0.5 + TIE).mean()),
                "largest": float(distance.max()),
            }
    return {"errors": found, "failed": failed}


def _rotated(batch: Batch) -> np.ndarray:
    centre = np.full(2, (batch.side - 1) / 2)
    truth = np.empty(batch.images.shape)
    for image, angle, target in zip(batch.images, np.radians(batch.angles), truth, strict=True):
        cosine, sine = np.cos(angle), np.sin(angle)
        matrix = np.array([[cosine, sine], [-sine, cosine]])  # rows, columns of the input
        start = centre - matrix @ centre
        for channel in range(3):
            target[..., channel] = ndimage.affine_transform(
                image[..., channel].astype(float), matrix, start, order=1, mode="grid-constant"
            )
    return truth


def _resized(batch: Batch) -> np.ndarray:
    """Bilinear, half-pixel centres; the window's edge goes on beyond it."""
    side = batch.resized
    truth = np.empty((batch.n, side, side, 3))
    for window, target in zip(batch.cut(), truth, strict=True):
        step = np.array(window.shape[:2]) / side
        for channel in range(3):
            target[..., channel] = ndimage.affine_transform(
                window[..., channel].astype(float), step, (step - 1) / 2, (side, side),
                order=1, mode="nearest",
            )  # fmt: skip
    return truth


def _blurred(batch: Batch) -> np.ndarray:
    return ndimage.gaussian_filter(
        batch.images.astype(float), sets.BLUR, mode="mirror", radius=sets.BLUR_RADIUS, axes=(1, 2)
    )


Reference = Callable[[Batch], np.ndarray]
REFERENCES: dict[str, tuple[str, Reference]] = {  # what does it with given draws; the truth
    "rotate": ("given_rotation", _rotated),
    "random_resized_crop": ("given_resize", _resized),
    "blur": ("blur", _blurred),
}


def noise(
    name: str, dtype: str, folder: Path, with_ours: bool = True, with_peers: bool = True
) -> dict[str, Any]:
    """Deviation and share of zeros of the noise on grey, share of black on black."""
    side = int(name.split("x")[0])
    grey, black = (Batch(np.full((N_IMAGES, side, side, 3), level, dtype)) for level in (128, 0))
    modules, failed = speed.libraries(with_ours, with_peers)
    found = {}
    for library, module in modules.items():
        if library == "memory" or not hasattr(module, "noise"):
            continue
        try:
            added = module.noise(grey)().astype(float) - 128
            on_black = module.noise(black)()
        except Exception as error:  # noqa: BLE001 (another library's failure is a result)
            failed.append(f"noise, {library}: {str(error).splitlines()[0][:120]}")
            continue
        found[library] = {
            "sigma": float(added.std()),
            "mean": float(added.mean()),
            "zeros": float((added == 0).mean()),
            "black": float((on_black == 0).mean()),
        }
    return {"noise": found, "failed": failed}
