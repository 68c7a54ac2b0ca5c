"""What an optimum hangs on: directions, how far each reaches, and the price of noise."""

import jax
import numpy as np
import pytest
from matplotlib.axes import Axes

from fisherjax import connectivity as cn
from fisherjax import optimize, plot
from fisherjax.fisher._structured import as_structure_question, structure_prices
from fisherjax.meanfield._drive import Entering

FAMILY, BUDGET = cn.ToeplitzFamily(2), (optimize.Budget(1.0),)
OBJECTIVE = optimize.LogFisher(4, stimulus=0.1, noise_std=0.1)


@pytest.fixture(scope="module")
def optimum():
    return optimize.maximize(
        FAMILY, OBJECTIVE, key=jax.random.key(0), constraints=BUDGET, population_size=8, num_generations=25,
        num_restarts=1, refine_steps=40,
    )  # fmt: skip


def test_a_tenth_is_lost_where_it_is_said(optimum, tmp_path):
    found = optimum.sensitivity(FAMILY, OBJECTIVE, constraints=BUDGET)
    # three gains on a budget move in two directions, of unit length and at right angles in the norm of the budget
    assert found.directions.shape == (2, 2, 2)
    gram = np.einsum("mpq,npq->mn", found.directions, found.directions) / 4
    np.testing.assert_allclose(gram, np.eye(2), atol=1e-6)
    assert found.curvature[0] >= found.curvature[1] > 0
    for direction, curvature, reach, distances, values in zip(
        found.directions, found.curvature, found.reach, found.distances, found.value, strict=True
    ):
        middle = len(distances) // 2
        assert values[middle] == pytest.approx(float(optimum.value), abs=1e-9)
        assert np.argmax(values) == middle
        sides = [np.abs(optimum.gain_matrix.gains + step * direction) for step in (-1e-2, 1e-2)]
        around = [float(OBJECTIVE(optimize.Budget(1.0).rescale(cn.GainMatrix(side)))) for side in sides]
        assert (sum(around) - 2 * float(optimum.value)) / 1e-4 == pytest.approx(-curvature, rel=0.05)
        for side in np.flatnonzero(np.isfinite(reach)):
            at = np.interp(
                reach[side], *(part[middle:] if side else part[middle::-1] for part in (np.abs(distances), values))
            )
            assert at - values[middle] == pytest.approx(np.log(0.9), abs=1e-9)
    assert found.price is None
    found.save(tmp_path / "sensitivity.npz")
    assert type(found).load(tmp_path / "sensitivity.npz").loss == 0.1
    assert all(isinstance(ax, Axes) for ax in plot.sensitivity(found))


def test_what_cannot_be_asked(optimum):
    with pytest.raises(ValueError, match="loss must be a share below 1, got 2"):
        optimum.sensitivity(FAMILY, OBJECTIVE, constraints=BUDGET, loss=2.0)
    with pytest.raises(ValueError, match="family must be the one that was searched"):
        optimum.sensitivity(cn.ToeplitzFamily(3), OBJECTIVE, constraints=BUDGET)


def test_the_price_of_noise_in_a_linear_network():
    """One population, two steps: τ = g²/e with e² = σ² e + g² σ⁴."""
    gain, noise = 1.3, 0.4
    asked = as_structure_question(
        cn.homogeneous(gain), 0.1, noise, 2, "linear", "identity", Entering(), 0.0, None, None
    )
    unexplained = noise**2 * (1 + np.sqrt(1 + 4 * gain**2)) / 2
    np.testing.assert_allclose(structure_prices(*asked), [[gain**2 / unexplained]], rtol=1e-12)
