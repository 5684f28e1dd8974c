"""Scoring in production: plain arrays in, plain numbers out, from Python and from C."""

from jointprob.score.scorer import Scorer

__all__ = ["Scorer"]
