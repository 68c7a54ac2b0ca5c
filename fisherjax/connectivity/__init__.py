"""Structure of random networks: gain matrices, families of them, and weights drawn from them."""

from fisherjax._memory_gain import memory_gain, memory_ratio

from ._families import (
    BlockFamily,
    CirculantFamily,
    Family,
    FeedforwardChainFamily,
    FreeFamily,
    GeneralizedToeplitzFamily,
    HomogeneousFamily,
    SymmetricToeplitzFamily,
    ToeplitzFamily,
)
from ._freed import WithFractions, WithMeans
from ._gain_matrix import (
    GainMatrix,
    block,
    circulant,
    feedforward_chain,
    generalized_toeplitz,
    homogeneous,
    population_index,
    symmetric_toeplitz,
    toeplitz,
)
from ._sampling import sample_weights, spectral_outliers, spectral_radius, weight_initializer

__all__ = [
    "BlockFamily", "CirculantFamily", "Family", "FeedforwardChainFamily", "FreeFamily", "GainMatrix",
    "GeneralizedToeplitzFamily", "HomogeneousFamily", "SymmetricToeplitzFamily", "ToeplitzFamily", "WithFractions",
    "WithMeans", "block", "circulant", "feedforward_chain", "generalized_toeplitz", "homogeneous", "memory_gain",
    "memory_ratio", "population_index", "sample_weights", "spectral_outliers", "spectral_radius",
    "symmetric_toeplitz", "toeplitz", "weight_initializer",
]  # fmt: skip
