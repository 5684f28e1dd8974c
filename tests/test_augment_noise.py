"""Noise: its law, its keys, its saturation.

Seeds are fixed. With another seed a right sampler would fail a test with the probability that the
test states."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import augment_values as reference
from scipy import stats

from jointprob.augment.images import Brightness, Compose, GaussianNoise, ShotNoise

LEAST = 1e-5  # probability of a false alarm of one chi-square test


def goodness(observed, law):
    """P value of counts under a law; rare cells are pooled until 10 are expected."""
    expected = law * observed.sum()
    order = np.argsort(expected)
    group, groups, mass = 0, [], 0.0
    for cell in order:
        groups.append(group)
        mass += expected[cell]
        group, mass = (group + 1, 0.0) if mass >= 10 else (group, mass)
    pooled = [np.bincount(groups, weights=v[order]) for v in (observed, expected)]
    return stats.chisquare(pooled[0], pooled[1] * observed.sum() / pooled[1].sum()).pvalue


def grey(level, n, dtype=np.uint8, side=256):
    return np.full((n, side, side), level, dtype=dtype)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 10.0, 25.0])
def test_the_law_on_uint8(sigma):
    """262,144 draws against the exact law (false alarms: 1e-5 each)."""
    got = Compose([GaussianNoise(sigma)], seed=11)(grey(128, 4)).astype(int) - 128
    values = np.arange(-128, 128)
    law = reference.rounded_normal(sigma, values)
    law[0] += stats.norm.cdf(-128.5 / sigma)
    law[-1] += stats.norm.sf(127.5 / sigma)
    assert goodness(np.bincount((got + 128).ravel(), minlength=256), law) > LEAST


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_sigma_ten_measures_ten(dtype):
    """786,432 draws: five standard errors of the deviation are 0.04 (5e-7), 0.5 % allowed."""
    x = grey(128, 12, dtype)
    added = Compose([GaussianNoise(10)], seed=1)(x).astype(float) - 128
    rounding = 0 if dtype == np.float32 else 1 / 12
    assert abs(np.sqrt(added.var() - rounding) - 10) < 0.05
    assert abs(added.mean()) < 0.06
    assert abs(stats.kurtosis(added.ravel())) < 0.03
    assert abs(stats.skew(added.ravel())) < 0.015


@pytest.mark.parametrize(("level", "end"), [(5, 0), (250, 255)])
def test_the_mass_at_the_ends(level, end):
    """What would leave the range lies at its end: 262,144 draws, five standard errors (6e-7)."""
    got = Compose([GaussianNoise(10)], seed=2)(grey(level, 4))
    p = stats.norm.cdf(-(abs(level - end) - 0.5) / 10)
    assert abs((got == end).mean() - p) < 5 * np.sqrt(p / got.size)


@pytest.mark.parametrize("sigma", [50.0, 1000.0, 1e6])
def test_large_sigmas_saturate_by_halves(sigma):
    got = Compose([GaussianNoise(sigma)], seed=2)(grey(128, 4))
    for end, reach in (0, 127.5), (255, 126.5):
        p = stats.norm.sf(reach / sigma)
        assert abs((got == end).mean() - p) < 5 * np.sqrt(p / got.size)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([np.uint8, np.uint16, np.float32]),
    st.sampled_from([GaussianNoise((0, 20)), ShotNoise((50, 5000))]),
    st.integers(1, 30), st.integers(1, 70), st.integers(1, 16), st.integers(1, 2),
)  # fmt: skip
def test_noise_belongs_to_the_image_and_the_pixel(dtype, noise, h, w, c, step):
    """Not to the batch, the strides, the layout or what runs beside it."""
    white = reference.WHITE[np.dtype(dtype).name]
    x = np.random.default_rng(h * w).uniform(0.1, 0.9, (3, h, w * step, c)) * white
    x = x.astype(dtype)[:, :, ::step]
    augment = Compose([noise], seed=4)
    whole = augment(x, indices=[7, 8, 9], epoch=3)
    for i, index in enumerate((7, 8, 9)):
        alone = augment(np.ascontiguousarray(x[i : i + 1]), indices=[index], epoch=3)
        np.testing.assert_array_equal(alone[0], whole[i])
    planar = Compose([noise], seed=4, layout="NCHW")(x.transpose(0, 3, 1, 2), indices=[7, 8, 9],
                                                     epoch=3)  # fmt: skip
    np.testing.assert_array_equal(planar.transpose(0, 2, 3, 1), whole)


def test_fused_noise_is_noise_after_what_comes_before():
    x = np.random.default_rng(0).integers(0, 256, (3, 61, 47, 3), dtype=np.uint8)
    fused = Compose([Brightness(40), GaussianNoise((2, 9)), Brightness(10)], seed=8)
    first = Compose([Brightness(40)], seed=8)(x)
    idle = Brightness(0, p=0)
    second = Compose([idle, GaussianNoise((2, 9))], seed=8)(first)
    third = Compose([idle, idle, Brightness(10)], seed=8)(second)
    np.testing.assert_array_equal(fused(x), third)


def test_seed_epoch_index_and_place_give_other_noise():
    """Pairs of independent images: correlations of 65,536 values, five standard errors (6e-7)."""
    x = grey(128, 1, np.float32)
    idle = Brightness(0, p=0)
    noises = [
        Compose([GaussianNoise(1)], seed=0)(x),
        Compose([GaussianNoise(1)], seed=1)(x),
        Compose([GaussianNoise(1)], seed=0)(x, epoch=1),
        Compose([GaussianNoise(1)], seed=0)(x, indices=[1]),
        Compose([idle, GaussianNoise(1)], seed=0)(x),
    ]
    flat = np.stack([noise.ravel() - 128 for noise in noises])
    off = np.corrcoef(flat) - np.eye(len(flat))
    assert np.abs(off).max() < 5 / np.sqrt(flat.shape[1])


def test_neighbouring_values_are_independent():
    """Autocorrelation at small lags and at those of groups of random words (6e-7 each)."""
    for dtype in np.uint8, np.float32:
        v = Compose([GaussianNoise(10)], seed=0)(grey(128, 1, dtype, 512)).astype(float).ravel()
        v -= v.mean()
        for lag in 1, 2, 3, 4, 8, 16, 32, 64, 512, 1024:
            r = (v[lag:] * v[:-lag]).mean() / v.var()
            assert abs(r) < 5 / np.sqrt(v.size)


@pytest.mark.parametrize("level", [1, 20, 128, 255])
@pytest.mark.parametrize("photons", [20.0, 255.0, 5000.0])
def test_the_law_of_shot_noise_on_uint8(level, photons):
    got = Compose([ShotNoise(photons)], seed=3)(grey(level, 1))
    law = reference.shot_law(level, photons / 255)
    assert got.min() >= np.flatnonzero(law > 0)[0]
    assert goodness(np.bincount(got.ravel(), minlength=256), law) > LEAST


@pytest.mark.parametrize("mean", [0.2, 3.0, 9.9, 10.1, 60.0, 1e6])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_the_law_of_shot_noise_elsewhere(mean, dtype):
    """Counts of 65,536 pixels against the Poisson law."""
    level, white = (20000, 65535) if dtype == np.uint16 else (0.25, 1.0)
    each = mean / level  # photons a unit
    if dtype == np.uint16 and mean == 1e6:
        pytest.skip("the levels of uint16 are coarser than its counts")
    got = Compose([ShotNoise(each * white)], seed=3)(grey(level, 1, dtype))
    counts = np.rint(got.astype(float) * each).astype(int)
    width = int(8 * np.sqrt(mean) + 20)
    values = np.arange(max(0, int(mean) - width), int(mean) + width)
    keep = (counts >= values[0]) & (counts <= values[-1])
    law = stats.poisson.pmf(values, mean)
    saturates = dtype == np.uint16
    if saturates:  # everything above white lies there
        top = round(white * each)
        law = np.append(law[values < top], stats.poisson.sf(top - 1, mean))
        values = np.append(values[values < top], top)
        counts, keep = np.minimum(counts, top), keep | True
    observed = np.bincount(counts[keep] - values[0], minlength=len(values))[: len(values)]
    assert goodness(observed.astype(float), law / law.sum()) > LEAST


def test_shot_noise_leaves_what_is_not_above_zero():
    x = np.array([[[0.0, -3.0, np.nan, np.inf, 0.5, 1e30]]], dtype=np.float32)
    got = Compose([ShotNoise(100)])(x)
    np.testing.assert_array_equal(got[0, 0, [0, 1, 2, 3, 5]], x[0, 0, [0, 1, 2, 3, 5]])
    assert not Compose([ShotNoise(100)])(np.zeros((1, 3, 3), np.uint8)).any()


def test_no_noise():
    x = np.random.default_rng(0).integers(0, 256, (2, 9, 9), dtype=np.uint8)
    for dtype in np.uint8, np.uint16, np.float32:
        v = x.astype(dtype)
        np.testing.assert_array_equal(Compose([GaussianNoise(0)])(v), v)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianNoise(-1), "sigma"),
        (lambda: GaussianNoise((5, 1)), "greater"),
        (lambda: GaussianNoise(float("nan")), "sigma"),
        (lambda: GaussianNoise(p=-0.1), "p is"),
        (lambda: ShotNoise(0), "photons"),
        (lambda: ShotNoise((10, 1)), "greater"),
        (lambda: ShotNoise(float("inf")), "photons"),
    ],
)
def test_bad_parameters(make, message):
    with pytest.raises(ValueError, match=message):
        make()
