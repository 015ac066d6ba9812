"""Made items by condition, for a report: a row per class or tag, a row per held-out item's own conditions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image as Pillow

from ectype.kinds.attributes import Attributes
from ectype.kinds.derived import Derived
from ectype.kinds.label import Label
from ectype.noise import PerItem

if TYPE_CHECKING:
    from ectype.data.data import Data
    from ectype.kinds import Kind
    from ectype.runs import Run

ROW = 8
VALUES = 20
"""Values of a condition that get a row."""
ITEMS = 6
"""Held-out items whose conditions get a row."""
_LONGEST = 60
_GAP = 6


def by_value(run: Run) -> dict[str, Pillow.Image]:
    """The first samples of each value of the conditions whose values have names, by that name."""
    from ectype.jobs.sample import sample

    named = {name: values_of(kind)[:VALUES] for name, kind in run.conditions.items() if values_of(kind)}
    rows = {}
    for name, values in named.items():
        for value in values:
            made = sample(run, ROW, given={name: value}, seed=0)
            rows[value if len(named) == 1 else f"{name}={value}"] = run.kind.sheet(made, ROW)
    return rows


def values_of(kind: Kind) -> Sequence[str]:
    """The names of a condition's values: classes or tags; none for any other kind."""
    return kind.classes if isinstance(kind, Label) else kind.tags if isinstance(kind, Attributes) else ()


def by_item(run: Run, data: Data) -> list[tuple[str, Pillow.Image]]:
    """Held-out items, each beside what is made under its conditions: (the conditions in words, a row).

    Nothing where all conditions have names for their values, which `by_value` shows.
    """
    from ectype.jobs.sample import sample

    if all(values_of(kind) for kind in run.conditions.values()):
        return []
    split = next((s for s in ("test", "select", "train") if len(data.splits.get(s, ()))), "all")
    rows = []
    for number in data.splits[split][:ITEMS].tolist():
        given = given_of(run, data, number)
        made = sample(run, ROW - 1, given=given, seed=0)
        sheet = run.kind.sheet([*data.items([number]), *made], ROW)
        shown = [
            run.conditions[name].sheet([value], 1)
            for name, value in given.items()
            if isinstance(value, Pillow.Image)
        ]
        words = "; ".join(
            _words(name, value) for name, value in given.items() if not isinstance(value, Pillow.Image)
        )
        rows.append((words or f"item {number}", beside([*shown, sheet])))
    return rows


def given_of(run: Run, data: Data, number: int) -> dict[str, Any]:
    """The raw conditions that one item has."""
    found = {}
    for name, condition in data.given.items():
        if not (name in run.conditions and bool(condition.present[number])):
            continue
        stored = condition.stored[number].numpy()
        if isinstance(condition.kind, Derived):  # which is made of the item whenever it is asked for
            batch = data.batch([number], PerItem(0, [number]))
            stored = condition.kind.stored(batch.given[name])[0]
        found[name] = condition.kind.unpack(stored)
    return found


def beside(pictures: Sequence[Pillow.Image]) -> Pillow.Image:
    """Pictures in a row, at the height of the last, with a gap between them."""
    height = pictures[-1].height
    fit = [p.resize((max(1, round(p.width * height / p.height)), height)) for p in pictures]
    whole = Pillow.new("RGB", (sum(p.width + _GAP for p in fit) - _GAP, height), "white")
    left = 0
    for picture in fit:
        whole.paste(picture, (left, 0))
        left += picture.width + _GAP
    return whole


def _words(name: str, value: Any) -> str:
    """A condition's raw value in a line of text."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, list):
        text = ", ".join(map(str, value)) or "none"
    else:
        text = ", ".join(f"{number:.4g}" for number in value)
    text = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return f"{name}: {text}"
