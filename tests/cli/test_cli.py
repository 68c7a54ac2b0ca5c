"""The command line: help without jax, every command, its files, and what it says to bad usage and full disks."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest
from processes import ended

from fisherjax import connectivity as cn
from fisherjax.cli import main
from fisherjax.fisher import meanfield_curve, temporal_matrix

FILES = {"manifest.json", "results.json", "arrays.npz", "table.csv", "report.html"}


pytestmark = pytest.mark.usefixtures("as_user")


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_help_imports_no_jax():
    code = (
        "import sys\nfrom fisherjax.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as stop:\n    assert stop.code in (0, None)\n"
        "heavy = {'jax', 'numpy', 'matplotlib', 'scipy', 'evosax'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    run = python(code)
    assert run.returncode == 0, run.stderr
    assert "optimize" in run.stdout


def test_importing_the_package_imports_nothing_heavy():
    run = python(
        "import sys, fisherjax\nassert not {'jax', 'numpy'} & set(sys.modules)\nassert fisherjax.fisher.FisherCurve"
    )
    assert run.returncode == 0, run.stderr


def test_library_use_loads_no_optional_package():
    code = (
        "import sys, fisherjax as f\nf.fisher.meanfield_curve(f.connectivity.homogeneous(1.0), stimulus=0.1, "
        "noise_std=0.1, num_steps=2)\nlate = {'evosax', 'tensorflow_datasets', 'skimage', 'tyro', 'matplotlib', "
        "'networkx', 'diffrax'} & set(sys.modules)\nassert not late, late\n"
    )
    run = python(code)
    assert run.returncode == 0, run.stderr


def test_curve_reads_a_text_table(tmp_path, capsys):
    table = tmp_path / "gains.txt"
    table.write_text("1.0, 0.5\n0.2, 0.9\n")
    out = tmp_path / "curve"
    arguments = ["curve", "--gains", str(table), "--fractions", "0.3", "0.7", "--steps", "3", "--units", "100"]
    assert main([*arguments, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("fisherjax ")
    assert "seed 0" in printed.splitlines()[0]
    expected = meanfield_curve(
        cn.GainMatrix([[1.0, 0.5], [0.2, 0.9]], [0.3, 0.7]), stimulus=0.1, noise_std=0.1, num_steps=3, num_units=100
    )
    rows = (out / "table.csv").read_text().splitlines()
    np.testing.assert_allclose([float(row.split(",")[1]) for row in rows[1:]], expected.total, rtol=1e-12)
    linear = meanfield_curve(
        cn.GainMatrix([[1.0, 0.5], [0.2, 0.9]], [0.3, 0.7]),
        stimulus=0.1, noise_std=0.1, num_steps=3, num_units=100, form="linear",
    )  # fmt: skip
    np.testing.assert_allclose([float(row.split(",")[2]) for row in rows[1:]], linear.total, rtol=1e-9)
    assert {path.name for path in out.iterdir()} == FILES | {"fisher.png", "theory.npz", "linear.npz"}


def test_a_part_of_the_units_is_read_with_noise(tmp_path, capsys):
    """Half of one population and nothing of the other: theory and simulation of the same read-out."""
    table, out = tmp_path / "gains.txt", tmp_path / "read"
    table.write_text("1.0, 0.5\n0.2, 0.9\n")
    read = ["--observed", "0.5", "0", "--observation-noise-std", "0.2", "--form", "linear"]
    sizes = ["--steps", "2", "--units", "120", "--trials", "400", "--draws", "6"]
    assert main(["simulate", "--gains", str(table), *read, *sizes, "--out", str(out)]) == 0
    theory = meanfield_curve(
        cn.GainMatrix([[1.0, 0.5], [0.2, 0.9]]), stimulus=0.1, noise_std=0.1, num_steps=2, num_units=120, form="linear",
        observed=(0.5, 0.0), observation_noise_std=0.2,
    )  # fmt: skip
    results = json.loads((out / "results.json").read_text())
    np.testing.assert_allclose(results["linear"], theory.total, rtol=1e-9)
    measured, error = np.array(results["simulated"]), np.array(results["standard_error"])
    np.testing.assert_array_less(np.abs(measured - theory.total), 4 * error)
    assert "a share of 0.5, 0 with noise of standard deviation 0.2" in (out / "report.html").read_text()


def test_excitation_and_inhibition_with_an_input_that_lasts(tmp_path):
    gains, means, out = tmp_path / "gains.txt", tmp_path / "means.txt", tmp_path / "lasting"
    gains.write_text("0.8 1.2\n0.9 1.0\n")
    means.write_text("2 -4\n2 -3\n")
    words = ["--gains", str(gains), "--means", str(means), "--fractions", "0.8", "0.2", "--bias", "0.4", "0.2"]
    words += ["--noise-std", "0.3", "--protocol", "sustained", "--steps", "2"]
    sizes = ["--units", "300", "--trials", "60", "--draws", "4"]
    assert main(["simulate", *words, *sizes, "--out", str(out)]) == 0
    theory = meanfield_curve(
        cn.GainMatrix([[0.8, 1.2], [0.9, 1.0]], [0.8, 0.2], [[2, -4], [2, -3]]), stimulus=0.1, noise_std=0.3,
        num_steps=2, num_units=300, bias=(0.4, 0.2), protocol="sustained",
    )  # fmt: skip
    results = json.loads((out / "results.json").read_text())
    np.testing.assert_allclose(results["theory"], theory.total, rtol=1e-9)
    measured, error = np.array(results["simulated"]), np.array(results["standard_error"])
    np.testing.assert_array_less(np.abs(measured - theory.total), 4 * error)
    assert (np.array(results["linear"])[1:] < theory.total[1:]).all()


def test_the_memory_of_a_stream(tmp_path):
    out = tmp_path / "stream"
    words = ["--protocol", "stream", "--stimulus", "0.5", "-0.2", "0.3", "--steps", "3", "--noise-std", "0.3"]
    assert main(["curve", *words, "--gain", "1.2", "--out", str(out)]) == 0
    results = json.loads((out / "results.json").read_text())
    for form in ("independent", "linear"):
        expected = temporal_matrix(cn.homogeneous(1.2), [0.5, -0.2, 0.3], form=form, noise_std=0.3, num_units=1000)
        np.testing.assert_allclose(results[f"{form} form"], expected.total, rtol=1e-9)
    assert (out / "stream.png").exists()


def test_simulate_and_geometry(tmp_path):
    common = ["--quick", "--steps", "3", "--units", "120"]
    assert main(["simulate", *common, "--out", str(tmp_path / "simulate")]) == 0
    assert main(["geometry", *common, "--images", "8", "--out", str(tmp_path / "geometry")]) == 0
    names = {path.name for path in (tmp_path / "geometry").iterdir()}
    assert names == FILES | {"geometry.png", "pairs.png", "measures.png", "geometry.npz"}
    with np.load(tmp_path / "geometry" / "arrays.npz") as arrays:
        assert arrays["distances_simulated"].shape == (3, 8, 8)


def test_config_file_gives_defaults_and_the_command_line_wins(tmp_path):
    config = tmp_path / "config.toml"
    config.write_text('steps = 2\nunits = 50\nnoise-std = 0.4\nnonlinearity = "erf"\nfractions = [0.5, 0.5]\n')
    out = tmp_path / "run"
    assert main(["curve", "--config", str(config), "--units", "70", "--out", str(out)]) == 0
    resolved = json.loads((out / "manifest.json").read_text())["configuration"]
    assert (resolved["steps"], resolved["units"], resolved["noise_std"]) == (2, 70, 0.4)
    assert resolved["nonlinearity"] == "erf"


def test_info(capsys):
    assert main(["info"]) == 0
    assert "optimistix" in capsys.readouterr().out


def test_a_command_in_a_notebook_leaves_the_settings_as_they_were():
    names = ("jax_enable_x64", "jax_traceback_filtering", "jax_compilation_cache_dir")
    jax.config.update("jax_enable_x64", False)
    try:
        before = [getattr(jax.config, name) for name in names]
        assert main(["info"]) == 0
        assert [getattr(jax.config, name) for name in names] == before
    finally:
        jax.config.update("jax_enable_x64", True)


BAD = [
    (["curve", "--steps", "x"], "--steps"),
    (["curve", "--stepps", "3"], "--stepps"),
    (["bogus"], "bogus"),
    (["optimize", "--structure", "spiral"], "spiral"),
    (["curve", "--steps", "0"], "--steps must be at least 1, got 0"),
    (["curve", "--noise-std", "-1"], "--noise-std must be at least 0, got -1"),
    (["curve", "--noise-std", "0"], "--noise-std must be above 0"),
    (["curve", "--nonlinearity", "tahn"], "did you mean 'tanh'?"),
    (["curve", "--gains", "nowhere.txt"], "nowhere.txt"),
    (["curve", "--config", "nowhere.toml"], "nowhere.toml"),
    (["optimize", "--bounds", "3", "1"], "--bounds must be a lower and a higher number, got 3 1"),
    (["optimize", "--nonlinearity", "relu", "--form", "linear"], "--form linear needs a smooth --nonlinearity"),
    (["optimize", "--budget", "-2"], "--budget must be at least 0, got -2"),
    (["curve", "--fractions", "0.5", "0.6"], "--fractions must sum to 1, got 1.1"),
    (["curve", "--observed", "0.5", "1"], "--observed must be one for each of the 1 populations, got 2"),
    (["curve", "--bias", "0.5", "1", "2", "--fractions", "0.5", "0.5"], "--bias must be a number, or one for each of"),
    (["geometry", "--protocol", "sustained"], "--protocol belongs to --network"),
    (["curve", "--observed", "1.5"], "--observed must be"),
    (["geometry", "--observation-noise-std", "1"], "--observation-noise-std belongs to --network"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[" ".join(arguments) for arguments, _ in BAD])
def test_bad_usage_is_one_line_and_exit_code_2(arguments, message, tmp_path, capsys):
    out = ["--out", str(tmp_path / "run")] if arguments != ["bogus"] else []
    assert main([*arguments, *out]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if not line.endswith("…")]
    assert len(errors) == 1
    assert errors[0].startswith("fisherjax: ")
    assert message in errors[0]


def test_a_full_folder_is_refused(tmp_path, capsys):
    (tmp_path / "precious.txt").write_text("data")
    assert main(["curve", "--steps", "2", "--out", str(tmp_path)]) == 2
    assert "--force" in capsys.readouterr().err
    assert main(["curve", "--steps", "2", "--out", str(tmp_path), "--force"]) == 0
    assert (tmp_path / "precious.txt").read_text() == "data"


def test_unknown_config_key_suggests_the_nearest(tmp_path, capsys):
    config = tmp_path / "config.toml"
    config.write_text("noise_sdt = 0.1\n")
    assert main(["curve", "--config", str(config), "--out", str(tmp_path / "run")]) == 2
    assert "did you mean 'noise_std'?" in capsys.readouterr().err


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path, small_disk, capsys):
    """Files may not grow beyond a limit: table and results fit, the figure does not."""
    folder = tmp_path / "out"
    assert main(["curve", "--steps", "2", "--out", str(folder)]) == 0
    before = (folder / "fisher.png").read_bytes()
    with small_disk(8192):
        assert main(["curve", "--steps", "3", "--force", "--out", str(folder)]) == 74
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last == f"fisherjax: {folder / 'fisher.png'}: File too large; what was written before is kept"
    assert (folder / "fisher.png").read_bytes() == before
    assert len(json.loads((folder / "results.json").read_text())["theory"]) == 2
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("command", [["curve"], ["optimize"], ["train", "flip-flop"]])
def test_where_nothing_can_be_written_is_said_before_anything_is_computed(tmp_path, capsys, monkeypatch, command):
    def refused(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refused)
    assert main([*command, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err.strip()
    assert error == f"fisherjax: --out {tmp_path / 'out'} cannot be written to: Read-only file system"
    assert main([*command, "--out", "/proc/fisherjax"]) == 2
    assert "--out /proc/fisherjax cannot be written to" in capsys.readouterr().err


def test_a_cpu_stands_for_a_few_devices_only(tmp_path, start):
    """In a process of its own, where JAX has not counted them yet."""
    process = start("-m", "fisherjax", "curve", "--devices", "10000000", "--out", tmp_path / "out")
    ((_, error, code),) = ended([process])
    assert code == 2, error
    assert error.startswith("fisherjax: --devices 10000000, but there are 64: cpu")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--devices", "many"], "--devices must be a positive number or all, got 'many'"),
        (["--devices", "1000"], "--devices 1000, but there are"),
        (["--coordinator", "localhost:1", "--num-processes", "2"], "go together: give all three, or none"),
        (["--num-processes", "2", "--process-id", "0"], "go together: give all three, or none"),
    ],
)
def test_wrong_devices_are_one_line(tmp_path, capsys, words, message):
    assert main(["curve", *words, "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
