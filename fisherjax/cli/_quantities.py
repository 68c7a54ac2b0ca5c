"""What numbers of a command are called where a reader sees them: ``theory[2]`` of a file is no name on an axis."""

import re

_PLACE = re.compile(r"\[(\d+)\]")
_INFORMATION = "Fisher information"
_PER_STEP = {
    "theory": (f"{_INFORMATION}, theory", "1/θ²"),
    "linear": (f"{_INFORMATION}, theory, linear form", "1/θ²"),
    "closure": (f"{_INFORMATION}, closure", "1/θ²"),
    "simulated": (f"{_INFORMATION}, simulation", "1/θ²"),
    "standard_error": ("standard error of the simulation", "1/θ²"),
    "pearson": ("correlation of distances, simulation", ""),
    "pearson_theory": ("correlation of distances, theory", ""),
}
"""Lists with one entry for every step."""
_SINGLE = {
    "value": (_INFORMATION, "1/θ²"),
    "separation": ("separation Δθ", ""),
    "sensitivity_index": ("sensitivity index d′", ""),
    "accuracy": ("accuracy on fresh trials", ""),
    "best_step": ("best training step", ""),
    "steps": ("training steps", ""),
    "lyapunov_exponent": ("largest Lyapunov exponent, theory", "1/time constant"),
    "local_growth": ("growth of the Jacobian at one moment", "1/time constant"),
    "memory": ("memory ρ(M)", ""),
    "relaxation_time": ("relaxation time", "time constants"),
    "spectral_radius": ("gain √ρ(G)", ""),
    "critical_factor": ("factor on the gains at which chaos begins", ""),
    "local_stability_factor": ("factor on the gains at which the Jacobian expands", ""),
    "largest_difference_over_variance": ("largest difference of theory and simulation / variance", ""),
    "mean_information": (f"mean {_INFORMATION} of the outputs", "1/rad²"),
    "decoder_std": ("s.d. of the decoded angle", "rad"),
    "decoder_bias": ("bias of the decoded angle", "rad"),
    "participation_ratio": ("participation ratio of the states", ""),
    "largest_q": ("largest q of a fixed point", ""),
    "test_images": ("test images", ""),
    "top_1": ("share of images that are right", ""),
    "top_5": ("share of images that are among five", ""),
}
_OWN = {"optimize": {"value": ("objective of the optimum", "")}}
"""What a command calls by a name that means something else in others."""
_ARGUMENTS = {
    "gain": ("gain g", ""),
    "noise_std": ("noise σ", ""),
    "observation_noise_std": ("noise of what is read", ""),
    "stimulus": ("stimulus θ", ""),
    "units": ("units N", ""),
    "steps": ("steps T", ""),
    "trials": ("trials", ""),
    "draws": ("networks", ""),
    "populations": ("populations P", ""),
    "budget": ("mean synaptic budget", ""),
    "images": ("images", ""),
    "learning_rate": ("learning rate", ""),
}


def quantity(command: str, key: str) -> str:
    """A number of results.json with its unit and its step, as an axis or a column is called."""
    stem, places = _PLACE.sub("", key), [int(place) for place in _PLACE.findall(key)]
    if stem in _PER_STEP and len(places) == 1:
        words, unit = _PER_STEP[stem]
        return f"{words}, step {places[0] + 1}{_of_unit(unit)}"
    words, unit = _OWN.get(command, {}).get(stem) or _SINGLE.get(stem, (_plain(stem), ""))
    entry = f", entry {', '.join(str(place + 1) for place in places)}" if places else ""
    return f"{words}{entry}{_of_unit(unit)}"


def argument(name: str) -> str:
    """An argument that varies, as an axis or a column is called."""
    words, unit = _ARGUMENTS.get(name.replace("-", "_"), (_plain(name), ""))
    return f"{words}{_of_unit(unit)}"


def _of_unit(unit: str) -> str:
    return f" ({unit})" if unit else ""


def _plain(name: str) -> str:
    """A name as words: ``estimates.direct`` is the direct one of estimates."""
    return name.replace("_", " ").replace("-", " ").replace(".", ": ")
