"""Runs methods on sets, each in a fresh process, and remembers what failed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measure
import numpy as np
import results
from measure import Result

Sections = dict[str, Callable[["Comparison"], str]]


def command_line(description: str, sections: Sections) -> argparse.ArgumentParser:
    """The options that every comparison has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, required=True, help="folder of the stored sets")
    parser.add_argument("--only", choices=sections, action="append", help="sections to run")
    parser.add_argument("--sets", type=lambda names: names.split(","), help="a,b: sets to run")
    parser.add_argument("--jobs", type=int, default=measure.n_cores(), help="our threads")
    whose = parser.add_mutually_exclusive_group()
    whose.add_argument("--no-peers", action="store_true", help="run only our own models")
    whose.add_argument("--no-ours", action="store_true", help="run only the other methods")
    parser.add_argument(
        "--limit", type=float, default=3600.0, help="seconds after which a method counts as failed"
    )
    parser.add_argument("--peers-cache", type=Path, help="JSON file: keep peers' results in it")
    parser.add_argument("--out", type=Path, help="results file whose section is replaced")
    return parser


class Comparison:
    """What the command line asked for, peers' kept results, and notes of failures.

    `worker` is the script that loads a set and runs one method on it, when called as
    ``worker.py worker TASK``.
    """

    def __init__(self, options: argparse.Namespace, worker: Path) -> None:
        self.options, self.worker, self.notes = options, worker, []
        cached = options.peers_cache
        self.cache: dict[str, Result] = (
            json.loads(cached.read_text()) if cached and cached.exists() else {}
        )

    def report(self, name: str, heading: str, sections: Sections) -> None:
        """Print every section as soon as it is there, and keep the results file up to date."""
        parts = [heading]
        print(heading)
        for section in self.options.only or sections:
            parts.append(sections[section](self) + self.take_notes())
            print(parts[-1], flush=True)
            if self.options.out:
                results.replace_section(self.options.out, name, "\n".join(parts))

    def ours(self, method: str, kind: str, name: str, module: str = "ours", **more: Any) -> Result:
        if self.options.no_ours:
            return {}
        options = {"n_jobs": self.options.jobs, **more}
        result = self._run(f"{module}.{method}", kind, name, options, self.options.limit)
        return self._noted(name, f"{module}.{method}", result)

    def peer(self, method: str, kind: str, name: str, limit: float = np.inf, **more: Any) -> Result:
        if self.options.no_peers:
            return {}
        key = json.dumps([method, kind, name, more])
        if key not in self.cache:
            limit = min(limit, self.options.limit)
            self.cache[key] = self._run(method, kind, name, more, limit)
            if self.options.peers_cache:
                self.options.peers_cache.write_text(json.dumps(self.cache, indent=1))
        return self._noted(name, method, self.cache[key])

    def together(self, method: str, kind: str, name: str, **more: Any) -> Result:
        """All methods in one process, ours and the others as the options have it."""
        if "n_jobs" not in more:
            more["with_ours"] = not self.options.no_ours
            more["with_peers"] = not self.options.no_peers
        return self._noted(name, method, self._run(method, kind, name, more, self.options.limit))

    def _run(self, method: str, kind: str, name: str, more: dict, limit: float) -> Result:
        print(f"{kind} {name}: {method} {more}", file=sys.stderr, flush=True)
        task = {"method": method, "kind": kind, "name": name, "options": more}
        task["data"] = str(self.options.data)
        return measure.in_fresh_process(self.worker, task, limit)

    def _noted(self, name: str, method: str, result: Result) -> Result:
        """Failures, kept ones too, are named below the table."""
        failures = [result["error"]] if "error" in result else result.get("failed", [])
        self.notes += [f"{name}, {method}: {why}" for why in failures]
        return result

    def named(self, names: tuple[str, ...]) -> list[str]:
        return [name for name in names if not self.options.sets or name in self.options.sets]

    def take_notes(self) -> str:
        notes, self.notes = self.notes, []
        return "".join(f"\n- {note}" for note in notes) + "\n"
