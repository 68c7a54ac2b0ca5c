"""Everything that is asked of a recording, in one report."""

import functools
import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fisherjax import fisher
from fisherjax.fisher._recorded._decoding import RecordedDecoding
from fisherjax.fisher._recorded._information import RecordedInformation
from fisherjax.fisher._recorded._permutation import PermutationTest
from fisherjax.fisher._recorded._smooth import SmoothInformation
from fisherjax.fisher._recorded._tuning import Tuning
from fisherjax.fisher._saturation import InformationScaling
from fisherjax.plot._recordings import save_recording
from fisherjax.report import Section, Table
from fisherjax.report._html import Picture

from ._arguments import Estimate
from ._files import reading
from ._messages import in_options
from ._outcome import Outcome, estimate_table, section
from ._session import Session
from ._values import UsageError

_DECODERS = ("ridge", "logistic", "diagonal", "early-stopped")
_FEWEST_UNITS = 16  # for a look at how information grows with units
_FEWEST_TRIALS = 20  # of each stimulus, for folds
_ASKED = {
    "information": "there is information",
    "correlations": "noise correlations change it",
    "covariance": "the covariance depends on the stimulus",
}
_MANY = 100  # blocks, where every trial is one
_SMOOTH_FROM = 6  # stimuli
_PERMUTATIONS, _QUICK_PERMUTATIONS = 500, 100


class _Found(NamedTuple):
    """What could be asked of a recording."""

    tuning: Tuning | None
    information: RecordedInformation | None
    smooth: SmoothInformation | None
    decoding: dict[str, RecordedDecoding]
    scaling: InformationScaling | None
    tests: dict[str, PermutationTest]


_NOTHING = _Found(None, None, None, {}, None, {})


def run_recording(command: Estimate, session: Session) -> Outcome:
    """Read a recording and ask all that it can be asked."""
    recording = _read(command)
    print(f"{recording}")
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = _asked(command, session, recording)
    if found.tuning is None and found.smooth is None:
        counts = f"{recording.num_units} units in {len(recording.stimulus)} trials"
        raise UsageError(f"--responses: of {counts} nothing can be asked: more trials, or fewer units (--exclude)")
    if found.information is not None and "ledoit-wolf" in found.information["direct"].method:
        notes.append(
            f"{recording.num_units} units are too many for the trials: direct is by a Ledoit-Wolf covariance (biased)"
        )
    notes += dict.fromkeys(in_options(str(one.message), command) for one in caught if _is_ours(one))
    print("".join(f"note: {sentence}\n" for sentence in notes), end="")
    return _outcome(recording, found, notes)


def _is_ours(warning: warnings.WarningMessage) -> bool:
    return issubclass(warning.category, fisher.AssumptionWarning | RuntimeWarning)


def _read(command: Estimate) -> fisher.Recording:
    path = command.responses[0]
    with reading("--responses", path, translated=functools.partial(_as_options, command=command)):
        return fisher.read_recording(
            path,
            command.stimulus[0],
            responses=command.array or None,
            block=command.block or None,
            exclude=command.exclude,
            axes=command.axes or None,
            window=command.window or None,
            period=command.period,
            stimulus_unit=command.stimulus_unit,
            missing=command.missing,
            drop_rare=command.drop_rare,
            header=command.header,
            separator=command.separator,
            decimal=command.decimal,
        )


def _as_options(message: str, command: Estimate) -> str:
    """A message of the library in the words of the command."""
    return in_options(message.replace("responses=", "--array "), command)


def _asked(command: Estimate, session: Session, recording: fisher.Recording) -> _Found:
    """Every question that the recording allows."""
    whole = not bool(np.isnan(recording.responses).any())
    paired = bool(recording.num_trials.min() >= 2)
    least = int(recording.num_trials[recording.neighbors].sum(axis=1).min()) if paired else 0
    invertible = recording.num_units < 0.9 * least - 5
    key, scaling_key = jax.random.split(jax.random.key(command.seed))
    found = _NOTHING
    if paired:
        found = found._replace(tuning=fisher.tuning(recording))
        with session.stage("information between neighbouring stimuli"):
            covariance = "sample" if invertible or not whole else "ledoit-wolf"
            information = fisher.recorded_information(recording, covariance=covariance)
            session.save("information", information)
            found = found._replace(information=information)
    if whole and len(recording.stimuli) >= _SMOOTH_FROM and recording.num_units + 10 < len(recording.stimulus) / 2:
        with session.stage("smooth tuning"):
            smooth = fisher.smooth_information(recording)
            session.save("smooth", smooth)
            found = found._replace(smooth=smooth)
    blocks = _MANY if recording.block is None else int(recording.block.max()) + 1
    if whole and paired and recording.num_trials.min() >= _FEWEST_TRIALS and blocks >= 2:
        with session.stage("decoders"):
            methods = _DECODERS[:1] if command.quick else _DECODERS
            decoding = {name: fisher.recorded_decoding(recording, method=name) for name in methods}
            found = found._replace(decoding=decoding)
    if whole and paired and invertible:
        with session.stage("permutations"):
            number = _QUICK_PERMUTATIONS if command.quick else _PERMUTATIONS
            ask = functools.partial(fisher.permutation_test, recording, key=key, num_permutations=number)
            found = found._replace(tests={name: ask(name) for name in ("information", "correlations", "covariance")})
        if recording.num_units >= _FEWEST_UNITS:
            with session.stage("growth with units"):
                scaling = fisher.information_scaling(recording, key=scaling_key, num_subsets=5 if command.quick else 20)
                found = found._replace(scaling=scaling)
                session.save("scaling", scaling)
    return found


