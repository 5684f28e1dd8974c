"""Images: flips, crops, warps, colours, noise, mixing, whole batches at a time."""

from .compose import Augmented, Compose
from .crops import CenterCrop, RandomCrop, RandomResizedCrop
from .geometry import Affine, HorizontalFlip, Pad, Resize, Rotate, Rotate90, VerticalFlip
from .intensity import Brightness

__all__ = [
    "Affine",
    "Augmented",
    "Brightness",
    "CenterCrop",
    "Compose",
    "HorizontalFlip",
    "Pad",
    "RandomCrop",
    "RandomResizedCrop",
    "Resize",
    "Rotate",
    "Rotate90",
    "VerticalFlip",
]
