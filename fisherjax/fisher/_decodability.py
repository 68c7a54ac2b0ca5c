"""How much of a task's targets a noisy linear read-out of the states explains: a criterion for initial networks."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_instance, check_integer, check_key, check_scalar, is_traced, require
from fisherjax._linalg import standard_normal
from fisherjax._types import ArrayLike, Key, Record, Scalar
from fisherjax.networks import Network
from fisherjax.tasks import Task, TaskBatch
from fisherjax.tasks._batch import has_labels, moments, without_masked

_PROCESS_NOISE = 0.01
_READ_NOISE = 0.03
_TRIALS_PER_UNIT, _LEAST_TRIALS, _MOST_TRIALS = 16, 256, 4096


class Decodability(Record):
    """Share of the targets that a noisy linear read-out of the states can explain; as a number, its value."""

    value: Float[Array, ""]
    """G, the mean over moments that count, between 0 and 1"""
    standard_error: Float[Array, ""]
    """Of `value`, over independent blocks of trials"""
    times: Float[Array, " t"]
    """Steps that count, from 1"""
    by_time: Float[Array, " t"]

    def __float__(self) -> float:
        return float(self.value)


def linear_decodability(
    network: Network,
    task: Task | ArrayLike,
    targets: ArrayLike | None = None,
    *,
    key: Key,
    mask: ArrayLike | None = None,
    num_steps: int | None = None,
    num_trials: int | None = None,
    num_blocks: int = 4,
    process_noise_std: Scalar = _PROCESS_NOISE,
    observation_noise_std: Scalar = _READ_NOISE,
) -> Decodability:
    r"""How much of what a task asks is in the states of a network already, before it is trained.

    .. math::
        G = \Big\langle \sum_i \frac{s_i^2}{s_i^2 + n σ_o^2} \frac{|U_i^T Y|^2}{|Y|^2} \Big\rangle_t, \qquad X = U s W^T

    X are the states of n trials at a moment that counts, Y the targets, both less their mean: a criterion by which
    initial networks can be compared.

    Parameters
    ----------
    network
        Any network; differentiable in all of its arrays.
    task
        A task, or inputs (T, n, *I) with `targets`.
    targets, mask
        Targets (T, n, O), or classes as whole numbers (T, n), and the weight of every moment (T, n) or output, as in
        `training.fit`; those of the task by default.
    key
        JAX random key of trials and noise.
    num_steps, num_trials
        Length of a trial of a task, its own by default, and n. A read-out of S numbers explains a share S/n of any
        targets by chance, so that n is 16 S by default, between 256 and 4096. Both belong to a task.
    num_blocks
        Independent draws, over which the error is taken.
    process_noise_std
        Noise of every step, in place of the network's. It is needed: without it what chaos has scrambled counts as
        known. The default stands for networks that train with more noise, too, since training teaches them to bear
        it: with their own noise G ranks them less well (docs/remembering.md).
    observation_noise_std
        σ_o, above 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or shape, or no moment counts.
    """
    check_instance("network", network, Network, "such as networks.RNN(2, 64, 1, key=key)")
    check_scalar("observation_noise_std", observation_noise_std, minimum=0.0, strict=True)
    usual = min(max(_LEAST_TRIALS, _TRIALS_PER_UNIT * network.state_size), _MOST_TRIALS)
    fits = num_trials is None or isinstance(task, Task)
    require(fits, "num_trials belongs to a task; of inputs all trials are taken")
    count = usual if num_trials is None else check_integer("num_trials", num_trials, minimum=2)
    blocks = check_integer("num_blocks", num_blocks, minimum=2)
    require(not is_traced(key), "key must be known: which moments count depends on the trials")
    check_scalar("process_noise_std", process_noise_std, minimum=0.0)
    level = jnp.asarray(process_noise_std, network.dtype)
    noisy = eqx.tree_at(lambda one: one.noise_std, network, level)
    found, times = [], np.zeros(0, int)
    for block in jax.random.split(check_key("key", key), blocks):
        trial_key, noise_key = jax.random.split(block)
        batch = _batch(task, targets, mask, trial_key, count, num_steps)
        weights = np.asarray(moments(batch.mask))
        times = np.flatnonzero(weights.sum(axis=1) > 0)
        require(times.size > 0, "mask is zero everywhere: nothing counts")
        sigma = jnp.asarray(observation_noise_std, network.dtype)
        found.append(_decoded(noisy, batch, sigma, noise_key, tuple(times.tolist())))
    by_block = jnp.stack([jnp.mean(part) for part in found])
    error = jnp.std(by_block, ddof=1) / blocks**0.5
    by_time = jnp.mean(jnp.stack(found), axis=0)
    return Decodability(jnp.mean(by_block), error, jnp.asarray(times + 1, by_time.dtype), by_time)


def _batch(task: Any, targets: Any, mask: Any, key: Key, count: int, num_steps: int | None) -> TaskBatch:
    """Trials of a task, or those that were given, with targets as numbers."""
    if isinstance(task, Task):
        require(targets is None and mask is None, "targets and mask belong to inputs; a task has its own")
        batch = task.batch(key, count, num_steps)
    else:
        require(targets is not None, "targets must be given with inputs")
        require(num_steps is None, "num_steps belongs to a task; inputs have as many steps as they have")
        inputs, labels = as_real("task", task, "T n ...", hint="a task, or inputs of n trials"), np.asarray(targets)
        kind = labels.dtype.kind in "iu"
        wanted = labels if kind else as_real("targets", targets, "T n O")
        weights = jnp.ones(inputs.shape[:2]) if mask is None else as_real("mask", mask, "T n", "T n O", minimum=0.0)
        require(wanted.shape[:2] == inputs.shape[:2], "targets must have as many steps and trials as inputs")
        batch = TaskBatch(inputs, jnp.asarray(wanted), weights)
    if has_labels(batch):
        batch = batch._replace(targets=jax.nn.one_hot(batch.targets, int(np.max(np.asarray(batch.targets))) + 1))
    return without_masked(batch)


@eqx.filter_jit
def _decoded(
    network: Network, batch: TaskBatch, read_noise: Array, key: Key, times: tuple[int, ...]
) -> Float[Array, " t"]:
    inputs = batch.inputs.astype(network.dtype)
    trials, count = inputs.shape[1], len(times)
    place = np.full(len(inputs), count)
    place[np.asarray(times)] = np.arange(count)

    def step(carry: tuple[Array, Array], now: tuple[Array, Key, Array]) -> tuple[tuple[Array, Array], None]:
        state, kept = carry
        shown, noise_key, where = now
        state = network.step(state, shown, standard_normal(noise_key, state.shape, state.dtype))
        return (state, kept.at[where].set(state, mode="drop")), None

    start = jnp.broadcast_to(network.resting_state, (trials, network.state_size))
    begun = (start, jnp.zeros((count, *start.shape), start.dtype))
    (_, states), _ = jax.lax.scan(step, begun, (inputs, jax.random.split(key, len(inputs)), jnp.asarray(place)))
    chosen = np.asarray(times)
    weights = moments(batch.mask)[chosen].astype(network.dtype)
    targets = batch.targets[chosen].astype(network.dtype)

    def explained(part: tuple[Array, Array, Array]) -> Array:
        return _explained(part[0], part[1], part[2], read_noise)

    return jax.lax.map(explained, (states, targets, weights))


def _explained(
    states: Float[Array, "n S"], targets: Float[Array, "n O"], weights: Float[Array, " n"], read_noise: Array
) -> Float[Array, ""]:
    """The share of the targets at one moment, by the smaller of the two systems."""
    total = jnp.sum(weights)

    def centered(values: Array) -> Array:
        return jnp.sqrt(weights)[:, None] * (values - weights @ values / total)

    x, y = centered(states), centered(targets)
    ridge = total * read_noise**2
    fewer = x.shape[0] <= x.shape[1]
    gram = x @ x.T if fewer else x.T @ x
    factor = jax.scipy.linalg.cho_factor(gram + ridge * jnp.eye(len(gram), dtype=gram.dtype))
    if fewer:
        explained = jnp.sum(y * (gram @ jax.scipy.linalg.cho_solve(factor, y)))
    else:
        product = x.T @ y
        explained = jnp.sum(product * jax.scipy.linalg.cho_solve(factor, product))
    size = jnp.sum(y**2)
    # targets that are all alike ask nothing
    return jnp.where(size > 0, explained / jnp.where(size > 0, size, 1), 1)
