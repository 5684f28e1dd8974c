"""One model, many questions: probabilities, conditions, expectations, what does not fit.

python examples/questions_to_a_table.py
"""

import pandas as pd
from sklearn.datasets import load_diabetes

from jointprob import JEPADensity


def patients() -> pd.DataFrame:
    """Age, sex, weight for height, blood pressure, and the progress of their disease."""
    data = load_diabetes(as_frame=True, scaled=False).frame
    sex = data["sex"].map({1.0: "one", 2.0: "other"}).astype("category")
    return data[["age", "bmi", "bp", "target"]].assign(sex=sex)


def main() -> None:
    """Fit once, ask often: no question needs another fit."""
    train, test = (part.reset_index(drop=True) for part in (patients()[::2], patients()[1::2]))
    joint = JEPADensity(random_state=0).fit(train).joint_

    print(f"P(age > 60) = {joint.probability({'age': (60, None)}):.2f}")
    heavy = joint.condition({"bmi": (30, None)})
    light = joint.condition({"bmi": (None, 25)})
    for name, group in (("above 30", heavy), ("below 25", light)):
        mean = float(group.mean("target")[0])
        low, high = group.quantile("target", [0.1, 0.9])[0]
        print(f"bmi {name}: progress {mean:.0f} on average, mostly {low:.0f} to {high:.0f}")

    # A row of evidence for every row of a table; what is not known is not given.
    known = test[["age", "sex", "bmi"]]
    foretold = joint.condition(known).mean("target")
    error = (foretold - test["target"]).abs().mean()
    usual = (train["target"].mean() - test["target"]).abs().mean()
    print(f"mean error from three columns {error:.0f}, from none {usual:.0f}")

    # Which cell fits its row least, beyond what is usual in its column?
    excess = joint.explain(test) - joint.explain(train).mean()
    row, column = excess.stack().idxmax()
    print(f"strangest cell: {column} = {test.loc[row, column]} in row {row}")


if __name__ == "__main__":
    main()
