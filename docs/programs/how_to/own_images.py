"""How do I use my own images?
===========================

Put them into a folder with a subfolder for each class and name it to :func:`fisherjax.datasets.image_folder`, with the
size that they shall have. ``.pixels()`` reads them; as initial states of a network they then answer, for instance,
which network keeps their distances. One array of images, (images, height, width), does as well.
"""

# %%
# Such a folder, of three photographs cut into tiles: cat/0.png, …, coffee/0.png, …
import tempfile
from pathlib import Path

import jax
import matplotlib.pyplot as plt
from PIL import Image
from skimage import data

from fisherjax import connectivity, datasets, geometry, plot

small = datasets.Preprocessing((16, 16, 1), mean=(0.5,), std=(0.25,))
with tempfile.TemporaryDirectory() as folder:
    for name, photograph in {
        "cat": data.chelsea(),
        "coffee": data.coffee(),
        "astronaut": data.astronaut(),
    }.items():
        place = Path(folder, name)
        place.mkdir()
        for number in range(20):
            top, left = divmod(number, 5)
            tile = photograph[70 * top : 70 * top + 70, 80 * left : 80 * left + 80]
            Image.fromarray(tile).save(place / f"{number}.png")
    pictures = datasets.image_folder(folder, preprocessing=small)
    pixels, labels = pictures.pixels()
print(pictures)
print(f"pixels {pixels.shape}, {pixels.dtype}; labels {labels.shape}")

# %%
# As patterns on 300 units they run through two homogeneous networks, of gain 0.7 and 1; lines are theory.
key = jax.random.key(0)
with plot.style():
    _, ax = plt.subplots(figsize=(6, 3.5))
    for gain, color in ((0.7, plot.COLORS[0]), (1.0, plot.COLORS[1])):
        structure = connectivity.homogeneous(gain)
        patterns = geometry.initial_patterns(
            datasets.intensities(pixels), structure, 300, key=key
        )
        found = geometry.compare_geometry(
            structure, patterns, noise_std=0.1, num_steps=10, num_trials=1, num_draws=3, key=key
        )
        plot.distance_correlation(found.theory, ax, label=f"gain {gain:g}, theory", color=color)
        plot.distance_correlation(
            found.measured, ax, label=f"gain {gain:g}, simulated", measured=True, color=color
        )
        print(
            f"gain {gain:g}: correlation of distances after ten steps {found.measured.pearson[-1]:.2f}"
        )

# %%
# Data sets that are there already, whitening, labels: :doc:`/images`. Training on a folder: :doc:`/seeing`.
