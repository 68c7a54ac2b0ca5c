"""A flow that a user writes down: what tells a velocity from a step."""

from collections.abc import Callable
from typing import Any

import equinox as eqx

from fisherjax._errors import check_callable


class Flow(eqx.Module):
    """A system in continuous time, dx/dt = v(x) or v(x, u), of a function of one state.

    A function alone is a map, x(t+1) = F(x(t), u); wrapped in `Flow` it is a velocity. `dynamics` asks a flow for its
    equilibria, v = 0, and judges stability by real parts. What iterates (`dynamics.lyapunov_spectrum`,
    `dynamics.transition_graph`) makes a map of it by `runge_kutta` steps of a length `dt` that is to be said. A
    `FlowNetwork` is a flow by itself.

    Parameters
    ----------
    velocity
        v(x) or v(x, u), of one state, an array (S,) or a tree of arrays. If it is a pytree, such as an
        ``equinox.Module`` or a ``jax.tree_util.Partial``, its arrays stay leaves of the flow.

    Raises
    ------
    TypeError
        If `velocity` is no function.
    """

    velocity: Callable[..., Any]

    def __init__(self, velocity: Callable[..., Any]):
        """Check that it can be called."""
        self.velocity = check_callable("velocity", velocity)
