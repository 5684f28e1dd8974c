"""A nightly job: yesterday's model in a file, today's rows in, the strange ones out with reasons.

python examples/outliers_in_a_batch_job.py
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_wine

from jointprob import JEPAOutlierDetector

N_REASONS = 3


def learn(history: pd.DataFrame, model: Path) -> None:
    """Once, or every month: what do normal rows look like?"""
    JEPAOutlierDetector(random_state=0).fit(history).save(model)


def check(batch: pd.DataFrame, model: Path) -> pd.DataFrame:
    """Every night: the outliers of a batch, strangest first, and the cells that make them so."""
    detector = JEPAOutlierDetector.load(model)
    strange = batch.assign(score=detector.decision_function(batch))
    strange = strange[strange["score"] < 0].sort_values("score")
    if strange.empty:
        return strange.assign(reasons="")
    surprise = detector.explain(strange[batch.columns])
    strange["reasons"] = [
        ", ".join(f"{name} (+{nats:.0f})" for name, nats in row.nlargest(N_REASONS).items())
        for _, row in surprise.iterrows()
    ]
    return strange


def main() -> None:
    """Wines stand in for the business; two of today's rows are broken on purpose."""
    wines = load_wine(as_frame=True).data.sample(frac=1, random_state=0, ignore_index=True)
    history, today = wines[:130], wines[130:].copy()
    today.loc[131, "alcohol"] = 1.42  # a decimal point out of place
    today.loc[140, ["hue", "proline"]] = today.loc[140, ["proline", "hue"]].to_numpy()  # swapped
    today.loc[150, "ash"] = np.nan  # a gap is no reason for an alarm
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "wines.jp"
        learn(history, model)
        strange = check(today, model)
    print(f"{len(strange)} of {len(today)} rows are strange")
    for row, reasons in strange["reasons"].items():
        print(f"row {row}: {reasons}")


if __name__ == "__main__":
    main()
