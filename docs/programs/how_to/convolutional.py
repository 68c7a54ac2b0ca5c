"""How do I see what a convolutional network decides, and when?
============================================================

Run it with :func:`fisherjax.vision.respond`, which returns the logits after every step before, during and after an
image, and give these to :func:`fisherjax.vision.decisions`: accuracy and confidence through time, and for each image
the step from which on it is decided.
"""

# %%
# Two areas, handwritten digits of 8 × 8 pixels, 250 updates.
import jax
import matplotlib.pyplot as plt
import numpy as np

from fisherjax import datasets, plot, vision

plan = vision.architecture("R2-8", channels=(8, 8), alpha=0.4, blank_steps=2, image_steps=8)
trained = vision.train_directly(
    plan,
    *datasets.digits(),
    key=jax.random.key(0),
    num_steps=250,
    batch_size=32,
    learning_rate=1e-2,
)

# %%
# Digits that it has not seen: two steps of a blank screen, eight of the image.
images, labels = datasets.digits(split="test")
response = vision.respond(trained.network, images)
found = vision.decisions(response.logits, labels, threshold=0.8, onset=response.onset)
decided = np.isfinite(found.reaction_time)
print(f"right at the end of the image: {found.accuracy[-1]:.0%} of {len(labels)} digits")
print(
    f"decided: {decided.mean():.0%}, half of them within {np.median(found.reaction_time[decided]):.0f} steps"
)
print(f"right of those: {found.decided_accuracy:.0%}")

# %%
# Accuracy is there before confidence is.
with plot.style():
    _, ax = plt.subplots(figsize=(6, 3.5))
    plot.decisions(found, ax, onset=response.onset)
    ax.set_xticks(range(0, 11, 2))

# %%
# Stability, relaxation, robustness, and what each area knows: :doc:`/convolutional` and :doc:`/seeing`.
