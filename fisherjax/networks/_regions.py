"""Several brain regions in one network: who projects to whom, between which cell types, how densely."""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import equinox as eqx
import jax
import numpy as np

from fisherjax._errors import (
    check_choice,
    check_flag,
    check_instance,
    check_integer,
    check_kind,
    check_optional,
    check_share,
    require,
)
from fisherjax._types import Key

from ._constraints import ratio_signs
from ._pattern import Constraint, Pattern, Role, Shape

CellPair: TypeAlias = Literal["E->E", "E->I", "I->E", "I->I"]

_PAIRS: tuple[CellPair, ...] = ("E->E", "E->I", "I->E", "I->I")
_NAMES = {1: "E", -1: "I", 0: "E"}


class Region(eqx.Module):
    """One region of a `MultiRegion`.

    Parameters
    ----------
    num_units
        Number of its units.
    dale
        Share of excitatory units, in [0, 1]; None if signs are free.
    autapses
        Whether its units may drive themselves.
    """

    num_units: int = eqx.field(static=True)
    dale: float | int | None = eqx.field(static=True, default=None)
    autapses: bool = eqx.field(static=True, default=True)

    def __check_init__(self) -> None:
        check_integer("num_units", self.num_units, minimum=1)
        check_optional(check_share, "dale", self.dale)
        check_flag("autapses", self.autapses)

    @property
    def signs(self) -> np.ndarray:
        """+1, −1, or 0 for free, one per unit."""
        if self.dale is None:
            return np.zeros(self.num_units, np.int8)
        return ratio_signs(self.num_units, float(self.dale))


class Projection(eqx.Module):
    """Connections from one region to another.

    Parameters
    ----------
    source, target
        Names of regions.
    probability
        Of each connection, in [0, 1]: one number, or one per pair of cell types, for instance
        ``{"E->E": 0.2, "E->I": 0.1}``; pairs that are left out are not connected. Units of a region
        without Dale's law count as E.
    """

    source: str = eqx.field(static=True)
    target: str = eqx.field(static=True)
    probability: float | int | tuple[tuple[str, float], ...] = eqx.field(static=True)

    def __init__(self, source: str, target: str, probability: float | Mapping[str, float] = 1.0):
        """Validate the probabilities."""
        self.source, self.target = check_instance("source", source, str), check_instance("target", target, str)
        if isinstance(probability, Mapping):
            for pair in probability:
                check_choice("probability: pairs", pair, _PAIRS)
            self.probability = tuple((pair, check_share("probability", p)) for pair, p in probability.items())
        else:
            self.probability = check_share("probability", probability)

    def between(self, pair: CellPair) -> float:
        """Probability of a connection between two cell types."""
        if isinstance(self.probability, tuple):
            return dict(self.probability).get(pair, 0.0)
        return float(self.probability)


