"""What `classify` found: probabilities of classes, as a file and in words."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ectype.jobs import outputs

if TYPE_CHECKING:
    from ectype.metrics import Score
    from ectype.metrics.calibration import Bin


@dataclass(frozen=True)
class Classes:
    """What `classify` found.

    Arguments:
        names: of the items.
        classes: their names, C of them.
        p: (N, C) probabilities.
        labels: of the items, "" where missing, or none at all.
        temperature: what the bounds were divided by.
        scores: accuracy, Brier score and calibration error, where there are labels.
        table: how often items are right by how sure they are.
    """

    names: list[str]
    classes: tuple[str, ...]
    p: Any
    labels: list[str]
    temperature: float
    scores: list[Score] = field(default_factory=list)
    table: list[Bin] = field(default_factory=list)


def told(found: Classes) -> None:
    """Say the scores, and how often items are right by how sure they are."""
    outputs.tell_scores(found.scores)
    if found.table:
        outputs.tell("as sure as     items   sure  right")
    for one in found.table:
        outputs.tell(f"{one.low:6.0%} to {one.high:4.0%} {one.n:7,} {one.sure:6.1%} {one.right:6.1%}")


def save(found: Classes, path: Path) -> None:
    """Write one row per item: item, class, label where known, and the probability of each class."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        label = ["label"] if found.labels else []
        writer.writerow(["item", "class", *label, *(f"p({name})" for name in found.classes)])
        for i, row in enumerate(found.p):
            own = [found.labels[i]] if found.labels else []
            best = found.classes[int(row.argmax())]
            writer.writerow([found.names[i], best, *own, *(f"{v:.6g}" for v in row)])
