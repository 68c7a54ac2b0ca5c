"""How strongly areas respond to pictures of other contrast, shown for longer, or shown again."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fisherjax._arrays import host_real
from fisherjax._errors import check_choice, check_integer, require
from fisherjax._runtime import full_precision
from fisherjax._types import ArrayLike, Record

from ._convolution import AreaState
from ._course import course, squared_change
from ._network import ConvolutionalRNN, check_network

_VARIED = ("contrast", "duration", "interval")
UNITS = {"contrast": "contrast", "duration": "duration (steps)", "interval": "interval (steps)"}
"""What each is, for axes."""


class ResponseCurve(Record):
    """Responses of all areas against contrast, duration, or the interval between two showings.

    The response is the root mean square over an area's units of r − r before the picture.

    Parameters
    ----------
    varied
        "contrast", "duration" or "interval".
    values
        Of it (values,).
    peak
        Largest response to a picture, the second one of two, from its onset on (values, areas, n).
    sustained
        Response at the end of that picture (values, areas, n).
    first_peak
        For intervals: the largest response to the first of two pictures before the second comes (values, areas, n).
    """

    varied: str = eqx.field(static=True)
    values: Float[np.ndarray, " values"]
    peak: Float[np.ndarray, "values areas n"]
    sustained: Float[np.ndarray, "values areas n"]
    first_peak: Float[np.ndarray, "values areas n"] | None

    @property
    def ratio(self) -> Float[np.ndarray, "values areas n"]:
        """Peak of the second response over that of the first: below 1 it is suppressed, above 1 facilitated.

        NaN of an area that does not respond to the first.
        """
        if self.first_peak is None:
            raise ValueError(f"a curve of {self.varied} has one showing: ratio is for intervals")
        return np.divide(self.peak, self.first_peak, np.full_like(self.peak, np.nan), where=self.first_peak > 0)


@full_precision
def response_curve(
    network: ConvolutionalRNN,
    images: Float[Array | np.ndarray, "n height width colors"],
    varied: str,
    values: ArrayLike,
    *,
    after_steps: int = 20,
) -> ResponseCurve:
    """Responses of all areas to pictures of several contrasts, durations, or intervals between two showings.

    Parameters
    ----------
    network
        Without its noise; its architecture says how long the blank before is and, unless varied, the picture.
    images
        Floats (n, height, width, colors), standardized.
    varied
        ``"contrast"``: the images times a factor; ``"duration"``: steps for which they are shown; ``"interval"``: blank
        steps between two showings of the same image.
    values
        Factors of at least 0, or whole numbers of at least 1 (durations) or 0 (intervals).
    after_steps
        Blank steps after, in which a response may still grow.

    Raises
    ------
    ValueError
        If `varied` is misspelt, a value is out of range, or images do not fit the network.
    """
    plan = check_network(network).architecture
    check_choice("varied", varied, _VARIED)
    pictures, after = plan.as_pictures("images", images), check_integer("after_steps", after_steps, minimum=0)
    chosen = host_real("values", values, "values")
    least, whole = {"contrast": (0, False), "duration": (1, True), "interval": (0, True)}[varied]
    require(chosen.size > 0, "values must hold at least one")
    require(bool(chosen.min() >= least), f"values of {varied} must be at least {least}, got {chosen.min():g}")
    require(not whole or bool((chosen == chosen.round()).all()), f"values of {varied} must be whole numbers of steps")
    levels = [_contrasts(varied, value, plan.image_steps) for value in chosen.tolist()]
    steps = max(map(len, levels)) + after
    rest = _baseline(network, pictures)
    peaks, lasts, firsts = [], [], []
    for level in levels:
        scale = np.zeros((steps, 1, len(pictures)))
        scale[: len(level)] = np.asarray(level)[:, None, None]
        read = jax.tree_util.Partial(_response, rest)
        _, squares = course(network, pictures[None], jnp.asarray(scale), rest, read)
        sizes = np.array([[height * width * channels] for height, width, channels in plan.area_shapes])
        response = np.sqrt(np.asarray(squares, float) / sizes)
        onset = len(level) - plan.image_steps if varied == "interval" else 0
        peaks.append(response[onset:].max(axis=0))
        lasts.append(response[len(level) - 1])
        firsts.append(response[: onset or None].max(axis=0))
    first = np.stack(firsts) if varied == "interval" else None
    return ResponseCurve(varied, chosen.astype(float), np.stack(peaks), np.stack(lasts), first)


def _contrasts(varied: str, value: float, image_steps: int) -> list[float]:
    """Contrast at every step from the onset to the end of the last picture."""
    if varied == "contrast":
        return [value] * image_steps
    if varied == "duration":
        return [1.0] * int(value)
    return [1.0] * image_steps + [0.0] * int(value) + [1.0] * image_steps


def _baseline(network: ConvolutionalRNN, pictures: Array) -> AreaState:
    """The state before the pictures."""
    blank = jnp.zeros((max(network.architecture.blank_steps, 1), 1, len(pictures)))
    return course(network, pictures[None], blank, None, jax.tree_util.Partial(_nothing))[0]


def _nothing(_: AreaState, __: AreaState) -> tuple[()]:
    return ()


def _response(baseline: AreaState, _: AreaState, after: AreaState) -> Array:
    return squared_change(baseline, after)