class MultiRegion(Constraint):
    """A network of several regions, each with its own Dale ratio and autapses, joined by sparse projections.

    Units are ordered by region, in the order in which the regions are given; within a region, excitatory
    units come first. Regions are fully connected inside. Which of the possible connections of a projection
    exist is drawn once, when a network is built. Pass it among the `constraints` of a network with `num_units` units.

    Parameters
    ----------
    regions
        Name → `Region`.
    projections
        Each a `Projection` between regions.
    inputs
        Region → the inputs (column numbers) that reach it; None: every input reaches every region.
    outputs
        Region → the outputs (row numbers) that it drives; None: every region drives every output.

    Raises
    ------
    ValueError
        If a projection, an input or an output names an unknown region, or a projection stays within one.
    """

    regions: dict[str, Region]
    projections: tuple[Projection, ...]
    inputs: dict[str, tuple[int, ...]] | None
    outputs: dict[str, tuple[int, ...]] | None

    def __init__(
        self,
        regions: Mapping[str, Region],
        projections: Sequence[Projection] = (),
        *,
        inputs: Mapping[str, Sequence[int]] | None = None,
        outputs: Mapping[str, Sequence[int]] | None = None,
    ):
        """Validate the names."""
        hint = "write {'V1': Region(80, dale=0.8)}"
        check_instance("regions", regions, Mapping, hint)
        require(len(regions) > 0, "regions must hold at least one region")
        for name, region in regions.items():
            check_instance("names of regions", name, str)
            check_instance(f"regions[{name!r}]", region, Region, hint)
        check_kind("projections", projections, (list, tuple), "a list of Projections")
        self.regions, self.projections = dict(regions), tuple(projections)
        known = ", ".join(self.regions)
        for projection in self.projections:
            check_instance("projections", projection, Projection, "write [Projection('V1', 'PFC', 0.1)]")
            source, target = projection.source, projection.target
            for name in (source, target):
                require(name in self.regions, f"projection {source} → {target}: no region {name!r} in {known}")
            require(source != target, f"a projection joins two regions, got {source!r} twice")
        self.inputs, self.outputs = self._routes("inputs", inputs), self._routes("outputs", outputs)

    def _routes(self, title: str, table: Mapping[str, Sequence[int]] | None) -> dict[str, tuple[int, ...]] | None:
        """Which channels reach or leave which region, checked."""
        if table is None:
            return None
        check_instance(title, table, Mapping, f"write {title}={{'V1': [0]}}")
        for name, numbers in table.items():
            known = ", ".join(self.regions)
            require(name in self.regions, f"{title} names the region {name!r}; known are {known}")
            check_kind(f"{title}[{name!r}]", numbers, (list, tuple, range, np.ndarray), "a list of channel numbers")
        return {
            name: tuple(check_integer(f"{title}[{name!r}]", number, minimum=0) for number in numbers)
            for name, numbers in table.items()
        }

    @property
    def num_units(self) -> int:
        """Units of all regions together."""
        return sum(region.num_units for region in self.regions.values())

    @property
    def slices(self) -> dict[str, slice]:
        """Where the units of every region are."""
        edges = np.cumsum([0, *(region.num_units for region in self.regions.values())])
        return {name: slice(int(a), int(b)) for name, a, b in zip(self.regions, edges, edges[1:], strict=False)}

    @property
    def signs(self) -> np.ndarray:
        """+1, −1, or 0 for free, one per unit."""
        return np.concatenate([region.signs for region in self.regions.values()])

    @property
    def sources(self) -> np.ndarray:
        """Number of the region of every unit."""
        return np.repeat(np.arange(len(self.regions)), [region.num_units for region in self.regions.values()])

    def pattern(self, role: Role, shape: Shape, key: Key) -> Pattern:
        """Mask and signs of one matrix; raises ValueError if the sizes do not match."""
        units = shape[1] if role == "output" else shape[0]
        require(
            units == self.num_units,
            f"num_units must be the {self.num_units} units of all regions together, got {units}",
        )
        if role == "input":
            return Pattern(self._routed("inputs", self.inputs, shape[1]))
        if role == "output":
            routed = self._routed("outputs", self.outputs, shape[0])
            return Pattern(None if routed is None else routed.T)
        signs = np.broadcast_to(self.signs, shape).copy() if self.signs.any() else None
        return Pattern(self._connections(key), signs, sources=self.sources)

    def _connections(self, key: Key) -> np.ndarray:
        mask = np.zeros((self.num_units, self.num_units), bool)
        for name, place in self.slices.items():
            mask[place, place] = True if self.regions[name].autapses else ~np.eye(place.stop - place.start, dtype=bool)
        types = np.array([_NAMES[int(sign)] for sign in self.signs])
        uniform = np.asarray(jax.random.uniform(key, mask.shape))
        for projection in self.projections:
            rows, columns = self.slices[projection.target], self.slices[projection.source]
            probability = np.zeros((rows.stop - rows.start, columns.stop - columns.start))
            for pair in _PAIRS:
                chosen = np.outer(types[rows] == pair[-1], types[columns] == pair[0])
                probability[chosen] = projection.between(pair)
            mask[rows, columns] |= uniform[rows, columns] < probability
        return mask

    def _routed(self, title: str, table: dict[str, tuple[int, ...]] | None, count: int) -> np.ndarray | None:
        """(units, channels), True where the table joins them."""
        if table is None:
            return None
        mask = np.zeros((self.num_units, count), bool)
        for name, numbers in table.items():
            for number in numbers:
                require(0 <= number < count, f"{title} of region {name!r} must be within 0…{count - 1}, got {number}")
                mask[self.slices[name], number] = True
        return mask
