"""What production does to a model: forks, threads, workers, and many processes on one file."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from joblib import Parallel, delayed
from saved.models import label, table

from jointprob import JEPAClassifier, JEPADensity

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
ROWS = 3000  # enough that answers are given by several threads


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A file of a classifier, whose joint and trees all answer."""
    few = table(40)
    path = tmp_path_factory.mktemp("faults") / "model.jp"
    JEPAClassifier(random_state=0).fit(few, label(few)).save(path)
    return path


@pytest.fixture(scope="module")
def rows():
    return table(ROWS, seed=1)


def answer(model, rows):
    return model.set_params(n_jobs=2).predict_proba(rows), model.joint_.log_prob(rows)


def assert_same(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


FORKED = """
import os, signal, sys, warnings
import numpy as np
from saved.models import table
from jointprob import JEPAClassifier

warnings.simplefilter("ignore", DeprecationWarning)  # of forks while there are threads
model = JEPAClassifier.load(sys.argv[1]).set_params(n_jobs=2)
rows = table(int(sys.argv[2]), seed=1)
wanted = model.predict_proba(rows)
child = os.fork()
if child == 0:
    signal.alarm(60)  # a pool that hangs ends here
    same = np.array_equal(model.predict_proba(rows), wanted)
    os._exit(0 if same else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert np.array_equal(model.predict_proba(rows), wanted)
print("the same")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_predicts_after_its_parent_did(path):
    done = subprocess.run(
        [sys.executable, "-c", FORKED, str(path), str(ROWS)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "the same\n"), done.stderr


def test_eight_threads_on_one_model_give_the_same_bits(path, rows):
    model = JEPAClassifier.load(path)
    wanted = answer(JEPAClassifier.load(path), rows)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: answer(model, rows), range(8)):
            assert_same(found, wanted)


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_workers_of_joblib_give_the_same_bits(path, rows, backend):
    model = JEPAClassifier.load(path)
    wanted = answer(model, rows)
    parts = [{k: v[at : at + 1000] for k, v in rows.items()} for at in range(0, ROWS, 1000)]
    found = Parallel(n_jobs=2, backend=backend, max_nbytes=1000)(
        delayed(model.predict_proba)(part) for part in parts
    )
    np.testing.assert_array_equal(np.concatenate(found), wanted[0])


def test_nobody_writes_to_a_mapped_model(path):
    """Its arrays are the file's, and refuse to be changed."""
    tree = JEPAClassifier.load(path).joint_.members[0].tree
    with pytest.raises(ValueError, match="read-only"):
        tree.transition[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        tree.derive()
    tree.copy().derive()


def test_a_mapped_model_goes_on_learning(tmp_path):
    """In tables of its own: the file stays as it is."""
    path = tmp_path / "density.jp"
    JEPADensity(n_trees=1, random_state=0).partial_fit(table()).save(path)
    before = path.read_bytes()
    mapped, read = (JEPADensity.load(path, mmap=mmap) for mmap in (True, False))
    for model in (mapped, read):
        model.partial_fit(table(30, seed=2))
    rows = table(20, seed=1)
    np.testing.assert_array_equal(mapped.score_samples(rows), read.score_samples(rows))
    assert path.read_bytes() == before


WAITING = """
import sys
from jointprob import JEPAClassifier
from saved.models import table
model = JEPAClassifier.load(sys.argv[1])
model.predict_proba(table(20))
print("ready", flush=True)
sys.stdin.read()
"""


@LINUX
def test_processes_share_the_memory_of_a_file(path):
    """Each counts half of the pages that both have."""
    with subprocess.Popen(
        [sys.executable, "-c", WAITING, str(path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout.readline() == b"ready\n"
        model = JEPAClassifier.load(path)
        model.predict_proba(table(20))
        entry = Path("/proc/self/smaps").read_text().split(str(path), 1)[1]
        resident, shared, own = (
            int(re.search(rf"^{name}: +(\d+) kB", entry, re.MULTILINE)[1])
            for name in ("Rss", "Pss", "Private_Dirty")
        )
        other.communicate(b"")
    assert resident > 100 and shared < 0.6 * resident and own == 0
