"""What every trainable recurrent network offers: a step, a read-out, and which of its parameters are trained."""

import abc
from collections.abc import Sequence
from typing import Any, ClassVar, TypedDict, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import as_real
from fisherjax._errors import (
    check_instance,
    check_integer,
    check_key,
    check_kind,
    check_scalar,
    is_traced,
    require,
    told,
)
from fisherjax._runtime import product
from fisherjax._types import ArrayLike, Key, Scalar

from ._network import Network, State
from ._pattern import Constraint, Role, combined_pattern
from ._weights import LowRankWeights, WeightMatrix, constrain
from .initializers import Initializer, InitializerLike, as_initializer

Input = Float[Array, "*batch I"]
Current = Float[Array, "*batch D"]  # of all gates
Output = Float[Array, "*batch O"]

N = TypeVar("N", bound="RecurrentNetwork")

# parameters that are stored under another name: as a function of themselves, or where a method has the name
_FIELDS = {"time_constant": "time_parameter", "initial_state": "rest"}


class RecurrentOptions(TypedDict, total=False):
    """Keyword arguments of every recurrent network, with the defaults of `RecurrentNetwork`."""

    constraints: Constraint | Sequence[Constraint]
    recurrent_initializer: InitializerLike | None
    input_initializer: InitializerLike
    output_initializer: InitializerLike
    biases: Sequence[str]
    trainable: Sequence[str] | None
    initial_state: ArrayLike | None
    noise_std: Scalar
    observation_noise_std: Scalar


