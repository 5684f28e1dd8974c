"""Partition: who stands with whom.

Rows are divided into subsets by k-means on encoded rows (`features`, `kmeans`); columns are tied
into a tree by mutual information (`cells`, `mutual_information`, `chow_liu`), and numeric columns
gathered into blocks by correlation (`numeric_blocks`).
"""

from jointprob.partition.columns import chow_liu, correlations, numeric_blocks
from jointprob.partition.features import cells, features
from jointprob.partition.information import mutual_information
from jointprob.partition.kmeans import assign, kmeans

__all__ = [
    "assign",
    "cells",
    "chow_liu",
    "correlations",
    "features",
    "kmeans",
    "mutual_information",
    "numeric_blocks",
]
