"""Augmentation of pictures: each library beside the others on the same batches."""
