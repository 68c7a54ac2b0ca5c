"""Jacobians of a convolutional recurrent network along a trajectory, without writing them down."""

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Complex, Float, Int

from fisherjax._errors import (
    check_choice,
    check_instance,
    check_integer,
    check_key,
    check_kind,
    check_optional,
    check_scalar,
    require,
)
from fisherjax._linalg import Spectrum, Target, arnoldi, largest_symmetric
from fisherjax._runtime import full_precision
from fisherjax._types import Key, Record, Scalar
from fisherjax.networks._protocol import check_times

from ._convolution import AreaState, convolve
from ._network import ConvolutionalRNN, Drive, Kernels, check_network
from ._respond import respond


class TrajectorySpectrum(Record):
    """Leading eigenvalues of the Jacobian of one step at several times of a trajectory.

    Parameters
    ----------
    steps
        Steps done before each (times,).
    eigenvalues
        (times, k), NaN where fewer were found.
    residuals, converged
        Of every pair (times, k).
    """

    steps: Int[np.ndarray, " times"]
    eigenvalues: Complex[np.ndarray, "times k"]
    residuals: Float[np.ndarray, "times k"]
    converged: Bool[np.ndarray, "times k"]

    @property
    def spectral_radius(self) -> Float[np.ndarray, " times"]:
        """Largest |λ| at every time; below one the step is locally stable there. NaN where it has not converged."""
        size = np.where(np.isnan(self.eigenvalues), -1, np.abs(self.eigenvalues))
        # of pairs that are missing one may be the largest
        known = self.converged[np.arange(len(size)), size.argmax(axis=1)] & ~np.isnan(self.eigenvalues[:, 0])
        return np.where(known, size.max(axis=1), np.nan)


@full_precision
def trajectory_spectrum(
    network: ConvolutionalRNN,
    image: Float[Array | np.ndarray, "height width colors"],
    *,
    at: Sequence[int],
    key: Key,
    blank_steps: int | None = None,
    image_steps: int | None = None,
    offset_steps: int = 0,
    num_eigenvalues: int = 6,
    which: Target = "largest magnitude",
    tolerance: Scalar | None = None,
) -> TrajectorySpectrum:
    """Leading eigenvalues of the Jacobian of the whole network along its response to an image.

    ∂F(r)/∂r is applied by forward differentiation of a step and never written down; `arnoldi` does the rest. Without
    feedback the eigenvalues are the union over areas of those of (1 − α) I + α D_j W_j, D_j telling which units are
    active.

    Parameters
    ----------
    network
        Where.
    image
        (height, width, colors).
    at
        After how many steps, counted from silence; the Jacobian is that of the step taken next, with the image where
        that step has it.
    key
        JAX random key of the starting vectors.
    blank_steps, image_steps, offset_steps
        As in `vision.respond`.
    num_eigenvalues, which, tolerance
        As in `arnoldi`.

    Raises
    ------
    ValueError
        If a number is out of range or the image has the wrong shape.
    TypeError
        If `key` is not a JAX key.
    """
    check_network(network)
    key, picture = check_key("key", key), network.architecture.as_picture("image", image)
    phases = network.architecture.phases(blank_steps, image_steps, offset_steps)
    times = check_times(check_kind("at", at, Iterable, "a list of steps"), sum(phases))
    check_choice("which", which, get_args(Target))
    if num_eigenvalues is not None:
        check_integer("num_eigenvalues", num_eigenvalues, minimum=1, maximum=network.architecture.num_units)
    check_optional(check_scalar, "tolerance", tolerance, minimum=0.0, strict=True)
    response = respond(network, picture, areas="all", at=times, **phases._asdict())
    drive, size = network.drive(picture), network.architecture.num_units
    spectra = []
    for index, step in enumerate(response.recorded):
        state = tuple(area[index] for area in response.activity)
        # the step that was taken next decides whether the image is on
        on = response.onset <= step < response.offset
        product = jacobian_product(network, state, drive if on else None)
        spectra.append(
            arnoldi(
                product,
                size,
                key=jax.random.fold_in(key, index),
                num_eigenvalues=num_eigenvalues,
                which=which,
                tolerance=tolerance,
                dtype=network.dtype,
            )
        )
    width = max(len(spectrum.eigenvalues) for spectrum in spectra)

    def table(name: str, fill: Any) -> np.ndarray:
        rows = [getattr(spectrum, name) for spectrum in spectra]
        return np.array([np.pad(row, (0, width - len(row)), constant_values=fill) for row in rows])

    return TrajectorySpectrum(
        response.recorded,
        table("eigenvalues", np.nan),
        table("residuals", np.nan),
        table("converged", False),  # noqa: FBT003
    )


def jacobian_product(
    network: ConvolutionalRNN, state: AreaState, drive: Drive | None = None
) -> Callable[[Array], Array]:
    """V (N,) ↦ J v, J the Jacobian of one step at a state (maps of every area, flattened area by area)."""
    check_network(network)
    check_instance("state", state, tuple, "maps of every area, as vision.respond(…).state")
    check_optional(check_instance, "drive", drive, kind=Drive, hint="as network.drive(image) makes one")
    # arrays as arguments, not in a closure: the next state compiles nothing
    return jax.tree_util.Partial(_jacobian_vector, network, state, drive)


def _jacobian_vector(network: ConvolutionalRNN, state: AreaState, drive: Drive | None, vector: Array) -> Array:
    flat, unravel = ravel_pytree(state)

    def step(values: Array) -> Array:
        return ravel_pytree(network.advance(unravel(values), drive))[0]

    return jax.jvp(step, (flat,), (vector,))[1]


