"""Does a decoder reach the bound?
===============================

Give its estimates at several stimuli, and the information there, to :func:`fisherjax.fisher.cramer_rao`: ``efficiency``
is the least variance that its bias allows over the variance that it has, 1 where the bound is reached. The best linear
decoder (:func:`fisherjax.fisher.optimal_decoder`) reaches it at the stimulus that it was made for, and less elsewhere.
"""

# %%
# Twelve units with tuning curves and correlated noise; mean responses and their slopes at 17 stimuli.
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

from fisherjax import fisher, plot

preferred = jnp.linspace(-2, 2, 12)
covariance = 0.05 * jnp.exp(-jnp.abs(preferred[:, None] - preferred))


def mean(stimulus):
    """Tuning curves of width one."""
    return jnp.exp(-((stimulus - preferred) ** 2) / 2)


stimuli = jnp.linspace(-1, 1, 17)
slopes = jax.vmap(jax.jacfwd(mean))(stimuli)
information = jnp.stack([fisher.gaussian_information(slope, covariance) for slope in slopes])

# %%
# The decoder that is best at 0, tried on a thousand trials at each stimulus.
weights = fisher.optimal_decoder(slopes[8], covariance)
noise = jax.random.multivariate_normal(jax.random.key(5), jnp.zeros(12), covariance, (17, 1000))
guesses = (jax.vmap(mean)(stimuli)[:, None] + noise - mean(0.0)) @ weights
found = fisher.cramer_rao(guesses, stimuli, information, mean_slopes=slopes @ weights)
error = found.efficiency * found.variance_error / found.variance
for place in (8, 12, 16):
    print(
        f"at {stimuli[place]:.1f}: efficiency {found.efficiency[place]:.2f} ± {error[place]:.2f}"
    )

# %%
# Its variance is the same everywhere; what its bias allows is not.
with plot.style():
    _, ax = plt.subplots(figsize=(6, 3.5))
    plot.cramer_rao(found, ax)

# %%
# Decoders of recordings, trained on trials: :func:`fisherjax.fisher.recorded_decoding`, :doc:`/recordings`. All
# estimators: :doc:`/measuring`.
