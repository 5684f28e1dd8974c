"""Scale: a fit in a few passes over batches of rows that need not fit into memory.

`survey`, `draw` and `counts` say what a pass learns from a batch and how two answers merge,
`source` where batches come from (`parquet`: files), `reduction` in which order answers merge, `fit`
which pass comes next.
"""

from jointprob.scale.fit import Settings, fit_batches
from jointprob.scale.source import Batches, Source, source_of

__all__ = ["Batches", "Settings", "Source", "fit_batches", "source_of"]
