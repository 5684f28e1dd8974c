"""The joint distribution of a table: every question starts here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jointprob.encode import Encoded, Encoding
from jointprob.joint.nursery import Member
from jointprob.joint.tree import Floats
from jointprob.query.answers import root_subsets
from jointprob.query.conditional import Conditional
from jointprob.query.evidence import (
    Given,
    blank_empty,
    float_schema,
    nothing_known,
    read_given,
    read_rows,
    read_where,
)
from jointprob.query.explain import explain_rows
from jointprob.query.impute import METHODS, fill
from jointprob.query.marginal import select_encoding, select_member, select_schema
from jointprob.query.merge import check_same_atoms, check_same_columns
from jointprob.query.passes import Pass, log_sum_exp
from jointprob.query.sampling import count_of, draw_rows, seed_of
from jointprob.query.view import View
from jointprob.restore import to_container
from jointprob.schema import Schema, preview
from jointprob.table import Table
from jointprob.threads import run_blocks

if TYPE_CHECKING:
    from jointprob.score import Scorer

SAMPLE_ROWS = 4096  # drawn at once


@dataclass(frozen=True, eq=False, repr=False)
class Joint:
    """The joint distribution of a table's columns: a mixture of latent trees. Immutable.

    Parameters
    ----------
    schema : Schema
        The columns.
    members : tuple of Member
        Latent trees with the encodings they were fitted in, and their log weights.
    n_rows : float
        Rows (sum of weights) it was fitted to: its weight in `merge`, and how far into a tail its
        means look.

    Notes
    -----
    log p(x) = logsumexp_m(log w_m + log p_m(codes, z_m) + sum log dz_m/dx), in nats. The density is
    with respect to counting measure on levels and atoms (values that many rows share) and Lebesgue
    measure on other numbers, in the units of the table. A missing cell is integrated out. A level
    that fit did not see has the mass of one unseen level. Columns that were all missing in fit are
    carried along: their cells are passed over.

    Every answer is exact for the fitted model but for means of numeric columns (quadrature), and
    for two or more intervals inside one block of numeric columns (integrated to a stated error).

    Examples
    --------
    >>> import numpy as np
    >>> from jointprob import JEPADensity
    >>> rng = np.random.default_rng(0)
    >>> size = rng.choice(["S", "L"], 300)
    >>> weight = rng.normal(np.where(size == "S", 2.0, 6.0))
    >>> model = JEPADensity(n_trees=1, random_state=0)
    >>> joint = model.fit({"size": size, "weight": weight}).joint_
    >>> usual, odd, nothing = joint.log_prob({"size": ["S", "L", None], "weight": [2, 2, None]})
    >>> bool(odd < usual < nothing == 0)
    True
    >>> 0.4 < joint.probability({"size": {"S"}, "weight": (None, 4.0)}) < 0.6
    True
    >>> joint.impute({"size": [None, "L"], "weight": [2.0, 6.0]})["size"]
    array(['S', 'L'], dtype='<U1')
    >>> surprise = joint.explain({"size": ["L"], "weight": [2.0]})
    >>> bool(surprise["size"][0] > 1)
    True
    >>> joint.marginal(["size"]).sample(3, random_state=0)["size"].shape
    (3,)
    """

    schema: Schema
    members: tuple[Member, ...]
    n_rows: float = 1.0

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_views"}

    def __repr__(self) -> str:
        n_columns, n_trees = len(self.schema), len(self.members)
        return f"Joint({n_columns} columns, {n_trees} trees, {self.n_rows:g} rows)"

    @cached_property
    def _views(self) -> tuple[View, ...]:
        return tuple(View(member, self.n_rows) for member in self.members)

    def _refuse_families(self, why: str) -> None:
        """ValueError that names the first column with a family of the user's own, and says why."""
        for member in self.members:
            for own in member.encoding.families.values():
                raise ValueError(f"column {own.name!r} has densities of a family of its own: {why}")

    # ---- densities ----

    def log_prob(self, X: Any, *, n_jobs: int | None = None) -> Floats:
        """Log density of rows.

        Parameters
        ----------
        X : pandas, polars or pyarrow frame, array, or dict of columns
            Missing cells are integrated out.
        n_jobs : int, optional
            Number of threads; the result does not depend on it.

        Returns
        -------
        float64 (n_rows,)
            Nats; 0 for a row with nothing observed.
        """
        table = read_rows(X, self.schema)
        return self._log_prob(Given(table), n_jobs)

    def _log_prob(self, given: Given, n_jobs: int | None, abs_error: float = 1e-6) -> Floats:
        """log p(evidence), float64 (n_rows,)."""
        passes = self._passes(given, n_jobs, abs_error)
        if not passes:
            return np.full(given.n_rows, -np.inf)
        log_prob = log_sum_exp([one.log_prob(n_jobs) for one in passes])
        if not (given.sets or given.intervals or given.atoms):
            log_prob[nothing_known(given.table)] = 0.0
        return log_prob

    def _passes(
        self, given: Given, n_jobs: int | None = None, abs_error: float = 1e-6
    ) -> list[Pass]:
        """The evidence as each member sees it, one pass for each branch."""
        encoded: dict[int, Encoded] = {}
        passes = []
        for view in self._views:
            encoding = view.encoding
            if id(encoding) not in encoded:
                encoded[id(encoding)] = encoding.encode(given.table, n_jobs)
            rows = encoded[id(encoding)]
            for sets, intervals in given.branches(encoding):
                passes.append(
                    Pass(view, rows.codes, rows.z, rows.log_jacobian, sets, intervals, abs_error)
                )
        return passes

    def probability(
        self, where: Any, *, abs_error: float = 1e-4, n_jobs: int | None = None
    ) -> float:
        """Probability that all conditions hold.

        Parameters
        ----------
        where : dict
            Column to a level, a number, a set of either, or an interval (low, high) with None for
            an open end; both ends belong to it. A single number has a probability only where it is
            an atom of its column (a value that many rows share), else 0.
        abs_error : float
            Bound on the error of the numerical integration (three standard errors) that two or more
            intervals inside one block of numeric columns need. Everything else is exact.
        n_jobs : int, optional

        Raises
        ------
        ValueError
            Unknown columns, unknown levels in a set, empty sets, reversed intervals, NaN.

        Notes
        -----
        Rectangles: Genz (1992), doi:10.1080/10618600.1992.10477010, on a lattice instead of random
        points.
        """
        given = read_where(where, self.schema)
        if not (abs_error > 0):
            raise ValueError(f"abs_error={abs_error}; allowed are positive numbers")
        return float(np.exp(min(0.0, self._log_prob(given, n_jobs, abs_error)[0])))

    # ---- distributions ----

    def marginal(self, columns: Sequence[str | int]) -> Joint:
        """Joint distribution of some of the columns, in the order given; exact.

        Parameters
        ----------
        columns : sequence of names (positions for arrays)

        Returns
        -------
        Joint
        """
        names: list[str | int] = [columns] if isinstance(columns, str | int) else [*columns]
        schema, kept = select_schema(self.schema, names)
        encodings: dict[int, Encoding] = {}
        members = []
        for member in self.members:
            key = id(member.encoding)
            if key not in encodings:
                encodings[key] = select_encoding(member.encoding, kept)
            members.append(select_member(member, encodings[key], kept))
        return Joint(schema, tuple(members), self.n_rows)

    def condition(self, given: Any, *, n_jobs: int | None = None) -> Conditional:
        """The distribution of the other columns given evidence.

        Parameters
        ----------
        given : dict, or table with one row of evidence per row
            A dict holds a value, a set of levels or an interval (low, high) with None for an open
            end for each known column; lists and arrays in it are columns of several rows. Missing
            cells and columns left out are unknown. A level that fit did not see is legal as a
            value: it has the mass of an unseen level.
        n_jobs : int, optional
            Number of threads for this and all questions to the conditional.

        Returns
        -------
        Conditional

        Raises
        ------
        ValueError
            Unknown columns, unknown levels in a set, empty sets, reversed intervals, NaN ends.
        """
        return Conditional(self, read_given(given, self.schema), n_jobs)

    def merge(self, other: Joint) -> Joint:
        """Mixture of two joints over the same columns, weighted by the rows they were fitted to.

        Raises
        ------
        ValueError
            If columns, levels or atoms differ.
        """
        check_same_columns(self.schema, other.schema)
        check_same_atoms(self.schema, self.members[0].encoding, other.members[0].encoding)
        total = self.n_rows + other.n_rows
        members = [
            replace(member, log_weight=member.log_weight + float(np.log(joint.n_rows / total)))
            for joint in (self, other)
            for member in joint.members
        ]
        return Joint(self.schema, tuple(members), total)

    def fine_tune(
        self,
        X: Any,
        sample_weight: ArrayLike | None = None,
        strength: float | Literal["auto"] = "auto",
        *,
        categorical_features: Any = "from_dtype",
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> Joint:
        """A joint of other rows, often few, that leans on this one; this one stays as it is.

        Parameters
        ----------
        X : frame, array or dict
            Rows of the target. Frames are matched by name: columns that they lack are summed out,
            new columns and new levels are added, after those known. Arrays are matched by position.
        sample_weight : (n_rows,), optional
            Non-negative; a weight means that many repeats of the row.
        strength : "auto" or float
            How much a row of the source counts beside one of the target, a0: from 0, which
            forgets the source, to 1, which pools the two. "auto" chooses it on held-out rows.
        categorical_features : "from_dtype", None, mask, indices or names
            Which new columns are categorical.
        random_state : None, int, RandomState or Generator
        n_jobs : int, optional
            Number of threads; the result does not depend on it, nor on the order of the rows.

        Returns
        -------
        Joint
            Its densities have the measure of this one's: a column keeps its atoms.
            It draws tables of the kind of X, of this one's kind where either of them is an array.

        Raises
        ------
        ValueError
            No column in common, columns of another kind, no known cell, a strength outside 0 to 1.

        Notes
        -----
        Each tree of this joint is a power prior (Ibrahim & Chen 2000, doi:10.1214/ss/1009212673):
        its tables count as its own rows times a0. Every block has an a0 of its own for
        transitions, levels, means and covariances, with which marginals of states and levels, and
        means, may move sooner than the rest, as in the adaptation of speakers (Reynolds et al.
        2000, doi:10.1006/dspr.1999.0361); each is the one of best expected log-likelihood on
        rows held out. Beside them stand the same trees with marginals learnt from the target, and a
        bag of trees of the target alone; what rows that no tree has seen say decides how much
        each weighs: an unrelated source ends at nothing. Target rows that are all alike leave
        nothing to hold out, and a0 is 1.

        Examples
        --------
        >>> import numpy as np
        >>> from jointprob import JEPADensity
        >>> rng = np.random.default_rng(0)
        >>> source = JEPADensity(random_state=0).fit(rng.normal(size=(500, 2))).joint_
        >>> target = rng.normal(3.0, 1.0, (40, 2))
        >>> tuned = source.fine_tune(target, random_state=0)
        >>> bool(tuned.log_prob(target).mean() > source.log_prob(target).mean() + 1)
        True
        """
        # The stage after this one: imported where it is asked for, so that imports run one way.
        from jointprob.adapt.transfer import transfer

        self._refuse_families("fine_tune does not move them")
        seed = seed_of(random_state) % 2**31
        return transfer(self, X, sample_weight, strength, categorical_features, seed, n_jobs).joint

    # ---- service ----

    def compile(self, outputs: str | tuple[Any, ...] | list[Any] = "log_prob") -> Scorer:
        """A scorer of plain arrays, for service: no frame is read and no name looked up.

        Parameters
        ----------
        outputs : str, tuple, or list of them
            "log_prob": log density of the row, nats (0 if nothing is known of it).
            ("levels", column): probabilities of a categorical column's levels given the row's other
            cells; the column's own cell is not looked at.
            "subsets": P(subset | row) at the root block of the heaviest member.

        Returns
        -------
        Scorer
            Called with a row, float64 (n_columns,), or rows, float64 (n_rows, n_columns), it
            returns a float or float64 (n_rows,) for "log_prob", else float64 (..., n_outputs).
            Columns stand in the order of `schema`. Numeric cells are numbers, NaN where missing;
            categorical cells are codes by ``scorer.levels[column]``: -1 or NaN is missing, -2 and
            every code past the last a level that fit did not see.

        Raises
        ------
        ValueError
            Unknown outputs and columns; when called: rows of another shape, infinity, cells of a
            categorical column that are no codes.
        TypeError
            When called: frames, dicts, texts and complex numbers; `Scorer.to_rows` makes rows of
            any table.

        Notes
        -----
        The kernels are those of `log_prob`, so the answers differ by rounding in the mixture of
        members alone, 1e-12 relative. The tables are shared with the joint, not copied.

        Examples
        --------
        >>> import numpy as np
        >>> from jointprob import JEPADensity
        >>> rng = np.random.default_rng(0)
        >>> size = rng.choice(["S", "L"], 300)
        >>> weight = rng.normal(np.where(size == "S", 2.0, 6.0))
        >>> model = JEPADensity(n_trees=1, random_state=0)
        >>> joint = model.fit({"size": size, "weight": weight}).joint_
        >>> scorer = joint.compile()
        >>> scorer.columns, scorer.levels["size"]
        (('size', 'weight'), ('L', 'S'))
        >>> bool(scorer(np.array([0.0, 6.0])) > scorer(np.array([1.0, 6.0])))
        True
        >>> joint.compile(("levels", "size"))(np.array([[np.nan, 2.0], [np.nan, 6.0]])).round()
        array([[0., 1.],
               [1., 0.]])
        """
        # The stage after this one: imported where it is asked for, so that imports run one way.
        from jointprob.score import Scorer

        return Scorer(self, outputs if isinstance(outputs, list) else [outputs])

    def export_c(
        self,
        folder: str | os.PathLike[str],
        name: str = "joint",
        outputs: str | tuple[Any, ...] | list[Any] = "log_prob",
    ) -> tuple[Path, Path]:
        """Write C source that scores rows without Python.

        Parameters
        ----------
        folder : path
            Made if it is not there; what stands in the two files is replaced.
        name : str
            Of the files and of the functions in them: a C identifier.
        outputs : str, tuple, or list of them
            As in `compile`, where rows and codes are described too.

        Returns
        -------
        header, source : Path
            ``NAME.h`` declares ``NAME_work_size`` and ``NAME_rows`` and lists columns and codes.
            ``NAME.c`` needs a C11 compiler with GNU extensions (GCC, Clang) and ``-lm``, nothing
            else, and refuses ``-ffast-math``; programs of C and C++ may hold several of them.

        Raises
        ------
        ValueError
            A name that is no C identifier, unknown outputs.
        OSError
            If a file cannot be written.

        Notes
        -----
        The answers are those of `compile`, to 1e-6 of their magnitude: compilers round products
        differently. About 12 bytes of source for each number of the model; a log density needs
        few of them.

        Examples
        --------
        >>> import numpy as np, tempfile
        >>> from jointprob import JEPADensity
        >>> X = np.random.default_rng(0).normal(size=(200, 2))
        >>> joint = JEPADensity(n_trees=1, random_state=0).fit(X).joint_
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     header, source = joint.export_c(folder)
        ...     print(header.name, "int joint_rows(" in header.read_text())
        joint.h True
        """
        from jointprob.score.export import export_c

        return export_c(self, folder, name, outputs if isinstance(outputs, list) else [outputs])

    # ---- files ----

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the joint to a file, all of it or nothing.

        Parameters
        ----------
        path : path
            What stands there is replaced once the new file is whole.

        Raises
        ------
        OSError
            If the file cannot be written; an old one is then as it was.
        """
        from jointprob import files

        files.save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], mmap: bool = True) -> Joint:
        """Read a joint that `save` wrote; see there.

        No code is run, and every size, index and probability table is checked before it is used.

        Parameters
        ----------
        path : path
        mmap : bool
            Map the arrays into memory: loading takes milliseconds, and processes share what they
            read.

        Raises
        ------
        ValueError
            If the file is broken, of a newer format, or holds another class.
        """
        from jointprob import files

        joint: Joint = files.load(path, mmap, cls)
        return joint

    def to_onnx(self) -> Any:
        """The log density as an ONNX graph, for runtimes without Python (extra ``onnx``).

        Returns
        -------
        onnx.ModelProto
            Output ``log_prob``, float64 (n_rows,), nats; where a column has this name, it is
            ``_log_prob``. An array of numbers is one input ``X``, float64 (n_rows, n_columns). Any
            other table has an input (n_rows, 1) for each column that was not empty in fit, by its
            name (``x0``, ``x1`` by position for arrays): float64 for numbers, and for levels that
            are numbers or booleans, NaN where missing; strings for levels that are strings, the
            empty string where missing, unless it is a level.

        Raises
        ------
        ImportError
            Without onnx.
        ValueError
            Levels that ONNX cannot hold: with a NUL, or whole numbers beyond 2**53; a column with a
            density family of the user's own; a model beyond 2 GB.

        Notes
        -----
        Operators of ai.onnx 18, and of ai.onnx.ml 3 for strings. Computed in float64 from the
        joint's float32 tables, so equal to `log_prob` to what float32 rounds there: a millionth of
        the larger of 1 and the row's farthest log density. Missing cells are integrated out. A row
        that misses some numbers of a block takes longer. Where `log_prob` refuses a cell, a graph
        answers: infinity counts as 1e300 of its sign, and in a column of levels or booleans any
        other finite number, such as 0.5, as a level that fit did not see. Of a joint, the density
        alone is held; that of some columns is ``joint.marginal(columns).to_onnx()``.

        Examples
        --------
        >>> import numpy as np
        >>> from jointprob import JEPADensity
        >>> X = np.random.default_rng(0).normal(size=(200, 2))
        >>> joint = JEPADensity(n_trees=1, random_state=0).fit(X).joint_
        >>> model = joint.to_onnx()  # for onnxruntime: model.SerializeToString()
        >>> [value.name for value in (*model.graph.input, *model.graph.output)]
        ['X', 'log_prob']
        """
        from jointprob.onnx import joint_graph

        self._refuse_families("ONNX holds no code of the user's")
        return joint_graph(self)

    # ---- rows ----

    def sample(self, n: int, random_state: Any = None, *, n_jobs: int | None = None) -> Any:
        """Draw rows.

        Parameters
        ----------
        n : int
        random_state : None, int, RandomState or Generator
            Row i depends on the seed and on i alone: a longer sample starts with the shorter one.
        n_jobs : int, optional

        Returns
        -------
        frame, array or dict
            As fitted, with the same dtypes and categories. No cell is missing, and no level is
            one that fit did not see.
        """
        return self._sample_rows(0, count_of(n), seed_of(random_state), n_jobs=n_jobs)

    def _sample_rows(self, start: int, stop: int, seed: int, *, n_jobs: int | None = None) -> Any:
        """Rows start..stop of the sample of a seed, as `sample` draws them."""
        nothing = Given(read_rows({}, self.schema, partial=True))
        passes = self._passes(nothing, n_jobs)
        weight = np.exp([one.log_weight for one in passes])

        def draw(first: int, last: int) -> list[Any]:
            key = np.arange(start + first, start + last, dtype=np.uint64)
            share = np.repeat(weight[:, None], last - first, axis=1)
            return draw_rows(passes, share, np.zeros(last - first, np.int64), key, seed)

        n = stop - start
        blocks = run_blocks(draw, max(n, 1), SAMPLE_ROWS, n_jobs)
        columns = [np.concatenate(parts)[:n] for parts in zip(*blocks, strict=True)]
        return to_container(blank_empty(columns, self.schema), self.schema)

    def impute(
        self,
        X: Any,
        method: Literal["mean", "median", "mode", "sample"] = "mean",
        random_state: Any = None,
        *,
        n_jobs: int | None = None,
    ) -> Any:
        """Fill the missing cells of rows from the row's other cells.

        Parameters
        ----------
        X : frame, array or dict
        method : {"mean", "median", "mode", "sample"}
            Conditional mean or median of each number (categories get their mode), mode of every
            cell, or one draw of all missing cells of a row together.
        random_state : None, int, RandomState or Generator
            For "sample": a row depends on the seed, its cells, and how many equal rows stand
            before it.
        n_jobs : int, optional

        Returns
        -------
        frame, array or dict
            Of the kind that was fitted, whatever X is, with the same dtypes. Observed cells are
            kept, and so is the index of a pandas frame.
        """
        columns = self._impute(read_rows(X, self.schema), method, random_state, n_jobs)
        return to_container(blank_empty(columns, self.schema), self.schema, like=X)

    def _impute(
        self, table: Table, method: str, random_state: Any, n_jobs: int | None
    ) -> list[NDArray[Any]]:
        """Filled columns of a table in which columns that were all missing in fit are so too."""
        if method not in METHODS:
            raise ValueError(f"method={method!r}; allowed are {preview(METHODS)}")
        seed = seed_of(random_state) if method == "sample" else 0
        return fill(self._passes(Given(table), n_jobs), table, method, seed, n_jobs)

    def explain(self, X: Any, *, n_jobs: int | None = None) -> Any:
        """Surprise of every cell: -log p(cell | all other cells of its row), in nats.

        Parameters
        ----------
        X : frame, array or dict
        n_jobs : int, optional

        Returns
        -------
        frame, array or dict of float64
            Of the kind that was fitted, whatever X is. NaN where a cell is missing. Numbers have
            densities, so their surprise may be negative, and depends on the column's unit. The
            index of a pandas frame is kept.

        Notes
        -----
        One up-down pass of each member answers for all cells, but for continuous cells of columns
        with atoms: these stand in two blocks at once and take one more upward pass a column.
        """
        table = read_rows(X, self.schema)
        passes = self._passes(Given(table), n_jobs)
        cells = explain_rows(passes, table, n_jobs)
        return to_container(list(cells.T.copy()), float_schema(self.schema), like=X)

    def subsets(self, X: Any, *, n_jobs: int | None = None) -> Floats:
        """P(subset | row) at the root block of the heaviest member.

        Returns
        -------
        float64 (n_rows, n_subsets)
            The coarse subsets; the Gaussians where the root is a block of numbers.
        """
        return self._subsets(read_rows(X, self.schema), n_jobs)

    def _heaviest(self) -> Member:
        return max(self.members, key=lambda member: member.log_weight)

    def _subsets(self, table: Table, n_jobs: int | None) -> Floats:
        heaviest = self.members.index(self._heaviest())
        one = self._passes(Given(table), n_jobs)[heaviest]
        parts = run_blocks(
            lambda start, stop: root_subsets(one, start, stop),
            table.n_rows,
            one.block_rows,
            n_jobs,
        )
        return np.concatenate(parts)
