"""How does information grow with the number of units?
===================================================

Linearly at first, and then less, if fluctuations of the population look like changes of the stimulus.
:func:`fisherjax.fisher.information_scaling` estimates the information of random subsets without bias, fits the curve
through them, and says what infinitely many units would hold, with its interval, or that saturation was not seen.
"""

# %%
# Sixty units; every trial shifts all of them as the stimulus does, by 0.5 on average. That alone limits what is known
# to 1/0.5² = 4.
import jax
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import fisher, plot

random = np.random.default_rng(0)
slope = 1 + random.normal(size=60) / 4


def trials(stimulus):
    """A thousand responses: the stimulus and a shift along its slope, in noise of each unit."""
    seen = stimulus + 0.5 * random.normal(size=(1000, 1))
    return slope * seen + 2 * random.normal(size=(1000, 60))


found = fisher.information_scaling(trials(-0.5), trials(0.5), 1.0, key=jax.random.key(0))
low, high = found.limit_interval
print(f"60 units hold {found.value[-1]:.2f} ± {found.standard_error[-1]:.2f}")
print(f"infinitely many: {found.limit:.2f}, 95 % from {low:.2f} to {high:.2f}")
print(f"nine tenths of that need {found.units_for(0.9):.0f} units")

# %%
# Points are means over subsets; the dotted line is what as many units would hold if nothing limited them.
with plot.style():
    _, ax = plt.subplots(figsize=(6, 3.5))
    plot.information_scaling(found, ax)
    ax.axhline(4, color="black", linewidth=0.9, linestyle="--", label="limit")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))

# %%
# A recording of many stimuli: ``information_scaling(recording, key=key)``, :doc:`/recordings`.
