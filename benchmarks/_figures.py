"""Figures of results as the table's cells have them: medians, ranges, shares, minutes."""

from __future__ import annotations

import statistics

from _record import Line

Row = tuple[str, ...]
"""What was measured, the number to reach, what was reached; the command's arguments, or nothing."""


def spread(values: list[float], digits: int) -> str:
    """Median and range of some values."""
    middle = f"{statistics.median(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def grouped(lines: list[Line], *names: str) -> dict[tuple[object, ...], list[Line]]:
    """Lines by the values of some keys."""
    found: dict[tuple[object, ...], list[Line]] = {}
    for line in lines:
        found.setdefault(tuple(line["key"].get(name) for name in names), []).append(line)
    return found


def values(lines: list[Line], name: str) -> list[float]:
    """One figure of several lines."""
    return [line["figures"][name] for line in lines]


def percent(values: list[float]) -> str:
    """Shares as percentages, median and range."""
    return f"{spread([100 * value for value in values], 1)} %"


def minutes(lines: list[Line]) -> str:
    """How long the training took."""
    time = f"{statistics.median(values(lines, 'seconds')) / 60:.1f} min on one thread"
    cpu = [line["figures"]["cpu"] / 60 for line in lines if "cpu" in line["figures"]]
    return time + (f", {statistics.median(cpu):.1f} CPU-min" if cpu else "")


def mean(numbers: list[float], places: int) -> str:
    """Mean ± standard error over seeds, or the one number there is."""
    value = f"{statistics.fmean(numbers):.{places}f}"
    if len(numbers) < 2:
        return value
    return f"{value} ± {statistics.stdev(numbers) / len(numbers) ** 0.5:.{places}f}"
