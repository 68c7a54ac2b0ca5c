"""A recording: responses of a population, one row for each trial, with the stimulus of each trial."""

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int

from fisherjax._arrays import as_labels, host_real
from fisherjax._errors import check_choice, check_flag, check_integer, check_kind, listed, require, told, warn
from fisherjax._types import ArrayLike, Record, Scalar
from fisherjax.datasets._separation import as_period

from ._cleaning import MISSING, cleaned

_SAME = 1e-6  # stimuli closer than this share of their range are one: float32 knows them no better
_MOST_TURNS = 6  # that stimuli span on a circle before its length is doubted
_LISTED = 8


class Recording(Record):
    """Responses of a population, one row for each trial, and the stimulus of each trial.

    Whatever was found in the data and done about it is told by `notes`, and printed with the recording. Silent and
    duplicate units are left out by default, which loses no information; missing values are refused until `missing`
    says what they mean.
    """

    responses: Float[np.ndarray, "trials units"]
    """NaN where a unit was not recorded (only with ``missing="pairwise"``)"""
    stimulus: Float[np.ndarray, " trials"]
    block: Int[np.ndarray, " trials"] | None
    """trials of one block or session may be correlated with one another; None if all are independent"""
    names: tuple[str, ...] = eqx.field(static=True)
    """of the units"""
    period: float | None = eqx.field(static=True)
    """length of the circle on which the stimulus lives; None for a line"""
    stimulus_unit: str = eqx.field(static=True)
    missing: str = eqx.field(static=True)
    notes: tuple[str, ...] = eqx.field(static=True)
    """what was found in the data, and what was done about it"""

    def __init__(
        self,
        responses: ArrayLike,
        stimulus: ArrayLike,
        *,
        block: Any = None,
        names: Any = None,
        period: Scalar | None = None,
        stimulus_unit: str = "",
        missing: str = "refuse",
        drop_silent: bool = True,
        drop_duplicates: bool = True,
        drop_rare: bool = False,
        notes: tuple[str, ...] = (),
    ):
        """Make a recording of arrays, a data frame, or an array of xarray.

        Parameters
        ----------
        responses
            Spike counts, rates or ΔF/F (trials, units); or (stimuli, trials, units), each stimulus with the same number
            of trials. NaN is a missing value. Columns of a data frame, and the coordinate of an xarray's second
            dimension, name the units.
        stimulus
            Stimulus of each trial (trials,); of (stimuli, trials, units) one for each stimulus.
        block
            Label of each trial (trials,): the session or the run that it belongs to. Errors are then between blocks,
            and decoders are tested in blocks that did not train them.
        names
            Of the units.
        period
            Length of the circle of the stimulus: 180 for orientations in degrees; None or ``inf`` for a line.
        stimulus_unit
            As ``"deg"``, for axes and tables.
        missing
            What is done about missing values: ``"refuse"``; ``"drop"`` trials that have one; ``"pairwise"``: units that
            were never recorded together are taken as independent (a pseudo-population), and trials in which only some
            of the units of one session are there are dropped.
        drop_silent, drop_duplicates, drop_rare
            Whether units are left out that never vary, that are another unit over again (but for scale and offset), or
            that leave their most common value in less than one trial of a hundred. Those which are not left out are
            told; silent ones are then refused.
        notes
            What else is to be told, as how a file was read.

        Raises
        ------
        TypeError
            If responses or stimuli are not real numbers.
        ValueError
            If shapes do not fit, a stimulus is missing, values are missing or units silent and nothing says what to
            do about it, or too little is left.
        """
        names = _own_names(responses) if names is None else names
        values = host_real("responses", _plain(responses), "trials units", "stimuli trials units", finite=False)
        require(not np.isinf(values).any(), f"responses hold {int(np.isinf(values).sum())} infinite values")
        check_choice("missing", missing, MISSING)
        values, theta = _rows(values, stimulus)
        circle = as_period(period)
        codes = None if block is None else as_labels("block", block, len(theta))[0].astype(np.int64)
        told = _missing_stimuli(theta, missing)
        if told:
            shown = ~np.isnan(theta)
            values, theta, codes = values[shown], theta[shown], None if codes is None else codes[shown]
        flags = {
            "silent": check_flag("drop_silent", drop_silent),
            "duplicate": check_flag("drop_duplicates", drop_duplicates),
            "rare": check_flag("drop_rare", drop_rare),
        }
        known = _checked_names(names, values.shape[1])
        found = cleaned(values, theta, known, missing, flags)
        self.names = tuple(known[index] for index in found.units)
        self.responses = found.responses
        self.period = None if circle is None or np.isinf(circle) else circle
        _doubt_period(theta, self.period)
        self.stimulus = _wrapped(theta[found.trials], self.period)
        self.block = None if codes is None else np.unique(codes[found.trials], return_inverse=True)[1]
        self.stimulus_unit = check_kind("stimulus_unit", stimulus_unit, str, "a text, as 'deg'")
        self.missing = missing
        said = [
            check_kind("notes", note, str, "sentences") for note in check_kind("notes", notes, (tuple, list), "texts")
        ]
        self.notes = (*said, *(note for note in (*told, *found.notes) if note not in said))

    @property
    def num_units(self) -> int:
        """Number of units."""
        return self.responses.shape[1]

    @property
    def stimuli(self) -> Float[np.ndarray, " K"]:
        """The different stimuli, in order."""
        return np.unique(self.stimulus)

    @property
    def num_trials(self) -> Int[np.ndarray, " K"]:
        """Trials at each of `stimuli`."""
        return np.unique(self.stimulus, return_counts=True)[1]

    @property
    def neighbors(self) -> Int[np.ndarray, "M 2"]:
        """Pairs of neighbouring stimuli (indices into `stimuli`), on a circle also the last with the first."""
        count = len(self.stimuli)
        require(count >= 2, f"a recording must hold at least two stimuli, got {count}")
        pairs = [(index, index + 1) for index in range(count - 1)]
        pairs += [(count - 1, 0)] if self.period is not None and count > 2 else []
        return np.asarray(pairs)

    def separation(self, pairs: ArrayLike) -> Float[np.ndarray, " M"]:
        """Difference of the stimuli of pairs (M, 2) of indices, the shorter way round a circle.

        Raises
        ------
        ValueError
            If an index is out of range.
        """
        index = host_real("pairs", pairs, "M 2")
        whole = bool((index == np.round(index)).all() and index.size)
        inside = whole and bool(index.min() >= 0 and index.max() < len(self.stimuli))
        require(inside, f"pairs must hold indices from 0 to {len(self.stimuli) - 1} of stimuli")
        first, second = self.stimuli[index.astype(int)].T
        difference = np.abs(second - first)
        return difference if self.period is None else np.minimum(difference, self.period - difference)

    def at(self, index: int) -> Float[np.ndarray, "_ units"]:
        """Responses to one of `stimuli`, by its index."""
        place = check_integer("index", index, minimum=0, maximum=len(self.stimuli) - 1)
        return self.responses[self.stimulus == self.stimuli[place]]

    def select(self, *, units: Any = None, trials: Any = None) -> "Recording":
        """Some of the units or trials: indices or a mask; units also by their names.

        Raises
        ------
        ValueError
            If a name or an index is not there, or nothing is left.
        """
        columns = _indices("units", units, self.names, self.num_units)
        rows = _indices("trials", trials, (), len(self.stimulus))
        block = None if self.block is None else self.block[rows]
        return self._changed(
            self.responses[rows][:, columns], self.stimulus[rows], block, tuple(self.names[place] for place in columns)
        )

    def square_root(self) -> "Recording":
        """√(r + 3/8) of every response: of Poisson-like counts this makes the variance nearly the same everywhere.

        Information does not change, but for what is rounded to linear read-outs; the tests of equal covariances and of
        Gaussian responses are then those of what one may take as Gaussian.

        Raises
        ------
        ValueError
            If a response is negative.

        References
        ----------
        Anscombe (1948), The transformation of Poisson, binomial and negative-binomial data, Biometrika 35, 246–254.
        """
        least = float(np.nanmin(self.responses))
        require(least >= 0, f"square_root is for counts, but the least response is {least:g}")
        return self._changed(np.sqrt(self.responses + 3 / 8), self.stimulus, self.block, self.names)

    def principal_components(self, num_components: int) -> "Recording":
        """The responses along the directions of largest variance, stimulus and noise together: few linear features.

        What k features hold is a lower bound of what all units do; with more units than trials it is what can be
        asked without a bias. Units count in units of their standard deviation.

        Parameters
        ----------
        num_components
            Number of features k, at most that of units and of trials.

        Raises
        ------
        ValueError
            If there are fewer units or trials, or values are missing.
        """
        require(not np.isnan(self.responses).any(), "principal components need all units in every trial (no pairwise)")
        most = min(self.num_units, len(self.stimulus) - 1)
        count = check_integer("num_components", num_components, minimum=1, maximum=most)
        spread = self.responses.std(axis=0)
        standard = (self.responses - self.responses.mean(axis=0)) / np.where(spread > 0, spread, 1)
        left, size, _ = np.linalg.svd(standard, full_matrices=False)
        names = tuple(f"component {index + 1}" for index in range(count))
        return self._changed(left[:, :count] * size[:count], self.stimulus, self.block, names)

    def _changed(self, responses: Any, stimulus: Any, block: Any, names: tuple[str, ...]) -> "Recording":
        """The same recording with other responses, which are not cleaned again: what was left out stays so."""
        changed = object.__new__(Recording)
        fields = {
            "responses": responses, "stimulus": stimulus, "names": names, "period": self.period,
            "block": None if block is None else np.unique(block, return_inverse=True)[1],
            "stimulus_unit": self.stimulus_unit, "missing": self.missing, "notes": self.notes,
        }  # fmt: skip
        for name, value in fields.items():
            object.__setattr__(changed, name, value)
        return changed

    def __repr__(self) -> str:
        return "\n".join([self.summary, *(f"  {note}" for note in self.notes)])

    @property
    def summary(self) -> str:
        """How many units, trials and stimuli there are, in one sentence."""
        counts, values = self.num_trials, self.stimuli
        each = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
        unit = f" {self.stimulus_unit}" if self.stimulus_unit else ""
        where = "" if self.period is None else f" on a circle of {self.period:g}"
        shown = listed((f"{value:g}" for value in values), _LISTED)
        of = f"{len(values)} stimuli ({shown}{unit}{where}), {each} trials each"
        blocks = "" if self.block is None else f", {self.block.max() + 1} blocks"
        return f"Recording of {self.num_units} units in {len(self.stimulus)} trials: {of}{blocks}"


