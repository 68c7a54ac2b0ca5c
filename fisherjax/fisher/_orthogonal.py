r"""The linear information of Haar-orthogonal weights J = g O, one population, φ odd, a pulse, at N → ∞.

The order parameters are those of Gaussian weights with the same g: given the past, O φ(x) is uniform on what is left.
Noise correlations differ, since O loses nothing: read out at time t, with y = a² e + η,

    B(t) = 1/(e(t) + σ_o²),   τ(k)⟨1/(1 + τ(k) y)⟩ = g² B(k+1),   B(k) = ⟨τa²/(1 + τy)⟩
    e(1) = σ²,   e(k+1) = σ² + g²⟨y/(1 + τy)⟩/⟨1/(1 + τy)⟩

and a signal too small to change anything on its way is worth (w φ′(0))² g² B(1) per unit. A finite one is the extremum
of a quadratic form in λ, κ (components μ and s, m and m′) and in the mode γ, ν of every time (docs/theory.md).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import Array, Float

from fisherjax._linalg import one_by_one
from fisherjax.meanfield._fields import Fields
from fisherjax.nonlinearities import Nonlinearity

from ._unexplained import Network, Reading, averages

_SWEEPS = 30  # before Newton's method


class _Bulk(NamedTuple):
    """e and τ at times 1…T for every read-out."""

    noise: Float[Array, "T b"]
    price: Float[Array, "T b"]


class _Levels(NamedTuple):
    weights: Float[Array, "T n"]
    gain: Float[Array, "T n"]  # a²
    rest: Float[Array, "T n"]  # η


def orthogonal_information(
    phi: Nonlinearity, fields: Fields, network: Network, reading: Reading, *, small_signal: bool
) -> Float[Array, "b K K"]:
    """∂mᵀΣ⁻¹∂m per unit of the network, for each read-out."""
    moments = fields.moments
    levels = _Levels(fields.weights[:, 0], moments.slope[:, 0] ** 2, moments.rest[:, 0])
    bulk = _solved(levels, network, reading, fields.noise_variance[:, 0])
    value = _values(levels, network, reading, bulk)
    if small_signal or len(reading.before) == 1:
        return value[0][:, None, None] * fields.sensitivity[0, 0]
    return _extremum(phi, fields, network, reading, bulk, value)


def _solved(levels: _Levels, network: Network, reading: Reading, variance: Float[Array, " T"]) -> _Bulk:
    """Sweeps, and then Newton's method in the logarithms; derivatives by the implicit function theorem."""
    columns = jnp.moveaxis(reading.last, -1, 0), jnp.moveaxis(reading.before, -1, 0), reading.observed[0]

    def one(last: Array, before: Array, observed: Array) -> _Bulk:
        asked = Reading(last[:, None], before[:, None], observed[None, None])

        def sweep(_: Array, bulk: _Bulk) -> _Bulk:
            return _swept(*jax.lax.stop_gradient((levels, network, asked)), bulk)

        begun = _Bulk(variance[:, None], 1 / variance[:, None])
        near = jax.lax.fori_loop(0, _SWEEPS, sweep, jax.lax.stop_gradient(begun))

        def missed(logs: _Bulk, given: tuple[_Levels, Network, Reading]) -> _Bulk:
            bulk = _Bulk(*map(jnp.exp, logs))
            noise, price = _balances(*given, bulk)
            unit = jnp.ones_like(price)
            inner = given[2].before + given[2].last
            return _Bulk(
                jnp.where(inner > 0, logs.noise - jnp.log(jnp.where(inner > 0, noise, unit)), logs.noise),
                jnp.where(given[2].before > 0, jnp.log(jnp.where(given[2].before > 0, price, unit)), logs.price),
            )

        eps = float(jnp.finfo(variance.dtype).eps)
        solver = optx.Newton(rtol=10 * eps, atol=10 * eps)
        # what does not matter is nothing in logarithms
        inner = (asked.before + asked.last) > 0
        start = _Bulk(jnp.where(inner, jnp.log(near.noise), 0), jnp.where(asked.before > 0, jnp.log(near.price), 0))
        solution = optx.root_find(missed, solver, start, (levels, network, asked), throw=False, max_steps=50).value
        left = missed(solution, (levels, network, asked))
        found = jnp.max(jnp.abs(jnp.stack(left))) < 1e4 * eps
        return jax.tree.map(lambda part: jnp.where(found, jnp.exp(part), jnp.nan)[:, 0], _Bulk(*solution))

    solved = jax.vmap(one, out_axes=1)(*columns)
    return _Bulk(solved.noise, solved.price * reading.before)


