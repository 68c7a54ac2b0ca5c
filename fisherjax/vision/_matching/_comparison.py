"""Similarities of many dissimilarity matrices with many others at once, resampled and permuted over stimuli."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

COMPARISONS = ("pearson", "spearman", "kendall", "cosine")
_PERMUTED_TOGETHER = 8  # permutations of which the recording's columns are multiplied in one product


class _Ordered(NamedTuple):
    """Where values lie among those of their row."""

    order: Int[Array, "n P"]
    low: Int[Array, "n P"]
    """how many are less"""
    high: Int[Array, "n P"]
    """how many are not more"""


def _ordered(values: Float[Array, "n P"]) -> _Ordered:
    order = jnp.argsort(values, axis=1)
    ranked = jnp.take_along_axis(values, order, axis=1)
    low, high = (
        jax.vmap(lambda row, own, side=side: jnp.searchsorted(row, own, side=side))(ranked, values)
        for side in ("left", "right")
    )
    return _Ordered(order, low, high)


def _ranks(ordered: _Ordered, weight: Float[Array, " P"]) -> Float[Array, "n P"]:
    """Mean ranks, of values that come `weight` times."""
    above = jnp.pad(jnp.cumsum(weight[ordered.order], axis=1), ((0, 0), (1, 0)))
    return (jnp.take_along_axis(above, ordered.low, axis=1) + jnp.take_along_axis(above, ordered.high, axis=1)) / 2


def _standard(values: Float[Array, "n P"], weight: Float[Array, " P"], kind: str) -> Float[Array, "n P"]:
    """Vectors of length one, whose scalar products are similarities."""
    if kind == "spearman":
        values = _ranks(_ordered(values), weight)
    if kind in {"pearson", "spearman"}:
        values = values - (values @ weight / jnp.sum(weight))[:, None]
    size = jnp.sqrt(values**2 @ weight)[:, None]
    return values / jnp.where(size > 0, size, 1)


def _concordance(
    first: Float[Array, "n P"], second: Float[Array, "m P"], weight: Float[Array, " P"]
) -> Float[Array, "n m"]:
    """Kendall's τ-a: concordant less discordant pairs of values, of all pairs; ties count as neither."""

    def with_one(place: Array, total: Array) -> Array:
        signs = jnp.sign(first[:, place, None] - first) * weight
        return total + weight[place] * signs @ jnp.sign(second[:, place, None] - second).T

    zero = jnp.zeros((len(first), len(second)), first.dtype)
    return jax.lax.fori_loop(0, first.shape[1], with_one, zero) / (jnp.sum(weight) ** 2 - jnp.sum(weight**2))


def _similarity(
    first: Float[Array, "n P"], second: Float[Array, "m P"], weight: Float[Array, " P"], kind: str
) -> Float[Array, "n m"]:
    if kind == "kendall":
        return _concordance(first, second, weight)
    return (_standard(first, weight, kind) * weight) @ _standard(second, weight, kind).T


class Compared(NamedTuple):
    """Similarities with a model, and of the splits of a recording with one another."""

    value: Float[Array, "*n M B"]
    reliability: Float[Array, "*n B"]


@jax.jit(static_argnums=4)
def compared(
    model: Float[Array, "M P"],
    recorded: Float[Array, "Q B K K"],
    permutations: Int[Array, "R K"],
    counts: Float[Array, "C K"],
    kind: str,
) -> tuple[Compared, Compared, Float[Array, "R M B"]]:
    """Similarities of distances in a model with those of a recording, means over its splits.

    Then those of resamples, in which stimulus k comes counts[c, k] times and pairs of a stimulus with itself are left
    out, and those of the recording with permuted stimuli.
    """
    splits, stimuli = recorded.shape[0], recorded.shape[-1]
    rows, columns = jnp.asarray(np.triu_indices(stimuli, 1))
    flat = recorded.reshape(-1, stimuli**2)
    own = flat[:, rows * stimuli + columns]
    ones = jnp.ones(own.shape[1], own.dtype)

    def mean(similarities: Array) -> Array:
        return jnp.mean(similarities.reshape(len(model), splits, -1), axis=1)

    def weighted(weight: Array) -> Compared:
        of_time = jnp.swapaxes(own.reshape(splits, -1, own.shape[1]), 0, 1)
        among = jax.vmap(lambda distances: _similarity(distances, distances, weight, kind))(of_time)
        between = jnp.mean(among, axis=(1, 2), where=~jnp.eye(splits, dtype=bool))
        return Compared(mean(_similarity(model, own, weight, kind)), between)

    if kind == "kendall":
        fixed, moving = model, flat
    else:
        # standard vectors permute as distances do, and their mean over splits has the mean similarity
        fixed = _standard(model, ones, kind)
        standard = jnp.mean(_standard(own, ones, kind).reshape(splits, -1, own.shape[1]), axis=0)
        square = jnp.zeros((len(standard), stimuli, stimuli), own.dtype).at[:, rows, columns].set(standard)
        moving = (square + jnp.swapaxes(square, 1, 2)).reshape(len(standard), -1)

    def permuted(permutation: Array) -> Array:
        shown = moving[:, permutation[rows] * stimuli + permutation[columns]]
        return mean(_concordance(fixed, shown, ones)) if kind == "kendall" else fixed @ shown.T

    null = jax.lax.map(permuted, permutations, batch_size=_PERMUTED_TOGETHER)
    resampled = jax.lax.map(lambda count: weighted(count[rows] * count[columns]), counts)
    return weighted(ones), resampled, null


@jax.jit(static_argnums=1)
def noise_bounds(recorded: Float[Array, "Q B P"], kind: str) -> tuple[Float[Array, " B"], Float[Array, " B"]]:
    """Mean similarity of each split with the mean of the others, and with the mean of all (Nili et al. 2014).

    What is averaged is the standard vectors, for rank correlations the ranks. No model has a larger mean similarity
    than their mean: for ``"pearson"`` and ``"cosine"`` exactly.
    """
    splits, ones = len(recorded), jnp.ones(recorded.shape[-1], recorded.dtype)

    def of_time(distances: Float[Array, "Q P"]) -> tuple[Array, Array]:
        ranked = kind in {"spearman", "kendall"}
        vectors = _ranks(_ordered(distances), ones) if ranked else _standard(distances, ones, kind)
        others = (jnp.sum(vectors, axis=0) - vectors) / (splits - 1)
        lower = jax.vmap(lambda pooled, own: _similarity(pooled[None], own[None], ones, kind)[0, 0])(others, vectors)
        upper = _similarity(jnp.mean(vectors, axis=0, keepdims=True), vectors, ones, kind)
        return jnp.mean(lower), jnp.mean(upper)

    return jax.lax.map(of_time, jnp.swapaxes(recorded, 0, 1))
