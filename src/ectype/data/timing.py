"""When the rows of a table were: times as numbers, and rows in their order."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from ectype.data.tables import Table
from ectype.errors import DataError


def number(value: Any) -> float:
    """A cell as a number; NaN where it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def moments_of(table: Table, name: str, where: str) -> list[float]:
    """A column's times as numbers: what they say, or seconds of a date; raises DataError for what is none."""
    found = []
    for line, value in zip(table.lines, table.columns[name], strict=True):
        moment = number(value)
        if math.isnan(moment) and isinstance(value, str):
            try:
                moment = _seconds(datetime.fromisoformat(value))
            except ValueError:
                moment = float("nan")
        if math.isnan(moment):
            cell = "the empty cell" if value is None else repr(value)
            raise DataError(
                f"{where}: {cell} in row {line} of '{name}' is no time: write numbers or dates such as "
                "2024-05-31 or 2024-05-31T12:00"
            )
        found.append(moment)
    return found


def _seconds(moment: datetime) -> float:
    """Since 1970; a date without a zone is of no machine's: its hours are all there, and each once."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def ordered(
    table: Table, at: list[int], moments: list[float], key: str, where: str, by: str | None
) -> list[int]:
    """Rows in the order of their moments; raises DataError where two have the same.

    Arguments:
        at: numbers of the rows.
        moments: of all rows of the table.
        key: the series they are of.
        by: what tells several series apart; None: there is one.
    """
    order = sorted(at, key=moments.__getitem__)
    for one, other in zip(order, order[1:], strict=False):
        if moments[one] == moments[other]:
            which = (
                f" of series '{key}'" if by else "; a column that tells several series apart is named with by"
            )
            lines = f"rows {table.lines[one]} and {table.lines[other]}"
            raise DataError(f"{where}: {lines} have the same time{which}")
    return order
