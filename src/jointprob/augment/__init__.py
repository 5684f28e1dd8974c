"""New data from old: whole batches of images (`jointprob.augment.images`) at a time."""
