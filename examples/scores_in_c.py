"""A model inside a C program: fitted here, written as C, compiled, and asked without Python.

python examples/scores_in_c.py
"""

import subprocess
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_wine

from jointprob import JEPADensity

PROGRAM = r"""
#include "wine.h"
#include <stdio.h>
#include <stdlib.h>

/* Rows of numbers on standard input, log densities on standard output. */
int main(void)
{
    double row[WINE_COLUMNS], log_prob;
    void *work = malloc((size_t)wine_work_size());
    for (int n = 0; scanf("%lf", row + n) == 1;) {
        if (++n < WINE_COLUMNS) continue;
        n = 0;
        if (wine_rows(row, 0, 1, work, &log_prob)) return 1;
        printf("%.9f\n", log_prob);
    }
    free(work);
    return 0;
}
"""


def main() -> None:
    """Wines with gaps, and one that is no wine."""
    X = load_wine().data
    joint = JEPADensity(random_state=0).fit(X).joint_
    rows = X[::9].copy()
    rows[1::2, 3] = np.nan
    rows[-1, :5] = X[:, :5].max(axis=0)[::-1]
    with tempfile.TemporaryDirectory() as folder:
        _, source = joint.export_c(folder, "wine")
        program = Path(folder) / "wine"
        program.with_name("main.c").write_text(PROGRAM)
        sources = [source, source.with_name("main.c")]
        subprocess.run(["cc", "-O1", *sources, "-o", program, "-lm"], check=True)
        text = "\n".join(" ".join(map(str, row)) for row in rows)
        said = subprocess.run([program], input=text, capture_output=True, text=True, check=True)
    in_c, in_python = np.array(said.stdout.split(), float), joint.compile()(rows)
    print(f"{len(in_c)} rows, largest difference {np.abs(in_c / in_python - 1).max():.0e}")
    print(f"strangest: row {in_c.argmin()}")


if __name__ == "__main__":
    main()
