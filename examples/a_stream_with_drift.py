"""Watch a stream: an alarm when rows stop being what the model expects, and which column moved.

    python examples/a_stream_with_drift.py

A machine reports its load, its temperature and its mode. After 1,500 reports its thermometer is
swapped for another machine's. No column looks other than before: each temperature is a usual one,
only not under this load.
"""

import numpy as np

from jointprob import JEPADensity
from jointprob.adapt.drift import DriftMonitor


def reports(n: int, seed: int) -> dict[str, np.ndarray]:
    """Rows that hang together: the load makes the temperature, the mode makes the load."""
    random = np.random.default_rng(seed)
    mode = random.choice(["idle", "busy"], n, p=[0.3, 0.7])
    load = np.where(mode == "busy", random.normal(70, 12, n), random.normal(15, 5, n))
    return {"mode": mode, "load": load, "temperature": 30 + 0.4 * load + random.normal(0, 1.5, n)}


def rows(table: dict[str, np.ndarray], first: int, last: int) -> dict[str, np.ndarray]:
    return {name: column[first:last] for name, column in table.items()}


history = reports(2000, seed=0)
monitor = DriftMonitor(JEPADensity(random_state=0).fit(history).joint_, false_alarm=0.05)

stream = reports(3000, seed=1)
stream["temperature"][1500:] = reports(1500, seed=2)["temperature"]
for part in (slice(0, 1500), slice(1500, 3000)):
    print(f"mean temperature {stream['temperature'][part].mean():.1f}")

for first in range(0, 3000, 100):
    report = monitor.update(rows(stream, first, first + 100))
    if report.drift:
        began = report.n_rows - report.n_since
        print(f"alarm after row {report.n_rows}: since row {began}", end=", ")
        print(f"{report.nats:.1f} nats a row less likely than before")
        for column, nats in report.columns.items():
            print(f"  {column}: {nats:+.1f} nats")
        break
