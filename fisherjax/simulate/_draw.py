"""One random network without input, for simulations in continuous time."""

from typing import Any

import jax
import numpy as np
from jax.typing import DTypeLike

from fisherjax._errors import check_instance
from fisherjax._types import Scalar
from fisherjax.connectivity import GainMatrix, sample_weights
from fisherjax.networks import RateNetwork


def check_network(network: Any) -> RateNetwork:
    """Return what is a `RateNetwork`; TypeError otherwise, with how to make one."""
    return check_instance(
        "network", network, RateNetwork, "make one with networks.RateNetwork(weights, input_vector, noise_std=…)"
    )


def drawn_network(
    gain_matrix: GainMatrix,
    num_units: int,
    *,
    noise_std: Scalar,
    nonlinearity: object,
    key: jax.Array,
    dtype: DTypeLike,
    input_vector: object = None,
) -> RateNetwork:
    """A network drawn from a structure, with noise σ; its input vector is zero by default."""
    return RateNetwork(
        sample_weights(gain_matrix, num_units, key=key, dtype=dtype),
        np.zeros(num_units) if input_vector is None else input_vector,
        noise_std=noise_std,
        nonlinearity=nonlinearity,
    )