def _plain(responses: Any) -> Any:
    """What pandas holds as numbers with NaN for what is missing."""
    if hasattr(responses, "to_numpy") and hasattr(responses, "columns"):
        try:
            return responses.to_numpy(dtype=np.float64, na_value=np.nan)
        except (TypeError, ValueError):
            kinds = {str(name): str(kind) for name, kind in responses.dtypes.items()}
            wrong = [name for name, kind in kinds.items() if not any(word in kind.lower() for word in ("int", "float"))]
            raise TypeError(
                f"responses must be real numbers, but the column {listed(wrong, 3) or 'of one'} is none; choose the "
                "columns of units"
            ) from None
    return responses


def _own_names(responses: Any) -> Any:
    """Names of units that a data frame or an xarray brings, or None."""
    if hasattr(responses, "columns"):
        return [str(name) for name in responses.columns]
    dims, coords = getattr(responses, "dims", None), getattr(responses, "coords", None)
    if isinstance(dims, tuple) and coords is not None and len(dims) == 2 and dims[1] in coords:
        return [str(name) for name in np.asarray(coords[dims[1]])]
    return None


def _checked_names(names: Any, count: int) -> tuple[str, ...]:
    if names is None:
        return tuple(f"unit {index}" for index in range(count))
    if isinstance(names, str) or not hasattr(names, "__iter__"):
        raise TypeError(f"names must be a name for each unit, got {told(names)}")
    known = tuple(str(name) for name in names)
    require(len(known) == count, f"names must be one for each of {count} units, got {len(known)}")
    return known


