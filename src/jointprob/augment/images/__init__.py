"""Images: flips, crops, warps, colours, noise, mixing, whole batches at a time."""

from jointprob.augment.images.colour import Grayscale, Hue, Saturation
from jointprob.augment.images.compose import Augmented, Compose
from jointprob.augment.images.crops import CenterCrop, RandomCrop, RandomResizedCrop
from jointprob.augment.images.filters import Erase, GaussianBlur
from jointprob.augment.images.geometry import (
    Affine,
    HorizontalFlip,
    Pad,
    Resize,
    Rotate,
    Rotate90,
    VerticalFlip,
)
from jointprob.augment.images.intensity import (
    Brightness,
    Contrast,
    Gamma,
    Normalize,
    PointOp,
    ToFloat,
)
from jointprob.augment.images.mixing import CutMix, MixUp
from jointprob.augment.images.noise import GaussianNoise, ShotNoise

__all__ = [
    "Affine",
    "Augmented",
    "Brightness",
    "CenterCrop",
    "Compose",
    "Contrast",
    "CutMix",
    "Erase",
    "Gamma",
    "GaussianBlur",
    "GaussianNoise",
    "Grayscale",
    "HorizontalFlip",
    "Hue",
    "MixUp",
    "Normalize",
    "Pad",
    "PointOp",
    "RandomCrop",
    "RandomResizedCrop",
    "Resize",
    "Rotate",
    "Rotate90",
    "Saturation",
    "ShotNoise",
    "ToFloat",
    "VerticalFlip",
]
