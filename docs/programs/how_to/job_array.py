"""How do I run a sweep as a job array?
====================================

Write down which arguments of a command vary, and start ``fisherjax sweep gains.toml --shard i/n`` as job i of n. Each
job computes its share of the combinations, a job that is started again only what is missing, and the one that finds
all of them done writes one table, ``table.csv``, with a figure and a report.
"""

# %%
# A plan of six points. Two shards in a row stand here for two jobs, of which each would be the line
# ``fisherjax sweep gains.toml --shard $SLURM_ARRAY_TASK_ID/2``.
import contextlib
import csv
import io
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

from fisherjax import cli, plot

PLAN = """
command = "curve"
[fixed]
steps = 3
[vary]
gain = [0.8, 1.0, 1.2]
noise-std = [0.1, 0.5]
"""
said = io.StringIO()
with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
    Path("gains.toml").write_text(PLAN)
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        codes = [cli.main(["sweep", "gains.toml", "--shard", f"{index}/2"]) for index in (1, 2)]
    with Path("results/gains/table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
lines = said.getvalue().splitlines()
print(lines[0], lines[-1], f"exit codes {codes}", sep="\n")

# %%
# A row for each point, a column for each argument and for each number of its results: here the information after three
# steps, noise correlations counted.
columns = {
    name: [float(row[name]) for row in rows] for name in ("gain", "noise-std", "linear[2]")
}
with plot.style():
    _, ax = plt.subplots(figsize=(6, 3.5))
    plot.sweep(columns, x="gain", y="linear[2]", color="noise-std", ax=ax)
    ax.set(yscale="log", ylabel="Fisher information after 3 steps (1/θ²)")

# %%
# Jobs that are killed, several devices and hosts: :doc:`/scale`.
