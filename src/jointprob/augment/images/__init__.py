"""Images: flips, crops, warps, colours, noise, mixing, whole batches at a time."""

from .colour import Grayscale, Hue, Saturation
from .compose import Augmented, Compose
from .crops import CenterCrop, RandomCrop, RandomResizedCrop
from .filters import Erase, GaussianBlur
from .geometry import Affine, HorizontalFlip, Pad, Resize, Rotate, Rotate90, VerticalFlip
from .intensity import Brightness, Contrast, Gamma, Normalize, PointOp, ToFloat
from .mixing import CutMix, MixUp
from .noise import GaussianNoise, ShotNoise

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
