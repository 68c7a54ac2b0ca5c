"""Recurrent networks of given weights: what networks from elsewhere are put together with."""

from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from fisherjax._types import Scalar

from ._recurrent import RecurrentNetwork
from ._weights import FreeWeights, in_precision

N = TypeVar("N", bound=RecurrentNetwork)


class Parts(NamedTuple):
    """The parameters of one recurrent network, gates below one another, (to, from)."""

    recurrent: Array
    input: Array
    recurrent_bias: Array | None = None
    candidate_bias: Array | None = None
    output: Array | None = None
    output_bias: Array | None = None


def assembled(
    kind: type[N],
    parts: Parts,
    *,
    noise_std: Scalar = 0.0,
    observation_noise_std: Scalar = 0.0,
    num_outputs: int | None = None,
    **settings: Any,
) -> N:
    """A network of one of our kinds with these parameters, in their float type; they may be traced.

    Those that it has are trainable. Without a read-out its output is h itself, read by an identity that is not trained;
    or nothing, if `num_outputs` is 0.
    """
    units, dtype = parts.recurrent.shape[1], parts.recurrent.dtype
    given = {name: value for name, value in parts._asdict().items() if value is not None}
    network = kind(
        parts.input.shape[1],
        units,
        1,
        key=jax.random.key(0),  # of no weight that stays
        recurrent_initializer=jax.nn.initializers.zeros,
        input_initializer=jax.nn.initializers.zeros,
        output_initializer=jax.nn.initializers.zeros,
        trainable=tuple(name for name in kind.parameter_names if name in given),
        noise_std=noise_std,
        observation_noise_std=observation_noise_std,
        **settings,
    )
    if "output" not in given:
        given["output"] = jnp.eye(units if num_outputs is None else num_outputs, units, dtype=dtype)
    fields = {name: None for name in ("recurrent_bias", "candidate_bias", "output_bias") if hasattr(network, name)}
    fields |= {name: FreeWeights(value) if value.ndim == 2 else value for name, value in given.items()}
    return eqx.tree_at(
        lambda tree: [getattr(tree, name) for name in fields],
        in_precision(network, dtype),
        list(fields.values()),
        is_leaf=lambda leaf: leaf is None,
    )
