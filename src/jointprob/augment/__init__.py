"""Augmentation: new data from old, whole batches at a time."""
