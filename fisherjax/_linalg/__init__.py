"""Linear algebra and random numbers that several packages share."""

from ._block_tridiagonal import solve_block_tridiagonal
from ._dimension import centered_gram, dimension_of_gram, less_first, magnitude, participation_ratio
from ._krylov import Spectrum, Target, arnoldi, largest_symmetric
from ._matrices import numerical_abscissa, perron_vectors, solve_discrete_lyapunov, spectral_radius
from ._normal import standard_normal, threefry_words
from ._one_by_one import one_by_one
from ._slopes import directions_of, with_slopes

__all__ = [
    "Spectrum", "Target", "arnoldi", "centered_gram", "dimension_of_gram", "directions_of", "largest_symmetric",
    "less_first", "magnitude", "numerical_abscissa", "one_by_one", "participation_ratio", "perron_vectors",
    "solve_block_tridiagonal", "solve_discrete_lyapunov", "spectral_radius", "standard_normal", "threefry_words",
    "with_slopes",
]  # fmt: skip
