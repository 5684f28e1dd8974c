"""Write the saved files of a release: python tests/saved/make.py. Never over those of another."""

import sys
from pathlib import Path

import numpy as np

import jointprob

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from models import answers, fitted  # noqa: E402 (beside this file)


def main():
    """Files in a folder that has the release's name, and what the models answer."""
    folder = HERE / jointprob.__version__
    folder.mkdir(exist_ok=True)
    said = {}
    for name, model in fitted():
        model.save(folder / f"{name}.jp")
        said |= {f"{name}/{question}": answer for question, answer in answers(model).items()}
    texts = {key: a.astype(str) if a.dtype == object else a for key, a in said.items()}
    np.savez_compressed(folder / "answers.npz", **texts)


if __name__ == "__main__":
    main()
