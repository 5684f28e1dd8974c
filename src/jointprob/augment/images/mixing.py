"""Images mixed with others of the same call, and their labels with them."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

from jointprob.augment.images.filters import rectangles
from jointprob.augment.images.operation import (
    MIX,
    Drawn,
    Floats,
    Frame,
    Integers,
    Labels,
    Operation,
    Step,
    between,
    local_step,
)

UP, CUT = 0, 1  # of csrc/augment_mix.c


class Mixing(Operation):
    """An operation that mixes each image with a partner."""

    needs_batch = True
    n_draws: ClassVar[int] = 2

    def __init__(self, alpha: float, n_classes: int | None, p: float) -> None:
        super().__init__(p)
        self.alpha = between(alpha, 1e-3, 1e3, "alpha")
        if n_classes is not None and (
            isinstance(n_classes, bool) or not isinstance(n_classes, int) or n_classes < 1
        ):
            raise ValueError(f"n_classes is {n_classes!r}; allowed is None or a positive integer")
        self.n_classes = n_classes

    def draw(self, uniforms: Floats) -> dict[str, Floats]:
        share = betaincinv(self.alpha, self.alpha, uniforms[:, 0])
        return {"share": share, "partner": uniforms[:, 1]}

    def check(self, frame: Frame) -> None:
        if not (frame.sizes == frame.sizes[0]).all():
            raise ValueError(f"{type(self).__name__} needs images of one size")

    def shares(self, drawn: Drawn, frame: Frame) -> Floats:
        """What each image keeps of itself (n_images,)."""
        raise NotImplementedError

    def relabel(self, drawn: Drawn, labels: Labels, frame: Frame) -> Labels:
        soft = soft_labels(labels, self.n_classes)
        kept = np.where(drawn.applied, self.shares(drawn, frame), 1.0)[:, None]
        mixed: npt.NDArray[np.float64] = kept * soft + (1 - kept) * soft[partners(drawn)]
        return mixed


class MixUp(Mixing):
    """Weighted mean of each image and a partner, drawn among all images of the same call.

    Parameters
    ----------
    alpha : float, default=0.2
        The image's own share follows Beta(alpha, alpha).
    n_classes : int, optional
        Number of classes, where labels are integers (N,); they become soft labels (N, n_classes).
        Labels (N, n_classes) of shares are mixed as they are.
    p : float, default=1.0
        Probability of each image to be mixed; its partner is not changed by that.

    Notes
    -----
    Zhang et al. (2018), arXiv 1710.09412. The partner is image ``floor(partner * N)`` of the call:
    draws depend on (seed, epoch, index, place) alone, but who the partner is depends on the batch,
    so only here results depend on it. Partners are read before any image is mixed.

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob.augment.images import Compose, MixUp
    >>> images = np.zeros((4, 8, 8), dtype=np.uint8)
    >>> mixed = Compose([MixUp(n_classes=2)])(images, labels=[0, 1, 0, 1])
    >>> mixed.labels.sum(axis=1)
    array([1., 1., 1., 1.])
    """

    def __init__(self, alpha: float = 0.2, *, n_classes: int | None = None, p: float = 1.0) -> None:
        super().__init__(alpha, n_classes, p)

    def shares(self, drawn: Drawn, frame: Frame) -> Floats:
        return drawn.values["share"]

    def steps(self, drawn: Drawn, frame: Frame, position: int) -> list[Step]:
        parameters = [partners(drawn).astype(float), drawn.values["share"]]
        return [local_step(MIX, drawn, frame, position, parameters, options=(UP,))]


class CutMix(Mixing):
    """Put a rectangle of a partner, drawn among all images of the same call, into each image.

    Parameters
    ----------
    alpha : float, default=1.0
        The image's own share follows Beta(alpha, alpha), but for the rounding to whole pixels;
        labels are mixed by the pixels themselves.
    n_classes : int, optional
        Number of classes, where labels are integers (N,); they become soft labels (N, n_classes).
    p : float, default=1.0
        Probability of each image to be mixed.

    Notes
    -----
    Yun et al. (2019), arXiv 1905.04899; the rectangle has the image's proportions and lies inside
    it, where the paper cuts it at the edge. Partners are as in `MixUp`. Masks get the same
    rectangle of the partner's mask.

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob.augment.images import Compose, CutMix
    >>> images = np.zeros((4, 8, 8), dtype=np.uint8)
    >>> mixed = Compose([CutMix()])(images, labels=np.eye(4))
    >>> mixed.labels.sum(axis=1)
    array([1., 1., 1., 1.])
    """

    n_draws = 4
    mixes_masks = True

    def __init__(self, alpha: float = 1.0, *, n_classes: int | None = None, p: float = 1.0) -> None:
        super().__init__(alpha, n_classes, p)

    def draw(self, uniforms: Floats) -> dict[str, Floats]:
        return {**super().draw(uniforms), "y": uniforms[:, 2], "x": uniforms[:, 3]}

    def rectangle(self, drawn: Drawn, frame: Frame) -> Floats:
        """Top, left, bottom, right of the partner's part (n_images, 4)."""
        height, width = frame.sizes.T
        area = 1 - drawn.values["share"]
        return rectangles({**drawn.values, "area": area, "ratio": height / width}, frame)

    def shares(self, drawn: Drawn, frame: Frame) -> Floats:
        top, left, bottom, right = self.rectangle(drawn, frame).T
        kept: Floats = 1 - (bottom - top) * (right - left) / frame.sizes.prod(axis=1)
        return kept

    def steps(self, drawn: Drawn, frame: Frame, position: int) -> list[Step]:
        parameters = np.column_stack(
            [partners(drawn), drawn.values["share"], self.rectangle(drawn, frame)]
        )
        return [local_step(MIX, drawn, frame, position, parameters, options=(CUT,))]


def partners(drawn: Drawn) -> Integers:
    """Positions of the partners in the call (n_images,)."""
    n = len(drawn.applied)
    return np.minimum(drawn.values["partner"] * n, n - 1).astype(np.int64)


def soft_labels(labels: Labels, n_classes: int | None) -> npt.NDArray[np.float64]:
    """Labels (N, n_classes) of shares."""
    if labels.ndim == 2 and labels.dtype.kind in "fiu":
        return labels.astype(np.float64)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or n_classes is None:
        raise ValueError(
            f"labels are {labels.dtype} of shape {labels.shape}, n_classes is {n_classes}; mixing "
            "takes integers (N,) with n_classes, or shares (N, n_classes)"
        )
    if labels.min() < 0 or labels.max() >= n_classes:
        raise ValueError(
            f"labels are from {labels.min()} to {labels.max()}; allowed are 0 to {n_classes - 1}"
        )
    return np.eye(n_classes)[labels]
