"""What an optimized structure hangs on."""

import numpy as np
from matplotlib.axes import Axes

from fisherjax.optimize._sensitivity import Sensitivity

from ._checks import axes_of, checked
from ._style import COLORS, PAGE_WIDTH, legend_below


@checked
def sensitivity(found: Sensitivity, axes: tuple[Axes, Axes, Axes] | None = None) -> tuple[Axes, Axes, Axes]:
    """The price of noise, how far each direction reaches, and what a move along the stiffest and the softest changes.

    Without prices (the independent form) the first panel shows the gains' change along the stiffest direction.
    """
    first, reach, trade = axes_of(axes, 1, 3, (PAGE_WIDTH, 3.8))
    if found.price is not None:
        image = first.imshow(np.log10(np.maximum(found.price.T, 1e-12)), cmap="viridis", aspect="auto")
        first.set(xlabel="time (steps)", ylabel="population", title="price of a unit's noise")
        first.set_xticks(range(len(found.price)), [str(step + 1) for step in range(len(found.price))])
        first.set_yticks(range(found.price.shape[1]))
    else:
        top = float(np.abs(found.directions[0]).max())
        image = first.imshow(found.directions[0], cmap="RdBu_r", vmin=-top, vmax=top)
        first.set(xlabel="from population", ylabel="to population", title="stiffest direction of the gains")
    first.figure.colorbar(image, ax=first, label="change of the gain" if found.price is None else "log₁₀ τ")
    places = np.arange(len(found.reach))
    for side, (shade, name) in enumerate(((COLORS[0], "backward"), (COLORS[1], "forward"))):
        shown = np.where(np.isfinite(found.reach[:, side]), found.reach[:, side], np.nan)
        reach.bar(places + 0.4 * side - 0.2, shown, 0.4, color=shade, label=name)
    reach.set(
        xlabel="direction, stiffest first",
        ylabel="distance of gain matrices",
        title=f"where {100 * found.loss:.0f} % is lost\n(no bar: beyond what was followed)",
    )
    reach.set_xticks(places)
    legend_below(reach)
    for index, (place, name) in enumerate(((0, "stiffest"), (len(found.distances) - 1, "softest"))):
        change = np.exp(found.value[place] - found.value[place][len(found.value[place]) // 2])
        trade.plot(found.weight_spectral_radius[place], change, "o-", markersize=3, color=COLORS[index], label=name)
    trade.set(xlabel="√ρ(G), radius of the weights", ylabel="information / optimum's", title="along two directions")
    legend_below(trade)
    return first, reach, trade
