"""The optimized structure beside what it is compared with: the optimum of the other form, the homogeneous network."""

from dataclasses import dataclass

import numpy as np

from fisherjax import connectivity, fisher, meanfield
from fisherjax.report import Table

from ._structure import Predictions

FORMS = {"linear": "noise correlations counted (linear form)", "independent": "units independent"}


@dataclass(frozen=True)
class Candidate:
    """A structure, what theory says of it, and what was measured, by form."""

    name: str
    gains: connectivity.GainMatrix
    theory: Predictions
    measured: dict[str, fisher.FisherCurve]

    def information(self, form: str) -> float:
        """Of theory, at T."""
        return float(self.theory.of_form(form).total[-1])

    def facts(self, reference: "Candidate", noise_std: float, nonlinearity: str) -> dict[str, tuple[str, object]]:
        """What there is to know of it, each with a note."""
        gains, budget = self.gains, self.gains.mean_synaptic_budget
        operator = meanfield.diffusion_operator(gains, noise_std=noise_std, nonlinearity=nonlinearity)
        alignment, horizon = operator.alignment(), operator.memory_horizon(0.1)
        own = gains.fractions**2 * np.diagonal(np.asarray(gains.gains)) ** 2
        found: dict[str, tuple[str, object]] = {}
        for form in self.theory.forms:
            found[f"Fisher information at T, {form} form"] = ("1/θ²", self.information(form))
            ratio = self.information(form) / reference.information(form)
            found[f"over the homogeneous network, {form} form"] = ("ratio", ratio)
        if len(self.theory.forms) > 1:
            kept = self.information("linear") / self.information("independent")
            found["what noise correlations leave"] = ("linear / independent", kept)
        total = self.theory.independent.total
        return {
            **found,
            "retention F(T)/F(1)": ("independent form", float(total[-1] / total[0])),
            "mean synaptic budget": ("", float(budget)),
            "share of it in loops of a population onto itself": ("", float(own.sum() / budget) if budget > 0 else 0.0),
            "spectral radius of the weights": ("√ρ(G)", float(alignment.weight_spectral_radius)),
            "spectral radius of the diffusion operator": ("ρ(A)", float(alignment.spectral_radius)),
            "alignment of the input": ("cos(l, u)", float(alignment.input_overlap)),
            "largest transient gain": ("max ‖Aᵗ‖", float(alignment.transient_gain)),
            "memory horizon, 10 % of F(1)": ("steps", "beyond 10000" if horizon is None else horizon),
        }


def comparison(candidates: list[Candidate], noise_std: float, nonlinearity: str) -> Table:
    """One column for each structure; the last is the reference."""
    columns = [candidate.facts(candidates[-1], noise_std, nonlinearity) for candidate in candidates]
    header = ("quantity", "note", *(candidate.name for candidate in candidates))
    return Table(
        header, [(name, note, *(column[name][1] for column in columns)) for name, (note, _) in columns[0].items()]
    )


def what_they_prefer(candidates: list[Candidate], table: Table) -> list[str]:
    """Which structure each form prefers, and in what the two differ."""
    if len(candidates) < 3:
        return []
    first, other, reference = candidates
    rows = {row[0]: row[2:4] for row in table.rows}
    sentences = []
    for form in ("linear", "independent"):
        best, second = sorted((first, other), key=lambda one: -one.information(form))
        ratios = [one.information(form) / reference.information(form) for one in (best, second)]
        sentences.append(
            f"In the {form} form the {best.name} keeps {ratios[0]:.2f} times the homogeneous network's information, "
            f"the {second.name} {ratios[1]:.2f} times."
        )

    def both(name: str) -> str:
        values = (f"{value:.2f}" if isinstance(value, float) else str(value) for value in rows[name])
        return " against ".join(values)

    sentences.append(
        f"The {first.name} against the {other.name}: noise correlations leave "
        f"{both('what noise correlations leave')} of the information; of the budget "
        f"{both('share of it in loops of a population onto itself')} is in loops of a population onto itself; "
        f"alignment of the input {both('alignment of the input')}, largest transient gain "
        f"{both('largest transient gain')}, spectral radius of the weights {both('spectral radius of the weights')}."
    )
    return sentences


def panels(candidates: list[Candidate]) -> dict[str, dict[str, list[fisher.FisherCurve]]]:
    """Curves of every structure in each form, as `save_optima` draws them."""
    return {
        FORMS[form]: {
            one.name: [one.theory.of_form(form), *([one.measured[form]] if form in one.measured else [])]
            for one in candidates
        }
        for form in candidates[0].theory.forms
    }
