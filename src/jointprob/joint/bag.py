"""A bag of latent trees: a mixture of members, each with its own encoding of the numeric columns."""

from __future__ import annotations

from dataclasses import dataclass

from jointprob.encode import Encoding
from jointprob.joint.tree import LatentTree


@dataclass(frozen=True, eq=False)
class Member:
    """One tree of the bag.

    Parameters
    ----------
    tree : LatentTree
    encoding : Encoding
        What turns table cells into the tree's codes and z.
    log_weight : float
        Log of its mixture weight, nats.
    """

    tree: LatentTree
    encoding: Encoding
    log_weight: float
