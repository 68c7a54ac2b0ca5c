r"""The linear information of a large network at a finite stimulus: mean fields and collective modes over the bulk.

At a finite stimulus the weights that carried the signal are not independent of the state. Conditioned on the fields
that they gave rise to, m = Jμ and ∂m = Js, and with the fluctuation of every population's noise variance as one mode,
the information is the extremum of a quadratic form in a few numbers per population and time (docs/theory.md):

    F = Σ_p o_p f_p D_p(t)/(e_p(t) + σ_o²) − 2 Σ_q τ_q(t−1) n_s,q(t−1)
        + Σ_{k<t} Σ_q {f_q L_q(k) + 2 β_q·n_q + 2 γ_q ν_q}

in n, β (components μ and s, one s for every parameter), ν and γ. L is a form in β, γ, c = g² n(k−1), ν̃ = g²ᵀ ν(k+1).

n_s stands in no square, so that β_s follows from the read-out alone, r_p = o_p/(e_p + σ_o²) at k = t, backwards:

    β_s,q(k) = Σ_p g_pq² f_p r_p(k+1),      r_p(k) = ⟨a²/X⟩_p β_s,p(k),  k < t.

With it the terms in s are a source of the others, one for every parameter, and β_s² ⟨(y/X) s s⟩ is taken off.

Where states have means, so has the read-out when it is carried back: v̄, and β has a component 1, which is
β₃ = Mᵀf v̄(k+1). D is then the covariance of ∂m within a population, and with λ, a shift of all its units, there is
Σ_p f_p {B_p λ_p² − 2λ_p v̄_p + 2μ′_p v̄_p} at k = t and −2 f_q λ_q v̄_q in every level. That weights stay, and fields of
different times are correlated, changes nothing.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._linalg import solve_block_tridiagonal
from fisherjax.meanfield._fields import Fields
from fisherjax.nonlinearities._conditional import ConditionalMoments

from ._unexplained import Network, Reading, Unexplained, averages, price_of, prices_of, worth

_C, _BETA, _GAMMA, _NU, _BACK, _SHIFT = range(6)
"""Places in ζ = (c, β, γ, ν̃, β₃, λ) and in z(k) = (n, β at k; γ, ν, v̄, λ at k + 1); two less without means."""


def linear_information(fields: Fields, network: Network, reading: Reading, found: Unexplained) -> Float[Array, "b K K"]:
    """∂mᵀΣ⁻¹∂m per unit of the network, for each read-out; with means where the network has them."""
    f, shifts = network.fractions, network.means is not None
    read = f[:, None] * worth(found.noise, network, reading)
    sensitivity = fields.sensitivity
    if shifts:
        slope = fields.population_slope[1:]
        sensitivity = sensitivity.at[1:].add(-slope[..., :, None] * slope[..., None, :])
    alone = jnp.einsum("kpb,kpij->bij", read, sensitivity)
    if len(reading.before) == 1:
        return alone
    price = price_of(found.value, network, reading)[:-1]
    form = _Form(jax.tree.map(lambda part: part[:-1], fields), price, found.noise[:-1])
    signal = _signal(form, network, reading, found)
    within = reading.before[:-1, :, None, None, None] > 0
    entries, source = (
        jnp.where(within, f[:, None, None] * part, 0) for part in (form.matrix(shifts=shifts), form.source(signal))
    )
    source = source[..., : entries.shape[-1], :]
    diagonal, upper, sources, active = _assembled(entries, source, network, reading.before[:-1], read[1:])
    if shifts:
        # ∂μ times v̄ at the read-out, for every parameter
        shifted = reading.last[1:, :, None, None] * (f[:, None] * fields.population_slope[1:])[:, None]
        sources = sources.at[:, :, _BACK].add(shifted)
    sources = sources.reshape(*active.shape, sources.shape[-1]) * active[..., None]
    extremum = jax.vmap(solve_block_tridiagonal, in_axes=1, out_axes=1)(diagonal, upper, -sources)
    beside = form.taken_off(f[:, None] * reading.before[:-1, None] * signal**2)
    return alone - beside + jnp.einsum("kbxi,kbxj->bij", sources, extremum)


def _signal(form: "_Form", network: Network, reading: Reading, found: Unexplained) -> Float[Array, "m P b"]:
    """β_s at every time before the read-out."""
    read, prices = worth(found.noise, network, reading), prices_of(network)

    def step(after: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        kept, top = now
        here = prices @ after
        return top + kept * here, here

    kept = reading.before[:-1, None] * form.mean(form.phi.slope**2)
    return jax.lax.scan(step, read[-1], (kept, read[:-1]), reverse=True)[1]


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
        """Symmetric, in ζ."""
        phi, tau = self.phi, self.tau
        mu, a, b, d = phi.mean, phi.slope, phi.curvature, phi.by_mean
        kept = 1 + tau * phi.rest
        mode = tau * a * phi.skew - d * kept
        mode_slope = tau * (b * phi.skew + a * phi.skew_by_mean - d * phi.rest_by_mean) - phi.bend * kept
        entries = {
            (_C, _C): self.mean(tau * self.bend()),
            (_C, _BETA): -self.mean_slope(a * mu, b * mu + a**2),
            (_C, _GAMMA): self.mean_slope(tau * a * b, tau * self.bent) / 2,
            (_C, _NU): self.mean_slope(mode, mode_slope),
            (_BETA, _BETA): -self.mean(self.y * mu**2),
            (_BETA, _GAMMA): -self.mean(b * mu) / 2,
            (_BETA, _NU): -self.mean(self.skew * mu),
            (_GAMMA, _GAMMA): self.mean(tau * b**2) / 4,
            (_GAMMA, _NU): self.mean(tau * self.skew * b) / 2 - self.plain(phi.by_variance),
            (_NU, _NU): self.mean(tau * self.skew**2) - self.plain(phi.excess + self.e * d**2),
        }
        if shifts:
            entries |= {
                (_C, _BACK): -self.mean_slope(a, b),
                (_C, _SHIFT): -self.mean_slope(tau * a**2, 2 * tau * a * b),
                (_BETA, _BACK): -self.mean(self.y * mu),
                (_BETA, _SHIFT): self.mean(a * mu),
                (_GAMMA, _BACK): -self.mean(b) / 2,
                (_GAMMA, _SHIFT): -self.mean(tau * a * b) / 2,
                (_NU, _BACK): -self.mean(self.skew),
                (_NU, _SHIFT): -self.mean(mode),
                (_BACK, _BACK): -self.mean(self.y),
                (_BACK, _SHIFT): self.mean(a),
                (_SHIFT, _SHIFT): self.mean(tau * a**2),
            }
        size = range(6 if shifts else 4)
        rows = [[entries[min(i, j), max(i, j)] for j in size] for i in size]
        return jnp.moveaxis(jnp.stack([jnp.stack(row) for row in rows]), (0, 1, 4), (3, 4, 1))

    def source(self, signal: Float[Array, "T P b"]) -> Float[Array, "T b P 6 K"]:
        """What stands beside each of ζ, of every parameter, when β_s is the `signal`."""
        (_, *values), (_, *slopes) = (jnp.moveaxis(part, 1, 0) for part in self.fields.responses())
        value, slope = jnp.stack(values), jnp.stack(slopes)
        phi = self.phi
        terms = jnp.stack(
            [
                -(phi.curvature - phi.slope * self.falling) * jnp.ones_like(self.y),
                -self.y * phi.mean,
                -phi.curvature / 2 * jnp.ones_like(self.y),
                -self.skew,
                -self.y,
                phi.slope * jnp.ones_like(self.y),
            ]
        )
        weighted = self.fields.weights[..., None] * self.inverse * signal[..., None, :]
        found = self._over(terms * weighted, value)
        return found.at[..., _C, :].add(self._over((-phi.slope * weighted)[None], slope)[..., 0, :])

    def taken_off(self, squares: Float[Array, "T P b"]) -> Float[Array, "b K K"]:
        """Σ ⟨(y/X) s s⟩ over times and populations, each times a number."""
        value = self.fields.responses()[0][:, 1:]
        weighted = self.fields.weights[..., None] * self.y * self.inverse * squares[..., None, :]
        along = jnp.einsum("kpnb,kapn,kcpn->bac", weighted, value, value, precision=jax.lax.Precision.HIGHEST)
        own = squares * self.mean(self.phi.slope**2 * self.y)
        return along + jnp.einsum("kpb,kpij->bij", own, self.fields.private_slope)

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

    @staticmethod
    def _over(weighted: Float[Array, "s T P n b"], value: Float[Array, "K T P n"]) -> Float[Array, "T b P s K"]:
        return jnp.einsum("skpnb,akpn->kbpsa", weighted, value, precision=jax.lax.Precision.HIGHEST)


def _assembled(
    form: Float[Array, "m b P s s"],
    source: Float[Array, "m b P s K"],
    network: Network,
    before: Float[Array, "m b"],
    read: Float[Array, "m P b"],
) -> tuple[Array, Array, Float[Array, "m b s P K"], Array]:
    """Diagonal and upper blocks and source in z, and which of its entries there are."""
    squares, populations, size = network.squares, form.shape[2], form.shape[-1]
    eye = jnp.eye(populations, dtype=squares.dtype)
    # which of ζ are which of z, at this time and of the time before; and the products of z with itself
    own = previous = paired = jnp.zeros((size, populations, size, populations), squares.dtype)
    own = own.at[_BETA, :, _BETA].set(eye).at[_NU, :, _NU].set(squares.T)
    previous = previous.at[_C, :, _C].set(squares).at[_GAMMA, :, _GAMMA].set(eye)
    paired = paired.at[_C, :, _BETA].set(eye).at[_BETA, :, _C].set(eye)
    paired = paired.at[_GAMMA, :, _NU].set(eye).at[_NU, :, _GAMMA].set(eye)
    if network.means is not None:
        share = jnp.diag(network.fractions)
        own = own.at[_BACK, :, _BACK].set(network.means.T * network.fractions)
        previous = previous.at[_SHIFT, :, _SHIFT].set(eye)
        paired = paired.at[_BACK, :, _SHIFT].set(-share).at[_SHIFT, :, _BACK].set(-share)

    def seen(left: Array, form: Array, right: Array) -> Array:
        inner = jnp.einsum("kbpst,tpwy->kbpswy", form, right)
        return jnp.einsum("spvx,kbpswy->kbvxwy", left, inner)

    width = size * populations
    diagonal = (seen(own, form, own) + paired).at[:-1].add(seen(previous, form[1:], previous))
    if network.means is not None:
        # what is read out: B λ² at its time
        units = jnp.arange(populations)
        diagonal = diagonal.at[:, :, _SHIFT, units, _SHIFT, units].add(jnp.moveaxis(read, 1, 2))
    diagonal = diagonal.reshape(*before.shape, width, width)
    upper = seen(previous, form[1:], own).reshape(len(form) - 1, before.shape[1], width, width)
    sources = jnp.einsum("spvx,kbpsa->kbvxa", own, source)
    sources = sources.at[:-1].add(jnp.einsum("spvx,kbpsa->kbvxa", previous, source[1:]))
    # there is no mode beyond the read-out, and a shift until it
    active = jnp.broadcast_to(before[..., None, None], (*before.shape, size, populations))
    modes = slice(_GAMMA, _NU + 1)
    active = active.at[:-1, :, modes].multiply(before[1:, :, None, None]).at[-1, :, modes].set(0)
    active = active.reshape(*before.shape, width)
    diagonal = diagonal * active[..., :, None] * active[..., None, :]
    diagonal += (1 - active)[..., None] * jnp.eye(width, dtype=squares.dtype)
    return diagonal, upper * active[:-1, :, :, None] * active[1:, :, None, :], sources, active