def _outcome(recording: fisher.Recording, found: _Found, notes: list[str]) -> Outcome:
    unit = f" {recording.stimulus_unit}" if recording.stimulus_unit else ""
    summary = _summary(found, unit)
    picture = Picture(
        "recording.png", "Tuning, information, decoders and growth of this recording.", save_recording,
        found.tuning, found.information, found.smooth, found.decoding, found.scaling,
    )  # fmt: skip
    sections = [
        section("What was read", [recording.summary + ".", *recording.notes]),
        section("At a glance", [summary[:1].upper() + summary[1:]], picture),
        *_sections(found, unit),
        section("What the data say about the assumptions", notes or ["Nothing speaks against them."]),
    ]
    table = _pair_table(found)
    shown = _averages(found)
    return Outcome(
        title="Fisher information of your recording",
        sections=sections,
        results=_results(recording, found, notes),
        arrays=_arrays(found),
        table=table,
        sentences=[
            *(f"{name:<32} {float(e.value):10.4g} ± {float(e.standard_error):.3g}" for name, e in shown.items()),
            summary,
        ],
    )


def _averages(found: _Found) -> dict[str, fisher.FisherEstimate]:
    shown = dict(found.information.averages) if found.information is not None else {}
    if shown and "ledoit-wolf" in shown["direct"].method:
        shown = {"direct (Ledoit-Wolf, biased)" if name == "direct" else name: one for name, one in shown.items()}
    return shown | {f"{name} decoder": one.average for name, one in found.decoding.items()}


def _summary(found: _Found, unit: str) -> str:
    """The answer in a sentence or two."""
    parts = []
    if found.information is not None:
        average = found.information.averages["direct"]
        value = float(average.value)
        threshold = f", a threshold of {1 / np.sqrt(value):.3g}{unit} at d′ = 1" if value > 0 else ""
        parts.append(f"mean information {value:.3g} ± {float(average.standard_error):.2g} {_per(unit)}{threshold}")
    for name, test in found.tests.items():
        parts.append(f"{_ASKED[name]}: p = {test.overall:.2g}")
    if found.scaling is not None and bool(found.scaling.resolved):
        low, high = (float(end) for end in found.scaling.limit_interval)
        many = float(found.scaling.units_for(0.9))
        parts.append(
            f"I(∞) = {float(found.scaling.limit):.3g} [{low:.3g}, {high:.3g}], nine tenths of it with {many:.0f} units"
        )
    if not parts and found.smooth is not None:
        parts.append(f"mean information {float(jnp.mean(found.smooth['direct'].value)):.3g} over the stimulus")
    return "; ".join(parts) + "."


def _sections(found: _Found, unit: str) -> list[Section]:
    parts = []
    if found.information is not None:
        text = [
            "Between neighbouring stimuli, bias removed; means over the pairs, whose errors count shared trials.",
            "direct: with noise correlations; shuffled: without them; diagonal: the best decoder blind to them.",
            "covariance term: what a change of the covariance with the stimulus adds for Gaussian responses.",
        ]
        apart = float(np.max(found.information.separation))
        text.append(
            f"Stimuli are up to {apart:g}{unit} apart, and this is what tells these. A small change may be told by "
            "more: see the smooth curves."
        )
        parts.append(
            section(
                "Information", text, estimate_table(found.information.averages, _in_unit(unit)), _short_table(found)
            )
        )
        parts.append(_thresholds(found.information, unit))
    if found.decoding:
        text = ["What linear decoders reach on folds of trials that did not train them: lower bounds."]
        rows = [
            [name, float(one.average.value), float(one.average.standard_error), float(one.correct.mean())]
            for name, one in found.decoding.items()
        ]
        header = ("decoder", f"information ({_in_unit(unit)})", "standard error", "told apart")
        parts.append(section("Decoders", text, Table(header, rows)))
    if found.tests:
        text = ["Permutations of trials, all pairs together; no probability is below one over their number."]
        rows = [[name, test.overall, float(test.probability.min())] for name, test in found.tests.items()]
        parts.append(section("Tests", text, Table(("question", "p of all pairs", "least p of a pair"), rows)))
    if found.scaling is not None:
        parts.append(_growth(found.scaling, unit))
    return parts


