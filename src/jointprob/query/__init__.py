"""Query: a joint distribution and evidence to densities, conditionals, samples, explanations."""

from jointprob.query.conditional import Conditional
from jointprob.query.joint import Joint

__all__ = ["Conditional", "Joint"]
