"""How do I get a Fisher matrix for several parameters?
=======================================================

Give ``stimulus`` as a vector of K numbers, and ``input_pattern`` a column for each of them: every value of the curve
is then a K × K matrix. Its inverse bounds the covariance of any unbiased estimate of the K parameters.
"""

# %%
# The first parameter drives population 0, the second one both.
import jax
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import connectivity, fisher, plot

structure, pattern = connectivity.block([[1.1, 0.3], [0.3, 1.3]]), [[1.0, 0.7], [0.0, 0.7]]
theory = fisher.meanfield_curve(
    structure,
    stimulus=(0.5, 0.5),
    noise_std=0.3,
    num_steps=5,
    num_units=300,
    input_pattern=pattern,
)
measured = fisher.ensemble_curve(
    structure, stimulus=(0.5, 0.5), noise_std=0.3, num_steps=5, num_units=300, input_pattern=pattern,
    num_trials=200, num_draws=8, key=jax.random.key(0),
)  # fmt: skip
print("theory, after three steps:", np.asarray(theory.total[2]).round().tolist())
print("simulated, after three steps:", np.asarray(measured.total[2]).round().tolist())

# %%
# F⁻¹ as ellipses of one standard deviation: no unbiased read-out errs less. Where they lean, an error in one
# parameter goes with one in the other. More: :func:`fisherjax.fisher.meanfield_curve`.
angles = np.linspace(0, 2 * np.pi, 200)
circle = np.stack([np.cos(angles), np.sin(angles)])
with plot.style():
    _, ax = plt.subplots(figsize=(6, 3.5))
    for color, step in zip(plot.COLORS, (1, 3, 5), strict=False):
        for curve, line, name in ((theory, "-", "theory"), (measured, ":", "simulation")):
            ellipse = (
                np.linalg.cholesky(np.linalg.inv(np.asarray(curve.total[step - 1]))) @ circle
            )
            ax.plot(*ellipse, line, color=color, label=f"step {step}, {name}")
    ax.set(
        aspect="equal",
        xlabel="error of parameter 0 (units of θ)",
        ylabel="error of parameter 1 (units of θ)",
    )
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
