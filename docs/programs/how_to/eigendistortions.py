"""Which change of an image does a model see best?
===============================================

The first eigendistortion: the change of a given size that moves the model's response most.
:func:`fisherjax.fisher.eigendistortions` finds it, and the change that moves it least, of any function from an image to
responses that JAX can differentiate. Their information says how much better one is seen than the other.
"""

# %%
# A patch of a photograph, and a model of early vision: Gabor filters of four orientations at 16 places, squared, and
# divided by the mean over all of them; 64 responses to 256 pixels. In float64, whose digits tell little from nothing.
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

from fisherjax import datasets, fisher, plot

jax.config.update("jax_enable_x64", True)
image = datasets.natural_patches(8, key=jax.random.key(0), size=16)[3][..., None].astype(float)
filters = jnp.stack([datasets.gabor((7, 7, 1), angle=turn * jnp.pi / 4) for turn in range(4)])


def response(picture):
    """Energy of every filter at every place, over their mean."""
    contrast = (picture - picture.mean()).reshape(1, 1, 16, 16)
    maps = jax.lax.conv(contrast, filters.reshape(4, 1, 7, 7), (3, 3), "VALID")
    energy = maps.ravel() ** 2
    return energy / (0.1 + energy.mean())


# %%
# A random change of the same size, for comparison.
most, least = fisher.eigendistortions(response, image, key=jax.random.key(1))
random = jax.random.normal(jax.random.key(2), image.shape)
_, moved = jax.jvp(response, (image,), (random / jnp.linalg.norm(random),))
print(
    f"information: best {most.information:.3g}, random {jnp.sum(moved**2):.3g}, least {least.information:.1g}"
)

# %%
# Red is brighter, blue darker.
with plot.style():
    _, axes = plt.subplots(1, 3, figsize=(7, 2.8))
    plot.eigendistortions(image, most, least, axes)

# %%
# Movies, trained networks, and images that a model cannot tell apart: :func:`fisherjax.fisher.metamer`,
# :doc:`/seeing`.