def _fractions(levels: _Levels, bulk: _Bulk) -> tuple[Array, Array, Array]:
    """⟨1/X⟩, ⟨y/X⟩ and ⟨τa²/X⟩ (T, b), X = 1 + τy."""
    gain, tau = levels.gain[..., None], bulk.price[:, None]
    y = gain * bulk.noise[:, None] + levels.rest[..., None]
    inverse = 1 / (1 + tau * y)
    weights = levels.weights[:, None]
    terms = (inverse, y * inverse, tau * gain * inverse)
    return tuple(averages(weights, part[:, None])[:, 0] for part in terms)  # pyright: ignore[reportReturnType]


def _values(levels: _Levels, network: Network, reading: Reading, bulk: _Bulk) -> Float[Array, "T b"]:
    """B at every time up to the read-out."""
    read = reading.last * reading.observed / (bulk.noise + network.observation_noise)
    return read + reading.before * _fractions(levels, bulk)[2]


def _balances(levels: _Levels, network: Network, reading: Reading, bulk: _Bulk) -> tuple[Array, Array]:
    """What e must be, and τ⟨1/X⟩ over g² B(k+1), which must be 1."""
    square, (inverse, shared, _) = network.squares[0, 0], _fractions(levels, bulk)
    value = _values(levels, network, reading, bulk)
    arriving = square * shared / inverse
    noise = network.noise + jnp.concatenate([jnp.zeros_like(arriving[:1]), arriving[:-1]])
    following = jnp.concatenate([value[1:], jnp.ones_like(value[:1])])
    return noise, bulk.price * inverse / (square * jnp.where(reading.before > 0, following, 1))


def _swept(levels: _Levels, network: Network, reading: Reading, bulk: _Bulk) -> _Bulk:
    """τ from the read-out to the first time, and e from there on."""
    square = network.squares[0, 0]
    read = reading.last * reading.observed / (bulk.noise + network.observation_noise)

    def backward(after: Array, now: tuple) -> tuple[Array, Array]:
        level, e, guess, top, before = now
        y = level.gain[:, None] * e + level.rest[:, None]
        wanted = square * after

        def closer(_: Array, tau: Array) -> Array:
            inverse = 1 / (1 + tau * y)
            mean = jnp.sum(level.weights[:, None] * inverse, axis=0)
            return jnp.maximum(wanted / mean, 0)

        tau = jax.lax.fori_loop(0, 4, closer, guess)
        value = jnp.sum(level.weights[:, None] * tau * level.gain[:, None] / (1 + tau * y), axis=0)
        return top + before * value, tau

    def forward(e: Array, now: tuple) -> tuple[Array, Array]:
        level, tau, before = now
        y = level.gain[:, None] * e + level.rest[:, None]
        inverse = level.weights[:, None] / (1 + tau * y)
        arriving = square * jnp.sum(y * inverse, axis=0) / jnp.sum(inverse, axis=0)
        return network.noise + before * arriving, e

    parts = (levels, bulk.noise, bulk.price, read, reading.before)
    price = jax.lax.scan(backward, jnp.zeros_like(read[0]), parts, reverse=True)[1]
    first = jnp.broadcast_to(network.noise, read.shape[1:])
    return _Bulk(jax.lax.scan(forward, first, (levels, price, reading.before))[1], price)


