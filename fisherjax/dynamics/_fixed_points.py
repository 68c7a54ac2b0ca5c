"""Fixed points of a map or a flow: all candidates at once, Adam to come near, Newton to arrive."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Complex, Float, Int

from fisherjax._errors import check_integer, check_optional, check_scalar, warn
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Scalar
from fisherjax.networks import GRU, LSTM, RNN, ContinuousRNN, FlowNetwork, RateNetwork, StackedNetwork
from fisherjax.nonlinearities._erf_mixture import ErfMixture

from ._jacobian import jacobians
from ._modes import effective_marginal, frequencies, indices, sorted_eigenvalues, stability_of, time_constants
from ._search import (
    Arrivals,
    Cloud,
    SearchSettings,
    cloud_of,
    limit_of,
    merging_distances,
    search,
    speed_limit,
    unique_rows,
)
from ._step import Setting, StateRecord, StepLike, setting_of, time_step_of


class FixedPoints(StateRecord):
    """Fixed points found, most stable first and, among equals, with the lowest speed first.

    Parameters
    ----------
    points
        (K, N).
    speed
        q = ½‖F(x, u) − x‖² of each, within the tolerance (½‖v‖² of a flow).
    inputs
        Input u of each (K, *I), or None.
    eigenvalues
        Of the Jacobian in the state (K, N), largest modulus (real part, of a flow) first; NaN where the Jacobian is
        not finite.
    num_unstable, num_marginal
        Modes that grow, and that do neither within the marginal tolerance or are not known (K,).
    is_stable
        Whether all modes decay (K,).
    candidate
        Which candidate led there (K,).
    basin
        How many candidates ended at each (K,).
    slow_points, slow_speed, slow_inputs
        Where q came to rest (a local minimum, to the accuracy of `marquardt_steps`) without a fixed point:
        tolerance < q ≤ slow tolerance; (S, N), (S,), (S, *I).
    converged
        Whether each candidate arrived at a fixed point that is no outlier (candidates,).
    candidate_speed
        q that each candidate reached (candidates,); NaN for one at which the step is not finite.
    num_outliers
        Fixed points that were left out because they lie too far from all candidates.
    tolerance
        Largest q of a fixed point of unit length or more.
    marginal
        Tolerance of eigenvalues that was used.
    unique_distance
        Distance below which two points were one.
    is_flow
        Whether these are equilibria of a flow, v = 0, rather than fixed points of a map.
    is_bounded
        Whether the step is known to map some ball into itself (a velocity, to point inward on it), as that of a
        network of bounded units does; see `index_sum`.
    time_step
        Time from one state of the map to the next.
    unflatten
        Makes trees of the points where the step's states are trees; see `states`.
    """

    points: Float[np.ndarray, "K N"]
    speed: Float[np.ndarray, " K"]
    inputs: Float[np.ndarray, "K *I"] | None
    eigenvalues: Complex[np.ndarray, "K N"]
    num_unstable: Int[np.ndarray, " K"]
    num_marginal: Int[np.ndarray, " K"]
    is_stable: Bool[np.ndarray, " K"]
    candidate: Int[np.ndarray, " K"]
    basin: Int[np.ndarray, " K"]
    slow_points: Float[np.ndarray, "S N"]
    slow_speed: Float[np.ndarray, " S"]
    slow_inputs: Float[np.ndarray, "S *I"] | None
    converged: Bool[np.ndarray, " candidates"]
    candidate_speed: Float[np.ndarray, " candidates"]
    num_outliers: int
    tolerance: float
    marginal: float
    unique_distance: float
    is_flow: bool
    is_bounded: bool
    time_step: float

    @property
    def kind(self) -> tuple[str, ...]:
        """Kind of each: "attractor", "marginal", "k-saddle" or "repeller"."""
        return stability_of(self.eigenvalues, self.marginal, is_flow=self.is_flow).kind

    @property
    def time_constants(self) -> Float[np.ndarray, "K N"]:
        """Time constant of each mode: −dt/ln|λ| of a map, −1/Re λ of a flow; negative for one that grows."""
        return time_constants(self.eigenvalues, self.time_step, is_flow=self.is_flow)

    @property
    def frequencies(self) -> Float[np.ndarray, "K N"]:
        """Frequency of each mode: arg λ/(2π dt) of a map, Im λ/2π of a flow."""
        return frequencies(self.eigenvalues, self.time_step, is_flow=self.is_flow)

    @property
    def index(self) -> Int[np.ndarray, " K"]:
        """Fixed-point index of each, sign det(1 − J) or, of a flow, sign det(−J); 0 where rounding hides it."""
        return indices(self.eigenvalues, self.marginal, is_flow=self.is_flow)

    @property
    def states(self) -> Any:
        """The points as the step takes them: (K, N), or the tree that they are, with the leading axis K."""
        return self.points if self.unflatten is None else self.unflatten(self.points)

    def __len__(self) -> int:
        return len(self.points)

    def __repr__(self) -> str:
        kinds = self.kind
        listed = ", ".join(f"{kinds.count(kind)} × {kind}" for kind in dict.fromkeys(kinds)) or "none"
        share = f"{int(self.converged.sum())} of {len(self.converged)} candidates converged to q ≤ {self.tolerance:g}"
        far = f"; {self.num_outliers} outliers" if self.num_outliers else ""
        return f"FixedPoints({listed}; {share}; {len(self.slow_points)} slow points{far})"


@full_precision
def find_fixed_points(
    step: StepLike,
    candidates: Any,
    inputs: ArrayLike | None = None,
    *,
    tolerance: Scalar | None = None,
    slow_tolerance: Scalar | None = None,
    marginal: Scalar = 1e-6,
    unique_distance: Scalar | None = None,
    outlier_factor: Scalar = 10.0,
    adam_steps: int = 200,
    learning_rate: Scalar = 0.02,
    newton_steps: int = 20,
    marquardt_steps: int = 100,
    batch_size: int | None = None,
) -> FixedPoints:
    """Find the fixed points that candidates lead to: all candidates at once.

    Adam lowers q = ½‖F(x, u) − x‖² of every candidate for `adam_steps`; Newton's method on F(x, u) − x = 0 then
    converges quadratically, from where Adam left or, if it fails there, Levenberg–Marquardt does. q is evaluated
    afresh at the end. Of points closer to each other than `unique_distance` (at the same input) the one with the
    lowest q is kept. Memory: two Jacobians (N, N) per candidate that is worked on at once.

    Parameters
    ----------
    step
        A `Network`; a function F(x, u) or F(x) to the next state; or a flow, `networks.FlowNetwork` or
        `networks.Flow`, whose velocity v takes the place of F(x, u) − x.
    candidates
        States to start from (K, N), for instance from `sample_states`; or a tree of arrays with the leading axis K, if
        the step takes trees (a tuple (h, c), a dictionary).
    inputs
        Input that is held: (I,), or of a network its `input_shape`, for all; one per candidate, with the leading axis
        K; or None (zero, for a network).
    tolerance
        Largest q of a fixed point; by default 1e-16 in float64, 1e-11 in float32, times ‖x‖² where a state and the
        candidate are shorter than one, and no less than rounding leaves.
    slow_tolerance
        Largest q of a slow point; by default 1e-4, times ‖x‖² where that is less than one.
    marginal
        How near to one |λ| (to zero Re λ, of a flow) counts as neither growing nor decaying; at least √ε
        of the float type, which is how far rounding moves an eigenvalue of two that coincide.
    unique_distance
        Distance below which two points are one; by default 1e-3 of the r.m.s. distance from their mean of the
        candidates, or of the fixed points that they led to if that is less, and no less than `tolerance` resolves.
    outlier_factor
        Points farther from the candidates' mean than this times their mean distance from it, or their r.m.s. length,
        or the distance of half of all arrivals, if one of these is more, are left out and counted.
    adam_steps, learning_rate
        First stage; the step size falls to zero along a cosine.
    newton_steps, marquardt_steps
        Most iterations of the second stage.
    batch_size
        Candidates worked on at once; all by default.

    Warns
    -----
    RuntimeWarning
        If the step is not finite at some candidates; the others are searched from all the same.

    Raises
    ------
    ValueError
        If shapes do not match, or a number is out of range.
    TypeError
        If `step` does not map a state to a state of its float type.

    References
    ----------
    Sussillo & Barak (2013), Opening the black box, Neural Comput. 25, 626–649; Golub & Sussillo (2018),
    FixedPointFinder, J. Open Source Softw. 3, 1003.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from fisherjax import dynamics
    >>> candidates = jnp.array([[-2.0], [0.1], [2.0]])
    >>> print(dynamics.find_fixed_points(lambda state: jnp.tanh(2 * state), candidates))
    FixedPoints(2 × attractor, 1 × repeller; 3 of 3 candidates converged to q ≤ 1e-11; 0 slow points)
    """
    setting = setting_of("candidates", step, candidates, inputs)
    states = setting.states
    eps = float(jnp.finfo(states.dtype).eps)
    limit = speed_limit(tolerance, states.dtype)
    slow = limit_of("slow_tolerance", slow_tolerance, 1e-4, strict=False)
    check_scalar("marginal", marginal, minimum=0.0)
    check_scalar("outlier_factor", outlier_factor, minimum=0.0, strict=True)
    check_scalar("learning_rate", learning_rate, minimum=0.0)
    check_optional(check_scalar, "unique_distance", unique_distance, minimum=0.0)
    batch_size = check_optional(check_integer, "batch_size", batch_size, minimum=1)
    settings = SearchSettings(
        check_integer("adam_steps", adam_steps, minimum=0),
        float(learning_rate),
        check_integer("newton_steps", newton_steps, minimum=0),
        check_integer("marquardt_steps", marquardt_steps, minimum=0),
    )
    begun = np.asarray(states)
    arrivals, cloud = search(setting, settings, limit, cloud_of(begun, float(outlier_factor), eps), batch_size)
    lost = int(np.isnan(arrivals.speed).sum())
    if lost:
        warn(f"step is not finite at {lost} of {len(begun)} candidates: their candidate_speed is NaN")
    lengths = np.linalg.norm(begun, axis=1)
    converged = arrivals.speed <= limit.of(np.maximum(np.linalg.norm(arrivals.states, axis=1), lengths), eps)
    slowed = arrivals.rest_speed <= slow.of(np.maximum(np.linalg.norm(arrivals.rest, axis=1), lengths), eps)
    if unique_distance is None:
        distances = merging_distances(arrivals.states[converged & cloud.near(arrivals.states)], begun, cloud, limit)
    else:
        distances = (float(unique_distance), float(unique_distance))
    tolerances = limit.value, effective_marginal(marginal, states.dtype)
    return _collect(step, setting, arrivals, cloud, converged, slowed, distances, *tolerances)


def _collect(
    step: StepLike,
    setting: Setting,
    arrivals: Arrivals,
    cloud: Cloud,
    converged: Bool[np.ndarray, " candidates"],
    slowed: Bool[np.ndarray, " candidates"],
    distances: tuple[float, float],
    tolerance: float,
    marginal: float,
) -> FixedPoints:
    """Unique points with their stability, slow points, outliers."""
    held, is_flow = None if setting.inputs is None else np.asarray(setting.inputs), setting.system.is_flow
    near, (distance, slow_distance) = cloud.near(arrivals.states), distances
    kept, basin = unique_rows(arrivals.states, arrivals.speed, held, converged & near, distance)
    resting = ~(converged & near) & slowed & cloud.near(arrivals.rest)
    slow_kept, _ = unique_rows(arrivals.rest, arrivals.rest_speed, held, resting, slow_distance)
    outliers, _ = unique_rows(arrivals.states, arrivals.speed, held, converged & ~near, distance)
    slopes = np.zeros((0, arrivals.states.shape[1], arrivals.states.shape[1]))
    if len(kept):
        # of few lengths, each of which is compiled
        rows = np.resize(kept, 2 ** (len(kept) - 1).bit_length())
        given = None if held is None else jnp.asarray(held[rows])
        slopes = np.asarray(jacobians(setting.system, jnp.asarray(arrivals.states[rows]), given))[: len(kept)]
    eigenvalues = sorted_eigenvalues(slopes, is_flow=is_flow)
    stability = stability_of(eigenvalues, marginal, is_flow=is_flow)
    order = np.lexsort((arrivals.speed[kept], stability.num_marginal, stability.num_unstable))
    kept = kept[order]
    return FixedPoints(
        points=arrivals.states[kept],
        speed=arrivals.speed[kept],
        inputs=None if held is None else held[kept],
        eigenvalues=eigenvalues[order],
        num_unstable=stability.num_unstable[order],
        num_marginal=stability.num_marginal[order],
        is_stable=stability.is_stable[order],
        candidate=kept,
        basin=basin[order],
        slow_points=arrivals.rest[slow_kept],
        slow_speed=arrivals.rest_speed[slow_kept],
        slow_inputs=None if held is None else held[slow_kept],
        converged=converged & near,
        candidate_speed=arrivals.speed,
        num_outliers=len(outliers),
        tolerance=tolerance,
        marginal=marginal,
        unique_distance=distance,
        is_flow=is_flow,
        is_bounded=_keeps_a_ball(step),
        time_step=time_step_of(step),
        unflatten=setting.unflatten,
    )


def _keeps_a_ball(step: StepLike) -> bool:
    """Whether the step is known to map some closed ball into itself, or the velocity to point inward on one.

    So it is with bounded nonlinearities (tanh, erf, logistic): the new state is then bounded, or a weighted mean of
    the old one and something bounded. Of a user's function nothing is known.
    """
    if isinstance(step, RateNetwork | FlowNetwork | RNN | ContinuousRNN):
        return isinstance(step.nonlinearity, ErfMixture)
    if isinstance(step, StackedNetwork):
        return all(_keeps_a_ball(layer) for layer in step.layers)
    return isinstance(step, GRU | LSTM)
