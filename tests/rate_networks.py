"""Curves of rate networks from what a test says of them: their weights and noise, and what is asked."""

import jax.numpy as jnp

from fisherjax import fisher, networks

_OF_NETWORK = {
    "input_vector", "noise_std", "observation_noise_std", "sustained_input", "nonlinearity", "populations",
}  # fmt: skip


def rate_networks(weights, settings):
    """The network of some weights, or several of (draws, N, N), and the settings that are not theirs."""
    own = {name: value for name, value in settings.items() if name in _OF_NETWORK}
    rest = {name: value for name, value in settings.items() if name not in _OF_NETWORK}
    vector = own.pop("input_vector")
    if jnp.ndim(weights) == 3:
        return [networks.RateNetwork(draw, vector, **own) for draw in weights], rest
    return networks.RateNetwork(weights, vector, **own), rest


def closure(weights, **settings):
    network, rest = rate_networks(weights, settings)
    return fisher.closure_curve(network, **rest)


def simulated(weights, **settings):
    network, rest = rate_networks(weights, settings)
    return fisher.simulated_curve(network, **rest)