def _extremum(
    phi: Nonlinearity, fields: Fields, network: Network, reading: Reading, bulk: _Bulk, value: Float[Array, "T b"]
) -> Float[Array, "b K K"]:
    """The form in z(k) = (λ_k, κ_k, γ_k+1, ν_k+1), of which level k holds λ_k, ν_k+1, and κ, γ of the one before."""
    averaged = _Averages(phi, fields, bulk)
    count = averaged.responses.shape[0]
    size, gamma, nu = 2 * count + 2, 2 * count, 2 * count + 1
    first, second = slice(0, count), slice(count, gamma)
    square, before, last = network.squares[0, 0], reading.before[:-1], reading.last
    own = jnp.zeros((*before.shape, size, size), value.dtype)
    previous, across = own, own

    # level k: what it holds of z(k), of z(k − 1), and of both
    gram = averaged.gram()
    own = own.at[..., first, first].add(gram["P", "P"])
    own = own.at[..., nu, nu].add(square**2 * (gram["e", "e"] - averaged.excess))
    mixed = -square * gram["P", "e"]
    own = own.at[..., first, nu].add(mixed).at[..., nu, first].add(mixed)
    previous = previous.at[..., second, second].add(gram["M", "M"])
    previous = previous.at[..., gamma, gamma].add(gram["b", "b"])
    mixed = gram["M", "b"]
    previous = previous.at[..., second, gamma].add(mixed).at[..., gamma, second].add(mixed)
    across = across.at[..., second, first].add(jnp.swapaxes(gram["P", "M"], -1, -2))
    across = across.at[..., gamma, first].add(gram["P", "b"])
    across = across.at[..., second, nu].add(square * (averaged.turned - gram["M", "e"]))
    across = across.at[..., gamma, nu].add(square * (averaged.by_variance[:, None] - gram["b", "e"]))
    own, previous, across = (before[..., None, None] * part for part in (own, previous, across))

    # what O keeps, and the pairs γν and νν of time k + 1
    kept = -square * (before * value[1:])[..., None, None] * averaged.overlaps[:-1, None]
    for row in (first, second):
        for column in (first, second):
            own = own.at[..., row, column].add(kept)
    own = own.at[..., gamma, nu].add(-1).at[..., nu, gamma].add(-1)
    spread = (fields.noise_variance[1:, 0] - network.noise) ** 2
    own = own.at[..., nu, nu].add(2 * spread[:, None])
    diagonal = own.at[:-1].add(previous[1:])
    read = (last * value)[1:]
    diagonal = diagonal.at[..., second, second].add(read[..., None, None] * averaged.fields_squared[1:, None])
    source = jnp.zeros((*before.shape, size, count - 1), value.dtype)
    source = source.at[..., second, :].set(read[..., None, None] * averaged.fields_squared[1:, None, :, 1:])

    active = jnp.broadcast_to(before[..., None], source.shape[:3])
    modes = slice(gamma, nu + 1)
    active = active.at[:-1, :, modes].multiply(before[1:, :, None]).at[-1, :, modes].set(0)
    diagonal = diagonal * active[..., :, None] * active[..., None, :] + (1 - active)[..., None] * jnp.eye(size)
    upper = across[1:] * active[:-1, :, :, None] * active[1:, :, None, :]
    source = source * active[..., None]
    matrix = _dense(diagonal, upper)
    right = jnp.moveaxis(source, 1, 0).reshape(len(matrix), -1, count - 1)
    solution = jax.vmap(_solve)(matrix, -right)
    alone = jnp.einsum("kb,kij->bij", last * value, fields.sensitivity[:, 0])
    return alone + jnp.einsum("bxi,bxj->bij", right, solution)