def _missing_stimuli(theta: np.ndarray, missing: str) -> tuple[str, ...]:
    """A note on trials without a stimulus, which tell nothing."""
    count = int(np.isnan(theta).sum())
    if not count:
        return ()
    told = f"stimulus is missing in {count} of {len(theta)} trials"
    require(missing != "refuse" and count < len(theta), f'{told}; missing="drop" leaves those trials out')
    return (f'{told}: those trials were left out (missing="{missing}")',)


def _rows(values: np.ndarray, stimulus: Any) -> tuple[np.ndarray, np.ndarray]:
    """Responses (trials, units) and the stimulus of each."""
    if values.ndim == 3:
        count, trials = values.shape[:2]
        theta = host_real("stimulus", _plain(stimulus), "stimuli")
        hint = f"one for each of the {count} along the first axis of responses (stimuli, trials, units)"
        require(len(theta) == count, f"stimulus must be {hint}, got {len(theta)}")
        return values.reshape(-1, values.shape[-1]), np.repeat(theta.astype(np.float64), trials)
    theta = host_real("stimulus", stimulus, "trials", finite=False, hint="one stimulus for each trial")
    require(not np.isinf(theta).any(), f"stimulus holds {int(np.isinf(theta).sum())} infinite values")
    turned = "; responses are (trials, units): give responses.T" if len(theta) == values.shape[1] else ""
    require(
        len(theta) == len(values), f"stimulus must be one for each of {len(values)} trials, got {len(theta)}{turned}"
    )
    return values, theta.astype(np.float64)


