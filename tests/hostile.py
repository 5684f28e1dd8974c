"""Hostile model files: mutations of sound ones through the loader and the kernels.

    python tests/hostile.py --cases 20000     (tests/hostile_asan: the same under AddressSanitizer)

Every case must end in a ValueError, or in a model that answers. A case is a function of its number.
"""

import argparse
import json
import sys
import tempfile
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
from saved.models import is_stream, table

from jointprob import files

HERE = Path(__file__).parent

NUMBERS = [
    0, 1, -1, 2, 3, 7, 64, 255, 256, 65_535, 2**31 - 1, 2**31, 2**32, 2**53, 2**62, 2**63, 10**30,
    -(2**31), 0.5, -0.5, 1e-300, 1e300, True, False, None, "", "x", [], {}, {"float": "nan"},
    {"float": "inf"}, {"array": "x"}, {"object": 0}, {"tuple": []}, {"list": [1]}, [[[[]]]],
]  # fmt: skip
ENDS = {"refused", "answers", "answers with ValueError"}
MOST_TIMES = 4  # the size of the file
MOST_SLACK = 100_000  # bytes that the interpreter takes for itself, whatever the file


class Parts:
    """A file in pieces that can be changed one by one, and put together so that sizes agree."""

    def __init__(self, raw):
        length = int.from_bytes(raw[:8], "little")
        self.header = json.loads(raw[8 : 8 + length])
        self.data = bytearray(raw[8 + length :])
        self.texts = self.header.pop("__metadata__")
        self.json = {
            key: json.loads(self.texts[key]) for key in ("records", "parameters", "schema")
        }

    def whole(self):
        texts = {**self.texts, **{key: json.dumps(value) for key, value in self.json.items()}}
        text = json.dumps({"__metadata__": texts, **self.header}).encode()
        text += b" " * (-(8 + len(text)) % 64)
        return len(text).to_bytes(8, "little") + text + bytes(self.data)


# ---- mutations: (random, parts) -> None ----


