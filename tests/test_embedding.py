"""Other compiled code scores rows: C and Cython on the package's interface, C without Python."""

import importlib.util
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from joints import fit_joint, mixed_joint, mixed_table

import jointprob

PYTHON_INCLUDE = sysconfig.get_path("include")
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic"]
TABLE = mixed_table(200, seed=2, missing=0.25)

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
needs_python_headers = pytest.mark.skipif(
    not Path(PYTHON_INCLUDE, "Python.h").exists(), reason="needs the headers of Python"
)

C_MODULE = r"""
#include <Python.h>
#include "score.h"

/* score(scorer, rows, out): buffers of doubles. */
static PyObject *score(PyObject *self, PyObject *args)
{
    PyObject *scorer, *capsule;
    Py_buffer rows, out;
    (void)self;
    if (!PyArg_ParseTuple(args, "Oy*w*", &scorer, &rows, &out)) return NULL;
    const jp_score_api *api = PyCapsule_Import(JP_SCORE_CAPSULE, 0);
    if (!api || api->version < JP_SCORE_VERSION) return NULL;
    if (!(capsule = PyObject_GetAttrString(scorer, "capsule"))) return NULL;
    const jp_scorer *model = PyCapsule_GetPointer(capsule, JP_SCORER_CAPSULE);
    if (!model) return NULL;
    void *work = PyMem_RawMalloc((size_t)api->work_size(model));
    int64_t n = rows.len / 8 / model->n_columns;
    int status = api->rows(model, rows.buf, 0, n, work, out.buf);
    PyMem_RawFree(work);
    PyBuffer_Release(&rows);
    PyBuffer_Release(&out);
    Py_DECREF(capsule);
    return PyLong_FromLong(status);
}

static PyMethodDef methods[] = {{"score", score, METH_VARARGS, ""}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "through_c", .m_methods = methods
};
PyMODINIT_FUNC PyInit_through_c(void) { return PyModule_Create(&module); }
"""

CYTHON_MODULE = """
# cython: language_level=3
cimport jointprob
from libc.stdlib cimport free, malloc

def score(scorer, const double[::1] rows, double[::1] out):
    cdef const jointprob.jp_score_api *api = jointprob.score_api()
    cdef const jointprob.jp_scorer *model = jointprob.scorer_of(scorer)
    cdef void *work = malloc(api.work_size(model))
    with nogil:
        status = api.rows(model, &rows[0], 0, rows.shape[0] // model.n_columns, work, &out[0])
    free(work)
    return status
"""

C_PROGRAM = r"""
#include "first.h"
#include "second.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST = 1000 };
static double rows[MOST * FIRST_COLUMNS], out[MOST * (FIRST_OUTPUTS + SECOND_OUTPUTS)];

int main(void)
{
    int64_t n = (int64_t)fread(rows, sizeof(double), MOST * FIRST_COLUMNS, stdin) / FIRST_COLUMNS;
    void *work = malloc((size_t)first_work_size()), *other = malloc((size_t)second_work_size());
    if (first_rows(rows, 0, n, work, out)) return 1;
    for (int64_t i = 0; i < n; i++) /* one at a time */
        if (second_rows(rows, i, i + 1, other, out + n * FIRST_OUTPUTS)) return 2;
    fwrite(out, sizeof(double), (size_t)(n * (FIRST_OUTPUTS + SECOND_OUTPUTS)), stdout);
    rows[0] = INFINITY;
    return first_rows(rows, 0, 1, work, out) == -2 ? 0 : 3;
}
"""


