"""Numbers that stand for brightness: which scale an array is in, and one scale to another.

A picture is held as whole levels from 0 (black) to `top(bits)` (white). One bit is held as 0 and
255, so that a mean between black and white can be shown by the same stored form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ectype.errors import DataError

Array = np.ndarray[Any, Any]


def top(bits: int) -> int:
    """The level of white for pictures of that many bits."""
    return 255 if bits == 1 else 2**bits - 1


def dtype(bits: int) -> type[np.unsignedinteger[Any]]:
    """What levels of that many bits are stored as."""
    return np.uint8 if bits <= 8 else np.uint16


def requantise(levels: Array, bits_from: int, bits_to: int) -> Array:
    """Levels of one depth as the nearest levels of another; one bit is split in the middle."""
    high, low = top(bits_from), top(bits_to)
    if bits_to == 1:
        return np.where(levels > high // 2, 255, 0).astype(np.uint8)
    if high == low:
        return levels.astype(dtype(bits_to), copy=False)
    return ((levels.astype(np.int64) * low + high // 2) // high).astype(dtype(bits_to))


@dataclass(frozen=True)
class Scale:
    """How an array's numbers become levels: `round((value - low) / (high - low) * top)`.

    Arguments:
        low: the number that is black.
        high: the number that is white.
        bits: of the levels.
    """

    low: float
    high: float
    bits: int

    def levels(self, values: Array) -> Array:
        """Values of any form as levels of the same form; values outside the scale are clipped."""
        if self.low == 0 and self.high == top(self.bits) and values.dtype == dtype(self.bits):
            return values
        x = (values.astype(np.float32) - self.low) * (top(self.bits) / (self.high - self.low))
        levels: Array = np.clip(np.rint(x), 0, top(self.bits)).astype(dtype(self.bits))
        return levels


def scale_of(low: float, high: float, sort: str, whole: bool, *, binary: bool, where: str) -> Scale:
    """The scale an array is in, from its extremes.

    Arguments:
        low: the smallest number there is.
        high: the largest.
        sort: NumPy's kind of the dtype: "b", "u", "i" or "f".
        whole: whether all numbers are whole.
        binary: whether only two different numbers occur.
        where: what to call the array in an error.

    Raises DataError for numbers that are in none of the scales pictures come in.
    """
    if binary and (low, high) in ((0, 1), (0, 255)):
        return Scale(0, high, 1)
    if binary and (low, high) == (-1, 1) and sort != "u":
        return Scale(-1, 1, 1)
    if sort == "b":
        return Scale(0, 1, 1)
    if sort == "f" and low >= 0 and high <= 1:
        return Scale(0, 1, 8)
    if sort == "f" and low >= -1 and high <= 1:
        return Scale(-1, 1, 8)
    if whole and low >= 0 and high <= 65535:
        return Scale(0, 255, 8) if high <= 255 else Scale(0, 65535, 16)
    raise DataError(
        f"{where}: numbers from {low:.6g} to {high:.6g} are no picture's (0 to 1, -1 to 1, whole 0 to 255 "
        "or whole 0 to 65535 are); rescale them, or read them as numbers with kind='vector'"
    )
