"""Periodic orbits: what they are, and how those of a map and of a flow are found."""

import math
from typing import Any

import numpy as np
from jaxtyping import Bool, Complex, Float, Int

from fisherjax._errors import check_integer, check_optional, check_scalar, require
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Scalar

from ._cycles import Cycles, CycleSettings, cycles_of_flow, cycles_of_map
from ._modes import effective_marginal, stability_of
from ._search import speed_limit
from ._step import Setting, StateRecord, StepLike, setting_of

_ROUND = 240  # steps per period are a multiple: a quarter of them can be halved, cut into three, …, six


class PeriodicOrbits(StateRecord):
    """Periodic orbits found, most stable first.

    Parameters
    ----------
    orbits
        States along each: of a map x, F(x), …, (K, p, N), from the one with the least first entry on; of a flow 120
        at equal times (K, 120, N).
    period
        p steps, or the time T (K,).
    period_error
        Error of T that the integrator leaves, from a run with half as many steps (K,); 0 for a map.
    multipliers
        Eigenvalues of the product of the Jacobians around the orbit, largest modulus first; of a map (K, N), of a flow
        (K, N − 1) without the trivial one.
    trivial
        Of a flow, the multiplier along the orbit, 1 but for errors (K,); None for a map.
    speed
        q = ½‖x(T) − x(0)‖² (K,).
    inputs
        Input that is held at each (K, *I), or None.
    num_unstable, num_marginal, is_stable
        Multipliers outside of the unit circle, on it within the tolerance, and whether all lie inside (K,).
    candidate, basin
        Which candidate led there, and how many did (K,).
    num_candidates, num_lower
        How many there were, and how many of them led to a fixed point, or to an orbit whose period divides p.
    marginal, unique_distance
        Tolerance of multipliers, and distance below which two points were one.
    is_flow
        Whether these are orbits of a flow.
    unflatten
        Makes trees of the states where the step's are.
    """

    orbits: Float[np.ndarray, "K P N"]
    period: Float[np.ndarray, " K"]
    period_error: Float[np.ndarray, " K"]
    multipliers: Complex[np.ndarray, "K M"]
    trivial: Complex[np.ndarray, " K"] | None
    speed: Float[np.ndarray, " K"]
    inputs: Float[np.ndarray, "K *I"] | None
    num_unstable: Int[np.ndarray, " K"]
    num_marginal: Int[np.ndarray, " K"]
    is_stable: Bool[np.ndarray, " K"]
    candidate: Int[np.ndarray, " K"]
    basin: Int[np.ndarray, " K"]
    num_candidates: int
    num_lower: int
    marginal: float
    unique_distance: float
    is_flow: bool

    @property
    def kind(self) -> tuple[str, ...]:
        """Kind of each: "attractor", "marginal", "k-saddle" or "repeller"."""
        return stability_of(self.multipliers, self.marginal, is_flow=False).kind

    def __len__(self) -> int:
        return len(self.orbits)

    def __repr__(self) -> str:
        kinds = self.kind
        listed = ", ".join(f"{kinds.count(kind)} × {kind}" for kind in dict.fromkeys(kinds)) or "none"
        periods = ", ".join(f"{period:.6g}" for period in np.unique(self.period.round(9))[:4])
        of = f" of period {periods}" if len(self) else ""
        arrived = int(self.basin.sum())
        return f"PeriodicOrbits({listed}{of}; {arrived} of {self.num_candidates} candidates, {self.num_lower} to lower)"


