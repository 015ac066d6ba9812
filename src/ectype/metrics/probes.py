"""What codes know about labels that training may never have seen: linear probe and nearest neighbours.

Both are fitted on the training codes and scored on others. The error bar is that of a share,
sqrt(p (1 - p) / m) with two successes and two failures added (m = n + 4; Agresti and Coull 1998), so that
0 and 1 of n have one too, and the floor is the answer that always names the commonest training label.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ectype.errors import DataError
from ectype.metrics import Score

Array = np.ndarray[Any, Any]
FEWEST = 10
"""Labelled items below which nothing is computed at all."""
LEAST = 100
"""Labelled test items below which an accuracy is not to be trusted."""
MOST = 10_000
"""Training codes used at most: more cost minutes and change the second decimal."""


def gap(train_labels: Array, test_labels: Array) -> str:
    """Why these labels (N,) cannot be probed, in one sentence; empty when they can. -1 is no label."""
    train, test = train_labels[train_labels >= 0], test_labels[test_labels >= 0]
    if len(train) < FEWEST or len(test) < FEWEST:
        return (
            f"no probe: it needs {FEWEST} labelled items to fit and {FEWEST} to score, "
            f"there are {len(train)} and {len(test)}"
        )
    if len(np.unique(train)) < 2:
        return "no probe: all training items have the same label"
    return ""


def probes(
    train: tuple[Array, Array],
    test: tuple[Array, Array],
    *,
    neighbours: int = 5,
    split: str = "test",
    seed: int = 0,
) -> list[Score]:
    """Accuracy (0 to 1) of a linear probe and of k nearest neighbours on codes.

    Nothing comes back where there are too few labels or classes: `gap` says why. Raises DataError
    when codes and labels differ in number, or a code is not finite.

    Arguments:
        train: codes (N, D) and labels (N,) to fit on; -1 is a missing label.
        test: codes (N, D) and labels (N,) to score on.
        neighbours: how many neighbours vote.
        split: which part of the data `test` is.
        seed: of the choice of training codes when there are more than 10,000.
    """
    x, y = _labelled(train, "train")
    x_test, y_test = _labelled(test, split)
    if gap(y, y_test):
        return []
    note = f"fitted on {len(y):,} labelled items"
    if len(y) > MOST:
        chosen = np.sort(np.random.default_rng(seed).permutation(len(y))[:MOST])
        note = f"fitted on {MOST:,} of {len(y):,} labelled items, drawn with seed {seed}"
        x, y = x[chosen], y[chosen]
    # a dimension that never varies (a collapsed one) must not become 0 / 0
    mean, scale = x.mean(0), x.std(0)
    scale = np.where(scale > 1e-12, scale, 1.0)
    x, x_test = (x - mean) / scale, (x_test - mean) / scale
    values, counts = np.unique(y, return_counts=True)
    floor = float((y_test == values[counts.argmax()]).mean())
    near = min(neighbours, len(y))
    answers = {
        "linear probe": _linear(x, y, x_test),
        f"{near}-nearest neighbours": _nearest(x, y, x_test, near),
    }
    return [
        _accuracy(name, float((answer == y_test).mean()), len(y_test), split, floor, note=note)
        for name, answer in answers.items()
    ]


def _labelled(pair: tuple[Array, Array], split: str) -> tuple[Array, Array]:
    codes, labels = np.asarray(pair[0], np.float64), np.asarray(pair[1])
    if len(codes) != len(labels):
        raise DataError(f"probes got {len(codes)} {split} codes and {len(labels)} labels; they must match")
    if not np.isfinite(codes).all():
        rows = np.flatnonzero(~np.isfinite(codes).all(1))
        raise DataError(f"{len(rows)} {split} codes are not finite (first: item {rows[0]}); train again")
    return codes[labels >= 0], labels[labels >= 0]


def _linear(x: Array, y: Array, x_test: Array) -> Array:
    from sklearn.linear_model import LogisticRegression

    # ridge strength 1 is sklearn's own; standardised codes make it mean the same for every model
    return np.asarray(LogisticRegression(max_iter=1000).fit(x, y).predict(x_test))


def _nearest(x: Array, y: Array, x_test: Array, neighbours: int) -> Array:
    from sklearn.neighbors import KNeighborsClassifier

    return np.asarray(KNeighborsClassifier(neighbours).fit(x, y).predict(x_test))


def _accuracy(name: str, p: float, n: int, split: str, floor: float, *, note: str) -> Score:
    return Score(
        name,
        p,
        "accuracy",
        "higher",
        n,
        split,
        error=_error_of_share(p, n),
        floor=floor,
        floor_name="commonest label",
        least=LEAST,
        note=note,
    )


def _error_of_share(p: float, n: int) -> float:
    """Standard error of a share p of n, not 0 at 0 or 1."""
    p = (p * n + 2) / (n + 4)
    return math.sqrt(p * (1 - p) / (n + 4))
