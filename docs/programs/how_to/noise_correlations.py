"""What do noise correlations cost?
================================

The difference between what the responses hold, and what they would hold if every unit varied on its own, as in trials
that are shuffled: :func:`fisherjax.fisher.recorded_information` estimates both from the same trials, without bias, and
their difference with its own error. It is negative where correlations cost information, and may be positive.
"""

# %%
# Thirty units whose common input jitters by 4 degrees from trial to trial: no read-out can tell such a change of all
# units from a change of the stimulus.
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import fisher, plot

preferred = jnp.arange(30) * 6.0


def respond(orientation, key):
    """Rates at an orientation that differs a little from the one that is shown, in noise of each unit."""
    jitter_key, noise_key = jax.random.split(key)
    seen = orientation + 4 * jax.random.normal(jitter_key)
    rates = 10 * jnp.exp(2 * (jnp.cos(jnp.pi / 90 * (seen - preferred)) - 1))
    return rates + 2 * jax.random.normal(noise_key, (30,))


recording = fisher.record(
    respond,
    np.arange(8) * 22.5,
    key=jax.random.key(0),
    num_trials=200,
    period=180,
    stimulus_unit="deg",
)
found = fisher.recorded_information(recording, error="jackknife")
for name in ("direct", "shuffled", "direct - shuffled"):
    one = found.averages[name]
    print(f"{name:>17}: {one.value:7.4f} ± {one.standard_error:.4f} per deg²")

# %%
# Between all neighbouring orientations.
with plot.style():
    _, ax = plt.subplots(figsize=(6, 3.5))
    plot.recorded_information(found, ax, names=("direct", "shuffled"))
    ax.set_ylim(bottom=0)

# %%
# Two conditions without a recording: :func:`fisherjax.fisher.direct` and :func:`fisherjax.fisher.shuffled`,
# :doc:`/measuring`. Is the difference more than chance? ``permutation_test(recording, "correlations", key=key)``,
# :doc:`/recordings`.
