"""Model files: the same bits back, whole or not at all, and nothing believed unchecked."""

import copy
import io
import json
import os
import pickle
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import hostile
import joblib
import numpy as np
import pytest
import safetensors.numpy
import skops.io
from saved.models import answers, fitted, label, table, target

import jointprob
from jointprob import JEPAClassifier, JEPADensity, JEPAImputer, Joint, files
from jointprob.query.view import Levels

SAVED = Path(__file__).parent / "saved"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


@pytest.fixture(scope="module")
def models():
    return dict(fitted())


@pytest.fixture(scope="module")
def density(models):
    return models["density"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.jp"


def assert_same(found, wanted, **tolerance):
    assert found.keys() == wanted.keys()
    for question, array in wanted.items():
        if tolerance and array.dtype.kind == "f":
            np.testing.assert_allclose(found[question], array, **tolerance, err_msg=question)
        else:
            np.testing.assert_array_equal(found[question], array, err_msg=question)


DRAWN = ("sample", "jitter")
NAMES = [
    "density", "imputer", "outliers", "classifier", "stream", "number_stream", "regressor",
    "augmenter", "joint",
]  # fmt: skip


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_round_trip_gives_the_same_bits(models, name, mmap, path):
    model = models[name]
    model.save(path)
    loaded = type(model).load(path, mmap=mmap)
    assert_same(answers(loaded), answers(model))
    if hasattr(model, "get_params"):
        assert vars(loaded).keys() == vars(model).keys()  # what has no annotation would be lost
        assert loaded.get_params() == model.get_params()
        assert loaded.n_features_in_ == 5
    again = path.with_name("again.jp")
    loaded.save(again)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_copies_of_every_kind_give_the_same_bits(models, name, path):
    models[name].save(path)
    loaded = type(models[name]).load(path)
    wanted = answers(models[name])
    trusted = skops.io.get_untrusted_types(data=skops.io.dumps(loaded))
    pickled = io.BytesIO()
    joblib.dump(loaded, pickled)
    pickled.seek(0)
    for copied in (
        pickle.loads(pickle.dumps(loaded)),
        copy.deepcopy(loaded),
        joblib.load(pickled),
        skops.io.loads(skops.io.dumps(loaded), trusted=trusted),
    ):
        assert_same(answers(copied), wanted)


@pytest.mark.parametrize(
    "file", sorted(SAVED.glob("*/*.jp")), ids=lambda p: f"{p.parent.name}/{p.stem}"
)
def test_files_of_all_releases_answer_as_they_did(file):
    """Another CPU rounds otherwise, and a draw or a likeliest level may then fall otherwise too."""
    with np.load(file.with_name("answers.npz")) as all_answers:
        said = {k.split("/")[1]: v for k, v in all_answers.items() if k.startswith(file.stem + "/")}
    found = answers(files.load(file))
    numbers = {
        k: v for k, v in said.items() if v.dtype.kind == "f" and k.split(".")[0] not in DRAWN
    }
    assert len(numbers) > 0
    assert_same({k: found[k] for k in numbers}, numbers, rtol=1e-4, atol=1e-4)


def test_what_several_objects_share_stays_shared(models, path):
    models["classifier"].save(path)
    loaded = JEPAClassifier.load(path)
    trees = {id(tree) for t in loaded._model.joints.trees for tree in t.classes}
    assert {id(member.tree) for member in loaded.joint_.members} <= trees
    assert len({id(member.encoding) for member in loaded.joint_.members}) == 1


def test_a_stream_goes_on_as_if_it_had_not_been_saved(models, path):
    models["stream"].save(path)
    loaded, model = JEPAClassifier.load(path), copy.deepcopy(models["stream"])
    assert files.describe(path)["training"]["rows"] == 100
    for seed in (3, 4):
        rows = table(80, seed=seed)
        rows["kind"][:9] = "new"
        y = np.where(rows["rain"] > 2, "flood", label(rows))
        for one in (loaded, model):
            one.partial_fit(rows, y)
    assert model._model.forest.n_grown > models["stream"]._model.forest.n_grown
    assert_same(answers(loaded), answers(model))


def test_a_density_goes_on_from_its_joint(path):
    rows, later = table(60), table(20, seed=1)
    model = JEPADensity(n_trees=1, random_state=0).partial_fit(rows)
    model.save(path)
    loaded = JEPADensity.load(path).partial_fit(later)
    wanted = JEPADensity(n_trees=1, random_state=0).fit(rows).partial_fit(later)
    assert_same(answers(loaded), answers(wanted))


def moved(seed):
    """Rows of a table that lacks a column, and has one more."""
    rows = table(24, seed=seed)
    del rows["rain"]
    return {**rows, "more": np.arange(24.0)}


@pytest.fixture(scope="module")
def tuned(models):
    """A source of a source in each."""
    rows = moved(1)
    y = np.where(rows["more"] < 5, "other", label(rows))
    classifier, number = models["classifier"], target(rows) + 1
    regressor = models["regressor"].fine_tune(rows, number, strength=0.5)
    return {
        "density": (models["density"].fine_tune(rows), rows),
        "classifier": (classifier.fine_tune(rows, y).fine_tune(rows, y), rows),
        "regressor": (regressor.fine_tune(rows, number, strength=1.0), rows),
    }


@pytest.mark.parametrize("name", ["density", "classifier", "regressor"])
def test_fine_tuned_models_give_the_same_bits(tuned, name, path):
    model, rows = tuned[name]
    model.save(path)
    loaded = type(model).load(path)
    assert vars(loaded).keys() == vars(model).keys()
    question = "score_samples" if name == "density" else "predict"
    np.testing.assert_array_equal(getattr(loaded, question)(rows), getattr(model, question)(rows))
    np.testing.assert_array_equal(loaded.joint_.log_prob(rows), model.joint_.log_prob(rows))
    if name == "density":
        assert loaded.source_share_ == model.source_share_


@pytest.mark.parametrize(
    ("present", "match"),
    [
        ([0, 9], "classes present"),
        ([-1, 1], "classes present"),
        ([1, 0, 2], "out of order"),
        ([0], "fewer than two classes present"),
        ([0, 1], "joints of other classes"),
    ],
)
def test_places_of_classes_are_checked(models, path, present, match):
    rows = moved(1)
    three = np.array(["low", "other", "high"])[np.arange(24) % 3]
    tuned = models["classifier"].fine_tune(rows, three)
    source = replace(tuned._model.source, present=np.array(present))
    tuned._model = replace(tuned._model, source=source)
    tuned.save(path)
    with pytest.raises(ValueError, match=match):
        JEPAClassifier.load(path)


def test_joints_of_joints(density, path):
    joint = density.joint_
    rows = table(20, seed=1)
    some = {name: rows[name] for name in ("rain", "kind")}
    part = joint.marginal(["rain", "kind"])
    part.save(path)
    np.testing.assert_array_equal(Joint.load(path).log_prob(some), part.log_prob(some))
    both = joint.merge(joint)
    both.save(path)
    loaded = Joint.load(path)
    np.testing.assert_array_equal(loaded.log_prob(rows), both.log_prob(rows))
    given = {"kind": "long"}
    np.testing.assert_array_equal(
        loaded.condition(given).mean("length"), both.condition(given).mean("length")
    )


@pytest.mark.parametrize("classes", [[False, True], [0, 1], [-1.0, 2.0], ["é", "long 中"]])
def test_classes_keep_their_kind(classes, path):
    rows = table(24)
    y = np.asarray(classes)[(label(rows) == "low").astype(int)]
    model = JEPAClassifier(random_state=0).fit(rows, y)
    model.save(path)
    found = JEPAClassifier.load(path).classes_
    assert found.dtype == model.classes_.dtype
    np.testing.assert_array_equal(found, model.classes_)


def test_parameters_come_back(path):
    rows = np.random.default_rng(0).integers(0, 3, (40, 2)).astype(float)
    model = JEPAImputer(strategy="mode", n_trees=1, categorical_features=np.array([True, False]))
    model.set_params(random_state=3).fit(rows).save(path)
    assert JEPAImputer.load(path).get_params() == {
        **model.get_params(), "categorical_features": [True, False]
    }  # fmt: skip


def test_the_safetensors_library_reads_the_arrays(density, path):
    density.save(path)
    ours, theirs = files.container.read(path).arrays, safetensors.numpy.load_file(path)
    assert ours.keys() == theirs.keys()
    for name, array in theirs.items():
        np.testing.assert_array_equal(ours[name], array)
    with safetensors.safe_open(path, framework="np") as file:
        told = file.metadata()
    assert told["library_version"] == jointprob.__version__
    assert json.loads(told["training"])["rows"] == 60


def test_a_file_is_described_without_a_model(density, path):
    density.save(path)
    told = files.describe(path)
    assert told["class"] == "JEPADensity"
    assert [column["name"] for column in told["schema"]["columns"]] == list(table())
    assert told["parameters"]["n_trees"] == 2


# ---- refusals ----


def edited(path, **texts):
    """Change texts of the header."""
    content = files.container.read(path, mmap=False)
    content.texts.update(texts)
    files.container.write(path, content)


def test_newer_formats_are_refused(density, path):
    density.save(path)
    edited(path, format_version="2", library_version="9.0")
    with pytest.raises(
        ValueError, match=r"model\.jp: format 2, written by jointprob 9\.0, is newer"
    ):
        JEPADensity.load(path)


def test_other_files_are_refused(density, path, tmp_path):
    density.save(path)
    with pytest.raises(ValueError, match="it holds a JEPADensity, not a JEPAImputer"):
        JEPAImputer.load(path)
    whole = path.read_bytes()
    for n_bytes in (0, 7, 100, len(whole) - 1):
        path.write_bytes(whole[:n_bytes])
        with pytest.raises(ValueError, match=re.escape(str(path))):
            JEPADensity.load(path)
    safetensors.numpy.save_file({"x": np.ones(3)}, path)
    with pytest.raises(ValueError, match="no file of a jointprob model"):
        JEPADensity.load(path)
    with pytest.raises(FileNotFoundError):
        JEPADensity.load(tmp_path / "none.jp")


def test_what_cannot_be_saved_is_refused(density, path):
    with pytest.raises(ValueError, match="not fitted"):
        JEPADensity().save(path)
    odd = copy.deepcopy(density).set_params(random_state=np.random.RandomState(0))
    with pytest.raises(ValueError, match="parameter 'random_state' of JEPADensity is RandomState"):
        odd.save(path)
    with pytest.raises(TypeError, match="only jointprob's own classes"):
        files.save(object(), path)
    assert not path.exists()


def test_states_that_no_level_belongs_to_draw_the_nearest():
    """A broken file may hold them: no level has its cell there."""
    levels = Levels(np.array([0, 1]), np.ones((2, 1)), 1e-3, 4)
    drawn = levels.draw(np.array([0, 1, 2, 3], np.int32), np.full(4, 0.5), None)
    assert drawn.tolist() == [0, 1, 1, 1]


def test_hostile_files_are_refused_or_answer(tmp_path):
    ended = hostile.run(range(180), tmp_path)
    assert set(ended) <= hostile.ENDS, ended
    assert ended["refused"] > 60 and ended["answers"] > 10


# ---- whole or not at all ----

KILLED = """
import os, signal, sys, time
import numpy as np
from jointprob.files.container import Content, read, write

path, n = sys.argv[1], 2_000_000
write(path, Content({"x": np.zeros(n)}, {}))
for i in range(1, 30):
    writer = os.fork()
    while not writer:
        write(path, Content({"x": np.full(n, float(i))}, {}))
    time.sleep(0.001 * i)
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    array = read(path).arrays["x"]
    assert len(array) == n and (array == array[0]).all(), array
    print(int(array[0]))
"""


@LINUX
def test_a_killed_writer_leaves_a_whole_file(path):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(path)], capture_output=True, text=True, check=True
    )
    assert len(done.stdout.split()) == 29


@LINUX
def test_a_full_disk_leaves_the_old_file(density, path):
    density.save(path)
    before = path.read_bytes()
    program = f"""
import resource, signal
from jointprob import JEPADensity
model = JEPADensity.load({str(path)!r})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    model.save({str(path)!r})
except OSError as error:
    print("refused:", error.strerror)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("refused:")
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_links_stay_links_and_the_umask_rules(density, path):
    link = path.with_name("link.jp")
    density.save(path)
    link.symlink_to(path)
    density.save(link)
    assert link.is_symlink()
    umask = os.umask(0o027)
    try:
        density.save(path)
    finally:
        os.umask(umask)
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o640


# ---- memory ----


@LINUX
def test_a_mapped_model_stays_shared(models, path):
    """No page of the map becomes the process's own by loading or by asking."""
    models["classifier"].save(path)
    loaded = JEPAClassifier.load(path)
    answers(loaded)
    entry = Path("/proc/self/smaps").read_text().split(str(path), 1)[1]
    own = re.search(r"Private_Dirty: +(\d+) kB", entry)
    assert own[1] == "0"
