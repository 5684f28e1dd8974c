"""New data from old: whole batches of images (`images`), rows of tables (`tables`)."""
