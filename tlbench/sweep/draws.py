"""Random numbers that follow from a key alone, so that a trial has the same options wherever it is run."""

from __future__ import annotations

import hashlib
from typing import Any

from tlbench.sweep.search_space import Range


def draw(low: float, high: float, log: bool, *key: Any) -> float:
    """A number between two ends that follows from the key alone, of three significant digits.

    Args:
        low: the lower end.
        high: the upper end.
        log: whether the scale is logarithmic.
        key: what the number is of, such as a seed, a trial and the name of an option.
    """
    share = share_of(*key)
    value = low * (high / low) ** share if log else low + share * (high - low)
    return float(f"{value:.3g}")


def draw_option(range_: Range, *key: Any) -> Any:
    """A value of a range that follows from the key alone.

    Args:
        range_: of an option.
        key: what the value is of.
    """
    if range_.kind == "choice":
        return range_.choices[int(share_of(*key) * len(range_.choices))]
    if range_.kind == "float":
        return min(max(draw(range_.low, range_.high, range_.log, *key), range_.low), range_.high)
    low, high = int(range_.low), int(range_.high)
    if range_.log:
        return min(max(round(low * (high / low) ** share_of(*key)), low), high)
    return low + int(share_of(*key) * (high - low + 1))


def share_of(*key: Any) -> float:
    """A number in [0, 1) that follows from the key alone."""
    digest = hashlib.sha256(":".join(map(str, key)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
