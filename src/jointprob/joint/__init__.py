"""Joint: subsets and their densities combined into latent trees, and trees into a bag."""

from jointprob.joint.bag import fit_bag
from jointprob.joint.em import Refinement, Schedule, held_out_score, refine
from jointprob.joint.nursery import Member, View
from jointprob.joint.rows import Rows
from jointprob.joint.start import Plan, Start, grow
from jointprob.joint.tree import LatentTree

__all__ = [
    "LatentTree",
    "Member",
    "Plan",
    "Refinement",
    "Rows",
    "Schedule",
    "Start",
    "View",
    "fit_bag",
    "grow",
    "held_out_score",
    "refine",
]
