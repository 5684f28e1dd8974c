"""Dask: the same fit as on one machine, workers that are lost, answers partition by partition."""

import os
import pickle
import signal

import numpy as np
import pandas as pd
import pytest
from tables import frame, small

pytest.importorskip("dask.dataframe")
distributed = pytest.importorskip("distributed")

import dask.array as da  # noqa: E402
import dask.config  # noqa: E402
import dask.dataframe as dd  # noqa: E402

import jointprob.dask  # noqa: E402
from jointprob import JEPAClassifier, JEPAOutlierDetector, JEPARegressor  # noqa: E402
from jointprob.scale import fit as fitting  # noqa: E402
from jointprob.scale.counts import Count, Growing  # noqa: E402
from jointprob.scale.draw import Draw, Layout, Lot  # noqa: E402

MANY = frame(n_rows=900)
ROWS = MANY.set_axis(np.arange(900) * 2)
PARTS = dd.from_pandas(ROWS, npartitions=4)
ARRAY = MANY[["length", "count"]].to_numpy()


@pytest.fixture(scope="module")
def client():
    with (
        dask.config.set({jointprob.dask.LOST_WORKER: "10 minutes"}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def few_drawn(monkeypatch):
    """300 rows are drawn to start from: the others are met in passes alone."""
    monkeypatch.setattr(fitting, "SAMPLE_ROWS", 300)


@pytest.fixture(scope="module")
def fitted():
    return small().fit(MANY)


def local(collection):
    """The partitions as batches of this process."""
    return [part.compute() for part in collection.partitions]


def test_a_fit_is_that_of_one_machine(client, few_drawn):
    """Bit for bit, where the partitions are the batches; one of them is empty."""
    X = dd.concat([PARTS, PARTS.partitions[0].query("length > 1e9")])
    model = jointprob.dask.fit(small(), X, client)
    here = small().fit(local(X))
    assert model.joint_.n_rows == 900 and model.joint_.schema == here.joint_.schema
    np.testing.assert_array_equal(model.score_samples(MANY), here.score_samples(MANY))


def test_a_lost_worker_costs_time_alone(client, few_drawn, tmp_path):
    """The worker that reads a partition for the third time, in the first pass of EM, is killed."""

    def load(number, folder, rows):
        if number == 2:
            reads = len(os.listdir(folder))
            (folder / f"{reads}").write_text(str(os.getpid()))
            if reads == 2:
                os.kill(os.getpid(), signal.SIGKILL)
        return rows[number::4]

    X = dd.from_map(load, range(4), folder=tmp_path, rows=ROWS, meta=ROWS[:0])
    model = jointprob.dask.fit(small(), X, client)
    killed = int((tmp_path / "2").read_text())
    assert killed not in client.run(os.getpid).values()
    assert len(os.listdir(tmp_path)) > 3  # and the partition was read again
    here = small().fit([ROWS[number::4] for number in range(4)])
    np.testing.assert_array_equal(model.score_samples(MANY), here.score_samples(MANY))


def test_arrays_and_the_current_client(client):
    X = da.from_array(ARRAY, chunks=(250, 1))
    model = jointprob.dask.fit(small(), X)
    np.testing.assert_array_equal(
        model.score_samples(ARRAY), small().fit(ARRAY).score_samples(ARRAY)
    )


def test_answers_of_a_partition_do_not_grow_with_its_rows(fitted):
    """No rows are gathered but those drawn: a partition answers with statistics of a fixed size."""
    growing = tuple(Growing(m.tree, m.encoding, m.plan) for m in fitted.joint_.members)
    sizes = []
    for rows in (MANY, pd.concat([MANY] * 10)):
        layout = Layout(fitted.joint_.schema, (0, len(rows)), Lot(10**9, 1, 0), "JEPADensity")
        counts, drawn = Count(layout, growing, 1.0, 1)(rows, 0), Draw(layout, 1)(rows, 0)
        sizes.append((len(pickle.dumps(counts)), drawn.sample.n_rows + drawn.held_out.n_rows))
    assert abs(sizes[1][0] - sizes[0][0]) < 1000
    assert sizes[1][1] < 5


# ---- answers, by any scheduler ----


def test_log_densities(fitted):
    answer = jointprob.dask.score_samples(fitted, PARTS)
    with_index = answer.compute(scheduler="sync")
    np.testing.assert_array_equal(with_index, fitted.score_samples(ROWS))
    assert with_index.index.equals(ROWS.index) and answer.dtype == "float64"
    model = small().fit(ARRAY)
    of_array = jointprob.dask.score_samples(model, da.from_array(ARRAY, chunks=(250, 1)))
    assert of_array.shape == (900,)
    np.testing.assert_array_equal(of_array.compute(scheduler="sync"), model.score_samples(ARRAY))


def test_predictions():
    X, label = MANY.drop(columns="label")[:200], MANY["label"].fillna("x")[:200]
    parts = dd.from_pandas(X, npartitions=2)
    classifier = JEPAClassifier(random_state=0).fit(X[:60], label[:60])
    proba = jointprob.dask.predict_proba(classifier, parts)
    assert list(proba.columns) == list(classifier.classes_)
    np.testing.assert_array_equal(proba.compute(scheduler="sync"), classifier.predict_proba(X))
    predicted = jointprob.dask.predict(classifier, parts).compute(scheduler="sync")
    assert (predicted == classifier.predict(X)).all()
    block = da.from_array(X.to_numpy(), chunks=(100, 2))
    of_arrays = JEPARegressor(random_state=0).fit(X[:60].to_numpy(), np.arange(60.0))
    np.testing.assert_array_equal(
        jointprob.dask.predict(of_arrays, block).compute(scheduler="sync"),
        of_arrays.predict(X.to_numpy()),
    )


def test_outliers_are_whole_numbers():
    detector = JEPAOutlierDetector(random_state=0).fit(MANY[:150])
    answer = jointprob.dask.predict(detector, PARTS)
    assert answer.dtype == "int64"
    assert (answer.compute(scheduler="sync").to_numpy() == detector.predict(ROWS)).all()


def test_samples(fitted, monkeypatch):
    monkeypatch.setattr(jointprob.dask, "SAMPLE_ROWS", 40)
    drawn = jointprob.dask.sample(fitted, 100, random_state=3)
    assert drawn.npartitions == 3
    here = fitted.sample(100, random_state=3)
    pd.testing.assert_frame_equal(drawn.compute(scheduler="sync").reset_index(drop=True), here)
    model = small().fit(ARRAY)
    np.testing.assert_array_equal(
        jointprob.dask.sample(model.joint_, 100, random_state=3).compute(scheduler="sync"),
        model.sample(100, random_state=3),
    )


def test_refused(fitted):
    with pytest.raises(TypeError, match=r"is a JEPAClassifier; jointprob.dask.fit takes JEPADen"):
        jointprob.dask.fit(JEPAClassifier(), PARTS)
    with pytest.raises(TypeError, match="X is a DataFrame; allowed are Dask data frames"):
        jointprob.dask.fit(small(), MANY)
    with pytest.raises(TypeError, match="X is a ndarray; allowed are Dask data frames"):
        jointprob.dask.score_samples(fitted, ARRAY)
    with pytest.raises(TypeError, match="JEPADensity has no predict"):
        jointprob.dask.predict(fitted, PARTS)
    with pytest.raises(TypeError, match="is no fitted JEPADensity, and no Joint"):
        jointprob.dask.sample(small(), 3)
    with pytest.raises(ValueError, match="n=-1; allowed are integers from 0"):
        jointprob.dask.sample(fitted, -1)
    with pytest.raises(TypeError, match="client is a Series; allowed are a distributed"):
        jointprob.dask.fit(small(), PARTS, MANY["count"])
    for ask in (small().fit, fitted.score_samples, fitted.joint_.impute):
        with pytest.raises(TypeError, match=r"X is a DataFrame of Dask: jointprob\.dask\.fit"):
            ask(PARTS)


def test_errors_of_workers_reach_the_caller(client):
    bad = dd.concat([PARTS, dd.from_pandas(MANY.assign(length=np.inf), npartitions=1)])
    with pytest.raises(ValueError, match="column 'length', row 0: inf is infinity"):
        jointprob.dask.fit(small(), bad, client)