class RecurrentNetwork(Network):
    """A recurrent network that `training.fit` can train: inputs, a recurrent part, and a linear read-out of its rates.

    All functions of states take any leading axes. Parameters are chosen by name: `trainable` holds the names of
    those that `training.fit` changes. Constraints are part of the weights (`WeightMatrix`), never of training.
    """

    parameter_names: ClassVar[tuple[str, ...]] = (
        "recurrent",
        "input",
        "output",
        "recurrent_bias",
        "output_bias",
        "initial_state",
    )

    gates_per_unit: ClassVar[int] = 1
    states_per_unit: ClassVar[int] = 1
    additive: ClassVar[bool] = False  # whether recurrent current and drive enter the step as their sum

    recurrent: WeightMatrix
    input: WeightMatrix
    output: WeightMatrix
    recurrent_bias: Float[Array, " bias"] | None
    output_bias: Float[Array, " O"] | None
    rest: Float[Array, " S"]
    noise_std: Float[Array, ""]
    observation_noise_std: Float[Array, ""]
    trainable: tuple[str, ...] = eqx.field(static=True)

    def __init__(
        self,
        num_inputs: int,
        num_units: int,
        num_outputs: int,
        *,
        key: Key,
        constraints: Constraint | Sequence[Constraint] = (),
        recurrent_initializer: InitializerLike | None = None,
        input_initializer: InitializerLike = "uniform",
        output_initializer: InitializerLike = "uniform",
        biases: Sequence[str] = ("recurrent", "output"),
        trainable: Sequence[str] | None = None,
        initial_state: ArrayLike | None = None,
        noise_std: Scalar = 0.0,
        observation_noise_std: Scalar = 0.0,
    ):
        """Check what the user said, then draw the weights under the constraints."""
        num_inputs = check_integer("num_inputs", num_inputs, minimum=1)
        num_units = check_integer("num_units", num_units, minimum=1)
        num_outputs = check_integer("num_outputs", num_outputs, minimum=1)
        rules = _as_constraints(constraints)
        biases = _names("biases", biases)
        for name in biases:
            require(name in {"recurrent", "output"}, f"biases must be among 'recurrent' and 'output', got {told(name)}")
        check_scalar("noise_std", noise_std, minimum=0.0)
        check_scalar("observation_noise_std", observation_noise_std, minimum=0.0)
        dtype, gates = jnp.zeros(()).dtype, self.gates_per_unit
        keys = jax.random.split(check_key("key", key), 3)
        recurrent, inner, outer = (num_units, num_units), (num_units, num_inputs), (num_outputs, num_units)
        self.recurrent = _draw("recurrent", rules, recurrent_initializer, keys[0], recurrent, dtype, gates)
        self.input = _draw("input", rules, input_initializer, keys[1], inner, dtype, gates)
        self.output = _draw("output", rules, output_initializer, keys[2], outer, dtype, 1)
        inner_biases = self.initial_biases(num_units, dtype)
        for name, bias in inner_biases.items():
            setattr(self, name, bias if "recurrent" in biases else None)
        self.output_bias = jnp.zeros(num_outputs, dtype) if "output" in biases else None
        size = self.states_per_unit * num_units
        given = jnp.zeros(size, dtype) if initial_state is None else initial_state
        self.rest = as_real("initial_state", given, f"{size}", dtype=dtype)
        self.noise_std = jnp.asarray(noise_std, dtype)
        self.observation_noise_std = jnp.asarray(observation_noise_std, dtype)
        present = [name for name in (*inner_biases, "output_bias") if getattr(self, name) is not None]
        usual = ("recurrent", "input", "output", *present)
        self.trainable = check_names(type(self), usual if trainable is None else trainable)

    @classmethod
    def initial_biases(cls, num_units: int, dtype: Any) -> dict[str, Array]:
        """Where the biases of the recurrent part start, by the names of their fields."""
        return {"recurrent_bias": jnp.zeros(cls.gates_per_unit * num_units, dtype)}

    def drive(self, inputs: Input) -> Current:
        """W_in u + b: what inputs and biases contribute to a step, of all gates; computed for all times at once."""
        current = product(inputs, self.input.value.T)
        return current if self.recurrent_bias is None else current + self.recurrent_bias

    @abc.abstractmethod
    def update(self, state: State, current: Current, drive: Current, noise: State | None = None) -> State:
        """The next state from the state, its recurrent current W r, the drive, and standard normal noise if any."""

    @abc.abstractmethod
    def rates(self, state: State) -> Float[Array, "*batch N"]:
        """The activity that is read out."""

    def step(self, state: State, input: Input | None = None, noise: State | None = None) -> State:  # noqa: A002
        """F(x, u): the next state; without input it is zero, without noise there is none.

        Parameters
        ----------
        state
            x (…, S).
        input
            u (…, I).
        noise
            ξ (…, S), standard normal numbers.
        """
        state = as_real("state", state, f"... {self.state_size}", finite=False)
        if input is None:
            input = jnp.zeros((*state.shape[:-1], self.num_inputs), state.dtype)  # noqa: A001
        drive = self.drive(as_real("input", input, f"... {self.num_inputs}", finite=False))
        current = product(self.rates(state), self.recurrent.value.T)
        # trials may share one input
        drive = jnp.broadcast_to(drive, (*state.shape[:-1], drive.shape[-1]))
        return self.update(state, current, drive, noise)

    def readout(self, state: State) -> Output:
        """W_out r + b_out, without observation noise."""
        state = as_real("state", state, f"... {self.state_size}", finite=False)
        outputs = product(self.rates(state), self.output.value.T)
        return outputs if self.output_bias is None else outputs + self.output_bias

    def __repr__(self) -> str:
        kinds = {"recurrent": self.recurrent, "input": self.input, "output": self.output}
        kept = [f"{name}: {part.pattern}" for name, part in kinds.items() if str(part.pattern)]
        constraints = f", {', '.join(kept)}" if kept else ""
        sizes = f"{self.num_inputs} → {self.num_units} → {self.num_outputs}"
        return f"{type(self).__name__}({sizes}{constraints}, trainable: {', '.join(self.trainable)})"

    @property
    def num_units(self) -> int:
        """Number of units N."""
        return self.output.value.shape[1]

    @property
    def num_inputs(self) -> int:
        """Number of inputs I."""
        return self.input.value.shape[1]

    @property
    def num_outputs(self) -> int:
        """Number of outputs O."""
        return self.output.value.shape[0]

    @property
    def state_size(self) -> int:
        """Length S of the state: N, or 2N for an LSTM."""
        return self.rest.shape[0]

    @property
    def resting_state(self) -> Float[Array, " S"]:
        """x(0) without a stimulus; trained if "initial_state" is among the `trainable` names."""
        return self.rest

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(I,)."""
        return (self.num_inputs,)

    @property
    def dtype(self) -> Any:
        """Float type of the weights."""
        return self.rest.dtype

    @property
    def recurrent_weights(self) -> Float[Array, "to N"]:
        """Recurrent weights with all constraints in force."""
        return self.recurrent.value

    @property
    def input_weights(self) -> Float[Array, "to I"]:
        """Input weights with all constraints in force."""
        return self.input.value

    @property
    def output_weights(self) -> Float[Array, "O N"]:
        """Read-out weights with all constraints in force."""
        return self.output.value


def trainable_filter(network: N, names: Sequence[str] | None = None) -> N:
    """A tree of the network's shape, True at every number that training may change (for ``equinox.partition``).

    Raises
    ------
    ValueError
        If a name is not that of one of its parameters, or the network has no such parameter.
    """
    check_instance("network", network, RecurrentNetwork)
    names = network.trainable if names is None else check_names(type(network), names)
    spec = jax.tree.map(lambda _: False, network)
    for name in names:
        field = _FIELDS.get(name, name)
        part = getattr(network, field)
        require(part is not None, f"the network has no {name}: it was built without")
        chosen = part.trained() if isinstance(part, WeightMatrix) else jax.tree.map(eqx.is_inexact_array_like, part)
        spec = eqx.tree_at(lambda tree, field=field: getattr(tree, field), spec, chosen)
    return spec


def check_names(kind: type[RecurrentNetwork], names: Sequence[str]) -> tuple[str, ...]:
    """Names of parameters as a tuple; ValueError for an unknown one."""
    names = _names("trainable", names)
    for name in names:
        known = ", ".join(kind.parameter_names)
        require(
            name in kind.parameter_names, f"trainable: {name!r} is no parameter of {kind.__name__}; known are {known}"
        )
    return names


def _names(argument: str, value: Any) -> tuple[str, ...]:
    return tuple(check_kind(argument, value, (list, tuple, set, frozenset), "a tuple of names"))


def _as_constraints(constraints: Constraint | Sequence[Constraint]) -> tuple[Constraint, ...]:
    rules = (constraints,) if isinstance(constraints, Constraint) else constraints
    check_kind("constraints", rules, (list, tuple), "one or several Constraints such as dale(0.8)")
    for rule in rules:
        if not isinstance(rule, Constraint):
            raise TypeError(f"constraints must hold Constraints such as dale(0.8), got {told(rule)}")
    return tuple(rules)


def _draw(
    role: Role, rules: Sequence[Constraint], given: Any, key: Key, shape: tuple[int, int], dtype: Any, gates: int
) -> WeightMatrix:
    """Initial weights of one role, for all gates below one another."""
    pattern_key, weight_key = jax.random.split(key)
    pattern = combined_pattern(rules, role, shape, pattern_key)
    usual = "gaussian" if pattern.signs is None else "balanced"
    initializer = as_initializer(f"{role}_initializer", usual if given is None else given)
    drawn = [initializer(gate_key, shape, dtype, pattern) for gate_key in jax.random.split(weight_key, gates)]
    weights = constrain(jnp.concatenate(drawn), pattern.tiled(gates) if gates > 1 else pattern)
    return _of_radius(weights, initializer) if isinstance(weights, LowRankWeights) else weights


def _of_radius(weights: LowRankWeights, initializer: Initializer) -> LowRankWeights:
    """The nearest matrix of low rank has not the eigenvalues of what was drawn; every gate gets its radius again."""
    if is_traced(weights):
        return weights
    left, right = (np.asarray(part, np.float64) for part in (weights.left, weights.right))
    size = len(right)
    if weights.signs is not None:
        left, right = np.abs(left), np.abs(right) * np.asarray(weights.signs)[:, None]
    factors = []
    for gate in np.split(left, len(left) // size):
        drawn = float(np.abs(np.linalg.eigvals(right.T @ gate / size)).max())  # those of gate rightᵀ that are not zero
        wanted = initializer.radius_of(drawn)
        require(drawn > 0 or wanted == drawn, "weights of low rank have spectral radius 0 and cannot be scaled")
        factors.append(wanted / drawn if drawn > 0 else 1.0)
    scale = np.repeat(factors, size)[:, None]
    return eqx.tree_at(lambda tree: tree.left, weights, weights.left * jnp.asarray(scale, weights.left.dtype))
