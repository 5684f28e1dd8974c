"""What is installed, and where: for bug reports and for embedders."""

import importlib.metadata
import os
import platform
import sys
from pathlib import Path

from jointprob._machine import cpu_level
from jointprob.threads import n_threads

PACKAGES = (
    "jointprob", "numpy", "scipy", "scikit-learn", "narwhals", "joblib",
    "pandas", "polars", "pyarrow", "numba", "onnx", "matplotlib",
)  # fmt: skip


def get_include() -> str:
    """
    Return the folder of the C headers of the installed package.

    Returns
    -------
    folder : str
        Give it to the compiler as ``-I``; holds ``jp.h``, ``philox.h`` and one header a stage;
        ``score.h`` is the one of the C interface.

    Examples
    --------
    >>> import jointprob, os
    >>> os.path.isfile(os.path.join(jointprob.get_include(), "jp.h"))
    True
    """
    installed = Path(__file__).parent / "include"
    return str(installed if installed.is_dir() else Path(__file__).parents[2] / "csrc")


def versions() -> dict[str, str]:
    """
    Return the versions of everything that can change a result.

    Returns
    -------
    versions : dict of str to str
        Python, the machine, its number of CPUs, the threads that ``n_jobs=None`` means, the level
        of x86-64 whose kernels run (``"one build"`` where there is no choice), and every package
        that ``jointprob`` can meet; ``"not installed"`` for those that are absent.

    Examples
    --------
    >>> from jointprob.versions import versions
    >>> sorted(versions())[:3]
    ['cpus', 'joblib', 'jointprob']
    """
    machine = {
        "python": sys.version.split()[0],
        "machine": platform.platform(),
        "cpus": str(os.cpu_count()),
        "threads": str(n_threads()),
        "kernels": _kernels(),
    }
    return machine | {package: _version(package) for package in PACKAGES}


def show_versions() -> None:
    """
    Print the versions that a bug report needs.

    Examples
    --------
    >>> import jointprob
    >>> jointprob.show_versions()
    python        3...
    """
    for name, version in versions().items():
        print(f"{name:<13} {version}")


def _kernels() -> str:
    level = cpu_level()
    return f"x86-64-v{level}" if level else "one build"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
