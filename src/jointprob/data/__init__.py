"""How far the data goes: what more rows, the same rows again, and better rows are worth."""

from jointprob.data.exhaustion import Exhaustion, exhaustion
from jointprob.data.growth import LearningCurve, learning_curve
from jointprob.data.quality import Quality, quality
from jointprob.data.repetition import Repetition, repetition
from jointprob.data.selection import diverse, select

__all__ = [
    "Exhaustion",
    "LearningCurve",
    "Quality",
    "Repetition",
    "diverse",
    "exhaustion",
    "learning_curve",
    "quality",
    "repetition",
    "select",
]
