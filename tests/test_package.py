"""What the installed package is made of, and what importing it costs."""

import importlib
import importlib.metadata
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import jointprob
from jointprob import estimators
from jointprob.__main__ import main
from jointprob.score.export import STAGES
from jointprob.versions import PACKAGES, versions

HEAVY = ["dask", "distributed", "matplotlib", "numba", "onnx", "pandas", "polars", "pyarrow"]
PACKAGE = Path(jointprob.__file__).parent
from_source_tree = not (PACKAGE / "include").is_dir()


def python(code):
    """Standard output of a fresh interpreter that runs ``code``."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def heavy_after(code):
    """Which of the heavy packages a fresh interpreter holds after ``code``."""
    modules = json.loads(python(f"{code}; import json, sys; print(json.dumps([*sys.modules]))"))
    return set(modules) & set(HEAVY)


def import_seconds(*imports):
    """Seconds that each import takes after the ones before it, in one fresh interpreter."""
    clock = "from time import perf_counter as t; at = [t()]"
    steps = "; ".join(f"{code}; at.append(t())" for code in imports)
    return json.loads(python(f"{clock}; {steps}; print([b - a for a, b in zip(at, at[1:])])"))


def test_import_loads_nothing_heavy():
    assert heavy_after("import jointprob") == set()


def test_public_names_load_no_more_than_scikit_learn_does():
    # scikit-learn itself imports pandas and pyarrow where they are installed.
    ours = heavy_after("from jointprob import *")
    assert ours - heavy_after("import sklearn.base") == set()


def test_import_time_is_small_beside_scikit_learns():
    """About a twentieth; the bound is wide, for a busy machine must not fail a test."""
    sklearn, package, every_name = import_seconds(
        "import sklearn.utils.validation", "import jointprob", "from jointprob import *"
    )
    assert package + every_name < 0.4 * sklearn


def test_one_estimator_does_not_load_the_others():
    loaded = python(
        "from jointprob import JEPADensity; import sys; "
        "print([name for name in sys.modules if 'jointprob' in name])"
    )
    assert "jointprob.estimators.density" in loaded
    for other in ["classifier", "imputer", "outliers", "regressor"]:
        assert f"jointprob.estimators.{other}" not in loaded
    assert "jointprob.forest" not in loaded


@pytest.mark.parametrize("name", estimators.__all__)
def test_estimators_are_the_packages_own(name):
    assert getattr(estimators, name) is getattr(jointprob, name)
    assert name in dir(estimators)


@pytest.mark.parametrize("name", jointprob.__all__)
def test_public_names_exist(name):
    assert getattr(jointprob, name) is not None
    assert name in dir(jointprob)


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'JEPADensty'"):
        _ = jointprob.JEPADensty


@pytest.mark.skipif(from_source_tree, reason="needs the installed package")
def test_version_is_the_distributions():
    assert jointprob.__version__ == importlib.metadata.version("jointprob")


@pytest.mark.skipif(from_source_tree, reason="needs the installed package")
def test_package_holds_types_and_headers_but_no_sources():
    assert (PACKAGE / "py.typed").is_file()
    assert {path.stem for path in PACKAGE.glob("_*.pyi")} == set(glue_modules())
    assert {"jp.h", "philox.h"} <= {path.name for path in Path(jointprob.get_include()).iterdir()}
    sources = {path.name for end in ("pyx", "c") for path in PACKAGE.rglob(f"*.{end}")}
    assert sources == {f"{stage}.c" for stage in STAGES}  # what Joint.export_c writes out


@pytest.mark.parametrize("glue", sorted(path.stem for path in PACKAGE.glob("_*.pyi")))
def test_every_stage_is_compiled(glue):
    assert importlib.import_module(f"jointprob.{glue}").__file__.endswith(".so")


def glue_modules():
    """Names of the compiled modules in the package."""
    return [path.name.partition(".")[0] for path in PACKAGE.glob("_*.so")]


@pytest.mark.skipif(from_source_tree, reason="needs the installed package")
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_headers_compile_alone(tmp_path):
    program = tmp_path / "header.c"
    for header in sorted(Path(jointprob.get_include()).glob("*.h")):
        program.write_text(f'#include "{header.name}"\nint main(void) {{ return 0; }}\n')
        command = ["cc", "-std=gnu11", "-fopenmp-simd", "-Wall", "-Werror", "-fsyntax-only"]
        subprocess.run([*command, "-I", jointprob.get_include(), program], check=True)


def test_versions_name_every_package():
    assert set(PACKAGES) < set(versions())
    assert versions()["numpy"] != "not installed"
    assert int(versions()["threads"]) >= 1
    assert versions()["kernels"] in ("one build", "x86-64-v1", "x86-64-v3", "x86-64-v4")


def test_command_line_without_a_command_shows_the_usage(capsys):
    assert main([]) == 2
    assert "demo" in capsys.readouterr().out


def test_command_line_without_its_extra():
    """The demonstration and the versions need none; other commands say what to install."""
    begin = "import sys; sys.modules['typer'] = None; from jointprob.__main__ import main; "
    assert "scikit-learn" in python(f"{begin} sys.exit(main(['versions']))")
    command = [sys.executable, "-c", f"{begin} sys.exit(main(['info', 'x.jp']))"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "pip install 'jointprob[cli]'" in done.stderr
    assert "demo" in python(f"{begin} assert main([]) == 2")


def test_command_line_versions(capsys):
    assert main(["versions"]) == 0
    assert "scikit-learn" in capsys.readouterr().out


def test_command_line_refuses_an_unknown_command(capsys):
    assert main(["dance"]) == 2
    assert "No such command 'dance'" in capsys.readouterr().err