class _Averages:
    """Averages over the field of one population, of which every level of the form is made."""

    def __init__(self, phi: Nonlinearity, fields: Fields, bulk: _Bulk):
        moments = fields.moments
        self.a, self.b, d = (part[:, 0] for part in (moments.slope, moments.curvature, moments.by_mean))
        self.weights, self.private = fields.weights[:, 0], fields.private_slope[:, 0]
        noise, self.tau = bulk.noise[:, None], bulk.price[:, None]
        self.inverse = 1 / (1 + self.tau * (self.a[..., None] ** 2 * noise + moments.rest[:, 0, :, None]))
        self.skew = moments.skew[:, 0, :, None] + noise * (self.a * d)[..., None]
        self.responses = jnp.moveaxis(fields.responses()[0][:, :, 0], 1, 0)  # μ, E[s | m]
        z, _ = phi.half_points(fields.overlap[:, 0], jnp.sqrt(1 + fields.noise_variance[:, 0]))
        field = jnp.sqrt(fields.overlap)[:, 0, None] * z
        self.field = jnp.concatenate([field[None], jnp.moveaxis(fields.mean_slope[:, :, 0], 1, 0)])  # m, E[∂m | m]
        level = slice(None, -1)
        excess = moments.excess[:, 0, :, None] + noise * d[..., None] ** 2
        self.excess = jnp.einsum("kn,knb->kb", self.weights, excess)[level]
        self.turned = jnp.einsum("kn,akn,kn->ka", self.weights, self.field, d)[level, None]  # ⟨M d⟩
        self.by_variance = jnp.einsum("kn,kn->k", self.weights, moments.by_variance[:, 0])[level]
        self.overlaps = self._squared(self.responses, self.a**2)
        self.fields_squared = self._squared(self.field, jnp.ones_like(self.a))

    def gram(self) -> dict[tuple[str, str], Array]:
        """⟨(τ/X) · ·⟩ of P, a M, ε and ½ b, at times before the last."""
        a, half = self.a[..., None], self.b[..., None] / 2
        share = self.weights[..., None] * self.tau * self.inverse
        parts = {"P": self.responses[..., None], "M": self.field[..., None] * a, "e": self.skew[None], "b": half[None]}
        names = (("P", "P"), ("P", "M"), ("M", "M"), ("P", "e"), ("M", "e"), ("P", "b"), ("M", "b"), ("b", "e"),
                 ("e", "e"), ("b", "b"))  # fmt: skip
        own = jnp.einsum("knb,kij->kbij", share * a**2, self.private)
        found = {}
        for row, column in names:
            entry = jnp.einsum("knb,aknb,cknb->kbac", share, *map(self._broadcast, (parts[row], parts[column])))
            if row in "PM" and column in "PM":
                entry = entry.at[..., 1:, 1:].add(own)
            keep = tuple(slice(None) if name in "PM" else 0 for name in (row, column))
            found[row, column] = entry[:-1][(..., *keep)]
        return found

    def _broadcast(self, part: Array) -> Array:
        return jnp.broadcast_to(part, (*part.shape[:-1], self.inverse.shape[-1]))

    def _squared(self, values: Float[Array, "A T n"], private: Float[Array, "T n"]) -> Float[Array, "T A A"]:
        found = jnp.einsum("kn,akn,ckn->kac", self.weights, values, values, precision=jax.lax.Precision.HIGHEST)
        own = jnp.sum(self.weights * private, axis=-1)[:, None, None] * self.private
        return found.at[:, 1:, 1:].add(own)


def _dense(diagonal: Float[Array, "m b s s"], upper: Float[Array, "l b s s"]) -> Float[Array, "b n n"]:
    """The symmetric matrices of which these are the blocks."""
    steps, readings, size = diagonal.shape[:3]
    here, beside = jnp.eye(steps), jnp.eye(steps, k=1)[: steps - 1]
    whole = jnp.einsum("kl,kbij->bkilj", here, diagonal)
    above = jnp.einsum("kl,kbij->bkilj", beside, upper)
    above = jnp.concatenate([above, jnp.zeros_like(whole[:, :1])], axis=1)
    flat = (readings, steps * size, steps * size)
    above = above.reshape(flat)
    return whole.reshape(flat) + above + jnp.swapaxes(above, -1, -2)


def _solve(matrix: Float[Array, "n n"], right: Float[Array, "n c"]) -> Float[Array, "n c"]:
    """Where fields of a small stimulus are nearly collinear, the smallest solution."""
    return jax.lax.custom_linear_solve(lambda x: matrix @ x, right, lambda _, r: _least(matrix, r), symmetric=True)


@one_by_one
def _least(matrix: Float[Array, "n n"], right: Float[Array, "n c"]) -> Float[Array, "n c"]:
    scale = jnp.ones(len(matrix), matrix.dtype)
    for _ in range(3):
        largest = jnp.max(jnp.abs(matrix * scale * scale[:, None]), axis=0)
        scale /= jnp.sqrt(jnp.where(largest > 0, largest, 1))
    values, vectors = jnp.linalg.eigh(matrix * scale * scale[:, None])
    least = 1e3 * float(jnp.finfo(matrix.dtype).eps) * jnp.max(jnp.abs(values))
    inverse = jnp.where(jnp.abs(values) > least, 1 / jnp.where(jnp.abs(values) > least, values, 1), 0)
    projected = vectors.T @ (right * scale[:, None])
    return scale[:, None] * (vectors @ (inverse[:, None] * projected))
