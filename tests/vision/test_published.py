"""Checkpoints with the published names: one that torch wrote, and ours in every format."""

import io
import pickle
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from torch_files import write_torch

from fisherjax import networks, vision
from fisherjax.networks._weight_files import read_weights
from fisherjax.vision import Architecture, ConvolutionalRNN, load_checkpoint, respond, save_checkpoint

# written by torch 2.13: nn.Conv2d and nn.Linear under torch.nn.utils.parametrizations.weight_norm, names prefixed
# with "module."; one recurrent scale is negative
TORCH = Path(__file__).parent / "cordsnet_torch.pth"
PLAN = Architecture((8, 8, 1), 3, (2, 2, 3, 3), feedback=True)


def test_a_checkpoint_of_torch():
    network = load_checkpoint(TORCH)
    assert network.architecture == Architecture(
        (16, 16, 3), 5, (2, 2, 3, 3), stem_kernel=7, stem_stride=2, stem_pooling=True
    )
    assert np.asarray(network.recurrent[1].scale).max() < 0
    # torch's own run of the same loop, 5 blank steps and 7 of the image, in float32
    wave = np.sin(np.linspace(-1, 1, 16 * 16 * 3, dtype=np.float32)).reshape(3, 16, 16) * np.arange(1, 4)[:, None, None]
    found = respond(network, jnp.asarray(np.moveaxis(wave, 0, -1)), blank_steps=5, image_steps=7).logits[-1]
    expected = [
        0.5000754594802856,
        -0.06292614340782166,
        -0.4553120732307434,
        -0.12954287230968475,
        0.06838389486074448,
    ]
    np.testing.assert_allclose(found, expected, atol=3e-7)


def test_a_learned_slope_is_the_leak(tmp_path):
    """Files from between the stages of training have the slope of an nn.PReLU."""
    weights = read_weights(TORCH)
    np.savez(tmp_path / "annealing.npz", **weights, **{"module.prelu.weight": np.array([0.35], np.float32)})
    network = load_checkpoint(tmp_path / "annealing.npz")
    assert float(network.leak) == pytest.approx(0.35)
    assert float(load_checkpoint(TORCH).leak) == 0
    np.savez(tmp_path / "many.npz", **weights, **{"module.prelu.weight": np.ones(2)})
    with pytest.raises(ValueError, match=r"prelu.weight must be one slope for all units, got shape \(2,\)"):
        load_checkpoint(tmp_path / "many.npz")


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_names_and_numbers_round_trip(key, tmp_path, suffix):
    network = ConvolutionalRNN(PLAN, key=key)
    path = save_checkpoint(network, tmp_path / f"weights.{suffix}")
    loaded = load_checkpoint(path)
    assert loaded.architecture == PLAN
    for a, b in zip(jax.tree.leaves(loaded), jax.tree.leaves(network), strict=True):
        np.testing.assert_array_equal(a, b)
    names = set(read_weights(path))
    original0, original1 = ".parametrizations.weight.original0", ".parametrizations.weight.original1"
    modules = {"inp_conv", "inp_skip", "out_fc", "skip_area.0", *(f"feedback_area.{j}" for j in range(3))}
    modules |= {f"{kind}.{j}" for kind in ("area_conv", "area_area") for j in range(4)}
    biases = {"out_fc.bias", *(f"conv_bias.{j}" for j in range(4))}
    assert names == {module + part for module in modules for part in (original0, original1)} | biases
    assert read_weights(path)["area_conv.2" + original0].shape == (3, 1, 1, 1)
    assert read_weights(path)["out_fc" + original0].shape == (3, 1)


def test_published_names_are_those_of_torch(tmp_path):
    """What torch wrote is written again to the same names, shapes and numbers."""
    again = read_weights(save_checkpoint(load_checkpoint(TORCH), tmp_path / "again.safetensors"))
    original = {name.removeprefix("module."): value for name, value in read_weights(TORCH).items()}
    assert again.keys() == original.keys()
    for name, value in original.items():
        np.testing.assert_array_equal(again[name].astype(np.float32), value)


