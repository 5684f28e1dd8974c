"""Estimators in files."""

from __future__ import annotations

import os
from typing import Self

from sklearn.utils.validation import check_is_fitted


class Saved:
    """An estimator that files hold: its parameters, and the attributes that its class annotates."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to a file, all of it or nothing.

        Parameters
        ----------
        path : path
            What stands there is replaced once the new file is whole.

        Raises
        ------
        ValueError
            If a parameter is no plain value, such as a RandomState.
        OSError
            If the file cannot be written; an old one is then as it was.

        Notes
        -----
        The format is safetensors with the description in the header's metadata: format and library
        version, class, parameters, schema, training. Equal estimators give equal files. What
        `set_output` set is not kept.

        The stream of a classifier's or regressor's `partial_fit` is saved with the recent rows that
        it keeps, and goes on as if it had never been saved. That of a density is not: the file
        holds its ``joint_`` and no rows, and `partial_fit` of the loaded density goes on from that
        joint, as after `fit`.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from jointprob import JEPADensity
        >>> density = JEPADensity(n_trees=1, random_state=0).fit([[1.0], [2.0], [4.0]])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     density.save(Path(folder) / "density.jp")
        ...     same = JEPADensity.load(Path(folder) / "density.jp", mmap=False)
        >>> bool(same.score_samples([[3.0]]) == density.score_samples([[3.0]]))
        True
        """
        from jointprob import files

        check_is_fitted(self)
        files.save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], mmap: bool = True) -> Self:
        """Read an estimator that `save` wrote.

        No code is run, and every size, index and table is checked before it is used.

        Parameters
        ----------
        path : path
        mmap : bool
            Map the arrays into memory: loading takes milliseconds, and processes share what they
            read. Nobody may write into the file meanwhile; `save` puts a new one in its place.

        Raises
        ------
        ValueError
            If the file is broken, of a newer format, or holds another class.
        """
        from jointprob import files

        loaded: Self = files.load(path, mmap, cls)
        return loaded