def _wrapped(theta: np.ndarray, period: float | None) -> np.ndarray:
    """Stimuli within one turn of the circle; those that differ by rounding are made one."""
    if period is not None:
        theta = np.mod(theta, period)
        theta = np.where(period - theta <= _SAME * period, 0.0, theta)
    order = np.unique(theta)
    reach = _SAME * (np.ptp(order) if period is None else period)
    group = np.concatenate([[0], np.cumsum(np.diff(order) > reach)])
    first = order[np.unique(group, return_index=True)[1]]
    return first[group[np.searchsorted(order, theta)]]


def _doubt_period(theta: np.ndarray, period: float | None) -> None:
    turns = 0.0 if period is None else float(np.ptp(theta)) / period
    if turns > _MOST_TURNS:
        warn(
            f"stimuli from {theta.min():g} to {theta.max():g} span {turns:.0f} turns of period={period:g}: is it in "
            "the unit of the stimulus?"
        )


def _indices(name: str, wanted: Any, names: tuple[str, ...], count: int) -> Int[np.ndarray, " n"]:
    if wanted is None:
        return np.arange(count)
    items = np.atleast_1d(np.asarray(wanted))
    if items.dtype.kind in "US":
        unknown = [item for item in items if item not in names]
        require(
            not unknown, f"{name} must be names of units, but there is no {listed(map(repr, map(str, unknown)), 3)}"
        )
        return np.asarray([names.index(item) for item in items])
    if items.dtype == bool:
        require(items.shape == (count,), f"{name} must be a mask of {count}, got shape {items.shape}")
        items = np.flatnonzero(items)
    whole = items.ndim == 1 and items.size and items.dtype.kind in "iu"
    inside = bool(whole and items.min() >= -count and items.max() < count)
    require(inside, f"{name} must be indices below {count}, a mask or names, got {told(wanted)}")
    return np.arange(count)[items]
