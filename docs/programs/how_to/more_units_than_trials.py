"""I have more units than trials: what can be said?
================================================

Not the estimate without bias, which is refused: the covariance of more units than trials has no inverse. A shrunken
covariance gives an estimate that is too high, decoders on trials that did not train them a lower bound: together they
bracket what there is. A few principal components can be asked without bias, for what these few hold.
"""

# %%
# A hundred units with common fluctuations, 30 trials at each of six stimuli. What there is is known here.
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import fisher, plot

random = np.random.default_rng(0)
slope, common = random.normal(size=100) * 0.4, random.normal(size=(100, 3)) / 2
covariance = np.eye(100) + common @ common.T
exact = float(fisher.gaussian_information(slope, covariance))
noise = random.multivariate_normal(np.zeros(100), covariance, size=(6, 30))
recording = fisher.Recording(np.arange(6)[:, None, None] * slope + noise, np.arange(6))
try:
    fisher.recorded_information(recording)
except ValueError as error:
    print(f"{str(error).partition(':')[0]} …")

# %%
# What can be asked instead, as means over the five pairs of neighbouring stimuli.
components = recording.principal_components(10)
found = {
    "shrunken covariance": fisher.recorded_information(
        recording, covariance="ledoit-wolf"
    ).averages["direct"],
    "10 components": fisher.recorded_information(components).averages["direct"],
    "decoder": fisher.recorded_decoding(recording, method="ledoit-wolf").average,
}
print(
    f"there is {exact:.1f};",
    ", ".join(f"{name} {float(one.value):.1f}" for name, one in found.items()),
)

# %%
# Each interval is of what that method gives, not of what there is. How large these biases are in a simulated cortex:
# :doc:`/recordings`.
with plot.style():
    _, ax = plt.subplots(figsize=(6, 3.5))
    plot.estimates(found, ax, reference=exact)
    ax.set_title("dashed: what there is")
