"""Encode: the marginal transforms are densities, invertible, and know what a repeated row is."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import encode as reference
from scipy.integrate import quad
from scipy.special import ndtr

from jointprob import polya
from jointprob.encode import fit_encodings
from jointprob.knots import N_PIECES, broad, fit_marginal, folds
from jointprob.marginal import Marginal, log_normal, standardising


def make_table(*columns):
    """A table of numeric (float) and categorical (integer) columns."""
    kinds = ["categorical" if np.asarray(c).dtype.kind == "i" else "numeric" for c in columns]
    levels = [tuple(range(int(np.max(c)) + 1)) if k == "categorical" else ()
              for k, c in zip(kinds, columns, strict=True)]  # fmt: skip
    parts = [SimpleNamespace(kind=k, levels=v) for k, v in zip(kinds, levels, strict=True)]
    types = [np.int32 if kind == "categorical" else np.float64 for kind in kinds]
    arrays = [np.asarray(c, dtype=t) for c, t in zip(columns, types, strict=True)]
    schema = SimpleNamespace(columns=tuple(parts))
    return SimpleNamespace(schema=schema, n_rows=len(arrays[0]), columns=arrays)


def fit(x):
    values, counts = np.unique(x, return_counts=True)
    return fit_marginal(values, counts.astype(float))


def columns_of_every_shape():
    rng = np.random.default_rng(5)
    spiky = np.where(rng.random(3000) < 0.5, rng.normal(size=3000), 0.3 + 1e-3 * rng.random(3000))
    return {
        "normal": rng.normal(size=2000),
        "small": rng.normal(size=30),
        "two": np.array([1.0, 4.0]),
        "cauchy": rng.standard_cauchy(3000),
        "lognormal": np.exp(3 * rng.normal(size=3000)),
        "uniform": rng.random(3000),
        "two modes": np.concatenate([rng.normal(-40, 1, 1000), rng.normal(40, 0.1, 1000)]),
        "spiky": spiky,
        "grid": rng.integers(17, 91, 3000).astype(float),
        "capped": np.minimum(rng.gamma(2.0, size=3000), 5 - 1e-3 * rng.random(3000)),
        "near repeats": 1e6 + np.round(rng.normal(size=2000), 1) + 1e-7 * rng.random(2000),
        "huge": 1e300 * rng.uniform(-1, 1, 500),
        "tiny": 1e-300 * rng.uniform(-1, 1, 500),
        "all magnitudes": 10.0 ** np.arange(-300, 300, 2),
    }


SHAPES = columns_of_every_shape()
USUAL = [name for name in SHAPES if name not in ("huge", "tiny", "all magnitudes")]


@pytest.mark.parametrize("name", SHAPES)
def test_kernel_agrees_with_reference(name):
    x = SHAPES[name]
    marginal = fit(x)
    asked = np.concatenate([x[:300], marginal.x, [0.0, 1e300, -1e300, np.inf, -np.inf, np.nan]])
    z, log_slope = marginal.forward(asked)
    expected = np.array([reference.forward(marginal, value) for value in asked])
    np.testing.assert_allclose(z, expected[:, 0], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(log_slope, expected[:, 1], rtol=1e-5, atol=1e-5)


def test_inverse_agrees_with_reference():
    marginal = fit(SHAPES["lognormal"])
    z = np.linspace(-6, 6, 41)
    expected = [reference.inverse(marginal, score) for score in z]
    np.testing.assert_allclose(marginal.inverse(z), expected, rtol=1e-7)


@pytest.mark.parametrize("name", SHAPES)
def test_inverse_undoes_forward(name):
    x = np.unique(SHAPES[name])
    z, log_slope = fit(x).forward(x)
    assert np.isfinite(z.astype(np.float32)).all() and np.isfinite(log_slope).all()
    precision = np.maximum(1e-6 * np.abs(x), 1e-12 * np.exp(-log_slope))
    assert (np.abs(fit(x).inverse(z) - x) <= precision).all()


@pytest.mark.parametrize("name", SHAPES)
def test_transform_increases(name):
    marginal = fit(SHAPES[name])
    assert (np.diff(marginal.x) > 0).all() and (np.diff(marginal.z) > 0).all()
    x = np.concatenate([SHAPES[name], marginal.x, 0.5 * (marginal.x[1:] + marginal.x[:-1])])
    z = marginal.forward(np.unique(x))[0]
    assert (np.diff(z) >= -1e-12).all()


@pytest.mark.parametrize("name", USUAL)
def test_density_integrates_to_one(name):
    """Over x between the knots by quadrature in every piece, and the tails as masses of z."""
    marginal = fit(SHAPES[name])
    nodes, weights = np.polynomial.legendre.leggauss(20)
    low, width = marginal.x[:-1, None], np.diff(marginal.x)[:, None]
    x = (low + 0.5 * width * (nodes + 1)).ravel()
    density = np.exp(marginal.log_density(x)).reshape(-1, 20)
    inside = (density * weights * 0.5 * width).sum()
    assert inside == pytest.approx(ndtr(marginal.z[-1]) - ndtr(marginal.z[0]), abs=1e-4)


@pytest.mark.parametrize("scale", [0.25, 1.0, 64.0])
def test_tails_integrate_to_their_mass(scale):
    marginal = Marginal(
        np.array([-1.0, 1.0]), np.array([-1.5, 1.0]), np.array([0.7, 2.0]), np.full(2, scale)
    )
    # in s = log(excess) the heaviest tail is short
    for end, side in ((-1.0, -1.0), (1.0, 1.0)):
        mass = quad(
            lambda s, end=end, side=side: float(
                np.exp(marginal.log_density([end + side * np.exp(s)])[0] + s)
            ),
            -40, 60, limit=400,
        )[0]  # fmt: skip
        assert mass == pytest.approx(ndtr(-1.5) if side < 0 else ndtr(-1.0), abs=1e-6)


def test_log_jacobian_is_the_derivative():
    marginal = fit(SHAPES["capped"])
    x, h = np.quantile(SHAPES["capped"], np.linspace(0.05, 0.9, 30)), 1e-7
    slope = (marginal.forward(x + h)[0] - marginal.forward(x - h)[0]) / (2 * h)
    np.testing.assert_allclose(np.exp(marginal.forward(x)[1]), slope, rtol=1e-3)


def test_samples_follow_the_column():
    x = SHAPES["two modes"]
    drawn = fit(x).inverse(np.random.default_rng(0).normal(size=20_000))
    assert np.mean(drawn < 0) == pytest.approx(0.5, abs=0.02)
    quartiles = np.quantile(drawn[drawn > 35], [0.25, 0.75])
    np.testing.assert_allclose(quartiles, [39.9326, 40.0674], atol=0.01)
    assert np.mean(np.abs(drawn) < 35) < 0.01  # the gap stays nearly empty


@pytest.mark.parametrize("name", USUAL[4:])
def test_beats_gaussian_on_held_out_rows(name):
    x = np.random.default_rng(0).permutation(SHAPES[name])
    train, test = x[: len(x) // 2], x[len(x) // 2 :]
    gaussian = log_normal((test - train.mean()) / train.std()) - np.log(train.std())
    assert fit(train).log_density(test).mean() > gaussian.mean()


def test_grid_does_not_spike():
    x = SHAPES["grid"]
    density = np.exp(fit(x).log_density(np.linspace(20, 85, 2000)))
    assert density.max() < 3 / 74 and density.min() > 1 / (3 * 74)


def test_few_rows_stay_smooth():
    x = np.random.default_rng(1).normal(size=300)
    loss = np.mean(log_normal(x)) - np.mean(fit(x).log_density(x))
    assert abs(loss) < 0.1


def test_few_rows_expect_outliers():
    """30 rows without an outlier must not make one impossible."""
    marginal = fit(SHAPES["small"])
    assert marginal.log_density([50.0, -50.0]).min() > -60


# ---- weights


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(1, 6)), min_size=2, max_size=60))
def test_weights_are_repeats(pairs):
    values = np.array([v / 7 for v, _ in pairs])
    weight = np.array([w for _, w in pairs])
    weighted = fit_encodings(make_table(values), weight)
    repeated = fit_encodings(make_table(np.repeat(values, weight)))
    for a, b in zip(weighted, repeated, strict=True):
        np.testing.assert_array_equal(a.atoms[0], b.atoms[0])
        np.testing.assert_array_equal(a.marginals[0].pieces, b.marginals[0].pieces)
        np.testing.assert_array_equal(a.marginals[0].tails, b.marginals[0].tails)


def test_weights_are_repeats_in_large_columns():
    rng = np.random.default_rng(2)
    values, weight = rng.gamma(0.7, size=2000), rng.integers(0, 5, 2000)
    weighted = fit_encodings(make_table(values), weight)[0].marginals[0]
    repeated = fit_encodings(make_table(np.repeat(values, weight)))[0].marginals[0]
    np.testing.assert_array_equal(weighted.pieces, repeated.pieces)


def test_normalised_weights_count_as_rows():
    x = np.random.default_rng(3).normal(size=500)
    plain = fit_encodings(make_table(x))[0].marginals[0]
    normalised = fit_encodings(make_table(x), np.full(500, 1 / 500))[0].marginals[0]
    np.testing.assert_allclose(plain.pieces, normalised.pieces, rtol=1e-9, atol=1e-12)


def test_folds_share_out_every_row():
    weight = np.array([0.25, 3.0, 2.5, 0.1, 7.0])
    parts = list(folds(weight))
    assert all((train >= 0).all() and (test >= 0).all() for train, test in parts)
    np.testing.assert_allclose(sum(test for _, test in parts), weight)


def test_row_order_and_missing_cells_do_not_matter():
    x = SHAPES["lognormal"]
    shuffled = np.concatenate([np.random.default_rng(0).permutation(x), [np.nan] * 7])
    a = fit_encodings(make_table(x))[0].marginals[0]
    b = fit_encodings(make_table(shuffled))[0].marginals[0]
    np.testing.assert_array_equal(a.pieces, b.pieces)


# ---- atoms


def test_common_value_is_an_atom():
    x = np.concatenate([np.zeros(60), np.random.default_rng(0).gamma(2, size=100), [np.nan]])
    table = make_table(x)
    for encoding in fit_encodings(table):
        encoded = encoding.encode(table)
        assert encoding.atoms[0].tolist() == [0.0]
        assert encoding.n_levels == (2,)
        assert encoded.codes[:, 0].tolist() == [1] * 60 + [0] * 100 + [-1]
        assert np.isnan(encoded.z[:60]).all() and np.isfinite(encoded.z[60:160]).all()
        assert (encoded.log_jacobian[:60] == 0).all() and encoded.log_jacobian[-1] == 0


def test_few_distinct_values_are_all_atoms():
    x = np.tile([1.0, 2.0, 5.0], 40)
    scores, _ = fit_encodings(make_table(x))
    assert scores.atoms[0].tolist() == [1.0, 2.0, 5.0] and scores.n_levels == (4,)
    other = scores.encode(make_table(np.array([3.0, 2.0])))
    assert other.codes[:, 0].tolist() == [0, 2]
    assert np.isfinite(other.z[0, 0]) and np.isfinite(other.log_jacobian[0])


@pytest.mark.parametrize("value", [0.0, -3.0, 1e300, 1e-300])
@pytest.mark.parametrize("n_rows", [1, 2, 100])
def test_constant_column_is_one_atom(value, n_rows):
    table = make_table(np.full(n_rows, value))
    scores, raw = fit_encodings(table)
    assert scores.atoms[0].tolist() == [value] == raw.atoms[0].tolist()
    z, log_slope = scores.marginals[0].forward([value, 7.0, -1e300, 1e300])
    assert np.isfinite(z).all() and np.isfinite(log_slope).all()
    np.testing.assert_array_equal(scores.decode(*_parts(scores.encode(table)))[0], table.columns[0])


def test_column_without_values_is_well_defined():
    table = make_table(np.full(5, np.nan), np.arange(5.0))
    scores, _ = fit_encodings(table)
    encoded = scores.encode(table)
    assert np.isnan(encoded.z[:, 0]).all() and np.isfinite(encoded.z[:, 1]).all()
    assert scores.n_levels == ()


def test_few_rows_have_no_atoms():
    scores, _ = fit_encodings(make_table(np.array([1.0, 2.0, 3.0, 3.0])))
    assert scores.atoms[0].size == 0


# ---- encoding


def _parts(encoded):
    return encoded.codes, encoded.z


def mixed_table(n_rows=700):
    rng = np.random.default_rng(9)
    capped = np.minimum(rng.gamma(2, size=n_rows), 3.0)
    holes = np.where(rng.random(n_rows) < 0.2, np.nan, rng.standard_cauchy(n_rows))
    return make_table(capped, rng.integers(-2, 4, n_rows), holes, rng.integers(0, 2, n_rows))


def test_encode_agrees_with_reference():
    table = mixed_table()
    for encoding in fit_encodings(table):
        encoded = encoding.encode(table)
        codes, z, log_jacobian = reference.encode(encoding, table.columns)
        np.testing.assert_array_equal(encoded.codes, codes)
        np.testing.assert_allclose(encoded.z, z, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(encoded.log_jacobian, log_jacobian, rtol=1e-5, atol=1e-5)
        assert encoded.z.dtype == np.float32 and encoded.codes.dtype == np.int32


def test_layout_of_mixed_table():
    scores, _ = fit_encodings(mixed_table())
    assert (scores.categorical, scores.numeric) == ((1, 3), (0, 2))
    assert scores.companions == (0,) and scores.companion_of == (2, None)
    assert scores.n_levels == (4, 2, 2) and scores.columns == (1, 3, 0)


def test_decode_undoes_encode():
    table = mixed_table()
    for encoding in fit_encodings(table):
        for column, decoded in zip(
            table.columns, encoding.decode(*_parts(encoding.encode(table))), strict=True
        ):
            np.testing.assert_allclose(decoded, column, rtol=1e-4, atol=1e-5)


def test_threads_do_not_change_bits():
    table = mixed_table(50_000)
    one, two = fit_encodings(table, n_jobs=1)[0], fit_encodings(table, n_jobs=2)[0]
    a, b = one.encode(table, n_jobs=1), two.encode(table, n_jobs=2)
    for name in ("codes", "z", "log_jacobian"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_input_is_not_modified():
    table = mixed_table()
    before = [column.copy() for column in table.columns]
    fit_encodings(table)[0].encode(table)
    for column, kept in zip(table.columns, before, strict=True):
        np.testing.assert_array_equal(column, kept)


def test_interval_gives_z_range_and_atoms():
    scores, _ = fit_encodings(mixed_table())
    low, high, codes = scores.interval(0, 1.0, 3.0)
    assert (low, high) == tuple(scores.marginals[0].forward([1.0, 3.0])[0])
    assert codes.tolist() == [1]
    low, high, codes = scores.interval(0, None, 2.0)
    assert low == -np.inf and np.isfinite(high) and codes.tolist() == []
    with pytest.raises(ValueError, match="low must be at most high"):
        scores.interval(0, 2.0, 1.0)
    with pytest.raises(ValueError, match="NaN"):
        scores.interval(0, np.nan, 1.0)


def test_empty_query_and_pickle():
    table = mixed_table()
    scores = pickle.loads(pickle.dumps(fit_encodings(table)[0]))
    empty = make_table(*[column[:0] for column in table.columns[::2]])
    empty.columns = [column[:0] for column in table.columns]
    encoded = scores.encode(empty)
    assert encoded.codes.shape == (0, 3) and encoded.z.shape == (0, 2)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.floats(-1e300, 1e300, allow_subnormal=False), st.just(np.nan), st.integers(-3, 3)
        ),
        min_size=1,
        max_size=80,
    )
)
def test_any_column_encodes_finitely(values):
    table = make_table(np.array(values, dtype=float))
    for encoding in fit_encodings(table):
        encoded = encoding.encode(table)
        observed = ~np.isnan(table.columns[0])
        atom = encoded.codes[:, 0] > 0 if encoding.n_levels else np.zeros(len(values), bool)
        np.testing.assert_array_equal(np.isfinite(encoded.z[:, 0]), observed & ~atom)
        assert np.isfinite(encoded.log_jacobian).all()
        decoded = encoding.decode(*_parts(encoded))[0]
        np.testing.assert_array_equal(np.isnan(decoded), ~observed)


# ---- parts of the fit


def test_raw_is_standardised():
    x = SHAPES["lognormal"]
    z, log_slope = fit_encodings(make_table(x))[1].marginals[0].forward(x)
    standard = (x - x.mean()) / x.std()
    near = np.abs(standard) < 60
    np.testing.assert_allclose(z[near], standard[near], atol=1e-9)
    np.testing.assert_allclose(log_slope[near], -np.log(x.std()), atol=1e-9)


def test_standardising_and_broad_are_centred():
    assert standardising(3.0, 2.0).forward([3.0])[0][0] == pytest.approx(0.0, abs=1e-12)
    assert broad(-1e300, 1e300).forward([0.0])[0][0] == pytest.approx(0.0, abs=1e-12)


def test_polya_tree_agrees_with_reference():
    rng = np.random.default_rng(4)
    values = np.sort(np.concatenate([rng.random(150), 0.7 + 0.01 * rng.random(150)]))
    cumulative = np.arange(1.0, 301.0)
    uniform = fit(rng.normal(size=2000))  # any base: the tree works on its levels
    levels = polya.grow(uniform, values, cumulative)
    start, density = polya.posterior_mean(levels)
    steps = np.concatenate([values[:1], 0.5 * values[1:] + 0.5 * values[:-1], values[-1:]])

    def n_rows_of(low, high):
        ends = uniform.inverse(_quantiles([low, high]))
        rows = np.interp(ends, steps, np.append(0.0, cumulative))
        return float(rows[1] - rows[0])

    points = np.array([0.05, 0.52, 0.6, 0.755, 0.7584, 0.9])
    expected = reference.polya_density(
        points, n_rows_of, len(levels), polya.MIN_ROWS, polya.SPLIT_PRIOR, polya.PSEUDO_ROWS
    )
    ours = density[np.searchsorted(start, points, side="right") - 1]
    np.testing.assert_allclose(ours, expected, rtol=1e-6)
    assert np.sum(density * np.diff(start, append=1.0)) == pytest.approx(1.0)


def _quantiles(levels):
    from scipy.special import ndtri

    return np.clip(ndtri(levels), -1e3, 1e3)


def test_polya_tree_finds_the_spike():
    x = SHAPES["spiky"]
    values, cumulative = np.unique(x), np.arange(1.0, len(x) + 1)
    marginal = fit_marginal(values, np.ones(len(values)))
    inside, outside = np.exp(marginal.log_density([0.3005, 0.31]))
    assert inside == pytest.approx(500, rel=0.2) and 0.1 < outside < 0.4  # truth: 500 and 0.19
    assert polya.sharpen(marginal, values, cumulative).x.size >= N_PIECES[0]


def test_a_last_weight_that_vanishes_in_the_sum():
    values, weight = np.arange(101.0), np.append(np.ones(100), 1e-18)
    marginal = fit_marginal(values, weight)
    assert np.isfinite(marginal.z).all()
    assert np.isfinite(marginal.log_density(values)).all()
