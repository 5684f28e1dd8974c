"""Markdown tables, and one section of a results file replaced between its marker comments."""

from __future__ import annotations

import datetime
import platform
import shlex
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import measure

COMMON = ("jointprob", "numpy", "scikit-learn", "pandas")


def table(header: str, rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; the names of its columns are separated by ``|``."""
    names = [name.strip() for name in header.split("|")]
    lines = [names, ["---"] + ["---:"] * (len(names) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def figure(value: float | None) -> str:
    """Three significant digits: seconds, rows per second, ratios."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def megabytes(n_bytes: float | None) -> str:
    return "-" if n_bytes is None else f"{n_bytes / 1e6:,.0f}"


def verdict(met: bool | None) -> str:
    return {True: "met", False: "**not met**", None: "-"}[met]


def machine(packages: Sequence[str]) -> str:
    """The machine's description, the versions of common and other `packages`, the command."""
    return (
        f"{datetime.date.today()}, {_cpu()}, {measure.n_cores()} cores, {_memory_gb():.0f} GB, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, "
        + ", ".join(f"{name} {_version(name)}" for name in (*COMMON, *packages))
        + f".\n\n    python {shlex.join(sys.argv)}\n"
    )


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory_gb() -> float:
    return int(Path("/proc/meminfo").read_text().split()[1]) / 2**20


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def replace_section(path: Path, name: str, text: str) -> None:
    """Put `text` between the markers of section `name`; append the section if there is none."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    page = path.read_text() if path.exists() else "# Results\n"
    before, _, rest = page.partition(begin)
    after = rest.partition(end)[2]
    section = f"{begin}\n{text.strip()}\n{end}"
    kept = [part.strip() for part in (before, section, after) if part.strip()]
    path.write_text("\n\n".join(kept) + "\n")
