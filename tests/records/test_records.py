"""Records in files: nothing runs, every field is checked, another version is refused, damage is told in one line."""

import importlib
import inspect
import json
import pkgutil
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import fisherjax
from fisherjax import _records, _runtime, datasets, fisher, networks, optimize, vision
from fisherjax._record_names import FUNCTIONS, RECORDS, record_class, stored_name
from fisherjax._types import Record
from fisherjax.connectivity import FreeFamily, GainMatrix, WithFractions
from fisherjax.optimize._checkpoint import OptimizationCheckpoint, SearchState
from fisherjax.tasks._decisions import PerceptualDecision

# never in a file, as are classes whose name begins with an underscore
MAKING_ONLY = {
    "ChannelMeans", "Decoded", "Flow", "InMemory", "Problem", "Record", "RungeKuttaStep", "Shown", "StateRecord",
    "StepNetwork", "System",
}  # fmt: skip


def parts(record, path):
    """Metadata and arrays of a saved record."""
    arrays = dict(np.load(record.save(path)))
    return json.loads(str(arrays.pop("__fisherjax__"))), arrays


def written(path, meta, arrays=None):
    np.savez(path, **{"__fisherjax__": np.array(json.dumps(meta)), **(arrays or {})})
    return path


def gain_matrix():
    return GainMatrix(np.array([[1.0, 0.5], [0.25, 2.0]]), np.array([0.25, 0.75]))


def library_classes():
    for module in pkgutil.walk_packages(fisherjax.__path__, "fisherjax."):
        if not module.name.endswith("__main__"):
            for name, kind in vars(importlib.import_module(module.name)).items():
                if inspect.isclass(kind) and issubclass(kind, eqx.Module) and kind.__module__ == module.name:
                    yield name, kind


def test_the_table_of_records_is_complete():
    """Every class of the library that can be in a file is in the table, under one name, and found where it says."""
    names = {}
    for name, kind in library_classes():
        if inspect.isabstract(kind) or name in MAKING_ONLY or name.startswith("_"):
            assert stored_name(kind) is None
            continue
        stored = stored_name(kind)
        assert stored is not None, f"add {name!r}, {kind.__module__!r} to RECORDS of fisherjax/_record_names.py"
        assert stored not in names, f"{stored} is the name of two classes"
        assert record_class(stored, "file") is kind
        names[stored] = kind
    assert names.keys() == RECORDS.keys()


def test_nothing_but_records_and_activation_functions_can_be_named(tmp_path):
    assert all(callable(getattr(jax.nn, name)) for name in FUNCTIONS)
    assert not {"initializers", "one_hot", "softmax"} & set(FUNCTIONS)

    class Mine(Record):
        value: float

    with pytest.raises(TypeError, match=r"cannot save: .*Mine is no record that a file may hold"):
        Mine(1.0).save(tmp_path / "mine")


@pytest.mark.parametrize(
    "meta",
    [
        {"kind": "module", "module": "fisherjax.__main__", "name": "x", "fields": {}},
        {"format": 1, "kind": "module", "name": "fisherjax.__main__.x", "fields": {}},
        {"format": 1, "kind": "module", "module": "fisherjax.__main__", "name": "fisherjax.__main__.x", "fields": {}},
    ],
)
def test_loading_runs_no_code(tmp_path, meta, monkeypatch):
    monkeypatch.delitem(sys.modules, "fisherjax.__main__", raising=False)
    path = written(tmp_path / "hostile.npz", meta)
    for load in (Record.load, GainMatrix.load, lambda path: _runtime.read_checkpoint(OptimizationCheckpoint, path)):
        with pytest.raises(ValueError, match=r"hostile\.npz") as caught:
            load(path)
        assert "'fisherjax.__main__.x', which is no record of fisherjax" in str(caught.value)
    assert "fisherjax.__main__" not in sys.modules


def nested(depth):
    meta = {"kind": "tuple", "items": []}
    for _ in range(depth):
        meta = {"kind": "tuple", "items": [meta]}
    return meta


