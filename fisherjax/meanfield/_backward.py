"""How gradients grow on their way back through a random network."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Scalar, Stimulus
from fisherjax.connectivity import GainMatrix
from fisherjax.networks._protocol import Protocol
from fisherjax.nonlinearities import Nonlinearity, as_nonlinearity
from fisherjax.nonlinearities._registry import NonlinearityLike

from ._drive import Drive, Entering
from ._fields import fields_over_time
from ._recursion import followed


@full_precision
def gradient_gain(
    gain_matrix: GainMatrix,
    *,
    stimulus: Stimulus,
    noise_std: Scalar,
    num_steps: int,
    nonlinearity: NonlinearityLike = "tanh",
    input_pattern: ArrayLike | None = None,
    protocol: Protocol = "pulse",
    bias: ArrayLike | None = None,
    bias_std: ArrayLike | None = None,
    input_pattern_std: ArrayLike | None = None,
) -> Float[Array, " T"]:
    r"""Mean-square gain of a gradient from the last state back to the states at times 1…T, exactly at large N.

    .. math::
        \frac1N E\Big|\frac{∂x(T)}{∂x(t)}\Big|^2 = Σ_q f_q w_q(t), \quad
        w_q(t) = ⟨φ'^2⟩_q(t) Σ_p g_{pq}^2 f_p w_p(t+1), \quad w(T) = 1

    It is the same for Gaussian and for orthogonal weights, and for means, which are of rank P. In the stationary state
    it grows by ρ(G ∘ ⟨φ′²⟩) per step, `lyapunov_exponent` twice.

    Parameters, and errors, are those of `propagate`.

    References
    ----------
    Poole, Lahiri, Raghu, Sohl-Dickstein & Ganguli (2016), Exponential expressivity in deep neural networks through
    transient chaos.
    """
    phi = as_nonlinearity(nonlinearity)
    entering = Entering(protocol, input_pattern, bias, bias_std, input_pattern_std)
    drive, sigma, num_steps = followed(gain_matrix, stimulus, noise_std, num_steps, entering)
    return _gain(gain_matrix, phi, drive, sigma, num_steps)


@jax.jit(static_argnums=(1, 4))
def _gain(
    gain_matrix: GainMatrix, phi: Nonlinearity, drive: Drive, noise_std: Array, num_steps: int
) -> Float[Array, " T"]:
    fields = fields_over_time(gain_matrix, phi, drive, noise_std, num_steps)
    slopes = phi.slope_square(fields.mean, fields.overlap + fields.noise_variance)
    backward = gain_matrix.gains.T**2 * gain_matrix.fractions

    def step(after: Array, slope: Array) -> tuple[Array, Array]:
        here = slope * (backward @ after)
        return here, here

    last = jnp.ones_like(slopes[0])
    earlier = jax.lax.scan(step, last, slopes[:-1], reverse=True)[1]
    return jnp.concatenate([earlier, last[None]]) @ gain_matrix.fractions