@full_precision
def find_periodic_orbits(
    step: StepLike,
    candidates: Any,
    inputs: ArrayLike | None = None,
    *,
    period: Scalar,
    tolerance: Scalar | None = None,
    marginal: Scalar = 1e-6,
    unique_distance: Scalar | None = None,
    newton_steps: int = 50,
    marquardt_steps: int = 100,
    num_steps: int = 720,
    batch_size: int | None = None,
) -> PeriodicOrbits:
    """Find the periodic orbits that candidates lead to: all candidates at once, stable or not.

    Of a map, the points of period p are the fixed points of Fᵖ, found as in `find_fixed_points` (Newton's method on
    Fᵖ(x) − x, then Levenberg and Marquardt's); those that return earlier, as fixed points do, are left out.
    The multipliers are the eigenvalues of J(x_p) ⋯ J(x₁), a product that forward differentiation forms.

    Of a flow, x and the unknown period T solve φ_T(x) − x = 0 with v(x₀)·(x − x₀) = 0, which fixes the phase, x₀ being
    the candidate (shooting): by Levenberg and Marquardt's method, with φ by a quarter of `num_steps` Runge–Kutta steps
    of order four, then by Newton's with half of them and with all. The multipliers are the eigenvalues of dφ_T/dx
    (Floquet). One of them belongs to a shift along the orbit: it is told, as a check, and does not count for stability.

    Parameters
    ----------
    step
        A `Network`, a function F(x, u) or F(x), or a flow: a `networks.FlowNetwork` or a `networks.Flow`.
    candidates
        States to start from (K, N), or a tree of arrays with the leading axis K. Those near an equilibrium lead there.
    inputs
        Input that is held: (I,), or of a network its `input_shape`, for all; one per candidate, with the leading axis
        K; or None.
    period
        Of a map p, a whole number from 2 on; of a flow a guess of T, which is sought within a factor of three.
    tolerance
        Largest q = ½‖x(T) − x(0)‖² of an orbit; by default as in `find_fixed_points`.
    marginal
        How near to one |multiplier| counts as neither growing nor decaying.
    unique_distance
        Distance below which two points are one; by default as in `find_fixed_points`. Two orbits are one if a point of
        one lies so near to the other; an orbit of a flow that extends no farther is an equilibrium.
    newton_steps, marquardt_steps
        Most iterations.
    num_steps
        Integration steps in a period of a flow, rounded up to a multiple of 240.
    batch_size
        Candidates worked on at once; all by default.

    Raises
    ------
    ValueError
        If shapes do not match, a number is out of range, or a flow has fewer than two dimensions.
    TypeError
        If `step` does not map a state to a state of its float type, or the period of a map is no whole number.

    References
    ----------
    Kuznetsov (2004), Elements of Applied Bifurcation Theory, 3rd ed., § 10.1.3 and 1.5.
    """
    setting = setting_of("candidates", step, candidates, inputs)
    is_flow, dtype = setting.system.is_flow, setting.states.dtype
    if is_flow:
        check_scalar("period", period, minimum=0.0, strict=True)
        require(setting.states.shape[1] > 1, "step must have at least two dimensions: a flow on a line has no orbits")
    else:
        period = check_integer("period", period, minimum=2)
    check_scalar("marginal", marginal, minimum=0.0)
    speed_limit(tolerance, dtype)
    check_optional(check_scalar, "unique_distance", unique_distance, minimum=0.0)
    settings = CycleSettings(
        tolerance,
        unique_distance,
        check_integer("newton_steps", newton_steps, minimum=0),
        check_integer("marquardt_steps", marquardt_steps, minimum=0),
        check_optional(check_integer, "batch_size", batch_size, minimum=1),
    )
    num_steps = _ROUND * math.ceil(check_integer("num_steps", num_steps, minimum=1) / _ROUND)
    if is_flow:
        cycles = cycles_of_flow(setting, float(period), settings, num_steps)
    else:
        cycles = cycles_of_map(setting, int(period), settings)
    return _sorted(setting, cycles, effective_marginal(marginal, dtype))


def _sorted(setting: Setting, cycles: Cycles, marginal: float) -> PeriodicOrbits:
    """The orbits with their stability, most stable first."""
    stability = stability_of(cycles.multipliers, marginal, is_flow=False)
    order = np.lexsort((cycles.speed, stability.num_marginal, stability.num_unstable))
    candidate = cycles.candidate[order]
    return PeriodicOrbits(
        orbits=cycles.orbits[order],
        period=cycles.period[order],
        period_error=cycles.period_error[order],
        multipliers=cycles.multipliers[order],
        trivial=None if cycles.trivial is None else cycles.trivial[order],
        speed=cycles.speed[order],
        inputs=None if setting.inputs is None else np.asarray(setting.inputs)[candidate],
        num_unstable=stability.num_unstable[order],
        num_marginal=stability.num_marginal[order],
        is_stable=stability.is_stable[order],
        candidate=candidate,
        basin=cycles.basin[order],
        num_candidates=len(setting.states),
        num_lower=cycles.num_lower,
        marginal=marginal,
        unique_distance=cycles.unique_distance,
        is_flow=setting.system.is_flow,
        unflatten=setting.unflatten,
    )