ARRAY = {"kind": "array", "array": "gains", "jax": True}
CHANGES = {
    "no version": (
        lambda m: m.pop("format"),
        r"holds 'GainMatrix' \(str\) in a format without a version; this fisherjax reads 1",
    ),
    "version": (lambda m: m.update(format=2), r"is of format 2 .*this fisherjax reads 1"),
    "word": (lambda m: m.update(format="1"), "is of format '1'"),
    "class": (
        lambda m: m.update(name="GainMatrx"),
        "names 'GainMatrx', which is no record .*did you mean 'GainMatrix'",
    ),
    "no class": (lambda m: m.update(name=None), "names 'None', which is no record"),
    "private": (lambda m: m.update(name="Record"), "names 'Record', which is no record"),
    "kind": (lambda m: m["fields"].update(gains={"kind": "pickle"}), "gains is described in an unknown way"),
    "list": (lambda m: m["fields"].update(gains=[1]), "gains is described in an unknown way"),
    "value": (lambda m: m["fields"].update(gains={"kind": "value", "value": [1]}), "gains is no plain value"),
    "number": (lambda m: m["fields"].update(gains={"kind": "value", "value": 1.0}), "gains cannot be 1.0"),
    "extra": (lambda m: m["fields"]["gains"].update(run="x"), "gains is described in an unknown way"),
    "items": (lambda m: m["fields"].update(gains={"kind": "tuple", "items": {}}), "it has no items"),
    "missing": (
        lambda m: m["fields"].pop("fractions"),
        "fractions is missing in the file, and GainMatrix has no default",
    ),
    "unknown": (lambda m: m["fields"].update(budget=ARRAY), "has a field 'budget', which GainMatrix does not have"),
    "array": (lambda m: m["fields"]["gains"].update(array="x"), "gains refers to the array 'x'.*does not have"),
    "type": (lambda m: m["fields"]["gains"].update(dtype="object"), "gains has the unknown type 'object'"),
    "function": (lambda m: m["fields"].update(gains={"kind": "function", "name": "initializers"}), "no activation"),
    "key": (lambda m: m["fields"].update(gains={**ARRAY, "kind": "key"}), "gains is described in an unknown way"),
    "generator": (lambda m: m["fields"].update(gains={"kind": "key", "array": "gains", "impl": "x"}), "unknown kind"),
    "key data": (lambda m: m["fields"].update(gains={"kind": "key", "array": "gains", "impl": "rbg"}), "is no key"),
    "deep": (lambda m: m["fields"].update(gains=nested(200)), "is nested too deep"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_metadata_that_no_record_has(tmp_path, name):
    meta, arrays = parts(gain_matrix(), tmp_path / "whole")
    change, message = CHANGES[name]
    change(meta)
    with pytest.raises(ValueError, match=message) as caught:
        GainMatrix.load(written(tmp_path / "changed.npz", meta, arrays))
    assert "changed.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "array", "message"),
    [
        ("fractions", np.array([0.5, 0.75]), "GainMatrix: fractions must sum to 1, got 1.25"),
        ("fractions", np.full(3, 1 / 3), "gains and fractions must agree in populations, but have 2 and 3"),
        ("fractions", np.array(1.0), r"fractions cannot be 1.0 \(float64\); GainMatrix has an array \(populations\)"),
        ("fractions", np.array(["a", "b"]), "fractions cannot be an array of shape"),
        ("gains", -np.ones((2, 2)), "gains must be"),
        ("gains", np.full((2, 2), np.nan), "gains must be finite"),
        ("gains", np.ones((2, 3)), "gains and gains must agree in populations|gains and fractions must agree"),
    ],
)
def test_impossible_records(tmp_path, as_user, field, array, message):
    meta, arrays = parts(gain_matrix(), tmp_path / "whole")
    with pytest.raises(ValueError, match=message) as caught:
        GainMatrix.load(written(tmp_path / "changed.npz", meta, {**arrays, field: array}))
    assert str(caught.value).startswith(str(tmp_path / "changed.npz"))


@pytest.mark.parametrize(
    ("text", "message"),
    [("[" * 5000 + "]" * 5000, "no JSON, or too deep"), ("{", "no JSON"), ("[]", "no record of fisherjax"),
     ("9" * 5000, "no JSON"), ('{"format": 1, "kind": "value", "value": 1}', "no record of fisherjax")],
)  # fmt: skip
def test_text_that_is_no_record(tmp_path, text, message):
    np.savez(tmp_path / "x.npz", __fisherjax__=np.array(text))
    with pytest.raises(ValueError, match=message):
        Record.load(tmp_path / "x.npz")


def test_fields_that_a_file_lacks(tmp_path, key):
    """With a default they are filled in; without one they are named."""
    curve = fisher.FisherCurve(jnp.ones(1), jnp.ones((1, 1)), jnp.ones(1), None, "linear")
    meta, arrays = parts(curve, tmp_path / "curve")
    for name in ("standard_error", "form"):
        meta["fields"].pop(name, None)
    assert fisher.FisherCurve.load(written(tmp_path / "older.npz", meta, arrays)).standard_error is None
    meta, arrays = parts(networks.RNN(1, 2, 1, key=key), tmp_path / "network")
    del meta["fields"]["observation_noise_std"]
    loaded = networks.RNN.load(written(tmp_path / "older.npz", meta, arrays))
    assert loaded.observation_noise_std.dtype == loaded.noise_std.dtype
    assert float(loaded.observation_noise_std) == 0
    continuous, own = parts(networks.ContinuousRNN(1, 2, 1, key=key), tmp_path / "continuous")
    del continuous["fields"]["noise_std"]
    assert float(networks.ContinuousRNN.load(written(tmp_path / "continuous.npz", continuous, own)).noise_std) == 0
    del meta["fields"]["rest"]
    with pytest.raises(ValueError, match=r"older\.npz: rest is missing in the file, and RNN has no def"):
        networks.RNN.load(written(tmp_path / "older.npz", meta, arrays))


def test_what_is_saved_is_loaded(tmp_path, key):
    """Keys, half precision, names that are no identifiers, records in records, and batches of records."""
    half = jnp.array([1.5, -2.0], jnp.bfloat16)
    names = {"a/b": jnp.ones(1), "a": {"b": jnp.zeros(2)}, "../x": half, "": np.float32(2), "__fisherjax__": half}
    state = SearchState((key, half, names, True, None, float("nan")), jnp.ones((2, 3, 4)))
    whole = OptimizationCheckpoint(state, None, {"steps": 3})
    loaded = OptimizationCheckpoint.load(whole.save(tmp_path / "state"))
    assert loaded.to_bytes() == whole.to_bytes()
    again = loaded.search.leaves
    np.testing.assert_array_equal(jax.random.key_data(again[0]), jax.random.key_data(key))
    assert again[1].dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(np.asarray(again[2]["a"]["b"]), np.zeros(2))
    np.testing.assert_array_equal(np.asarray(again[2]["a/b"]), np.ones(1))
    assert again[2][""] == 2
    batch = jax.vmap(lambda scale: GainMatrix(scale * jnp.eye(2)))(jnp.arange(1.0, 4.0))
    assert GainMatrix.load(batch.save(tmp_path / "batch")).gains.shape == (3, 2, 2)
    function = GainMatrix.load(gain_matrix().save(tmp_path / "gains"))
    assert isinstance(function.gains, jax.Array)


def test_records_whose_constructors_change_what_they_are_given(tmp_path, key):
    """A dictionary that becomes pairs, a name that becomes an object, a list that becomes a tuple."""
    for number, record in enumerate(
        [
            networks.MultiRegion(
                {"a": networks.Region(4, dale=0.5), "b": networks.Region(2)},
                (networks.Projection("a", "b", {"E->E": 0.2}), networks.Projection("b", "a", 0.5)),
            ),
            networks.RNN(1, 3, 1, key=key, nonlinearity="relu", constraints=(networks.dale(0.5),)),
            networks.RNN(1, 3, 1, key=key, nonlinearity=jax.nn.gelu, constraints=(networks.low_rank(2),)),
            vision.Architecture((8, 8, 1), 3, [2, 2]),
            datasets.Preprocessing((8, 8, 1), mean=[0.5], std=[0.25]),
            WithFractions(FreeFamily(num_populations=2)),
            optimize.LogFisher(4, nonlinearity="erf", readout=[0]),
            PerceptualDecision(coherences=(0.1, 0.2)),
            eqx.filter_vmap(lambda key: networks.RNN(1, 3, 1, key=key))(jax.random.split(key, 2)),
        ]
    ):
        stored = _records.record_bytes(record)
        (tmp_path / f"{number}.npz").write_bytes(stored)
        assert _records.record_bytes(_records.read_record(tmp_path / f"{number}.npz")) == stored


def test_what_cannot_be_saved_is_named(tmp_path):
    for value, message in (
        ({1: jnp.ones(1)}, r"cannot save 'search/leaves/0': the name 1 \(int\) in it is no text"),
        (np.array([None]), "cannot save 'search/leaves/0': an array of object has no place in a file"),
        (jnp.sum, "cannot save 'search/leaves/0': .* is neither array nor plain value"),
    ):
        state = OptimizationCheckpoint(SearchState((value,), jnp.ones((1, 1, 1))), None, {})
        with pytest.raises(TypeError, match=message):
            state.save(tmp_path / "state")


def test_another_record_and_wrong_paths(tmp_path, as_user):
    path = gain_matrix().save(tmp_path / "gains")
    with pytest.raises(ValueError, match=r"gains\.npz holds a GainMatrix, not a FisherCurve"):
        fisher.FisherCurve.load(path)
    for wrong in (5, None, b"x"):
        with pytest.raises(TypeError, match="path must be the path of a file"):
            GainMatrix.load(wrong)
        with pytest.raises(TypeError, match="path must be the path of a file"):
            gain_matrix().save(wrong)
    with pytest.raises(FileNotFoundError):
        GainMatrix.load(tmp_path / "nothing.npz")
