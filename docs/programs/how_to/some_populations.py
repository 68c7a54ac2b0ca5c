"""How do I read out only some populations, or some of their units?
===================================================================

Give ``observed``, the share of the units of each population that is read out, from 0 to 1: ``(0, 0, 1)`` is the last
of three populations, ``(0.5, 0.5, 0.5)`` half of the units of each. The network itself stays whole.
"""

# %%
# A chain of three populations, of which the first hears the stimulus. Noise correlations are counted.
import jax
import matplotlib.pyplot as plt

from fisherjax import connectivity, fisher, plot

chain = connectivity.feedforward_chain(1.2, num_populations=3, recurrent=1.0)
readings = {
    "all units": (1, 1, 1),
    "half of the units": (0.5, 0.5, 0.5),
    "last population": (0, 0, 1),
}
theory = {}
for name, observed in readings.items():
    theory[name] = fisher.meanfield_curve(
        chain,
        stimulus=0.5,
        noise_std=0.3,
        num_steps=6,
        num_units=240,
        form="linear",
        observed=observed,
    )
    share = theory[name].total[-1] / theory["all units"].total[-1]
    print(f"{name}: {share:.0%} of the information after six steps")

# %%
# Half of the units tell more than half. A simulation takes the same argument; here it reads half of the units.
measured = fisher.ensemble_curve(
    chain, stimulus=0.5, noise_std=0.3, num_steps=6, num_units=240, form="linear", observed=(0.5, 0.5, 0.5),
    num_trials=400, num_draws=6, key=jax.random.key(0),
)  # fmt: skip

# %%
# The stimulus reaches the last population in the second step. One given network is read by a function of its state,
# ``read=``. More: :doc:`/networks`, :func:`fisherjax.fisher.meanfield_curve`.
with plot.style():
    _, ax = plt.subplots(figsize=(6, 3.5))
    for color, (name, curve) in zip(plot.COLORS, theory.items(), strict=False):
        plot.fisher_curve(curve, ax, by_population=False, color=color, label=f"{name}, theory")
    plot.fisher_curve(
        measured,
        ax,
        by_population=False,
        color=plot.COLORS[1],
        label="half of the units, simulation",
    )
