"""Joint: subsets and their densities combined into latent trees, and trees into a bag."""

from jointprob.joint.adaptation import Strength, adapt
from jointprob.joint.bag import fit_bag
from jointprob.joint.classes import ClassJoints, fit_class_joints
from jointprob.joint.em import Refinement, Schedule, held_out_score, refine
from jointprob.joint.nursery import Member, View
from jointprob.joint.rows import Rows
from jointprob.joint.start import Plan, Start, grow
from jointprob.joint.tree import LatentTree

__all__ = [
    "ClassJoints",
    "LatentTree",
    "Member",
    "Plan",
    "Refinement",
    "Rows",
    "Schedule",
    "Start",
    "Strength",
    "View",
    "adapt",
    "fit_bag",
    "fit_class_joints",
    "grow",
    "held_out_score",
    "refine",
]
