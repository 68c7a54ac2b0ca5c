"""Moments of a nonlinearity as one compiled program each, where eager operations would compile one each."""

import equinox as eqx


@eqx.filter_jit
def moment(phi, name, *arguments):
    """``phi.name(*arguments)``."""
    return getattr(phi, name)(*arguments)