def archive(program, blocks=()):
    """A zip checkpoint with this pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("archive/data.pkl", program)
        for name, data in blocks:
            file.writestr(f"archive/data/{name}", data)
    return buffer.getvalue()


def tensor_program(length, shape, strides, kind="FloatStorage"):
    """The pickle of {"x": tensor} of any layout, by torch's own opcodes."""
    parts = [b"\x80\x02}(X\x01\x00\x00\x00xctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage"]
    parts += [f"ctorch\n{kind}\n".encode(), b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK", bytes([length]), b"tQK\x00("]
    parts += [b"K" + bytes([one]) for one in shape] + [b"t("] + [b"K" + bytes([one]) for one in strides]
    return b"".join(parts) + b"t\x89}tRu."


def test_layouts_of_tensors(tmp_path):
    path = tmp_path / "x.pt"
    numbers = np.arange(6, dtype=np.float32)
    path.write_bytes(archive(tensor_program(6, (2, 3), (1, 2)), [("0", numbers.tobytes())]))
    np.testing.assert_array_equal(read_weights(path)["x"], numbers.reshape(3, 2).T)
    halves = np.array([1.5, -2.0], jnp.bfloat16)
    path.write_bytes(archive(tensor_program(2, (2,), (1,), "BFloat16Storage"), [("0", halves.tobytes())]))
    np.testing.assert_array_equal(read_weights(path)["x"].astype(float), [1.5, -2.0])


class Foreign:
    """Runs a command when unpickled by pickle.loads."""

    def __reduce__(self):
        return print, ("this must never run",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: TORCH.read_bytes()[:5000], "truncated or no zip archive"),
        (lambda: b"PK", "truncated or no zip archive"),
        (lambda: b"nonsense", "neither a zip checkpoint of torch"),
        (lambda: b"", "neither a zip checkpoint of torch"),
        (lambda: pickle.dumps({}), "bare pickle, from torch before 1.6"),
        (lambda: archive(pickle.dumps({"w": Foreign()})), "asks for builtins.print; only tensors are allowed"),
        (lambda: archive(pickle.dumps({"w": 3})), "no dictionary of tensors"),
        (lambda: archive(b"\x80\x02}"), "cannot be read as a checkpoint"),
        (lambda: archive(tensor_program(6, (2, 4), (4, 1)), [("0", bytes(24))]), "reaches beyond its 6 numbers"),
        (lambda: archive(tensor_program(6, (2, 3), (3, 1)), [("0", bytes(20))]), "has 20 bytes, expected 24"),
        (lambda: archive(tensor_program(6, (2, 3), (3, 1))), "no item named"),
    ],
)
def test_files_that_are_not_checkpoints(tmp_path, capsys, content, message):
    path = tmp_path / "weights.pth"
    path.write_bytes(content())
    with pytest.raises(ValueError, match=message):
        read_weights(path)
    assert "never run" not in capsys.readouterr().out


def test_other_formats_that_are_broken(key, tmp_path):
    for suffix, message in (("npz", "cannot be read as .npz"), ("safetensors", "cannot be read as safetensors")):
        whole = save_checkpoint(ConvolutionalRNN(PLAN, key=key), tmp_path / f"whole.{suffix}").read_bytes()
        (tmp_path / f"part.{suffix}").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ValueError, match=message):
            load_checkpoint(tmp_path / f"part.{suffix}")
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "nothing.pt")
    with pytest.raises(ValueError, match=r"path must end in .safetensors or .npz, got weights.txt"):
        save_checkpoint(ConvolutionalRNN(PLAN, key=key), tmp_path / "weights.txt")


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (Architecture((8, 8, 1), 4, (2, 2, 3, 3), feedback=True), r"out_fc.*0 has shape \(3, 1\).*needs \(4, 1\)"),
        (Architecture((8, 8, 3), 3, (2, 2, 3, 3), feedback=True), r"inp_conv.*original1 has shape \(2, 1, 3, 3\)"),
        (Architecture((16, 8, 1), 3, (2, 2, 3, 3), feedback=True), r"conv_bias.0 has shape \(2, 8, 8\).*\(2, 16, 8\)"),
        (Architecture((8, 8, 1), 3, (2, 2), feedback=True), "area_conv.2.*which a network of depth 2 does not have"),
        (Architecture((8, 8, 1), 3, (2, 2, 3, 3, 3, 3), feedback=True), "lacks area_conv.4.* and .* more"),
        (Architecture((8, 8, 1), 3, (2, 2, 3, 3)), "has feedback_area.0.*and 2 more"),
    ],
    ids=["classes", "colors", "image", "shallow", "deep", "feedback"],
)  # fmt: skip
def test_checkpoints_of_another_network(key, tmp_path, plan, message):
    path = save_checkpoint(ConvolutionalRNN(PLAN, key=key), tmp_path / "weights.npz")
    with pytest.raises(ValueError, match=message):
        load_checkpoint(path, plan)