def change_numbers(random, parts):
    """Some elements of one array become extreme, or what stands elsewhere in it."""
    entry = _pick(random, list(parts.header.values()))
    dtype = files.container.DTYPES[entry["dtype"]]
    begin, end = entry["data_offsets"]
    array = np.frombuffer(parts.data, dtype, (end - begin) // dtype.itemsize, begin)
    if not len(array):
        return
    for place in random.integers(len(array), size=random.integers(1, 4)):
        with np.errstate(all="ignore"):
            array[place] = _extreme(random, array)


def _extreme(random, array):
    if array.dtype == bool:
        return random.random() < 0.5
    if array.dtype.kind == "f":
        return _pick(random, [np.nan, np.inf, -np.inf, -1.0, 0.0, 2.0, 1e30, 1e-30, -1e-5])
    info = np.iinfo(array.dtype)
    choices = [info.min, info.max, 0, 1, int(array[random.integers(len(array))])]
    near = int(array[random.integers(len(array))]) + int(random.integers(-3, 4))
    return int(np.clip(_pick(random, [*choices, near, near]), info.min, info.max))


def change_value(random, parts):
    """One value of the records, parameters or schema becomes another."""
    tree = parts.json.get(_pick(random, ["records", "records", "records", "parameters", "schema"]))
    places = list(_places(tree)) if isinstance(tree, dict | list) else []
    if places:
        owner, key = _pick(random, places)
        old = owner[key]
        near = old + int(random.integers(-2, 3)) if type(old) is int else old
        owner[key] = _pick(random, [*NUMBERS, near, near, _pick(random, places)[0]])
        try:
            json.dumps(tree)
        except ValueError:  # it held itself
            owner[key] = old


def _places(tree):
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in pairs:
        yield tree, key
        if isinstance(value, dict | list):
            yield from _places(value)


def drop_or_swap(random, parts):
    """A record or a field goes, comes twice, or changes places with another."""
    records = parts.json.get("records")
    if not isinstance(records, list) or len(records) < 2:
        return
    a, b = (int(i) for i in random.integers(len(records), size=2))
    what = random.integers(4)
    if what == 0:
        records.pop(a)
    elif what == 1:
        records.insert(a, records[b])
    elif what == 2:
        records[a], records[b] = records[b], records[a]
    elif isinstance(records[a], dict) and isinstance(records[a].get("fields"), dict):
        fields = records[a]["fields"]
        if fields:
            fields.pop(_pick(random, list(fields)))


def change_place(random, parts):
    """An array gets another type, shape or place."""
    entries = list(parts.header.values())
    one, other = _pick(random, entries), _pick(random, entries)
    key = _pick(random, ["dtype", "shape", "data_offsets", "all"])
    if key == "all":  # an array in place of another: all sizes still agree
        kept = dict(one)
        one.update(other)
        other.update(kept)
    elif random.random() < 0.4:
        one[key] = other[key]
    elif key == "dtype":
        one[key] = _pick(random, [*files.container.DTYPES, "BF16", "F8", "", None, 3])
    elif one[key] and random.random() < 0.5:
        one[key] = list(one[key])
        one[key][random.integers(len(one[key]))] = _pick(random, NUMBERS)
    else:
        one["shape"] = _pick(random, [one["shape"][::-1], [1, *one["shape"]], [], [0, 2**61]])


def change_text(random, parts):
    """A text of the header goes or becomes another."""
    key = _pick(random, list(parts.texts))
    parts.texts[key] = _pick(random, ["", "2", "0", "-1", "JEPADensity", "Joint", "[" * 5000, "{}"])
    parts.json.pop(key, None)


MUTATIONS = (
    change_numbers, change_numbers, change_numbers, change_value, change_value, drop_or_swap,
    change_place, change_text,
)  # fmt: skip


def mutate(raw, random):
    """Another file."""
    if random.random() < 0.8:
        parts = Parts(raw)
        for _ in range(random.integers(1, 3)):
            _pick(random, MUTATIONS)(random, parts)
        raw = parts.whole()
    if random.random() < 0.3:
        raw = bytearray(raw)
        for place in random.integers(len(raw), size=random.integers(1, 9)):
            raw[place] = random.integers(256)
    if random.random() < 0.1:
        raw = raw[: random.integers(len(raw))] + bytes(random.integers(0, 20))
    if random.random() < 0.05:
        raw = int(_pick(random, [0, 1, 2**31, 2**63, len(raw)])).to_bytes(8, "little") + raw[8:]
    return bytes(raw)


def _pick(random, choices):
    return choices[random.integers(len(choices))]


# ---- cases ----


def ask(model):
    """Send rows through every kernel that the model has."""
    rows = table(6, seed=2)
    rows["kind"][0], rows["length"][1] = "never seen", 1e300
    if is_stream(model):
        y = np.random.default_rng(0).choice(getattr(model, "classes_", [0.5, 1e9]), 6)
        model.predict(rows)
        model.partial_fit(rows, y).predict(rows)
        model.score_samples(rows) if hasattr(model, "score_samples") else model.joint_.log_prob(
            rows
        )
        return
    questions = ("log_prob", "score_samples", "predict_proba", "predict", "transform")
    for question in questions:
        if hasattr(model, question):
            getattr(model, question)(rows)
    if hasattr(model, "jitter"):
        model.jitter(rows, 0.5)
        model.sample(3)
    joint = getattr(model, "joint_", model)
    joint.log_prob(rows)
    joint.explain(rows)
    joint.sample(3, random_state=0)
    if hasattr(model, "predict_distribution"):
        model.predict_distribution(rows).interval(0.9)
    if hasattr(model, "partial_fit") and not hasattr(model, "predict"):
        model.partial_fit(rows)
        model.score_samples(rows)


def run_case(raw, path, allocations=True):
    """What became of a file: "refused" or "answers"; anything else is raised."""
    path.write_bytes(raw)
    if allocations:
        tracemalloc.start()
    try:
        model = files.load(path)
    except ValueError:
        return "refused"
    finally:
        if allocations:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            if peak > MOST_TIMES * len(raw) + MOST_SLACK:
                raise MemoryError(f"{peak} bytes for a file of {len(raw)}")
    try:
        with np.errstate(all="ignore"):
            ask(model)
    except ValueError:
        return "answers with ValueError"
    return "answers"


def run(cases, folder, allocations=True):
    """Counts of what became of the cases: what is not in `ENDS` is a fault.

    The number of the case that is running stands in the folder, should it crash.
    """
    sound = [p.read_bytes() for p in sorted((HERE / "saved").glob("*/*.jp"))]
    ended = Counter()
    for case in cases:
        random = np.random.default_rng(case)
        (folder / "case").write_text(str(case))
        raw = mutate(sound[case % len(sound)], random)
        try:
            ended[run_case(raw, folder / "hostile.jp", allocations)] += 1
        except Exception as error:  # noqa: BLE001 (every other one is a fault, and told)
            ended[f"case {case}: {type(error).__name__}: {error}"] += 1
    return ended


def main():
    """Run the cases that are asked for and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--no-allocations", action="store_true", help="do not trace memory")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp())
    cases = range(given.first, given.first + given.cases)
    ended = run(cases, folder, not given.no_allocations)
    for end, times in ended.most_common():
        print(f"{times:6d}  {end}")
    return 0 if set(ended) <= ENDS else 1


if __name__ == "__main__":
    sys.exit(main())
