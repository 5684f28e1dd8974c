"""Runs methods on sets, each in a fresh process, and remembers what failed."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import measure
import numpy as np
from measure import Result

WORKER = Path(__file__).with_name("density.py")


class Comparison:
    """What the command line asked for, peers' kept results, and notes of failures."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.notes = options, []
        cached = options.peers_cache
        self.cache: dict[str, Result] = (
            json.loads(cached.read_text()) if cached and cached.exists() else {}
        )

    def ours(self, method: str, kind: str, name: str, **more: Any) -> Result:
        options = {"n_jobs": self.options.jobs, **more}
        result = self._run(f"ours.{method}", kind, name, options, self.options.limit)
        return self._noted(name, f"ours.{method}", result)

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

    def _run(self, method: str, kind: str, name: str, more: dict, limit: float) -> Result:
        print(f"{kind} {name}: {method} {more}", file=sys.stderr, flush=True)
        task = {"method": method, "kind": kind, "name": name, "options": more}
        task["data"] = str(self.options.data)
        return measure.in_fresh_process(WORKER, task, limit)

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