def _thresholds(information: RecordedInformation, unit: str) -> Section:
    value, (low, high) = (np.asarray(part) for part in information.threshold())
    rows = [
        [f"{stimulus:g}", *map(float, row)]
        for stimulus, *row in zip(information.stimuli, value, low, high, strict=True)
    ]
    told = f" ({unit.strip()})" if unit else ""
    header = (f"stimulus{told}", f"threshold{told}", "95 % from", "to")
    return section("Thresholds", ["Smallest difference that is told with d′ = 1, 1/√I."], Table(header, rows))


def _growth(scaling: InformationScaling, unit: str) -> Section:
    rows = [
        [int(number), float(value), float(error)]
        for number, value, error in zip(scaling.num_units, scaling.value, scaling.standard_error, strict=True)
    ]
    text = "I(N) = cN/(1 + εcN) through means of random subsets"
    noise = f"ε = {float(scaling.limiting_noise):.3g} ± {float(scaling.limiting_noise_error):.2g}"
    header = ("units", f"information ({_in_unit(unit)})", "standard error")
    return section("Growth with units", [f"{text}: {noise}."], Table(header, rows))


def _in_unit(unit: str) -> str:
    return f"1/{unit.strip() or 'θ'}²"


def _per(unit: str) -> str:
    return f"per squared {unit.strip() or 'unit of the stimulus'}"


def _short_table(found: _Found) -> Table:
    """The table of pairs, narrow enough to be read on a page."""
    information = found.information
    if information is None:
        return Table(("stimulus",), [])
    rows = [
        [f"{stimulus:g}", *(f"{float(e.value[place]):.3g} ± {float(e.standard_error[place]):.1g}"
                            for e in information.estimates.values())]
        for place, stimulus in enumerate(information.stimuli)
    ]  # fmt: skip
    return Table(("stimulus", *information.estimates), rows)


def _pair_table(found: _Found) -> Table:
    if found.information is None:
        smooth = found.smooth
        if smooth is None:
            return Table(("stimulus",), [])
        columns = [smooth.stimuli, *(part for e in smooth.estimates.values() for part in (e.value, e.standard_error))]
        header = ("stimulus", *(word for name in smooth.estimates for word in (name, "s.e.")))
    else:
        information = found.information
        columns = [information.stimuli, information.separation]
        columns += [part for e in information.estimates.values() for part in (e.value, e.standard_error)]
        header = ("stimulus", "Δθ", *(word for name in information.estimates for word in (name, "s.e.")))
    return Table(header, [list(map(float, row)) for row in zip(*columns, strict=True)])


def _results(recording: fisher.Recording, found: _Found, notes: list[str]) -> dict[str, Any]:
    results: dict[str, Any] = {
        "units": recording.num_units, "trials": len(recording.stimulus), "stimuli": len(recording.stimuli),
        "read": list(recording.notes), "notes": notes,
    }  # fmt: skip
    results["estimates"] = {
        name: {"value": e.value, "standard_error": e.standard_error, "interval": e.interval}
        for name, e in _averages(found).items()
    }
    results["tests"] = {name: test.overall for name, test in found.tests.items()}
    if found.scaling is not None:
        scaling = found.scaling
        results |= {"limiting_noise": scaling.limiting_noise, "limiting_noise_error": scaling.limiting_noise_error}
        results |= {"information_limit": scaling.limit, "information_limit_interval": scaling.limit_interval}
        results["units_for_90_percent"] = scaling.units_for(0.9)
    return results


def _arrays(found: _Found) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    if found.tuning is not None:
        arrays |= {"stimuli": found.tuning.stimuli, "tuning": found.tuning.mean, "preferred": found.tuning.preferred}
    if found.information is not None:
        arrays["middle"] = found.information.stimuli
        arrays |= {name.replace(" ", "_"): one.value for name, one in found.information.estimates.items()}
    if found.smooth is not None:
        arrays |= {"smooth_stimuli": found.smooth.stimuli, "smooth_direct": found.smooth["direct"].value}
    return arrays
