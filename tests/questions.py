"""Every question for every network: who can be asked, what can be asked, and the holes with their reasons.

`tests/laws/test_every_question.py` walks this table, and docs/questions.md is written from it
(``python tests/questions.py``). A new member or question goes in here, with its column or row.
"""

import functools
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from fisherjax import connectivity as cn
from fisherjax import dynamics, fisher, geometry, networks, simulate, training, vision

N, STEPS, NOISE = 5, 3, 0.02
PAGE = Path(__file__).parents[1] / "docs" / "questions.md"


def two_inputs(kind, key, scale, **options):
    """A trained kind of network, as small as can be, with weights of gain `scale`."""
    drawn = kind(2, N, 2, key=key, noise_std=NOISE, observation_noise_std=NOISE, **options)
    return eqx.tree_at(lambda n: n.recurrent.parameter, drawn, scale * drawn.recurrent.value)


def rate(key, scale, kind=networks.RateNetwork, **options):
    weights = scale * cn.sample_weights(cn.homogeneous(0.8), N, key=key)
    vector = np.asarray(jax.random.normal(key, (N, 2)))
    return kind(weights, vector, noise_std=NOISE, observation_noise_std=NOISE, **options)


def user_step(weights, state, inputs):
    return jnp.tanh(weights @ state + inputs[0] - 0.5 * inputs[1])


def own(key, scale):
    weights = scale * cn.sample_weights(cn.homogeneous(0.8), N, key=key)
    step = jax.tree_util.Partial(user_step, weights)
    return networks.from_step(
        step, N, input_shape=(2,), initial_state=None, noise_std=NOISE, observation_noise_std=NOISE
    )


def torch(key, scale):
    """Two layers of a torch GRU, from the arrays that its file holds."""
    sizes = {
        "weight_ih_l0": (9, 2), "weight_hh_l0": (9, 3), "bias_ih_l0": (9,), "bias_hh_l0": (9,),
        "weight_ih_l1": (9, 3), "weight_hh_l1": (9, 3), "bias_ih_l1": (9,), "bias_hh_l1": (9,),
    }  # fmt: skip
    keys = jax.random.split(key, len(sizes))
    arrays = {
        name: np.asarray(scale * jax.random.normal(k, sizes[name]) / 2) for name, k in zip(sizes, keys, strict=True)
    }
    return networks.from_torch(arrays, noise_std=NOISE, observation_noise_std=NOISE)


def equinox(key, scale):
    cell = eqx.nn.LSTMCell(2, 3, key=key)
    cell = eqx.tree_at(lambda c: c.weight_hh, cell, scale * cell.weight_hh)
    return networks.from_equinox(cell, noise_std=NOISE, observation_noise_std=NOISE)


def flax(key, scale):
    """A cell that none of the networks here is: an LSTM with another activation."""
    import flax.linen as nn  # evosax brings it

    cell = nn.LSTMCell(3, activation_fn=nn.soft_sign, param_dtype=jnp.float64)
    variables = cell.init(key, (jnp.zeros(3), jnp.zeros(3)), jnp.zeros(2))
    variables = jax.tree.map(lambda leaf: scale * leaf, variables)
    return networks.from_flax(cell, variables, noise_std=NOISE, observation_noise_std=NOISE)


PLAN = vision.Architecture(
    (3, 3, 1), 2, (2, 2), stem_channels=2, stem_kernel=3, alpha=0.3, blank_steps=1, image_steps=2
)


def convolutional(key, scale):
    drawn = vision.ConvolutionalRNN(
        PLAN, key=key, recurrent_gain=0.5 * scale, noise_std=NOISE, observation_noise_std=NOISE
    )
    # away from the thresholds, where small noise is what it says
    biases = tuple(1 + jax.random.uniform(jax.random.key(j), b.shape) for j, b in enumerate(drawn.biases))
    return eqx.tree_at(lambda n: n.biases, drawn, biases)


MEMBERS = {
    "RateNetwork": rate,
    "FlowNetwork": functools.partial(rate, kind=networks.FlowNetwork, dt=0.5),
    "RNN": functools.partial(two_inputs, networks.RNN),
    "ContinuousRNN": functools.partial(two_inputs, networks.ContinuousRNN, time_constant=30.0),
    "GRU": functools.partial(two_inputs, networks.GRU),
    "LSTM": functools.partial(two_inputs, networks.LSTM),
    "ConvolutionalRNN": convolutional,
    "from_step": own,
    "from_torch": torch,
    "from_flax": flax,
    "from_equinox": equinox,
}
"""(key, scale) ↦ network; the same scale of another key is another network of the same shapes."""


def image_of(theta):
    return jnp.linspace(0.2, 1.0, 9).reshape(3, 3, 1) * (1 + theta)


def stream(theta):
    return theta * jnp.linspace(0.5, 1.5, 2 * STEPS).reshape(STEPS, 2)


def asked(network, *, streamed=False):
    """How a stimulus enters: a pulse through all inputs, or a stream (images for an image network)."""
    if isinstance(network, vision.ConvolutionalRNN):
        return {"stimulus": 0.1, "num_steps": STEPS, "protocol": vision.shown(network, image_of)}
    if streamed:
        return {"stimulus": 0.4, "num_steps": STEPS, "protocol": stream}
    return {"stimulus": np.array([0.4, -0.2]), "num_steps": STEPS}


def reading(network):
    return {"read": vision.channel_means(network)} if isinstance(network, vision.ConvolutionalRNN) else {}


def trajectories(network, key):
    return simulate.trajectories(network, num_trials=4, key=key, **asked(network))


