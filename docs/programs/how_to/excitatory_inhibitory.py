"""How do I describe an excitatory–inhibitory network?
======================================================

Give a :class:`~fisherjax.connectivity.GainMatrix` ``means`` beside its gains: N times the mean weight, positive in
the column of a population that excites and negative in that of one that inhibits. Theory, simulation and optimization
follow them.
"""

# %%
# Four fifths of the units excite, one fifth inhibits; rows receive, columns send. Weak and strong means.
import jax
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import connectivity, meanfield, plot

gains, fractions, means = (
    [[0.5, 0.5], [0.5, 0.5]],
    [0.8, 0.2],
    np.array([[1.0, -4.5], [1.5, -1.0]]),
)
weak, strong = (
    connectivity.GainMatrix(gains, fractions, strength * means) for strength in (0.8, 1.5)
)

# %%
# Means put a few eigenvalues of the weights outside the disc that the gains fill. Roughly where those leave the
# unit circle, the mean activity of whole populations leaves its resting state.
outliers = {
    name: connectivity.spectral_outliers(one)
    for name, one in (("weak", weak), ("strong", strong))
}
print(f"disc of radius {connectivity.spectral_radius(strong):.2f}")
for name, values in outliers.items():
    print(
        f"{name} means: outliers {values[0].real:.2f} ± {values[0].imag:.2f}i, of size {abs(values[0]):.2f}"
    )

# %%
# Left, the eigenvalues of one network with strong means; right, both courses in theory. Where rest ends exactly is
# :func:`fisherjax.meanfield.critical_mean`; in a search :class:`~fisherjax.connectivity.WithMeans` frees the means.
# More: :doc:`/structures`.
weights = connectivity.sample_weights(strong, 300, key=jax.random.key(0))
with plot.style():
    _, (left, right) = plt.subplots(1, 2, figsize=(7, 3.5))
    real, imaginary = np.real(outliers["strong"]), np.imag(outliers["strong"])
    left.plot(
        real, imaginary, "o", color=plot.COLORS[1], fillstyle="none", label="outliers, theory"
    )
    plot.weight_spectrum(weights, strong, left)
    for color, structure, name in zip(plot.COLORS, (weak, strong), outliers, strict=False):
        course = meanfield.propagate(
            structure, stimulus=0.5, noise_std=0.3, num_steps=40, bias=0.1
        )
        right.plot(course.times, course.mean[:, 0], color=color, label=f"excitatory, {name}")
        right.plot(
            course.times, course.mean[:, 1], "--", color=color, label=f"inhibitory, {name}"
        )
    right.set(xlabel="time (steps)", ylabel="mean state of a population")
    right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
