"""What augmentation is worth to a classifier of few images: accuracy without and with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from jointprob import JEPAClassifier
from jointprob.augment import AugmentedClassifier
from jointprob.augment.images import Affine, Compose, GaussianNoise
from jointprob.augment.images.operation import Operation

N_SEEDS = 5
N_TRAIN = (100, 300, 1000)
N_TEST = 2000
N_FOLDS = 3  # of the choice
N_COMPONENTS = 30  # of PCA, for our classifier: hundreds of pixels are too many columns for trees
SIGMA = 50.0  # grey levels of the noise: on noisy test images, and on half of the copies
SHIFTS = {8: 1, 28: 2}  # side -> pixels of the shifted test images, at most, either way


def digits(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """8x8 digits that scikit-learn ships, 0 to 16, spread over the bytes."""
    rows, labels = load_digits(return_X_y=True)
    return np.rint(rows * 255 / 16).astype(np.uint8).reshape(-1, 8, 8), labels


def stored(name: str) -> Callable[[Path], tuple[np.ndarray, np.ndarray]]:
    def read(folder: Path) -> tuple[np.ndarray, np.ndarray]:
        with np.load(folder / "images" / f"{name}.npz") as arrays:
            return arrays["images"], arrays["labels"]

    return read


SETS = {
    "digits": digits,
    "mnist_test": stored("mnist_test"),
    "fashion_mnist_test": stored("fashion_mnist_test"),
}
NOISE = GaussianNoise((0, SIGMA))  # these were tried on a few seeds of these very sets
WEAK = [Affine(rotate=5, translate=0.75 / 28, scale=(0.95, 1.05)), NOISE]
STRONG = [Affine(rotate=10, translate=1.5 / 28, scale=(0.9, 1.1)), NOISE]


class Model(NamedTuple):
    """A classifier, and between what held-out training images choose."""

    make: Callable[[int], Any]
    copies: int
    recipes: list[list[Operation]]
    grid: dict[str, list[Any]]
    n_choice: int  # training images that choose, at most


MODELS = {
    "neighbours": Model(lambda n_jobs: KNeighborsClassifier(3), 10, [WEAK, STRONG], {}, 1000),
    "svm": Model(lambda n_jobs: SVC(), 4, [WEAK, STRONG], {"estimator__C": [1.0, 10.0]}, 300),
    "jepa": Model(
        lambda n_jobs: make_pipeline(
            PCA(N_COMPONENTS, random_state=0), JEPAClassifier(random_state=0, n_jobs=n_jobs)
        ),
        4, [STRONG], {}, 0,
    ),
}  # fmt: skip


def unit_rows(images: np.ndarray) -> np.ndarray:
    """Pixels in [0, 1]."""
    return images.reshape(len(images), -1) / np.float32(255)


def lift(name: str, model: str, folder: Path, n_jobs: int, seeds: int = N_SEEDS) -> dict[str, Any]:
    """Accuracy by number of training images and seed: without and with copies, on three tests."""
    images, labels = SETS[name](folder)
    return {
        str(n_train): [
            {
                copies: _accuracies(name, model, images, labels, n_train, seed, copies, n_jobs)
                for copies in ("without", "with")
            }
            for seed in range(seeds)
        ]
        for n_train in N_TRAIN
    }


def _accuracies(
    name: str, model: str, images: np.ndarray, labels: np.ndarray, n_train: int, seed: int,
    copies: str, n_jobs: int,
) -> dict[str, float]:  # fmt: skip
    order = np.random.default_rng(seed).permutation(len(images))
    train, test = order[:n_train], order[n_train:][:N_TEST]
    classifier = chosen(MODELS[model], images[train], labels[train], seed, copies, n_jobs)
    tests = {
        "clean": images[test],
        "noisy": noisy(images[test], seed),
        "shifted": shifted(images[test], seed),
    }
    return {what: float(classifier.score(asked, labels[test])) for what, asked in tests.items()}


def chosen(
    model: Model, images: np.ndarray, labels: np.ndarray, seed: int, copies: str, n_jobs: int
) -> Any:
    """The classifier, with what held-out images chose: the copies are of the others alone."""
    recipes = [Compose(one, seed=seed) for one in model.recipes] if copies == "with" else [None]
    classifier = AugmentedClassifier(
        model.make(n_jobs), recipes[0], model.copies, features=unit_rows, n_jobs=n_jobs
    )
    grid = {"augment": recipes, **model.grid}
    if max(map(len, grid.values())) == 1:
        return classifier.fit(images, labels)
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
    search = GridSearchCV(classifier, grid, cv=folds, refit=False)
    search.fit(images[: model.n_choice], labels[: model.n_choice])
    return classifier.set_params(**search.best_params_).fit(images, labels)


def noisy(images: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng([seed, 1]).normal(0, SIGMA, images.shape)
    return np.rint(images + noise).clip(0, 255).astype(np.uint8)


def shifted(images: np.ndarray, seed: int) -> np.ndarray:
    """Each by its own whole number of pixels along both sides, black beyond the edge."""
    most, side = SHIFTS[images.shape[1]], images.shape[1]
    framed = np.pad(images, ((0, 0), (most, most), (most, most)))
    corners = np.random.default_rng([seed, 2]).integers(0, 2 * most + 1, (len(images), 2))
    return np.stack(
        [
            image[top : top + side, left : left + side]
            for image, (top, left) in zip(framed, corners.tolist(), strict=True)
        ]
    )
