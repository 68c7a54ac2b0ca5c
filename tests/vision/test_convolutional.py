"""CordsNet against loops in NumPy, and through time."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisherjax import vision
from fisherjax.vision import Architecture, ConvolutionalRNN, architecture, respond
from fisherjax.vision._architecture import PRESETS
from fisherjax.vision._convolution import as_convolution

SMALL = Architecture((8, 8, 2), 3, (2, 2, 3, 3), stem_channels=2, stem_kernel=3, alpha=0.3)
STRIDED = Architecture(
    (16, 32, 3), 4, (2, 2, 3, 3), stem_kernel=7, stem_stride=2, stem_pooling=True, alpha=(0.2, 0.3, 0.4, 1.0)
)
FEEDBACK = Architecture((8, 8, 1), 3, (2, 2, 3, 3), feedback=True)


def draw(plan, key, **options):
    """A network whose biases and scales are not their initial zeros and norms."""
    network = ConvolutionalRNN(plan, key=key, **options)
    leaves, tree = jax.tree.flatten(network)
    keys = jax.random.split(key, len(leaves))
    noisy = [a + 0.2 * jax.random.normal(k, a.shape) if a.ndim else a for a, k in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(tree, noisy)


def loop_convolution(maps, scale, direction, stride):
    """Out[o, y, x] = Σ w[o, i, a, b] in[i, y s + a − m, x s + b − m], one number after another; maps (C, H, W)."""
    side = direction.shape[2]
    margin = side // 2
    weights = np.array([g * v / np.sqrt((v**2).sum()) for g, v in zip(scale, direction, strict=True)])
    _, height, width = maps.shape
    out = np.zeros((len(weights), (height - 1) // stride + 1, (width - 1) // stride + 1))
    for y in range(out.shape[1]):
        for x in range(out.shape[2]):
            for a in range(side):
                for b in range(side):
                    row, column = y * stride + a - margin, x * stride + b - margin
                    if 0 <= row < height and 0 <= column < width:
                        out[:, y, x] += weights[:, :, a, b] @ maps[:, row, column]
    return out


def loop_pool(maps):
    channels, height, width = maps.shape
    out = np.zeros((channels, height // 2, width // 2))
    for y in range(height // 2):
        for x in range(width // 2):
            for a in (-1, 0, 1):
                for b in (-1, 0, 1):
                    if 0 <= 2 * y + a < height and 0 <= 2 * x + b < width:
                        out[:, y, x] += maps[:, 2 * y + a, 2 * x + b] / 9
    return out


def loop_network(network, image, blank_steps, image_steps, offset_steps):
    """The dynamics as the paper writes them, the drive computed anew at every step; maps (C, H, W)."""
    plan, depth = network.architecture, network.architecture.depth

    def apply(module, maps):
        return loop_convolution(maps, np.asarray(module.scale), np.asarray(module.direction), module.stride)

    def rho(x):
        return np.maximum(x, 0) + float(network.leak) * np.minimum(x, 0)

    states = [np.zeros(np.shape(bias)) for bias in network.biases]
    history, scores = [], []
    for step in range(blank_steps + image_steps + offset_steps):
        on = blank_steps <= step < blank_steps + image_steps
        shown = np.moveaxis(np.asarray(image), -1, 0) * on
        seen = apply(network.stem, shown)
        seen = loop_pool(seen) if plan.stem_pooling else seen
        following = []
        for j in range(depth):
            if j == 0:
                source = seen
            elif j == 1:
                source = rho(states[0]) + apply(network.input_skip, seen)
            else:
                skip = network.skips[j - 2]
                source = rho(states[j - 1]) + (rho(states[j - 2]) if skip is None else apply(skip, rho(states[j - 2])))
            current = apply(network.recurrent[j], states[j]) + np.asarray(network.biases[j])
            current = current + apply(network.feedforward[j], source)
            if plan.feedback and j + 1 < depth:
                above = apply(network.feedback[j], rho(states[j + 1]))
                current = current + np.kron(above, np.ones((1, plan.strides[j + 1], plan.strides[j + 1])))
            following.append((1 - plan.alpha[j]) * states[j] + plan.alpha[j] * rho(current))
        states = following
        history.append(states)
        features = (rho(states[-1]) + rho(states[-2])).mean((1, 2))
        weights = np.asarray(network.output.direction)
        weights = np.asarray(network.output.scale)[:, None] * weights / np.linalg.norm(weights, axis=1)[:, None]
        scores.append(weights @ features + np.asarray(network.output.bias))
    return history, np.array(scores)


@pytest.mark.parametrize(
    ("plan", "leak"),
    [(SMALL, 0.0), (STRIDED, 0.0), (FEEDBACK, 0.0), (SMALL, 0.4)],
    ids=["small", "strided stem", "feedback", "leak"],
)
def test_dynamics_equal_loops_in_numpy(key, plan, leak):
    network = draw(plan, key, leak=leak)
    image = jax.random.normal(jax.random.fold_in(key, 1), plan.image_shape)
    found = respond(network, image, blank_steps=4, image_steps=5, offset_steps=3, areas="all")
    history, scores = loop_network(network, image, 4, 5, 3)
    np.testing.assert_allclose(found.logits, scores, rtol=0, atol=1e-10)
    for area in range(plan.depth):
        expected = np.moveaxis(np.array([states[area] for states in history]), 1, -1)
        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(found.activity[area], expected, rtol=0, atol=1e-10)
        np.testing.assert_allclose(found.state[area], expected[-1], rtol=0, atol=1e-10)
    assert (found.onset, found.offset) == (4, 9)
    np.testing.assert_allclose(found.probabilities.sum(-1), 1, atol=1e-12)


def test_published_size():
    shapes = eqx.filter_eval_shape(lambda key: ConvolutionalRNN(architecture("R8"), key=key), jax.random.key(0))
    assert shapes.num_parameters == 12_475_280
    assert architecture("R8").area_shapes == (
        (56, 56, 64), (56, 56, 64), (28, 28, 128), (28, 28, 128), (14, 14, 256), (14, 14, 256), (7, 7, 512), (7, 7, 512)
    )  # fmt: skip
    assert [one is None for one in shapes.skips] == [True, False, True, False, True, False]
    for name in PRESETS:
        plan = architecture(name)
        assert plan.depth == int(name[1])
        assert plan.area_shapes[-1] == plan.area_shapes[-2]


def test_records_are_parts_of_the_whole(key):
    network = draw(SMALL, key)
    images = jax.random.normal(key, (2, 3, 8, 8, 2))
    whole = respond(network, images, blank_steps=4, image_steps=5, offset_steps=3, areas="all")
    part = respond(network, images, blank_steps=4, image_steps=5, offset_steps=3, areas=(3, 0), at=(2, 4, 5, 12))
    assert whole.logits.shape == (12, 2, 3, 3)
    assert [one.shape for one in part.activity] == [(4, 2, 3, 4, 4, 3), (4, 2, 3, 8, 8, 2)]
    steps = np.array([1, 3, 4, 11])
    for area, found in zip(part.areas, part.activity, strict=True):
        np.testing.assert_array_equal(found, whole.activity[area][steps])
    np.testing.assert_array_equal(part.logits, whole.logits)
    one = respond(network, images[1, 2], blank_steps=4, image_steps=5, offset_steps=3)
    np.testing.assert_allclose(one.logits, whole.logits[:, 1, 2], atol=1e-12)
    # going on from a state is the same as not having stopped, and steps by hand are the same as all at once
    begun = respond(network, images, blank_steps=4, image_steps=2)
    ended = respond(network, images, blank_steps=0, image_steps=3, offset_steps=3, initial_state=begun.state)
    np.testing.assert_allclose(ended.logits[-1], whole.logits[-1], atol=1e-12)
    state = network.advance(begun.state, network.drive(images))
    np.testing.assert_allclose(network.logits(state), whole.logits[6], atol=1e-12)


def test_a_call_is_the_last_logits(key):
    plan = Architecture((4, 4, 1), 3, (2, 2), blank_steps=3, image_steps=4)
    network, image = draw(plan, key), jax.random.normal(key, (4, 4, 1))
    np.testing.assert_array_equal(network(image), respond(network, image).logits[-1])


def test_nothing_compiles_twice(key, num_programs):
    plan = Architecture((4, 4, 1), 3, (2, 2), blank_steps=3, image_steps=4)
    image = jax.random.normal(key, (4, 4, 1))
    respond(draw(plan, key), image, key=key)
    other = draw(plan, jax.random.fold_in(key, 5), noise_std=0.3)
    with jax.log_compiles(False), jax.check_tracer_leaks(False):
        before = num_programs(vision._loop.follow)
        respond(other, 2 * image, key=jax.random.fold_in(key, 7))
        assert num_programs(vision._loop.follow) == before


def test_noise_has_its_stationary_variance(key):
    """A linear network without connections is an Ornstein–Uhlenbeck process: variance 2α σ²/(1 − (1 − α)²)."""
    plan = Architecture((8, 8, 1), 2, (4, 4), alpha=(0.5, 0.1))
    network = ConvolutionalRNN(plan, key=key, noise_std=0.7, leak=1.0, recurrent_gain=0.0)
    network = eqx.tree_at(lambda n: [c.scale for c in n.feedforward], network, [jnp.zeros(4)] * 2)
    images = jnp.zeros((40, 8, 8, 1))
    found = respond(network, images, blank_steps=80, image_steps=1, areas="all", at=(81,), key=key)
    for alpha, activity in zip(plan.alpha, found.activity, strict=True):
        expected = 2 * alpha * 0.49 / (1 - (1 - alpha) ** 2)
        count = activity.size
        assert abs(float(jnp.mean(activity**2)) / expected - 1) < 4 * np.sqrt(2 / count)
        assert abs(float(jnp.mean(activity))) < 4 * np.sqrt(expected / count)
    again = respond(network, images, blank_steps=80, image_steps=1, areas="all", at=(81,), key=key)
    np.testing.assert_array_equal(found.activity[0], again.activity[0])


@pytest.mark.parametrize("pooling", [False, True])
def test_gradients_are_derivatives_with_and_without_rematerialization(key, pooling):
    plan = Architecture((4, 4, 1), 3, (2, 2), alpha=0.4, stem_pooling=pooling)
    network, images = draw(plan, key), jax.random.normal(key, (2, 4, 4, 1))

    @eqx.filter_jit
    def loss(network, every=None):
        return jnp.sum(
            respond(network, images, blank_steps=3, image_steps=5, offset_steps=2, remat_every=every).logits ** 2
        )

    slope = eqx.filter_jit(eqx.filter_grad(loss))
    plain = slope(network)
    # phases of 3, 5 and 2 steps: in whole segments, with a remainder, and shorter than a segment
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(slope(network, 2)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    where = (
        lambda n: n.recurrent[0].direction, lambda n: n.feedforward[1].scale, lambda n: n.biases[0],
        lambda n: n.stem.direction, lambda n: n.output.scale,
    )  # fmt: skip
    for part in where:
        leaf = part(network)
        way = jax.random.normal(jax.random.fold_in(key, 3), leaf.shape)
        ends = [loss(eqx.tree_at(part, network, leaf + shift * way)) for shift in (1e-6, -1e-6)]
        expected = (ends[0] - ends[1]) / 2e-6
        np.testing.assert_allclose(jnp.sum(part(plain) * way), expected, rtol=1e-6)


def test_rematerialization_bounds_memory(key):
    """The temporaries of a gradient: with T = 100 and every tenth state kept, far less than with all of them."""
    plan = Architecture((16, 16, 1), 3, (8, 8))
    network, images = ConvolutionalRNN(plan, key=key), jnp.ones((4, 16, 16, 1))

    def temporaries(every):
        def loss(leaves, tree, images):
            network = jax.tree.unflatten(tree, leaves)
            return jnp.sum(respond(network, images, blank_steps=1, image_steps=100, remat_every=every).logits[-1])

        leaves, tree = jax.tree.flatten(network)
        lowered = jax.jit(jax.grad(loss), static_argnums=1).lower(leaves, tree, images)
        return lowered.compile().memory_analysis().temp_size_in_bytes

    state = 4 * 2 * 16 * 16 * 8 * 8  # bytes of all units, four images
    whole, part = temporaries(None), temporaries(10)
    assert whole > 100 * state
    assert part < 45 * state


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Architecture((8, 8, 1), 3, (2, 2, 2)), "even number of areas.*got 3"),
        (lambda: Architecture((8, 8, 1), 3, ()), "even number of areas.*got 0"),
        (lambda: architecture("R8", image_shape=(226, 224, 3)), "of 226 gives the pooling of the stem a map of 113"),
        (lambda: architecture("R8", image_shape=(224, 240, 3)), "width of 240 gives area 6 a map of 15.*32"),
        (lambda: Architecture((8, 8, 1), 3, (2, 2), alpha=0.0), r"alpha = dt/τ must be in \(0, 1\], got 0"),
        (lambda: Architecture((8, 8, 1), 3, (2, 2), alpha=1.5), r"must be in \(0, 1\], got 1.5"),
        (lambda: Architecture((8, 8, 1), 3, (2, 2), alpha=(0.1, 0.2, 0.3)), "one number or 2, one per area, got 3"),
        (lambda: Architecture((8, 8, 1), 3, (2, 2), strides=(1, 2)), "last two areas.*must share a shape"),
        (lambda: Architecture((8, 8, 1), 3, (2, 2), strides=(1,)), "strides must name 2 areas, got 1"),
        (lambda: Architecture((8, 8), 3, (2, 2)), r"image_shape must be \(height, width, colors\)"),
        (lambda: Architecture((8, 8, 1), 3, (2, 2), stem_kernel=4), "stem_kernel must be odd, got 4"),
        (lambda: architecture("R5"), "name must be one of"),
    ],
)  # fmt: skip
def test_architectures_that_cannot_be(as_user, build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda n, x: respond(n, x[0, :, :, 0]), ValueError, r"images must be \(…, 4, 4, 1\).*got \(4, 4\)"),
        (lambda n, x: respond(n, jnp.zeros((2, 4, 4, 3))), ValueError, r"got \(2, 4, 4, 3\)"),
        (lambda n, x: respond(n, jnp.zeros((2, 4, 4, 1), jnp.uint8)), ValueError, "floats, got uint8; standardize"),
        (lambda n, x: respond(n, x, at=(3, 2), areas="all"), ValueError, r"at must rise within 1…200, got \[3, 2\]"),
        (lambda n, x: respond(n, x, at=(999,), areas="all"), ValueError, r"at must rise within 1…200, got \[999\]"),
        (lambda n, x: respond(n, x, areas=(2,)), ValueError, "areas must be within 0…1, got 2"),
        (lambda n, x: respond(n, x, areas="some"), ValueError, "areas must be 'all'"),
        (lambda n, x: respond(n, x, blank_steps=-1), ValueError, "blank_steps"),
        (lambda n, x: respond(n, x, blank_steps=0, image_steps=0), ValueError, "must be positive"),
        (lambda n, x: respond(n, x, initial_state=(x, x, x)), ValueError, "must hold 2 areas, got 3"),
        (lambda n, x: respond(n, x, initial_state=(x, x)), ValueError, "initial_state of area 0"),
        (lambda n, x: respond(n, x, key=0), TypeError, "key"),
        (lambda n, x: ConvolutionalRNN("R8", key=jax.random.key(0)), TypeError, "must be an Architecture, got 'R8'"),
        (lambda n, x: ConvolutionalRNN(n.architecture, key=jax.random.key(0), noise_std=-1), ValueError, "noise_std"),
    ],
)
def test_wrong_arguments(as_user, key, call, error, message):
    plan = Architecture((4, 4, 1), 3, (2, 2))
    with pytest.raises(error, match=message):
        call(ConvolutionalRNN(plan, key=key), jnp.zeros((2, 4, 4, 1)))


def test_a_channel_without_weights_stays_zero_and_has_gradients():
    """w = g v/‖v‖ has no direction at v = 0: it is zero there, and neither it nor ‖v‖ carries NaN into a gradient."""
    weights = jnp.asarray(np.random.default_rng(0).normal(size=(2, 1, 3, 3))).at[0].set(0)
    convolution = as_convolution(weights)
    np.testing.assert_allclose(convolution.weights, weights, rtol=1e-14)
    np.testing.assert_array_equal(convolution.scale[0], 0)

    def total(weights):
        convolution = as_convolution(weights)
        return jnp.sum(convolution.weights * weights) + jnp.sum(convolution.scale)

    slope = np.asarray(jax.grad(total)(weights))
    assert np.isfinite(slope).all()
    # Σ w·w + ‖w‖ of the channel that has weights
    np.testing.assert_allclose(slope[1], 2 * weights[1] + weights[1] / jnp.linalg.norm(weights[1]), rtol=1e-12)


def test_results_are_kept(key, tmp_path):
    network = draw(STRIDED, key, noise_std=0.1, leak=0.2)
    loaded = ConvolutionalRNN.load(network.save(tmp_path / "network"))
    assert loaded.architecture == STRIDED
    for a, b in zip(jax.tree.leaves(loaded), jax.tree.leaves(network), strict=True):
        np.testing.assert_array_equal(a, b)
    assert "4 areas of 2-2-3-3 channels, images 16×32×3, 4 classes" in repr(network)
    found = respond(network, jnp.ones((16, 32, 3)), blank_steps=1, image_steps=2, areas=(1,))
    assert re.sub(r"[-0-9.e]+ … [-0-9.e]+ ", "", repr(found)) == (
        "Response(logits=float64[3, 4], activity=(float64[3, 4, 8, 2]), areas=(1,), recorded=[1, 2, 3], "
        "state=(float64[4, 8, 2], float64[4, 8, 2], float64[2, 4, 3], float64[2, 4, 3]), onset=1, offset=3)"
    )
