"""What a model of other rows says of the classes, and how far it is believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from jointprob.cells import MISSING, UNSEEN
from jointprob.schema import Schema
from jointprob.table import Table

if TYPE_CHECKING:
    from jointprob.predict.labels import LabelModel

Floats = NDArray[np.float64]
LogShares = NDArray[np.floating[Any]]

DOUBT = 5.0  # nats that the target must gain by believing a source not at all
LEAST_WORTH = 0.1  # of its classes' entropy: a source that saves less has little to say
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
LEAST_ROWS = 0.02
PRIOR_ROWS = 0.5  # of every class
SOURCE_ROWS = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0, 10_000.0)  # of the source's classes


@dataclass(frozen=True, eq=False)
class LabelSource:
    """A fitted model of other rows.

    Parameters
    ----------
    model : LabelModel
    schema : Schema
        Of its rows.
    position : int64 (n_known,)
        Place of each of its classes among all classes.
    present : int64 (n_present,)
        Classes that rows of the target belong to, in order: at least two, or all.
    n_classes : int
        Of source and target together.
    strength : float, optional
        How far it is believed, 0 to 1; chosen on rows not seen if not given.
    """

    model: LabelModel
    schema: Schema
    position: NDArray[np.int64]
    present: NDArray[np.int64]
    n_classes: int
    strength: float | None = None

    def evidence(self, table: Table, n_jobs: int | None = None) -> Floats:
        """log p(c | x) - log p(c) by the source, (n_rows, n_classes), nats.

        0 for classes that it does not know: it has nothing to say about them.
        """
        own = self.model.log_proba(recast(table, self.schema), n_jobs)
        out = np.zeros((table.n_rows, self.n_classes))
        out[:, self.position] = own - self.model.pool.log_prior
        return out

    @property
    def tells_apart(self) -> bool:
        """Does the source know two of the classes present? It says the same of all others."""
        return len(np.intersect1d(self.position, self.present)) > 1

    @property
    def worth(self) -> float:
        """0 to 1: does the source predict its own rows, on those it has not seen?

        Where it saves a tenth of the entropy of its classes, or more, it is 1.
        """
        log_prior = self.model.pool.log_prior
        entropy = -float(np.exp(log_prior) @ log_prior)
        saved = 1 - self.model.pool.loss / max(entropy, 1e-300)
        return float(np.clip(saved / LEAST_WORTH, 0.0, 1.0))

    def doubt(self, strength: float) -> float:
        """Nats that believing the source so far must gain.

        A source that knows its own rows is believed unless the target speaks against it, one that
        does not only if the target speaks for it.
        """
        return DOUBT * (self.worth * (1 - strength) + (1 - self.worth) * strength)

    def priors(self) -> list[tuple[float, Floats]]:
        """Rows of each class that may be added to the target's, and nats that these must gain.

        The source's class prior stands unless the target's rows, given what else is said of them,
        speak against it: that classes are more or less common may follow from the rows themselves.
        That its classes are none of the target's needs no proof where the target's are others.
        """
        share = np.zeros(self.n_classes)
        share[self.position] = np.exp(self.model.pool.log_prior)
        gone = np.full(self.n_classes, PRIOR_ROWS)
        gone[self.position] = LEAST_ROWS  # its classes may be none of the target's
        added = [gone, *(PRIOR_ROWS + rows * share for rows in SOURCE_ROWS)]
        doubts = DOUBT * np.linspace(1, 0, len(added))
        doubts[0] *= self.tells_apart
        return list(zip(doubts.tolist(), added, strict=True))


def own_classes(source: LabelSource | None) -> NDArray[np.int64] | slice:
    """Classes that the rows of a fit belong to: all of them, without a source."""
    return slice(None) if source is None else source.present


def placed(
    source: LabelSource | None, said: LogShares, own_prior: Floats, log_prior: Floats
) -> LogShares:
    """What the rows of a fit say of their own classes, as log probabilities of all classes.

    Parameters
    ----------
    source : LabelSource, optional
        It knows classes that the rows lack: these say nothing about them, so they keep their prior.
    said : float (n_rows, n_own)
        Log probabilities up to a constant a row.
    own_prior : float64 (n_own,)
        Log prior of what is said.
    log_prior : float64 (n_classes,)
        The one to say it with.

    Returns
    -------
    float (n_rows, n_classes)
        Up to a constant a row.
    """
    if source is None:
        return said
    out = np.tile(log_prior, (len(said), 1))
    out[:, source.present] += log_softmax(said, axis=1) - own_prior
    return out


def recast(table: Table, schema: Schema) -> Table:
    """A table as another schema sees it: by name, levels by value, what it lacks missing."""
    names = table.schema.names
    columns = []
    for column in schema:
        if column.name not in names:
            empty = np.int32(MISSING) if column.is_categorical else np.nan
            columns.append(np.full(table.n_rows, empty))
            continue
        j = names.index(column.name)
        cells = table.columns[j]
        if column.is_categorical:
            place = {level: code for code, level in enumerate(column.levels)}
            levels = table.schema.columns[j].levels
            # The codes -1 and -2 pick the last entry and the one before.
            lookup = [*(place.get(level, UNSEEN) for level in levels), UNSEEN, MISSING]
            cells = np.array(lookup, np.int32)[cells]
        columns.append(cells)
    return Table(schema, table.n_rows, columns)
