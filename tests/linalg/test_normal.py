"""Normal numbers: the generator against published words and JAX's own, the distribution against its law."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from fisherjax._linalg import standard_normal, threefry_words
from fisherjax._linalg._normal import normal_quantile

COUNT = 1 << 20


KINDS = ("threefry2x32", "rbg", "unsafe_rbg")


def draw(key):
    return standard_normal(key, (256, 512), jnp.float64)


def folded(key):
    """All at once, which rbg takes from the first of the keys."""
    return jax.vmap(draw)(jax.vmap(lambda step: jax.random.fold_in(key, step))(jnp.arange(4)))


def split(key):
    return jnp.stack([draw(one) for one in jax.random.split(key, 4)])


def folded_in_a_loop(key):
    return jax.lax.map(lambda step: draw(jax.random.fold_in(key, step)), jnp.arange(4))


def words_at(key_words, row, column):
    key = jax.random.wrap_key_data(jnp.asarray(np.array(key_words, np.uint32)), impl="threefry2x32")
    first, second = threefry_words(key, (row + 1, column + 1))
    return int(first[row, column]), int(second[row, column])


def test_published_words():
    """Known answer of Random123 for counter 0 and key 0."""
    assert words_at([0, 0], 0, 0) == (0x6B200159, 0x99BA4EFE)


@pytest.mark.parametrize("key_words", [[0, 0], [0x13198A2E, 0x03707344], [0xFFFFFFFF, 0xFFFFFFFF]])
def test_words_are_those_of_jax(key_words):
    from jax.extend.random import threefry_2x32

    rows, columns = np.indices((5, 7), np.uint32)
    counters = jnp.concatenate([jnp.asarray(rows.ravel()), jnp.asarray(columns.ravel())])
    keys = jnp.asarray(np.array(key_words, np.uint32))
    expected = np.asarray(threefry_2x32(keys, counters)).reshape(2, 5, 7)
    key = jax.random.wrap_key_data(keys, impl="threefry2x32")
    np.testing.assert_array_equal(np.stack(threefry_words(key, (5, 7))), expected)
    leading = np.stack(threefry_words(key, (5, 1, 7)))
    np.testing.assert_array_equal(leading[:, :, 0], expected)


def test_split_is_the_same_block(key):
    """JAX's own split uses both words at the counters (0, i)."""
    first, second = threefry_words(key, (9,))
    split = np.asarray(jax.random.key_data(jax.random.split(key, 9)))
    np.testing.assert_array_equal(np.stack([first, second], axis=1), split)


def test_quantile_of_every_kind_of_integer():
    """Against SciPy in double precision, from the middle to both ends, where 1 − u has one bit left."""
    ends = np.concatenate([np.arange(2000), 2 ** np.arange(11, 31)])
    size = np.concatenate([ends, 2**31 - 1 - ends, np.arange(0, 2**31, 99_991)])
    number = np.concatenate([size, -1 - size]).astype(np.int32)
    rest = (2.0**31 - 1 - np.concatenate([size, size]) + 0.5) * 2.0**-31  # 1 − |u|
    expected = np.where(number < 0, 1, -1) * scipy.stats.norm.ppf(rest / 2)
    found = np.asarray(normal_quantile(jnp.asarray(number)), np.float64)
    np.testing.assert_allclose(found, expected, rtol=6e-7)
    assert abs(found).max() == pytest.approx(6.337957, rel=1e-6)


@pytest.mark.parametrize("impl", KINDS)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_distribution(impl, dtype):
    key = jax.random.key(20260101, impl=impl)
    values = np.asarray(standard_normal(key, (1024, COUNT // 1024), dtype), np.float64).ravel()
    assert np.isfinite(values).all()
    # Kolmogorov and Smirnov: √n D exceeds 1.95 with probability 0.001
    assert np.sqrt(COUNT) * scipy.stats.kstest(values, "norm").statistic < 1.95
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10395 - 225)):
        assert abs(np.mean(values**power) - moment) < 4 * np.sqrt(variance / COUNT)
    for level in (2.0, 3.0, 4.0):
        tail = scipy.stats.norm.sf(level)
        for side in (values > level, values < -level):
            assert abs(np.mean(side) - tail) < 4 * np.sqrt(tail / COUNT)


@pytest.mark.parametrize("keys", [folded, split, folded_in_a_loop])
@pytest.mark.parametrize("impl", KINDS)
def test_nothing_is_correlated(impl, keys):
    """Within a row, between the two words of a block, between rows, and between the keys of two steps."""
    values = np.asarray(keys(jax.random.key(20260101, impl=impl)))
    pairs = {
        "words": (values[..., :256], values[..., 256:]),
        "units": (values[..., :-1], values[..., 1:]),
        "rows": (values[:, :-1], values[:, 1:]),
        "steps": (values[:-1], values[1:]),
    }
    for name, (a, b) in pairs.items():
        for x, y in ((a, b), (a**2 - 1, b**2 - 1), (np.abs(a), b)):
            product = (x - x.mean()) * (y - y.mean())
            assert abs(product.mean()) < 4 * product.std() / np.sqrt(product.size), name


def test_the_words_of_a_block_are_independent(key):
    """Counts of pairs of words in 32 × 32 cells of equal probability."""
    values = scipy.stats.norm.cdf(np.asarray(standard_normal(key, (1024, 1024), jnp.float64)))
    cells = np.histogram2d(values[:, :512].ravel(), values[:, 512:].ravel(), bins=32, range=[[0, 1], [0, 1]])[0]
    statistic = float(np.sum((cells - cells.mean()) ** 2) / cells.mean())
    assert abs(statistic - 1023) < 4 * np.sqrt(2 * 1023)


def test_rows_do_not_depend_on_their_number(key):
    few, many = standard_normal(key, (5, 11)), standard_normal(key, (64, 11))
    np.testing.assert_array_equal(few, many[:5])
    some = standard_normal(key, (2, 3, 11), rows=jnp.asarray(np.array([[7, 0, 33], [1, 2, 63]], np.uint32)))
    np.testing.assert_array_equal(some.reshape(6, 11), many[np.array([7, 0, 33, 1, 2, 63])])


@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 0), (2, 3, 5)])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32, jnp.float64])
def test_shapes(key, shape, dtype):
    values = standard_normal(key, shape, dtype)
    assert values.shape == shape
    assert values.dtype == dtype


def test_other_generators(key):
    """Bits are those of the key's own generator, and of the first row where rows are told."""
    other = jax.random.key(3, impl="rbg")
    bits = jax.lax.bitcast_convert_type(jax.random.bits(other, (4, 5), jnp.uint32), jnp.int32)
    np.testing.assert_array_equal(standard_normal(other, (4, 5)), normal_quantile(bits))
    first, second = (standard_normal(other, (4, 5), rows=jnp.arange(4, dtype=jnp.uint32) + n) for n in (0, 4))
    assert not np.isin(first, second).any()
    traced = jax.jit(lambda k: standard_normal(k, (4, 5)))(key)
    np.testing.assert_allclose(traced, standard_normal(key, (4, 5)), rtol=1e-6)