def simulated(network, key):
    return fisher.simulated_curve(network, num_trials=500, key=key, at=[1, STEPS], **asked(network), **reading(network))


def linearized(network, key):
    return fisher.linearized_curve(network, at=[1, STEPS], **asked(network), **reading(network))


def closure(network, key):
    return fisher.closure_curve(network, **asked(network))


def gradient(network, key):
    def log_information(network):
        total = fisher.linearized_curve(network, at=[STEPS], **asked(network, streamed=True), **reading(network)).total
        return jnp.log(total[-1])

    return eqx.filter_grad(log_information)(network)


def output_simulated(network, key):
    asking = {**asked(network, streamed=True), "read": "output", "at": [STEPS], "form": "independent"}
    return fisher.simulated_curve(network, num_trials=2000, key=key, **asking)


def output_linearized(network, key):
    asking = {**asked(network, streamed=True), "read": "output", "at": [STEPS], "form": "independent"}
    return fisher.linearized_curve(network, **asking)


def held(network):
    """An input that stays on, where the network takes any."""
    return None if network.input_shape is None else 0.1 * np.ones(network.input_shape)


def fixed_points(network, key):
    states = 0.1 * np.asarray(jax.random.normal(key, (2, network.state_size)))
    return dynamics.find_fixed_points(network, states, held(network), adam_steps=5)


def exponents(network, key):
    state = 0.1 * np.asarray(jax.random.normal(key, (network.state_size,)))
    return dynamics.lyapunov_spectrum(network, state, held(network), key=key, num_steps=20, warm_up=2, num_exponents=2)


def distances(network, key):
    if isinstance(network, vision.ConvolutionalRNN):
        stimuli = jax.random.uniform(key, (4, 3, 3, 1))
    else:
        stimuli = jax.random.normal(key, (4, 2))
    return geometry.network_geometry(network, stimuli, num_steps=2, num_trials=2, key=key, num_resamples=0)


def saved(network, key):
    return type(network).from_bytes(network.to_bytes())


def trained(network, key):
    inputs = np.asarray(jax.random.normal(key, (4, 3, 2)))
    targets = np.zeros((4, 3, network.num_outputs))
    return training.fit(network, (inputs, targets), key=key, num_steps=2, batch_size=3).network


QUESTIONS = {
    "trajectories": ("`simulate.trajectories`", trajectories),
    "information measured": ("`fisher.simulated_curve`", simulated),
    "information at small noise": ("`fisher.linearized_curve`", linearized),
    "information, closed": ("`fisher.closure_curve`", closure),
    "gradient in every weight": ("of `fisher.linearized_curve`, by `equinox.filter_grad`", gradient),
    "a stream of inputs, the output, its noise, measured": ('`protocol=`, `read="output"`', output_simulated),
    "the same at small noise": ('`protocol=`, `read="output"`', output_linearized),
    "fixed points": ("`dynamics.find_fixed_points`", fixed_points),
    "Lyapunov exponents": ("`dynamics.lyapunov_spectrum`", exponents),
    "geometry of many stimuli": ("`geometry.network_geometry`", distances),
    "save and load": ("`.save`, `.load`", saved),
    "train": ("`training.fit`", trained),
}
"""What a question is called, where it is asked, and the call: (network, key) ↦ answer."""

_NOT_CLOSED = (
    "The closure follows x ↦ J φ(x) + b + σ ξ, one nonlinearity of a sum: leaks, gates, areas and functions of a user "
    "have none; use `linearized_curve` or `simulated_curve`."
)
_GIVEN = "Its weights are given, or trained in a way of its own; `optax` takes gradients in any of its arrays."
_CODE = "Its step is code, and files hold numbers only."

HOLES = {
    **{
        ("information, closed", member): _NOT_CLOSED
        for member in (
            "ContinuousRNN", "GRU", "LSTM", "ConvolutionalRNN", "from_step", "from_torch", "from_flax", "from_equinox",
        )
    },
    **{("train", member): _GIVEN for member in ("RateNetwork", "FlowNetwork", "from_step", "from_torch", "from_flax")},
    ("train", "ConvolutionalRNN"): "Its stages of training are its own: `vision.train`, `vision.train_directly`.",
    ("save and load", "from_step"): _CODE,
    ("save and load", "from_flax"): "A cell with other functions inside is code; the usual cells are saved and loaded.",
}  # fmt: skip


def page():
    """The table as the documentation shows it."""
    reasons = list(dict.fromkeys(HOLES.values()))
    lines = [
        "# Every question for every network",
        "",
        "Written by `python tests/questions.py` from the table that the tests walk: each cell runs, agrees with an",
        "independent one where there is one, and compiles nothing the second time.",
        "",
        f"| | {' | '.join(MEMBERS)} |",
        f"|---|{'---|' * len(MEMBERS)}",
    ]
    for question, (where, _) in QUESTIONS.items():
        cells = []
        for member in MEMBERS:
            hole = HOLES.get((question, member))
            cells.append("✓" if hole is None else f"[^{reasons.index(hole) + 1}]")
        lines.append(f"| {question}: {where} | {' | '.join(cells)} |")
    lines += ["", "Where there is a number instead, a note at the end of the page says why.", ""]
    lines += [f"[^{index}]: {reason}" for index, reason in enumerate(reasons, start=1)]
    lines += [
        "",
        "Of a structure, a `GainMatrix`, the same is asked of its networks (`simulate.draw_networks`,",
        "`fisher.ensemble_curve`), and predicted for large N: `fisher.meanfield_curve`, `meanfield.lyapunov_exponent`,",
        "`meanfield.critical_gain`, `geometry.predicted_distances`; `optimize.maximize` searches among structures.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