@full_precision
def spectrum(
    network: ConvolutionalRNN, *, key: Key, num_eigenvalues: int = 20, which: Target = "largest magnitude"
) -> tuple[Spectrum, ...]:
    """Leading eigenvalues of the recurrent convolution W of every area, zero-padded as it is, by `arnoldi`.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If `key` is not a JAX key.
    """
    check_network(network)
    key = check_key("key", key)
    check_choice("which", which, get_args(Target))
    wanted = check_integer("num_eigenvalues", num_eigenvalues, minimum=1)
    spectra = []
    for area, (kernel, shape) in enumerate(
        zip(network.kernels().recurrent, network.architecture.area_shapes, strict=True)
    ):
        product = jax.tree_util.Partial(_convolved, kernel, jnp.zeros(shape, kernel.dtype))
        size = math.prod(shape)
        spectra.append(
            arnoldi(
                product,
                size,
                key=jax.random.fold_in(key, area),
                num_eigenvalues=min(wanted, size),
                which=which,
                dtype=network.dtype,
            )
        )
    return tuple(spectra)


def _convolved(kernel: Array, blank: Array, vector: Array) -> Array:
    """W v for a map given as a vector; `blank` tells its shape."""
    return convolve(vector.reshape(blank.shape), kernel).reshape(-1)


class TransientGrowth(Record):
    """How much a perturbation of the state can grow, and how the worst one looks.

    Parameters
    ----------
    steps
        k, steps after the perturbation (times,).
    growth
        Largest ‖δr(t₀ + k)‖/‖δr(t₀)‖ (times,): σ_max of the product of the Jacobians on the way; NaN where Lanczos's
        method has not converged, of which a warning tells.
    perturbation
        δr(t₀) of unit norm that grows most by the last of these times, maps of every area.
    """

    steps: Int[np.ndarray, " times"]
    growth: Float[np.ndarray, " times"]
    perturbation: tuple[Float[np.ndarray, "..."], ...]


@full_precision
def transient_growth(
    network: ConvolutionalRNN,
    image: Float[Array | np.ndarray, "height width colors"],
    *,
    steps: Sequence[int],
    key: Key,
    start: int | None = None,
    blank_steps: int | None = None,
    image_steps: int | None = None,
    offset_steps: int = 0,
) -> TransientGrowth:
    """Largest growth of small perturbations along the response to an image, from a time t₀ on.

    A network whose Jacobians all have eigenvalues within the circle can still amplify for a while where they are not
    normal, as in a chain of areas. σ_max by Lanczos's method (ARPACK) on products with the derivative of the whole
    stretch and with its transpose.

    Parameters
    ----------
    network, image, blank_steps, image_steps, offset_steps
        As in `vision.respond`.
    steps
        k, in rising order; t₀ + k within the response.
    key
        JAX random key of the starting vectors.
    start
        t₀, steps done before the perturbation; the onset of the image by default.

    Raises
    ------
    ValueError
        If a time is outside of the response, or the image has the wrong shape.
    TypeError
        If `key` is not a JAX key.
    """
    check_network(network)
    key, picture = check_key("key", key), network.architecture.as_picture("image", image)
    phases = network.architecture.phases(blank_steps, image_steps, offset_steps)
    onset, total = phases.blank_steps, sum(phases)
    offset = onset + phases.image_steps
    begin = onset if start is None else check_integer("start", start, minimum=0, maximum=total - 1)
    spans = check_times(check_kind("steps", steps, Iterable, "a list of steps"), total, name="steps")
    require(
        begin + spans[-1] <= total,
        f"start + steps must stay within the {total} steps of the response, got {begin} + {list(spans)}",
    )
    if begin:
        before = respond(network, picture, areas="all", at=(begin,), **phases._asdict())
        state = tuple(area[0] for area in before.activity)
    else:
        state = network.silence()
    flat, unravel = ravel_pytree(state)
    drive = network.drive(picture)
    shown = jnp.asarray([onset <= begin + k < offset for k in range(spans[-1])])
    growth, worst = [], np.asarray(flat)
    for index, span in enumerate(spans):
        # as many steps as the longest stretch has, so that all share a program
        moving = jnp.arange(spans[-1]) < span
        gram = jax.tree_util.Partial(_gram, network, state, drive, shown, moving)
        first = np.asarray(jax.random.normal(jax.random.fold_in(key, index), flat.shape))
        square, worst = largest_symmetric(gram, first, dtype=network.dtype)
        growth.append(np.maximum(square, 0.0) ** 0.5)  # NaN where it has not converged
    shape = tuple(np.asarray(area) for area in unravel(jnp.asarray(worst, flat.dtype)))
    return TransientGrowth(np.asarray(spans), np.asarray(growth), shape)


def _gram(
    network: ConvolutionalRNN, state: AreaState, drive: Drive, shown: Array, moving: Array, vector: Array
) -> Array:
    """AᵀA v, A the derivative of the state after the stretch, while `moving`, in the state before it."""
    flat, unravel = ravel_pytree(state)

    def stretch(values: Array, kernels: Kernels) -> Array:
        def body(state: AreaState, inputs: tuple[Array, Array]) -> tuple[AreaState, None]:
            on, moves = inputs
            new = network.step_with(kernels, state, drive.shown(on))
            return jax.tree.map(lambda a, b: jnp.where(moves, a, b), new, state), None

        return ravel_pytree(jax.lax.scan(body, unravel(values), (shown, moving))[0])[0]

    _, moved = jax.jvp(functools.partial(stretch, kernels=network.kernels()), (flat,), (vector,))
    return jax.vjp(functools.partial(stretch, kernels=network.kernels(reverse_mode=True)), flat)[1](moved)[0]
