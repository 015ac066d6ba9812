"""Probes: they read what the codes hold, no more, and say why when they cannot."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ectype.errors import DataError
from ectype.metrics.probes import MOST, gap, probes


def clusters(n: int, classes: int = 3, spread: float = 0.3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    noise = np.random.default_rng(seed)
    labels = noise.integers(0, classes, n)
    codes = np.zeros((n, 3))
    codes[:, 0], codes[:, 1] = np.cos(2 * labels), np.sin(2 * labels)
    return codes + np.array([spread, spread, 0.0]) * noise.standard_normal((n, 3)), labels


def test_probes_read_what_is_there_and_no_more() -> None:
    train, test = clusters(300), clusters(200, seed=1)
    linear, near = probes(train, test)
    assert (linear.name, near.name) == ("linear probe", "5-nearest neighbours")
    for found in (linear, near):
        assert 0.9 < found.value <= 1
        share = (found.value * 200 + 2) / 204  # Agresti and Coull: never 0
        assert found.error == pytest.approx(math.sqrt(share * (1 - share) / 204))
        commonest = np.bincount(train[1]).argmax()
        assert found.floor == pytest.approx((test[1] == commonest).mean())
    shuffled = np.random.default_rng(3).permutation(train[1])
    for found in probes((train[0], shuffled), test):
        assert found.value < 0.6


def test_probes_do_not_depend_on_the_codes_scale() -> None:
    train, test = clusters(200, spread=0.6), clusters(100, spread=0.6, seed=1)
    scale = np.array([1e3, 1e-3, 1.0])
    plain = probes(train, test)
    scaled = probes((train[0] * scale + 7, train[1]), (test[0] * scale + 7, test[1]))
    assert [s.value for s in plain] == [s.value for s in scaled]


def test_missing_labels_are_passed_over() -> None:
    train, test = clusters(200), clusters(100, seed=1)
    train[1][:50], test[1][:30] = -1, -1
    linear, _ = probes(train, test)
    assert linear.n == 70
    assert linear.note == "fitted on 150 labelled items"
    assert not linear.enough


@pytest.mark.parametrize(
    ("train", "test", "reason"),
    [([0, 1] * 4, [0, 1] * 50, "there are 8 and 100"),
     ([0, 1] * 50, [-1] * 50 + [0] * 3, "there are 100 and 3"),
     ([2] * 40, [2] * 40, "the same label")],
)  # fmt: skip
def test_too_little_to_probe_is_explained(train: list[int], test: list[int], reason: str) -> None:
    fit, held = np.array(train), np.array(test)
    assert reason in gap(fit, held)
    assert probes((np.zeros((len(fit), 2)), fit), (np.zeros((len(held), 2)), held)) == []
    assert gap(np.array([0, 1] * 5), np.array([0] * 10)) == ""


def test_many_codes_are_thinned_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST >= 10_000
    monkeypatch.setattr("ectype.metrics.probes.MOST", 50)
    linear, _ = probes(clusters(120), clusters(100, seed=1), seed=4)
    assert linear.note == "fitted on 50 of 120 labelled items, drawn with seed 4"
    assert linear.value > 0.8


def test_probes_refuse_what_cannot_be_right() -> None:
    codes, labels = clusters(40)
    with pytest.raises(DataError, match="40 train codes and 39 labels"):
        probes((codes, labels[:39]), (codes, labels))
    codes[7, 1] = np.nan
    with pytest.raises(DataError, match="1 train codes are not finite .first: item 7"):
        probes((codes, labels), (codes, labels))
