r"""The linear information of a large network at a finite stimulus: mean fields and collective modes over the bulk.

At a finite stimulus the weights that carried the signal are not independent of the state. Conditioned on the fields
that they gave rise to, m = Jμ and ∂m = Js, and with the fluctuation of every population's noise variance as one mode,
the information is the extremum of a quadratic form in a few numbers per population and time (docs/theory.md):

    F = Σ_p o_p f_p D_p(t)/(e_p(t) + σ_o²) − 2 Σ_q τ_q(t−1) n_s,q(t−1)
        + Σ_{k<t} Σ_q {f_q L_q(k) + 2 β_q·n_q + 2 γ_q ν_q}

in n, β (components μ and s, one s for every parameter), ν and γ. L is a form in β, γ, c = g² n(k−1), ν̃ = g²ᵀ ν(k+1).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._linalg import solve_block_tridiagonal
from fisherjax.meanfield._fields import Fields
from fisherjax.nonlinearities._conditional import ConditionalMoments

from ._unexplained import Network, Reading, Unexplained, averages, price_of, worth


def linear_information(fields: Fields, network: Network, reading: Reading, found: Unexplained) -> Float[Array, "b K K"]:
    """∂mᵀΣ⁻¹∂m per unit of the network, for each read-out."""
    f, count = network.fractions, fields.sensitivity.shape[-1]
    read = f[:, None] * worth(found.noise, network, reading)
    alone = jnp.einsum("kpb,kpij->bij", read, fields.sensitivity)
    if len(reading.before) == 1:
        return alone
    price = price_of(found.value, network, reading)[:-1]
    form = _Form(jax.tree.map(lambda part: part[:-1], fields), price, found.noise[:-1]).matrix()
    form = jnp.where(reading.before[:-1, :, None, None, None] > 0, f[:, None, None] * form, 0)
    diagonal, upper, active = _assembled(form, network, reading.before[:-1])
    # −τ times n_s at the last time before the read-out, for every parameter
    last = -jnp.moveaxis(reading.last[1:, None] * price, 1, 2)
    source = jnp.zeros((*last.shape[:2], 2 * count + 4, len(f), count), price.dtype)
    source = source.at[:, :, 1 + jnp.arange(count), :, jnp.arange(count)].set(last)
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

    def matrix(self) -> Float[Array, "T b P s s"]:
        """Symmetric, in ζ = (c_μ, c_s…, β_μ, β_s…, γ, ν̃)."""
        responses, by_mean = (jnp.moveaxis(part, 1, 0)[..., None] for part in self.fields.responses())
        count = len(responses)
        gamma, nu = 2 * count, 2 * count + 1
        entries = self.modes(gamma, nu)
        own = -self.mean(self.phi.slope**2)
        alike = self.mean(self.phi.slope**2 * self.y)
        for i, response in enumerate(responses):
            beta = count + i
            entries[0, beta] = -self.mean_slope(
                self.phi.slope * response, self.phi.curvature * response + self.phi.slope * by_mean[i]
            )
            entries[i, beta] = entries[0, beta] if i == 0 else own
            entries[beta, gamma] = -self.mean(self.phi.curvature * response) / 2
            entries[beta, nu] = -self.mean(self.skew * response)
            for j in range(i, count):
                entries[beta, count + j] = -self.mean(self.y * response * responses[j])
                if i:
                    entries[beta, count + j] -= alike * self.fields.private_slope[..., i - 1, j - 1, None]
        size, none = 2 * count + 2, jnp.zeros_like(own)
        rows = [[entries.get((min(i, j), max(i, j)), none) for j in range(size)] for i in range(size)]
        return jnp.moveaxis(jnp.stack([jnp.stack(row) for row in rows]), (0, 1, 4), (3, 4, 1))

    def modes(self, gamma: int, nu: int) -> dict[tuple[int, int], Array]:
        """The entries of c_μ, γ and ν̃ among each other."""
        phi, tau = self.phi, self.tau
        a, b, d = phi.slope, phi.curvature, phi.by_mean
        kept = 1 + tau * phi.rest
        mode = tau * a * phi.skew - d * kept
        mode_slope = tau * (b * phi.skew + a * phi.skew_by_mean - d * phi.rest_by_mean) - phi.bend * kept
        return {
            (0, 0): self.mean(tau * self.bend()),
            (0, gamma): self.mean_slope(tau * a * b, tau * self.bent) / 2,
            (0, nu): self.mean_slope(mode, mode_slope),
            (gamma, gamma): self.mean(tau * b**2) / 4,
            (gamma, nu): self.mean(tau * self.skew * b) / 2 - self.plain(phi.by_variance),
            (nu, nu): self.mean(tau * self.skew**2) - self.plain(phi.excess + self.e * d**2),
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
    form: Float[Array, "m b P s s"], network: Network, before: Float[Array, "m b"]
) -> tuple[Array, Array, Array]:
    """Diagonal and upper blocks in z(k) = (n, β at k; γ, ν at k + 1), and which of its entries there are."""
    squares, populations, size = network.squares, form.shape[2], form.shape[-1]
    values = size // 2 - 1
    gamma, nu = 2 * values, 2 * values + 1
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

    def seen(left: Array, form: Array, right: Array) -> Array:
        inner = jnp.einsum("kbpst,tpwy->kbpswy", form, right)
        return jnp.einsum("spvx,kbpswy->kbvxwy", left, inner)

    width = size * populations
    diagonal = (seen(own, form, own) + paired).at[:-1].add(seen(previous, form[1:], previous))
    diagonal = diagonal.reshape(*before.shape, width, width)
    upper = seen(previous, form[1:], own).reshape(len(form) - 1, before.shape[1], width, width)
    # there is no mode beyond the read-out
    active = jnp.broadcast_to(before[..., None, None], (*before.shape, size, populations))
    active = active.at[:-1, :, gamma:].multiply(before[1:, :, None, None]).at[-1, :, gamma:].set(0)
    active = active.reshape(*before.shape, width)
    diagonal = diagonal * active[..., :, None] * active[..., None, :]
    diagonal += (1 - active)[..., None] * jnp.eye(width, dtype=squares.dtype)
    return diagonal, upper * active[:-1, :, :, None] * active[1:, :, None, :], active
