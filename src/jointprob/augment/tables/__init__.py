"""New rows of a table from its joint distribution."""

from jointprob.augment.tables.augmenter import TableAugmenter

__all__ = ["TableAugmenter"]
