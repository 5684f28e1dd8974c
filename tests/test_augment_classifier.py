"""AugmentedClassifier on scikit-learn's digits."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from jointprob.augment import AugmentedClassifier
from jointprob.augment.images import (
    Affine,
    CenterCrop,
    Compose,
    HorizontalFlip,
    MixUp,
    Rotate,
)

X, y = load_digits(return_X_y=True)
IMAGES = X.reshape(-1, 8, 8)
TRAIN, TEST = slice(0, 100), slice(100, 700)


def shake(seed=0):
    return Compose([Affine(rotate=10, translate=1 / 16, scale=(0.9, 1.1))], seed=seed)


def fitted(estimator, augment="shake", **options):
    augment = shake() if augment == "shake" else augment
    return AugmentedClassifier(estimator, augment, **options).fit(IMAGES[TRAIN], y[TRAIN])


@parametrize_with_checks([AugmentedClassifier(LogisticRegression(), None)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_estimator_learns_from_images_and_copies_of_all_epochs():
    model = fitted(GaussianNB(), copies=3)
    floats, indices = IMAGES[TRAIN].astype(np.float32), np.arange(100)
    epochs = [floats, *(shake()(floats, indices=indices, epoch=k) for k in (1, 2, 3))]
    by_hand = GaussianNB().fit(np.concatenate(epochs).reshape(400, 64), np.tile(y[TRAIN], 4))
    np.testing.assert_array_equal(model.estimator_.theta_, by_hand.theta_)
    np.testing.assert_array_equal(model.predict(IMAGES[TEST]), by_hand.predict(X[TEST]))
    assert len({epoch.tobytes() for epoch in epochs}) == 4


@pytest.mark.parametrize("estimator", [KNeighborsClassifier(3), SVC()])
def test_few_images_teach_more_with_copies(estimator):
    plain, augmented = fitted(estimator, None), fitted(estimator)
    shifted = np.pad(IMAGES[TEST], ((0, 0), (0, 0), (1, 0)))[:, :, :8]
    assert augmented.score(IMAGES[TEST], y[TEST]) > plain.score(IMAGES[TEST], y[TEST])
    assert augmented.score(shifted, y[TEST]) > plain.score(shifted, y[TEST]) + 0.1


def test_no_copies_is_the_estimator_itself():
    floats = X.astype(np.float32)
    by_hand = GaussianNB().fit(floats[TRAIN], y[TRAIN]).predict_proba(floats[TEST])
    for augment, copies in ((shake(), 0), (None, 4)):
        model = AugmentedClassifier(GaussianNB(), augment, copies, shape=(8, 8))
        model.fit(floats[TRAIN], y[TRAIN])
        np.testing.assert_array_equal(model.predict_proba(floats[TEST]), by_hand)


def test_rows_with_a_shape_are_images():
    images = fitted(GaussianNB())
    rows = AugmentedClassifier(GaussianNB(), shake(), shape=(8, 8)).fit(X[TRAIN], y[TRAIN])
    np.testing.assert_array_equal(images.predict_proba(X[TEST]), rows.predict_proba(IMAGES[TEST]))
    assert rows.image_shape_ == images.image_shape_ == (8, 8)
    assert rows.n_features_in_ == 64


def test_channels_and_bytes():
    colours = np.repeat(IMAGES.astype(np.uint8)[..., None], 3, axis=3)
    model = AugmentedClassifier(GaussianNB(), shake(), copies=1).fit(colours[TRAIN], y[TRAIN])
    grey = AugmentedClassifier(GaussianNB(), shake(), copies=1).fit(
        colours[TRAIN, ..., 0], y[TRAIN]
    )
    assert model.image_shape_ == (8, 8, 3)
    np.testing.assert_allclose(model.estimator_.theta_[:, ::3], grey.estimator_.theta_)


def test_no_result_depends_on_threads_or_on_other_rows():
    one, two = (fitted(GaussianNB(), test_copies=2, n_jobs=n) for n in (1, 2))
    together = one.predict_proba(IMAGES[TEST])
    np.testing.assert_array_equal(together, two.predict_proba(IMAGES[TEST]))
    order = np.random.default_rng(0).permutation(600)
    np.testing.assert_array_equal(together[order], one.predict_proba(IMAGES[TEST][order]))
    np.testing.assert_array_equal(together[:1], one.predict_proba(IMAGES[TEST][:1]))


def test_test_copies_average_probabilities():
    model = fitted(GaussianNB(), copies=2, test_copies=2)
    zeros, images = np.zeros(600, np.int64), IMAGES[TEST].astype(np.float32)
    views = [images, *(shake()(images, indices=zeros, epoch=epoch) for epoch in (3, 4))]
    mean = np.mean([model.estimator_.predict_proba(v.reshape(600, -1)) for v in views], axis=0)
    np.testing.assert_allclose(model.predict_proba(images), mean)
    np.testing.assert_array_equal(model.predict(images), model.classes_[mean.argmax(axis=1)])


def test_test_copies_average_decisions_where_there_are_no_probabilities():
    two = y < 2
    model = AugmentedClassifier(SGDClassifier(random_state=0), shake(), test_copies=3)
    model.fit(IMAGES[two][:100], y[two][:100])
    assert not hasattr(model, "predict_proba")
    decisions = model.decision_function(IMAGES[two])
    np.testing.assert_array_equal(model.predict(IMAGES[two]), (decisions > 0).astype(int))


def test_whole_weights_are_repeats():
    weight = np.arange(100) % 3
    model = AugmentedClassifier(GaussianNB(var_smoothing=1e-3), shake(), copies=2)
    weighted = model.fit(IMAGES[TRAIN], y[TRAIN], sample_weight=weight).estimator_
    indices, floats = np.arange(100), IMAGES[TRAIN].astype(np.float32)
    copies = [floats, *(shake()(floats, indices=indices, epoch=k) for k in (1, 2))]
    rows = np.repeat(np.concatenate(copies).reshape(300, -1), np.tile(weight, 3), axis=0)
    labels = np.repeat(np.tile(y[TRAIN], 3), np.tile(weight, 3))
    repeated = GaussianNB(var_smoothing=1e-3).fit(rows, labels)
    np.testing.assert_allclose(weighted.theta_, repeated.theta_, rtol=1e-5)


def test_features_are_what_the_estimator_sees():
    def ink(images):
        return images.sum(axis=2)

    model = fitted(GaussianNB(), features=ink)
    assert model.estimator_.n_features_in_ == 8
    assert model.n_features_in_ == 64
    assert model.predict(IMAGES[TEST]).shape == (600,)


def test_parameters_clones_pickles_and_searches():
    model = AugmentedClassifier(make_pipeline(StandardScaler(), SVC()), shake(), shape=(8, 8))
    search = GridSearchCV(model, {"copies": [0, 1], "estimator__svc__C": [1, 10]}, cv=2)
    search.fit(X[TRAIN], y[TRAIN])
    best = search.best_estimator_
    assert clone(best).get_params()["estimator__svc__C"] == search.best_params_["estimator__svc__C"]
    again = pickle.loads(pickle.dumps(best))
    np.testing.assert_array_equal(again.predict(X[TEST]), best.predict(X[TEST]))


def test_input_is_left_alone():
    images = IMAGES[TRAIN].astype(np.float32)
    before = images.copy()
    AugmentedClassifier(GaussianNB(), shake(), test_copies=1).fit(images, y[TRAIN]).predict(images)
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"copies": -1}, "copies is -1"),
        ({"test_copies": 1.5}, "test_copies is 1.5"),
        ({"augment": Compose([CenterCrop((6, 6))])}, r"shape \(8, 8\).*into \(6, 6\)"),
        ({"augment": Compose([MixUp()])}, "augment holds MixUp"),
    ],
)
def test_bad_options_are_named(options, message):
    model = AugmentedClassifier(**{"estimator": GaussianNB(), "augment": shake(), **options})
    with pytest.raises(ValueError, match=message):
        model.fit(IMAGES[TRAIN], y[TRAIN])
    assert not hasattr(model, "n_features_in_")


def test_bad_shapes_are_named():
    with pytest.raises(ValueError, match="X holds rows; allowed are images"):
        AugmentedClassifier(GaussianNB(), shake()).fit(X[TRAIN], y[TRAIN])
    with pytest.raises(ValueError, match=r"rows of 64 pixels; shape \(8, 9\) has 72"):
        AugmentedClassifier(GaussianNB(), shake(), shape=(8, 9)).fit(X[TRAIN], y[TRAIN])
    model = fitted(GaussianNB())
    with pytest.raises(ValueError, match="expecting 64 features"):
        model.predict(IMAGES[:, :4])
    with pytest.raises(ValueError, match=r"images of shape \(4, 16\); allowed is \(8, 8\)"):
        model.predict(IMAGES.reshape(-1, 4, 16))


def test_augment_is_a_pipeline_not_its_operations():
    with pytest.raises(TypeError, match=r"augment is \[Rotate.*; allowed are a Compose"):
        fitted(GaussianNB(), [Rotate(20)])


def test_images_of_several_shapes_and_single_ones_are_named():
    with pytest.raises(ValueError, match=r"images of shapes \[\(5, 8\), \(8, 8\)\]"):
        AugmentedClassifier(GaussianNB(), shake()).fit([IMAGES[0], IMAGES[1][:5]], y[:2])
    with pytest.raises(ValueError, match=r"X is one image of shape \(8, 8\)"):
        fitted(GaussianNB()).predict(IMAGES[0])


def test_held_out_images_choose_the_augmentation():
    upside_down = Compose([Rotate((170, 190))], seed=0)
    search = GridSearchCV(
        AugmentedClassifier(KNeighborsClassifier(1), None), {"augment": [upside_down, shake()]}
    )
    search.fit(IMAGES[:300], y[:300])
    assert repr(search.best_params_["augment"]) == repr(shake())


def test_weights_that_the_estimator_does_not_take():
    model = AugmentedClassifier(KNeighborsClassifier(), shake())
    with pytest.raises(TypeError, match="KNeighborsClassifier takes none"):
        model.fit(IMAGES[TRAIN], y[TRAIN], sample_weight=np.ones(100))


def test_seeds_make_other_copies():
    models = [fitted(GaussianNB(), Compose([Rotate(20)], seed=seed)) for seed in (0, 1)]
    assert (models[0].estimator_.theta_ != models[1].estimator_.theta_).any()


def test_exact_moves_reach_the_estimator_as_they_are():
    model = fitted(GaussianNB(), Compose([HorizontalFlip(p=1.0)]), copies=1)
    floats = IMAGES[TRAIN].astype(np.float32)
    rows = np.concatenate([floats, floats[:, :, ::-1]]).reshape(200, -1)
    by_hand = GaussianNB().fit(rows, np.tile(y[TRAIN], 2))
    np.testing.assert_array_equal(model.estimator_.theta_, by_hand.theta_)