def compile_c(*arguments):
    result = subprocess.run(["cc", *map(str, arguments)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def imported(path):
    spec = importlib.util.spec_from_file_location(path.name.partition(".")[0], path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check_module(path):
    """A module whose score(scorer, rows, out) goes through the capsule."""
    scorer = mixed_joint().compile(["log_prob", ("levels", "color")])
    rows = scorer.to_rows(TABLE)
    want, got = scorer(rows), np.empty((len(rows), scorer.width))
    score = imported(path).score
    assert score(scorer, rows.ravel(), got.ravel()) == 0
    np.testing.assert_array_equal(got, want)
    rows[3, 0] = np.inf
    assert score(scorer, rows.ravel(), got.ravel()) == -2
    capsule = mixed_joint().compile().capsule  # keeps a scorer alive that has no other name
    assert "jp_scorer" in repr(capsule)


@needs_compiler
@needs_python_headers
def test_c_through_the_capsule(tmp_path):
    source, library = tmp_path / "through_c.c", tmp_path / f"through_c{SUFFIX}"
    source.write_text(C_MODULE)
    includes = ["-I", jointprob.get_include(), "-I", PYTHON_INCLUDE]
    compile_c("-std=gnu11", "-shared", "-fPIC", *includes, source, "-o", library)
    check_module(library)


@needs_compiler
@needs_python_headers
def test_cython_by_cimport(tmp_path):
    pytest.importorskip("Cython")
    source, library = tmp_path / "through_cython.pyx", tmp_path / f"through_cython{SUFFIX}"
    source.write_text(CYTHON_MODULE)
    found = Path(jointprob.__file__).parent.parent  # an editable install is not on the path
    command = [sys.executable, "-m", "cython", "-I", str(found), str(source)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    includes = ["-I", jointprob.get_include(), "-I", PYTHON_INCLUDE]
    compile_c("-shared", "-fPIC", *includes, source.with_suffix(".c"), "-o", library)
    check_module(library)


@needs_compiler
def test_c_without_python(tmp_path):
    """Two models in one program, warnings are errors; missing cells and unseen levels included."""
    first, second = mixed_joint(), fit_joint(mixed_table(400, seed=4), seeds=(5,))
    outputs = ["log_prob", ("levels", "flag"), "subsets"]
    first.export_c(tmp_path, "first", outputs)
    second.export_c(tmp_path, "second")
    program = tmp_path / "program"
    program.with_suffix(".c").write_text(C_PROGRAM)
    sources = [tmp_path / f"{name}.c" for name in ("program", "first", "second")]
    # Kernels of one kind: those by processor would hide a name that both sources give away.
    compile_c(*STRICT, "-DJP_NO_CLONES", *sources, "-o", program, "-lm")

    rows = first.compile().to_rows(TABLE)
    rows[::7, 1] = -2
    run = subprocess.run([program], input=rows.tobytes(), capture_output=True, check=True)
    got = np.frombuffer(run.stdout)
    want = first.compile(outputs)(rows)
    np.testing.assert_allclose(got[: want.size].reshape(want.shape), want, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(got[want.size :], second.compile()(rows), rtol=1e-6, atol=1e-6)


@needs_compiler
@pytest.mark.parametrize("flag", ["-ffast-math", "-ffinite-math-only"])
def test_arithmetic_without_nan_is_refused(tmp_path, flag):
    """It would compile, and answer NaN to missing cells."""
    _, source = mixed_joint().export_c(tmp_path)
    command = ["cc", "-fsyntax-only", flag, str(source)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode and "compile without -ffast-math" in result.stderr


@pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")
@needs_compiler
def test_headers_are_those_of_c_to_cplusplus(tmp_path):
    """Names are looked up as C has them: an exported model links to a C++ program."""
    mixed_joint().export_c(tmp_path, "model")
    includes = ["-I", str(tmp_path), "-I", jointprob.get_include()]
    program = tmp_path / "program.cpp"
    program.write_text(
        '#include "score.h"\n#include "model.h"\n'
        "int main() { return model_work_size() > 0 && jp_scorer().n_columns == 0 ? 0 : 1; }\n"
    )
    compile_c("-c", *includes, tmp_path / "model.c", "-o", tmp_path / "model.o")
    command = ["c++", "-Wall", "-Werror", "-pedantic", *includes, str(program)]
    command += [str(tmp_path / "model.o"), "-lm", "-o", str(tmp_path / "program")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    subprocess.run([tmp_path / "program"], check=True)


def test_the_header_says_what_a_row_is(tmp_path):
    header, source = mixed_joint().export_c(tmp_path / "new", "model_1")
    text = header.read_text()
    assert (header.name, source.name) == ("model_1.h", "model_1.c")
    assert '1 "color": category: 0 = "blue", 1 = "green"' in text
    assert "MODEL_1_COLUMNS = 5, MODEL_1_OUTPUTS = 1" in text


def test_names_cannot_end_a_comment(tmp_path):
    table = {"*/ int x; /*": np.array(["*/", "é\n", "??/"] * 20, object), "n": np.arange(60.0)}
    header, _ = fit_joint(table, seeds=(0,)).export_c(tmp_path)
    text = header.read_text(encoding="ascii")
    assert text.count("*/") == text.count("/*") == 3
    assert "\\n" in text


@pytest.mark.parametrize("name", ["", "1st", "a-b", "a b", "ß"])
def test_names_that_c_does_not_know_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match="allowed are C identifiers"):
        mixed_joint().export_c(tmp_path, name)
    assert not list(tmp_path.iterdir())
