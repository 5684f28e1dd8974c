"""Joint: subsets and their densities combined into latent trees, and trees into a bag."""

from jointprob.joint.bag import Member
from jointprob.joint.em import Refinement, Schedule, held_out_score, refine
from jointprob.joint.start import Plan, Rows, Start, grow
from jointprob.joint.tree import LatentTree

__all__ = [
    "LatentTree",
    "Member",
    "Plan",
    "Refinement",
    "Rows",
    "Schedule",
    "Start",
    "grow",
    "held_out_score",
    "refine",
]
