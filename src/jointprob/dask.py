"""Fits and answers on Dask collections: more rows than one machine holds (extra ``dask``).

`fit` works on `dask.distributed`; `predict`, `predict_proba`, `score_samples` and `sample` return
Dask collections that any scheduler computes.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from functools import reduce
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_outlier_detector
from sklearn.utils.validation import check_is_fitted

from jointprob.query import Joint
from jointprob.query.sampling import count_of, seed_of
from jointprob.scale.reduction import groups
from jointprob.scale.source import Task

try:
    import dask
    import dask.array
    import dask.dataframe
    import distributed
    import pandas as pd
except ImportError as error:
    raise ImportError("jointprob.dask needs Dask: pip install jointprob[dask]") from error

__all__ = ["fit", "predict", "predict_proba", "sample", "score_samples"]

Part = TypeVar("Part")

LARGE_GRAPH = "distributed.admin.large-graph-warning-threshold"
LOST_WORKER = "distributed.deploy.lost-worker-timeout"  # soon over on a busy machine
SAMPLE_ROWS = 100_000  # of a partition of `sample`


class Partitions:
    """Partitions of a Dask collection as batches: a `jointprob.scale.Source`.

    Every pass is one graph: the trees so far, a task for each partition, then merges in the order
    of `jointprob.scale.Reduction`. Only the root comes to the driver. The scheduler holds all that
    the graph follows from, the trees too: what a lost worker had is made again elsewhere.

    Parameters
    ----------
    parts : list of Delayed
    client : distributed.Client
    """

    n_jobs: int | None = 1  # a worker has threads of its own

    def __init__(self, parts: list[Any], client: Any) -> None:
        self.parts, self.client = parts, client

    def fold(self, task: Task[Part], merge: Callable[[Part, Part], Part]) -> Part:
        """As `jointprob.scale.Source.fold`."""
        sent = dask.delayed(pickle.loads, pure=False)(pickle.dumps(task))
        with dask.config.set({LARGE_GRAPH: "1GB"}):  # trees are of some ten megabytes
            return self.client.compute(self._tree(sent, merge)).result()  # type: ignore[no-any-return]

    def _tree(self, sent: Any, merge: Callable[[Part, Part], Part]) -> Any:
        run, merged = dask.delayed(_run, pure=False), dask.delayed(_merge, pure=False)
        level = [run(sent, part, number) for number, part in enumerate(self.parts)]
        while len(level) > 1:
            level = [merged(merge, list(group)) for group in groups(level)]
        return level[0]


def _run(task: Task[Part], part: Any, number: int) -> Part:
    return task(part, number)


def _merge(merge: Callable[[Part, Part], Part], parts: list[Part]) -> Part:
    return reduce(merge, parts)


def fit(estimator: Any, X: Any, client: Any = None) -> Any:
    """Fit an estimator to a Dask collection.

    Parameters
    ----------
    estimator : JEPADensity
        Its settings; it stays as it is.
    X : dask.dataframe.DataFrame, or dask.array.Array of two dimensions
        Read anew at every pass: ``X.persist()`` where the workers' memory holds it.
    client : distributed.Client, optional
        Else the current client, or a `distributed.LocalCluster` of one process for each core that
        lives as long as the fit.

    Returns
    -------
    JEPADensity
        A fitted copy.

    Raises
    ------
    TypeError
        Another estimator, X that is no Dask collection, or a client that is none.
    ValueError
        As `JEPADensity.fit` on batches; the partitions are the batches.

    Notes
    -----
    The passes are those of `jointprob.scale.fit_batches`: rows stay where they are but for those
    drawn to start from (about 131,072) and held out (about 20,000). The result is that of
    `JEPADensity.fit` on the partitions as batches, bit for bit where the processors are alike.

    The other estimators keep trees grown on the rows themselves, for which no statistics of bounded
    size stand in: fit them to a sample that memory holds, then `predict`.

    Examples
    --------
    >>> import dask.dataframe as dd
    >>> import pandas as pd
    >>> import jointprob.dask
    >>> from jointprob import JEPADensity
    >>> frame = pd.DataFrame({"x": np.random.default_rng(0).normal(size=300)})
    >>> density = JEPADensity(n_subsets=2, n_trees=1, random_state=0)
    >>> with distributed.Client(processes=False, dashboard_address=":0") as client:
    ...     fitted = jointprob.dask.fit(density, dd.from_pandas(frame, npartitions=2), client)
    >>> fitted.joint_.n_rows
    300.0
    """
    from jointprob.estimators.density import JEPADensity, fit_source

    if not isinstance(estimator, JEPADensity):
        raise TypeError(
            f"estimator is a {type(estimator).__name__}; jointprob.dask.fit takes JEPADensity. "
            "Others keep trees grown on the rows themselves: fit them to a sample that fits into "
            "memory, such as X.sample(frac=0.01).compute(), then use jointprob.dask.predict"
        )
    if client is not None and not isinstance(client, distributed.Client):
        raise TypeError(
            f"client is a {type(client).__name__}; allowed are a distributed.Client and None. "
            "There is no y: JEPADensity learns all columns of X alike"
        )
    parts = _partitions(X)
    fitted = copy(estimator)
    with _client_for(client) as present:
        fitted._keep(fit_source(estimator, Partitions(parts, present)))
    return fitted


def _partitions(X: Any) -> list[Any]:
    if isinstance(X, dask.dataframe.DataFrame):
        return list(X.to_delayed())
    if isinstance(X, dask.array.Array) and X.ndim == 2:
        return list(X.rechunk({1: -1}).to_delayed().ravel())
    raise TypeError(
        f"X is a {type(X).__name__}; allowed are Dask data frames and 2-D Dask arrays; "
        "JEPADensity.fit takes tables and batches of this process"
    )


@contextmanager
def _client_for(client: Any) -> Iterator[Any]:
    """The client given, or the current one, or one of a cluster of this machine."""
    if client is None:
        try:
            client = distributed.Client.current()
        except ValueError:
            with (
                dask.config.set({LOST_WORKER: "10 minutes"}),
                distributed.LocalCluster(threads_per_worker=1, dashboard_address=":0") as cluster,
                distributed.Client(cluster) as own,
            ):
                yield own
            return
    yield client


# ---- answers ----


def predict(estimator: Any, X: Any) -> Any:
    """Predictions of any fitted estimator that has them, partition by partition.

    Parameters
    ----------
    estimator : fitted estimator
    X : dask.dataframe.DataFrame or 2-D dask.array.Array

    Returns
    -------
    dask.dataframe.Series or dask.array.Array
        Lazy; a series has the index of X.
    """
    return _mapped(estimator, "predict", X)


def predict_proba(estimator: Any, X: Any) -> Any:
    """Probability of each class.

    Parameters
    ----------
    estimator : fitted classifier
    X : dask.dataframe.DataFrame or 2-D dask.array.Array

    Returns
    -------
    dask.dataframe.DataFrame or dask.array.Array
        Lazy; one column for each of ``estimator.classes_``.
    """
    return _mapped(estimator, "predict_proba", X)


def score_samples(estimator: Any, X: Any) -> Any:
    """Log density of each row, nats.

    Parameters
    ----------
    estimator : fitted estimator
    X : dask.dataframe.DataFrame or 2-D dask.array.Array

    Returns
    -------
    dask.dataframe.Series or dask.array.Array
        Lazy, float64; a series has the index of X.
    """
    return _mapped(estimator, "score_samples", X)


def _mapped(estimator: Any, method: str, X: Any) -> Any:
    if not hasattr(estimator, method):
        raise TypeError(f"{type(estimator).__name__} has no {method}")
    check_is_fitted(estimator)
    empty = _no_answer(estimator, method)
    model = dask.delayed(_single_threaded(estimator), traverse=False)
    if isinstance(X, dask.dataframe.DataFrame):
        meta = _framed(empty, X._meta.index[:0], method, estimator)
        return X.map_partitions(_answer_frame, model, method, empty, meta=meta)
    if not (isinstance(X, dask.array.Array) and X.ndim == 2):
        _partitions(X)  # refuses it
    blocks = X.rechunk({1: -1}).to_delayed().ravel()
    shapes = [(n, *empty.shape[1:]) for n in X.chunks[0]]
    answers = [dask.delayed(_answer)(model, method, empty, block) for block in blocks]
    return dask.array.concatenate(
        [
            dask.array.from_delayed(answer, shape, empty.dtype)
            for answer, shape in zip(answers, shapes, strict=True)
        ]
    )


def _single_threaded(estimator: Any) -> Any:
    """Workers have threads of their own, and one for each task."""
    if not hasattr(estimator, "n_jobs"):
        return estimator
    single = copy(estimator)
    single.n_jobs = 1
    return single


def _no_answer(estimator: Any, method: str) -> NDArray[Any]:
    """What the method says of no rows: its dtype and width."""
    classes = getattr(estimator, "classes_", None)
    if method == "predict_proba":
        return np.empty((0, len(np.asarray(classes))))
    if method == "predict" and classes is not None:
        return np.asarray(classes)[:0]
    inlier_or_not = method == "predict" and is_outlier_detector(estimator)
    return np.empty(0, np.int64 if inlier_or_not else np.float64)


def _answer(estimator: Any, method: str, empty: NDArray[Any], part: Any) -> NDArray[Any]:
    """Estimators refuse tables of no rows, which partitions may be."""
    return np.asarray(getattr(estimator, method)(part)) if len(part) else empty


def _answer_frame(part: Any, estimator: Any, method: str, empty: NDArray[Any]) -> Any:
    answer = _answer(estimator, method, empty, part)
    return _framed(answer, part.index, method, estimator)


def _framed(answer: NDArray[Any], index: Any, method: str, estimator: Any) -> Any:
    if answer.ndim == 2:
        return pd.DataFrame(answer, index=index, columns=list(estimator.classes_))
    return pd.Series(answer, index=index, name=method)


def sample(estimator: Any, n_samples: int, random_state: Any = None) -> Any:
    """Draw rows of a fitted joint, 100,000 to a partition.

    Parameters
    ----------
    estimator : JEPADensity or Joint
    n_samples : int
    random_state : None, int, RandomState or Generator
        The rows are those that ``estimator.sample`` draws.

    Returns
    -------
    dask.dataframe.DataFrame or dask.array.Array
        Lazy; an array where the joint was fitted to one.

    Raises
    ------
    ValueError
        As `Joint.sample`.
    """
    joint = getattr(estimator, "joint_", estimator)
    if not isinstance(joint, Joint):
        raise TypeError(f"{type(estimator).__name__} is no fitted JEPADensity, and no Joint")
    n_samples, seed = count_of(n_samples), seed_of(random_state)
    starts = range(0, max(n_samples, 1), SAMPLE_ROWS)
    spans = [(start, min(start + SAMPLE_ROWS, n_samples)) for start in starts]
    model = dask.delayed(joint, traverse=False)
    parts = [dask.delayed(_draw)(model, *span, seed) for span in spans]
    like = joint.sample(0)
    if joint.schema.container != "numpy":
        return dask.dataframe.from_delayed(parts, meta=_as_pandas(like), verify_meta=False)
    shapes = [(stop - start, like.shape[1]) for start, stop in spans]
    arrays = zip(parts, shapes, strict=True)
    return dask.array.concatenate(
        [dask.array.from_delayed(part, shape, like.dtype) for part, shape in arrays]
    )


def _draw(joint: Joint, start: int, stop: int, seed: int) -> Any:
    rows = joint._sample_rows(start, stop, seed, n_jobs=1)
    return rows if joint.schema.container == "numpy" else _as_pandas(rows)


def _as_pandas(rows: Any) -> Any:
    return rows.to_pandas() if hasattr(rows, "to_pandas") else pd.DataFrame(rows)
