"""A rate network in discrete time: what is simulated, closed, and differentiated."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import check_choice, check_scalar, require
from fisherjax._types import Result, Scalar, Stimulus
from fisherjax.numerics import Nonlinearity, as_nonlinearity

PRECISIONS = ("float32", "tensorfloat32", "bfloat16")
"""Precisions of a matrix product: that of its operands in full, TensorFloat-32 where the device has it, bfloat16."""


class RateNetwork(Result):
    r"""One network with given weights, x(t+1) = J φ(x(t)) + b + σ ξ(t+1), x(0) = w θ.

    The first noisy state is x(1) = J φ(w θ) + b + σ ξ(1). What is read out is x, or x + σ_obs ξ' where
    there is observation noise.

    Parameters
    ----------
    weights
        J (N, N), rows = to, columns = from.
    input_vector
        w (N,), state before the first step per unit of stimulus; (N, K) for a vector stimulus.
    noise_std
        σ, process noise, at least 0.
    observation_noise_std
        σ_obs, at least 0.
    sustained_input
        b (N,), added at every step.
    nonlinearity
        φ: a name, a smooth function, or a `Nonlinearity`.

    Raises
    ------
    ValueError
        If shapes do not match, a value is not finite, or a noise level is negative.
    """

    weights: Float[Array, "N N"]
    input_vector: Float[Array, "N *K"]
    noise_std: Float[Array, ""]
    observation_noise_std: Float[Array, ""]
    sustained_input: Float[Array, " N"]
    nonlinearity: Nonlinearity = eqx.field(static=True)

    def __init__(
        self,
        weights: object,
        input_vector: object,
        *,
        noise_std: Scalar,
        observation_noise_std: Scalar = 0.0,
        sustained_input: object = None,
        nonlinearity: object = "tanh",
    ):
        """Validate and convert to the float type of the weights."""
        self.weights = as_real("weights", weights, "N N")
        units, dtype = len(self.weights), self.weights.dtype
        require(units > 0, "weights must hold at least one unit, got shape (0, 0)")
        self.input_vector = as_real("input_vector", input_vector, f"{units}", f"{units} K", dtype=dtype)
        check_scalar("noise_std", noise_std, minimum=0.0)
        check_scalar("observation_noise_std", observation_noise_std, minimum=0.0)
        self.noise_std = jnp.asarray(noise_std).astype(dtype)
        self.observation_noise_std = jnp.asarray(observation_noise_std).astype(dtype)
        self.sustained_input = (
            jnp.zeros(units, dtype)
            if sustained_input is None
            else as_real("sustained_input", sustained_input, f"{units}", dtype=dtype)
        )
        self.nonlinearity = as_nonlinearity(nonlinearity)

    @property
    def num_units(self) -> int:
        """Number of units N."""
        return self.weights.shape[-1]

    def initial_state(self, stimulus: Stimulus) -> Float[Array, " N"]:
        """x(0) = w θ, for a scalar stimulus, or (K,) if the input vector is (N, K).

        Raises
        ------
        ValueError
            If the stimulus does not have one entry per column of the input vector.
        """
        theta = as_real("stimulus", stimulus, dtype=self.weights.dtype)
        require(
            theta.shape == self.input_vector.shape[1:],
            f"stimulus must have shape {self.input_vector.shape[1:]} to match input_vector, got {theta.shape}",
        )
        return self.input_vector @ theta if theta.ndim else self.input_vector * theta

    def mean_step(self, state: Float[Array, "*trials N"], *, precision: str = "float32") -> Float[Array, "*trials N"]:
        """J φ(x) + b, the next state without its noise; leading axes are trials.

        `precision` is one of `PRECISIONS`: of the matrix product, at that of the weights by default.
        """
        check_choice("precision", precision, PRECISIONS)
        response = self.nonlinearity(state)
        if precision == "bfloat16":
            operands = (response.astype(jnp.bfloat16), self.weights.T.astype(jnp.bfloat16))
            product = jnp.matmul(*operands, preferred_element_type=self.weights.dtype)
        else:
            level = jax.lax.Precision.HIGHEST if precision == "float32" else jax.lax.Precision.HIGH
            product = jnp.matmul(response, self.weights.T, precision=level)
        return product + self.sustained_input
