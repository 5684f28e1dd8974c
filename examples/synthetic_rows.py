"""Rows for a colleague who may not see yours: same columns and dtypes, same dependences.

    python examples/synthetic_rows.py [folder]

Drawn rows are no copies, but a model of few rows remembers much of them, and single values that
many rows share are drawn as they are: this alone makes no data anonymous.
"""

import sys
import tempfile
from pathlib import Path

import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jointprob import JEPADensity

COLUMNS = ["mean radius", "mean texture", "mean smoothness", "worst concavity", "worst area"]


def tumours() -> pd.DataFrame:
    """Five measurements and the diagnosis."""
    data = load_breast_cancer(as_frame=True)
    names = pd.Categorical.from_codes(data.target, list(data.target_names))
    return data.data[COLUMNS].assign(diagnosis=names)


def accuracy(train: pd.DataFrame, test: pd.DataFrame) -> float:
    """What a model that was fitted to one table is worth on another."""
    scaled = make_column_transformer((StandardScaler(), COLUMNS))
    model = make_pipeline(scaled, LogisticRegression()).fit(train, train["diagnosis"])
    return model.score(test, test["diagnosis"])


def main(folder: Path) -> None:
    """Draw as many rows as there are, write them, and see how far they carry."""
    rows = tumours().sample(frac=1, random_state=0, ignore_index=True)
    mine, test = rows[:400], rows[400:]
    model = JEPADensity(random_state=0).fit(mine)
    theirs = model.sample(len(mine), random_state=1)
    theirs.to_csv(folder / "synthetic.csv", index=False)
    copies = theirs.merge(mine).shape[0]
    away = (theirs[COLUMNS].corr() - mine[COLUMNS].corr()).abs().to_numpy().max()
    print(f"{len(theirs)} rows in synthetic.csv, {copies} of them copies")
    print(f"largest difference of two correlations: {away:.2f}")
    print(f"accuracy on other rows: {accuracy(theirs, test):.3f} after synthetic rows,")
    print(f"                        {accuracy(mine, test):.3f} after real ones")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(Path(scratch))
