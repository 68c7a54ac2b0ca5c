"""A share of independent trials with an error that does not vanish where all or none of them count."""

from scipy.special import ndtri


def share_interval(count: float | int, trials: int, confidence: float) -> tuple[float, float]:
    """Wilson's interval of a probability of which `count` of `trials` are seen.

    References
    ----------
    Wilson (1927), Probable inference, the law of succession, and statistical inference, JASA 22, 209–212.
    """
    return _wilson(count, trials, float(ndtri((1 + confidence) / 2)))


def share_error(count: float | int, trials: int) -> float:
    """Standard error of a share: half of Wilson's interval of one standard error to either side.

    √(p(1 − p)/n) for many trials; 1/(2(n + 1)), not 0, where all or none of them count.
    """
    low, high = _wilson(count, trials, 1.0)
    return (high - low) / 2


def _wilson(count: float | int, trials: int, z: float) -> tuple[float, float]:
    share, weight = count / trials, z**2 / trials
    center = (share + weight / 2) / (1 + weight)
    half = z * (share * (1 - share) / trials + weight / (4 * trials)) ** 0.5 / (1 + weight)
    # at the ends the two terms are equal but for rounding
    return (0.0 if count == 0 else center - half), (1.0 if count == trials else center + half)
