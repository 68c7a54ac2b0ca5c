r"""The linear information of a large network at a finite stimulus: mean fields and collective modes over the bulk.

At a finite stimulus the weights that carried the signal are not independent of the state. Conditioned on the fields
that they gave rise to, m = Jμ and ∂m = Js, and with the fluctuation of every population's noise variance as one mode,
the information is the extremum of a quadratic form in a few numbers per population and time (docs/theory.md):

    F = Σ_p o_p f_p D_p(t)/(e_p(t) + σ_o²) − 2 Σ_q τ_q(t−1) n_s,q(t−1)
        + Σ_{k<t} Σ_q {f_q L_q(k) + 2 β_q·n_q + 2 γ_q ν_q}

in n, β (components μ and s, one s for every parameter), ν and γ. L is a form in β, γ, c = g² n(k−1), ν̃ = g²ᵀ ν(k+1).

Where states have means, so has the read-out when it is carried back: v̄, and β has a component 1, which is
β₃ = Mᵀf v̄(k+1). D is then the covariance of ∂m within a population, and with λ, a shift of all its units, there is
Σ_p f_p {B_p λ_p² − 2λ_p v̄_p + 2μ′_p v̄_p} at k = t and −2 f_q λ_q v̄_q in every level. That is exact for weights drawn
anew at every step; with weights that stay, fields of different times are correlated, which it leaves out.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._linalg import solve_block_tridiagonal
from fisherjax.meanfield._fields import Fields
from fisherjax.nonlinearities._conditional import ConditionalMoments

from ._unexplained import Network, Reading, Unexplained, averages, price_of, worth


def linear_information(fields: Fields, network: Network, reading: Reading, found: Unexplained) -> Float[Array, "b K K"]:
    """∂mᵀΣ⁻¹∂m per unit of the network, for each read-out; with means where the network has them."""
    f, count, shifts = network.fractions, fields.sensitivity.shape[-1], network.means is not None
    read = f[:, None] * worth(found.noise, network, reading)
    sensitivity = fields.sensitivity
    if shifts:
        outer = jnp.einsum("kpi,kpj->kpij", *(2 * (fields.population_slope[1:],)))
        sensitivity = sensitivity.at[1:].add(-outer)
    alone = jnp.einsum("kpb,kpij->bij", read, sensitivity)
    if len(reading.before) == 1:
        return alone
    price = price_of(found.value, network, reading)[:-1]
    form = _Form(jax.tree.map(lambda part: part[:-1], fields), price, found.noise[:-1]).matrix(shifts=shifts)
    form = jnp.where(reading.before[:-1, :, None, None, None] > 0, f[:, None, None] * form, 0)
    diagonal, upper, active = _assembled(form, network, reading.before[:-1], read[1:], shifts=shifts)
    # −τ times n_s at the last time before the read-out, and ∂μ times v̄ at it, for every parameter
    last = -jnp.moveaxis(reading.last[1:, None] * price, 1, 2)
    source = jnp.zeros((*last.shape[:2], form.shape[-1], len(f), count), price.dtype)
    source = source.at[:, :, 1 + jnp.arange(count), :, jnp.arange(count)].set(last)
    if shifts:
        shifted = reading.last[1:, :, None, None] * (f[:, None] * fields.population_slope[1:])[:, None]
        source = source.at[:, :, -2].set(shifted)
    source = source.reshape(*active.shape, count)
    extremum = jax.vmap(solve_block_tridiagonal, in_axes=1, out_axes=1)(diagonal, upper, -source)
    return alone + jnp.einsum("kbxi,kbxj->bij", source, extremum)


class _Form:
    """L of every population at every time, for every read-out: averages over the nodes (…, n, b)."""

    def __init__(self, fields: Fields, price: Array, noise: Array):
        self.fields = fields
        self.phi = ConditionalMoments(*(part[..., None] for part in fields.moments))
        self.tau, self.e = price[..., None, :], noise[..., None, :]
        a, b = self.phi.slope, self.phi.curvature
        self.bent = b**2 + a * self.phi.third  # ∂_m (a b)
        self.y = a**2 * self.e + self.phi.rest
        self.inverse = 1 / (1 + self.tau * self.y)
        self.falling = self.tau * (2 * a * b * self.e + self.phi.rest_by_mean) * self.inverse  # ∂_m ln X
        self.skew = self.phi.skew + self.e * a * self.phi.by_mean  # ε

    def matrix(self, *, shifts: bool) -> Float[Array, "T b P s s"]:
        """Symmetric, in ζ = (c_μ, c_s…, β_μ, β_s…, γ, ν̃), and with `shifts` (β₃, λ)."""
        responses, by_mean = self.fields.responses()
        values = responses.shape[1]  # μ and s…
        if shifts:
            responses = jnp.concatenate([responses, jnp.ones_like(responses[:, :1])], axis=1)
            by_mean = jnp.concatenate([by_mean, jnp.zeros_like(by_mean[:, :1])], axis=1)
        a, b = self.phi.slope, self.phi.curvature
        own = -self.mean(a**2)
        betas = self.over(-self.y, responses, responses)
        private = jnp.einsum("kpb,kpij->kbpij", self.mean(a**2 * self.y), self.fields.private_slope)
        betas = betas.at[..., 1:values, 1:values].add(-private)
        with_mean = -self.over(b - a * self.falling, responses) - self.over(a, by_mean)
        gammas, nus = self.over(-b / 2, responses), self.over(-self.skew, responses)
        modes = self.modes()

        size = 2 * values + 2
        matrix = jnp.zeros(
            (*own.shape[:1], own.shape[2], own.shape[1], size + 2 * shifts, size + 2 * shifts), own.dtype
        )
        # β₃ stands apart from the other β
        beta = jnp.array([*range(values, 2 * values), *((size,) if shifts else ())])
        gamma, nu, shift = 2 * values, 2 * values + 1, size + 1

        def put(matrix: Array, row: Any, column: Any, entries: Array) -> Array:
            matrix = matrix.at[..., row, column].set(entries)
            return matrix.at[..., column, row].set(entries)

        matrix = matrix.at[..., beta[:, None], beta].set(betas)
        for row, entries in ((0, with_mean), (gamma, gammas), (nu, nus)):
            matrix = put(matrix, row, beta, entries)
        order = jnp.arange(1, values)
        matrix = put(matrix, order, values + order, jnp.moveaxis(own, 1, 2)[..., None])
        places = {"c": 0, "gamma": gamma, "nu": nu, "shift": shift}
        if shifts:
            matrix = put(matrix, shift, beta, self.over(a, responses))
        for (row, column), entry in modes.items():
            if shifts or "shift" not in (row, column):
                matrix = put(matrix, places[row], places[column], jnp.moveaxis(entry, 1, 2))
        return matrix

    def over(self, terms: Float[Array, "T P n _"], *responses: Float[Array, "T _ P n"]) -> Float[Array, "T b P ..."]:
        """⟨terms · response / X⟩ of every response, or of every pair."""
        letters = "ac"[: len(responses)]
        inputs = ",".join(f"k{letter}pn" for letter in letters)
        weighted = self.fields.weights[..., None] * terms * self.inverse
        return jnp.einsum(f"kpnb,{inputs}->kbp{letters}", weighted, *responses, precision=jax.lax.Precision.HIGHEST)

    def modes(self) -> dict[tuple[str, str], Float[Array, "T P b"]]:
        """The entries of c_μ, γ, ν̃ and λ among each other."""
        phi, tau = self.phi, self.tau
        a, b, d = phi.slope, phi.curvature, phi.by_mean
        kept = 1 + tau * phi.rest
        mode = tau * a * phi.skew - d * kept
        mode_slope = tau * (b * phi.skew + a * phi.skew_by_mean - d * phi.rest_by_mean) - phi.bend * kept
        return {
            ("c", "c"): self.mean(tau * self.bend()),
            ("c", "gamma"): self.mean_slope(tau * a * b, tau * self.bent) / 2,
            ("c", "nu"): self.mean_slope(mode, mode_slope),
            ("c", "shift"): -self.mean_slope(tau * a**2, 2 * tau * a * b),
            ("gamma", "gamma"): self.mean(tau * b**2) / 4,
            ("gamma", "nu"): self.mean(tau * self.skew * b) / 2 - self.plain(phi.by_variance),
            ("gamma", "shift"): -self.mean(tau * a * b) / 2,
            ("nu", "nu"): self.mean(tau * self.skew**2) - self.plain(phi.excess + self.e * d**2),
            ("nu", "shift"): -self.mean(mode),
            ("shift", "shift"): self.mean(tau * a**2),
        }

    def bend(self) -> Array:
        """X ∂²_m (a²/X)."""
        a, b = self.phi.slope, self.phi.curvature
        faster = self.tau * (2 * self.bent * self.e + self.phi.rest_bend) * self.inverse
        return 2 * self.bent - 4 * a * b * self.falling + a**2 * (2 * self.falling**2 - faster)

    def mean(self, terms: Array) -> Float[Array, "T P b"]:
        """⟨terms / X⟩, X = 1 + τy."""
        return self.plain(terms * self.inverse)

    def mean_slope(self, terms: Array, by_mean: Array) -> Float[Array, "T P b"]:
        """⟨∂_m (terms / X)⟩."""
        return self.mean(by_mean - terms * self.falling)

    def plain(self, terms: Array) -> Float[Array, "T P b"]:
        """⟨terms⟩."""
        return averages(self.fields.weights, jnp.broadcast_to(terms, jnp.broadcast_shapes(terms.shape, self.y.shape)))


def _assembled(
    form: Float[Array, "m b P s s"],
    network: Network,
    before: Float[Array, "m b"],
    read: Float[Array, "m P b"],
    *,
    shifts: bool,
) -> tuple[Array, Array, Array]:
    """Diagonal and upper blocks in z(k) = (n, β at k; γ, ν, v̄, λ at k + 1), and which of its entries there are."""
    squares, populations, size = network.squares, form.shape[2], form.shape[-1]
    values = size // 2 - 1 - shifts
    gamma, nu, back, shift = range(2 * values, 2 * values + 4)
    eye = jnp.eye(populations, dtype=squares.dtype)
    # which of ζ are which of z, at this time and of the time before; and the products of z with itself
    own = previous = paired = jnp.zeros((size, populations, size, populations), squares.dtype)
    for i in range(values):
        own = own.at[values + i, :, values + i].set(eye)
        previous = previous.at[i, :, i].set(squares)
        paired = paired.at[i, :, values + i].set(eye).at[values + i, :, i].set(eye)
    own = own.at[nu, :, nu].set(squares.T)
    previous = previous.at[gamma, :, gamma].set(eye)
    paired = paired.at[gamma, :, nu].set(eye).at[nu, :, gamma].set(eye)
    if network.means is not None and shifts:
        share = jnp.diag(network.fractions)
        own = own.at[back, :, back].set(network.means.T * network.fractions)  # β₃ in its place
        previous = previous.at[shift, :, shift].set(eye)
        paired = paired.at[back, :, shift].set(-share).at[shift, :, back].set(-share)

    def seen(left: Array, form: Array, right: Array) -> Array:
        inner = jnp.einsum("kbpst,tpwy->kbpswy", form, right)
        return jnp.einsum("spvx,kbpswy->kbvxwy", left, inner)

    width = size * populations
    diagonal = (seen(own, form, own) + paired).at[:-1].add(seen(previous, form[1:], previous))
    if shifts:
        # what is read out: B λ² at its time
        units = jnp.arange(populations)
        diagonal = diagonal.at[:, :, shift, units, shift, units].add(jnp.moveaxis(read, 1, 2))
    diagonal = diagonal.reshape(*before.shape, width, width)
    upper = seen(previous, form[1:], own).reshape(len(form) - 1, before.shape[1], width, width)
    # there is no mode beyond the read-out, and a shift until it
    active = jnp.broadcast_to(before[..., None, None], (*before.shape, size, populations))
    modes = slice(gamma, nu + 1)
    active = active.at[:-1, :, modes].multiply(before[1:, :, None, None]).at[-1, :, modes].set(0)
    active = active.reshape(*before.shape, width)
    diagonal = diagonal * active[..., :, None] * active[..., None, :]
    diagonal += (1 - active)[..., None] * jnp.eye(width, dtype=squares.dtype)
    return diagonal, upper * active[:-1, :, :, None] * active[1:, :, None, :], active
