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


def _prepared(values: Float[Array, "n P"], kind: str) -> Float[Array, "n P"] | _Ordered:
    """What does not depend on how often a stimulus comes."""
    return _ordered(values) if kind == "spearman" else values


def _standard(prepared: Float[Array, "n P"] | _Ordered, weight: Float[Array, " P"], kind: str) -> Float[Array, "n P"]:
    """Vectors of length one, whose scalar products are similarities."""
    values = _ranks(prepared, weight) if isinstance(prepared, _Ordered) else prepared
    if kind != "cosine":
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
    own = recorded[..., rows, columns]
    flat = own.reshape(-1, len(rows))
    ones = jnp.ones(len(rows), own.dtype)
    prepared = _prepared(model, kind), _prepared(flat, kind)

    def mean(similarities: Array) -> Array:
        return jnp.mean(similarities.reshape(len(model), splits, -1), axis=1)

    def weighted(weight: Array) -> Compared:
        if kind == "kendall":
            value = _concordance(model, flat, weight)
            among = jax.vmap(lambda time: _concordance(time, time, weight), in_axes=1)(own)
        else:
            first, second = (_standard(one, weight, kind) for one in prepared)
            value = (first * weight) @ second.T
            apart = second.reshape(own.shape)
            among = jnp.einsum("p,qbp,rbp->bqr", weight, apart, apart)
        return Compared(mean(value), jnp.mean(among, axis=(1, 2), where=~jnp.eye(splits, dtype=bool)))

    if kind == "kendall":
        fixed, moving = model, recorded.reshape(-1, stimuli**2)
    else:
        # standard vectors permute as distances do, and their mean over splits has the mean similarity
        fixed, vectors = (_standard(one, ones, kind) for one in prepared)
        center = jnp.mean(vectors.reshape(own.shape), axis=0)
        square = jnp.zeros((len(center), stimuli, stimuli), own.dtype).at[:, rows, columns].set(center)
        moving = (square + jnp.swapaxes(square, 1, 2)).reshape(len(center), -1)

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
    ranked = kind in {"spearman", "kendall"}

    def similarity(pooled: Array, own: Array) -> Array:
        if kind == "kendall":
            return _concordance(pooled[None], own[None], ones)[0, 0]
        first, second = (_standard(_prepared(one[None], kind), ones, kind)[0] for one in (pooled, own))
        return first @ second

    def of_time(distances: Float[Array, "Q P"]) -> tuple[Array, Array]:
        vectors = _ranks(_ordered(distances), ones) if ranked else _standard(distances, ones, kind)
        total = jnp.sum(vectors, axis=0)
        lower = jax.vmap(similarity)((total - vectors) / (splits - 1), vectors)
        upper = jax.vmap(similarity, in_axes=(None, 0))(total / splits, vectors)
        return jnp.mean(lower), jnp.mean(upper)

    return jax.lax.map(of_time, jnp.swapaxes(recorded, 0, 1))
