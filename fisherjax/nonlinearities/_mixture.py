"""The hyperbolic tangent as a mixture of error functions, which makes its Gaussian moments closed forms.

The logistic density is a scale mixture of normal densities, with the Kolmogorov distribution as the
mixing law (Andrews & Mallows 1974). Integrated once, this reads

    tanh(x) = ∫ erf(x / (√2 v)) dμ(v),    μ the law of Kolmogorov's statistic,

so that every Gaussian moment of tanh is a positively weighted sum of the moments of error functions,
which are arcsines. In log v the integrand is analytic in a strip and decays doubly exponentially at
both ends: an n-point Gauss rule of μ in that variable converges like a geometric series, uniformly in
the variance from 0 to ∞ and in the correlation from −1 to 1.

References
----------
Andrews & Mallows (1974), Scale mixtures of normal distributions, J. R. Stat. Soc. B 36, 99–102.
"""

import functools

import numpy as np
from scipy.linalg import eigh_tridiagonal

_FINE_NODES = 200  # trapezoid in log v: the discretization error is below 1e-30
_LOWEST, _HIGHEST = 0.14, 5.2  # outside, the Kolmogorov density is below 1e-20


@functools.cache
def kolmogorov_rule(num_nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss rule for the Kolmogorov distribution in the variable log v.

    The recurrence coefficients of the orthogonal polynomials come from the Lanczos process on a fine
    trapezoid rule, with full reorthogonalization (Golub & Welsch 1969).

    Parameters
    ----------
    num_nodes
        Number of nodes n. Relative error of the moments of tanh over all variances: 1e-9 at n = 8,
        1e-14 at n = 16.

    Returns
    -------
    scales, weights
        Nodes v_j > 0 and weights w_j > 0, each (n,); the weights sum to one.
    """
    logs = np.linspace(np.log(_LOWEST), np.log(_HIGHEST), _FINE_NODES)
    density = _kolmogorov_density(np.exp(logs)) * np.exp(logs)
    vector = np.sqrt(density / density.sum())
    basis, diagonal, off_diagonal = [vector], [], []
    for step in range(num_nodes):
        image = logs * basis[step]
        diagonal.append(basis[step] @ image)
        for _ in range(2):
            for previous in basis:
                image = image - (previous @ image) * previous
        off_diagonal.append(np.linalg.norm(image))
        basis.append(image / off_diagonal[-1])
    nodes, vectors = eigh_tridiagonal(np.array(diagonal), np.array(off_diagonal[:-1]))
    scales, weights = np.exp(nodes), vectors[0] ** 2
    scales.setflags(write=False)
    weights.setflags(write=False)
    return scales, weights


def _kolmogorov_density(v: np.ndarray) -> np.ndarray:
    """Density of Kolmogorov's statistic, by whichever of its two theta series converges faster."""
    order = np.arange(1, 31)[:, None]
    upper = np.sum((-1.0) ** (order - 1) * 8 * v * order**2 * np.exp(-2 * order**2 * v**2), axis=0)
    rate = (2 * order - 1) ** 2 * np.pi**2 / 8
    lower = np.sqrt(2 * np.pi) * np.sum(np.exp(-rate / v**2) * (2 * rate / v**4 - 1 / v**2), axis=0)
    return np.where(v < 1.0, lower, upper)
