"""The same record of what a model responds: models and recordings are asked in the same words."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fisherjax import simulate
from fisherjax._arrays import host_real
from fisherjax._errors import check_integer, check_key, require, told
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Key, Scalar
from fisherjax.fisher._respond import Respond, check_respond, sample
from fisherjax.networks import Network

from ._recording import Recording


@full_precision
def record(
    model: Network | Respond,
    stimuli: ArrayLike,
    *,
    key: Key,
    num_trials: int,
    num_steps: int | None = None,
    protocol: Any = None,
    read: Any = None,
    period: Scalar | None = None,
    stimulus_unit: str = "",
) -> Recording:
    """Record a network or a model at a set of stimuli: a `Recording`, which all questions take.

    Parameters
    ----------
    model
        A `Network`, or a function ``respond(stimulus, key) -> (p,)``, as for `fisher.estimate`: anything that JAX can
        trace (Flax, Equinox). Responses that another library computes, as torch, go to `Recording` as they are.
    stimuli
        Values of the stimulus (K,).
    key
        JAX random key; every stimulus has noise of its own.
    num_trials
        Trials at each stimulus.
    num_steps, protocol, read
        Of a network: steps of a trial, whose last one is recorded; how a stimulus enters (a function of it for several
        inputs or images), and what is read, as in `simulate.trajectories`.
    period, stimulus_unit
        As for `Recording`.

    Returns
    -------
    Recording

    Raises
    ------
    TypeError
        If `model` is neither, or `key` is not a JAX key.
    ValueError
        If arguments of networks are given for a function, `num_steps` is missing for a network, or responses are the
        same in every trial.
    """
    key, count = check_key("key", key), check_integer("num_trials", num_trials, minimum=2)
    theta = host_real("stimuli", stimuli, "stimuli")
    require(len(theta) >= 2, f"stimuli must be at least two, got {len(theta)}")
    keys = jax.random.split(key, len(theta))
    given = {"num_steps": num_steps, "protocol": protocol, "read": read}
    given = {name: value for name, value in given.items() if value is not None}
    if isinstance(model, Network):
        require(num_steps is not None, "num_steps must be given for a network: the steps of a trial")
        values = [
            simulate.trajectories(model, stimulus=value, num_trials=count, key=own, **given)[-1]
            for value, own in zip(theta, keys, strict=True)
        ]
    else:
        if not callable(model):
            raise TypeError(f"model must be a Network or a function respond(stimulus, key), got {told(model)}")
        require(not given, f"{next(iter(given), '')} belongs to a Network, and model is a function")
        points = jnp.asarray(theta, float)
        check_respond(model, points[0], key, needs_derivative=False)
        values = [sample(model, value, jax.random.split(own, count)) for value, own in zip(points, keys, strict=True)]
    responses = np.stack([np.asarray(part) for part in values])
    same = bool((responses == responses[:, :1]).all())
    require(not same, "model responds alike in every trial: information is that of noisy responses; give it noise")
    of = type(model).__name__ if isinstance(model, Network) else "a function"
    return Recording(responses, theta, period=period, stimulus_unit=stimulus_unit, notes=(f"recorded from {of}",))