def test_weights_that_are_missing_or_not_finite(key, tmp_path):
    network = ConvolutionalRNN(PLAN, key=key)
    weights = read_weights(save_checkpoint(network, tmp_path / "weights.npz"))
    np.savez(tmp_path / "some.npz", **{name: value for name, value in weights.items() if name != "conv_bias.1"})
    with pytest.raises(ValueError, match=r"lacks conv_bias.1; it is no checkpoint of a convolutional"):
        load_checkpoint(tmp_path / "some.npz")
    with pytest.raises(ValueError, match=r"lacks conv_bias.1$"):
        load_checkpoint(tmp_path / "some.npz", PLAN)
    np.savez(tmp_path / "bad.npz", **{**weights, "out_fc.bias": np.full(3, np.nan)})
    with pytest.raises(ValueError, match=r"out_fc.bias holds numbers that are not finite"):
        vision.load_checkpoint(tmp_path / "bad.npz")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        # 10¹² numbers out of one, by strides of zero
        (lambda: archive(tensor_program(1, (255,) * 5, (0,) * 5), [("0", bytes(4))]), "reaches beyond its 1 numbers"),
        # a memo with the number 2³¹: the unpickler in C makes room for all before it
        (lambda: archive(b"\x80\x02Nr\xff\xff\xff\x7f."), "no dictionary of tensors"),
        (lambda: archive(b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b"x."), "truncated or damaged"),
        (lambda: archive(b"\x80\x02ccodecs\nencode\n."), "asks for codecs.encode; only tensors are allowed"),
        (lambda: archive(b"\x80\x02" + b"(" * 5000 + b"."), "truncated or damaged"),
        (lambda: archive(b"\x80\x02}."), "no dictionary of tensors"),
        (
            lambda: archive(tensor_program(6, (2, 3), (3, 1)), [("0", bytes(24)), ("../../x", b"")]),
            "outside the archive",
        ),
    ],
    ids=["strides", "memo", "length", "codecs", "marks", "empty", "path"],
)
def test_hostile_checkpoints(tmp_path, content, message):
    path = tmp_path / "weights.pth"
    path.write_bytes(content())
    with pytest.raises(ValueError, match=message) as caught:
        read_weights(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_tensor_is_read_once_and_shared(tmp_path):
    """Two names of one block: what is read is no larger than the archive."""
    path = tmp_path / "x.pt"
    first = tensor_program(6, (2, 3), (3, 1))
    second = first[first.index(b"X\x01\x00\x00\x00xctorch") :].replace(b"\x00x", b"\x00y", 1)
    path.write_bytes(archive(first[:-2] + second, [("0", np.arange(6, dtype=np.float32).tobytes())]))
    weights = read_weights(path)
    assert weights["x"].base is not None
    np.testing.assert_array_equal(weights["x"], weights["y"])
    assert np.shares_memory(weights["x"], weights["y"])


@pytest.mark.parametrize("suffix", ["npz", "safetensors", "pt"])
def test_a_flipped_bit_in_the_weights(key, tmp_path, suffix):
    path = tmp_path / f"w.{suffix}"
    if suffix == "pt":
        write_torch(path, read_weights(Path(__file__).parent.parent / "networks" / "data" / "rnn_two_layers.pt"))
    else:
        save_checkpoint(ConvolutionalRNN(Architecture((4, 4, 1), 2, (2, 2)), key=key), path)
    whole = path.read_bytes()
    before = read_weights(path)
    for bit in range(5, 8 * len(whole), 8 * len(whole) // 60):
        broken = bytearray(whole)
        broken[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(broken)
        try:
            after = read_weights(path)
        except ValueError as error:
            assert str(error).startswith(str(path))  # noqa: PT017
        else:
            assert after.keys() == before.keys()
            assert all(np.array_equal(after[name], value) for name, value in before.items())


def test_half_precision_goes_through_every_format(key, tmp_path):
    network = networks.in_precision(ConvolutionalRNN(Architecture((4, 4, 1), 2, (2, 2)), key=key), jnp.bfloat16)
    for suffix in ("npz", "safetensors"):
        weights = read_weights(save_checkpoint(network, tmp_path / f"w.{suffix}"))
        np.testing.assert_array_equal(weights["out_fc.bias"].astype(float), np.asarray(network.output.bias, float))


def test_weights_whose_shapes_no_network_has(key, tmp_path):
    """Refused before a network of that size is made: 10⁵ channels would be 10¹¹ weights."""
    weights = read_weights(save_checkpoint(ConvolutionalRNN(PLAN, key=key), tmp_path / "weights.npz"))
    direction = ".parametrizations.weight.original1"
    for name, array, message in (
        ("conv_bias.1", np.zeros((10**5, 8, 8), np.float32), "lacks skip_area.1"),
        ("inp_conv" + direction, np.zeros(3), r"inp_conv.*must have four axes, got shape \(3,\)"),
        ("conv_bias.0", np.zeros(3), r"conv_bias.0 must have three axes, got shape \(3,\)"),
        ("out_fc" + direction, np.array(1.0), r"out_fc.*must have two axes, got shape \(\)"),
        ("conv_bias.0", np.zeros((2, 7, 8)), "there is no network of such shapes|needs"),
        ("out_fc.bias", np.array(["a", "b", "c"]), "out_fc.bias must hold real numbers"),
        ("module.out_fc.bias", np.zeros(3), "names both with and without 'module.'"),
    ):
        np.savez(tmp_path / "changed.npz", **{**weights, name: array})
        with pytest.raises(ValueError, match=message) as caught:
            load_checkpoint(tmp_path / "changed.npz")
        assert "changed.npz" in str(caught.value)
