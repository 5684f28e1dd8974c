"""Augmentation of images: each library beside the others on the same batches."""
