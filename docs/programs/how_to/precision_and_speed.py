"""How do I compute in float64, and why is the first call slow?
============================================================

Set ``jax.config.update("jax_enable_x64", True)`` before anything else: all follows the float type of its inputs. The
first call compiles a program for its shapes, which takes longer than running it; a second one with other gains, noise
or stimuli finds it. With ``JAX_COMPILATION_CACHE_DIR`` set, the next process finds it too.
"""

# %%
# Something to compute, with a clock beside it.
import tempfile
import time

import jax
import matplotlib.pyplot as plt
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

from fisherjax import connectivity, fisher, plot


def curve(gain):
    """Information after each of ten steps, and how long that took."""
    begin = time.perf_counter()
    structure = connectivity.homogeneous(np.float64(gain))
    found = fisher.meanfield_curve(structure, stimulus=0.1, noise_std=0.1, num_steps=10)
    return np.asarray(found.total), time.perf_counter() - begin


# %%
# A folder for compiled programs, here set within the process: ``JAX_COMPILATION_CACHE_DIR=~/.cache/jax
# JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 python study.py`` does the same from outside.
single, _ = curve(1.2)
with tempfile.TemporaryDirectory() as folder:
    compilation_cache.reset_cache()
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_enable_x64", True)
    seconds = {}
    double, seconds["first call"] = curve(1.2)
    _, seconds["second call"] = curve(1.2)
    _, seconds["another gain"] = curve(0.9)
    jax.clear_caches()  # as if the process had ended
    _, seconds["next process"] = curve(1.2)
    jax.config.update("jax_compilation_cache_dir", None)
    compilation_cache.reset_cache()
print(
    f"{single.dtype} and {double.dtype} differ by {abs(single / double - 1).max():.0e} of the value"
)
print(", ".join(f"{name} {value:.3f} s" for name, value in seconds.items()))

# %%
# Most of the first call is compiling.
with plot.style():
    _, ax = plt.subplots(figsize=(6, 3.5))
    ax.barh(list(seconds), list(seconds.values()), color=plot.COLORS[0])
    ax.invert_yaxis()
    ax.set(xscale="log", xlabel="time of a call (s)")

# %%
# What each call costs, and what it cannot cost less: :doc:`/speed`. Lower precision on a GPU: :doc:`/scale`.
