"""Images: flips, crops, warps, colours, noise, mixing, whole batches at a time."""

from .compose import Compose
from .geometry import HorizontalFlip, Rotate
from .intensity import Brightness

__all__ = ["Brightness", "Compose", "HorizontalFlip", "Rotate"]
