"""Classes by the bound of a conditional model, and the calibration of probabilities."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

import ectype as ec
from ectype.errors import DataError, OutputError, UsageError
from ectype.jobs.classify import _fitted, classify, prior, truth
from ectype.jobs.inputs import items_of, own_data
from ectype.metrics.calibration import calibration, reliability, temperature

# ---- calibration ----


def test_the_scores_by_hand() -> None:
    p = torch.tensor([[0.85, 0.15], [0.65, 0.35], [0.25, 0.75], [0.5, 0.5]])
    labels = torch.tensor([0, 1, 1, -1])
    right, brier, error = calibration(p, labels)
    assert right.value == pytest.approx(2 / 3)
    assert right.floor == pytest.approx(2 / 3)
    assert brier.value == pytest.approx((2 * 0.15**2 + 2 * 0.65**2 + 2 * 0.25**2) / 3)
    assert error.value == pytest.approx((0.15 + 0.65 + 0.25) / 3)
    assert [(b.low, b.n, b.right) for b in reliability(p, labels)] == [(0.6, 1, 0), (0.7, 1, 1), (0.8, 1, 1)]
    assert calibration(p, torch.full((4,), -1)) == []


def test_answers_without_a_doubt_and_without_a_clue() -> None:
    labels = torch.arange(4).repeat(50)
    sure = {s.name: s.value for s in calibration(torch.eye(4)[labels], labels)}
    assert sure == {"accuracy": 1, "brier": 0, "calibration error": 0}
    clueless = {s.name: s for s in calibration(torch.full((200, 4), 0.25), labels)}
    assert clueless["brier"].value == pytest.approx(0.75) == clueless["brier"].floor
    assert clueless["calibration error"].value == pytest.approx(0)


def test_the_temperature_that_labels_were_drawn_with_is_found() -> None:
    stream = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(20_000, 5, generator=stream)
    labels = torch.multinomial((logits / 3).softmax(1), 1, generator=stream).squeeze(1)
    found = temperature(logits, labels)
    assert found == pytest.approx(3, rel=0.03)
    before, after = (calibration((logits / t).softmax(1), labels)[2] for t in (1.0, found))
    assert after.value < 0.02 < 0.1 < before.value
    labels[::2] = -1
    assert temperature(logits, labels) == pytest.approx(3, rel=0.05)


def test_a_temperature_makes_nothing_surer_than_it_was() -> None:
    always = torch.eye(3) * 5
    assert temperature(always, torch.arange(3)) == pytest.approx(1)
    assert temperature(1000 * always, torch.arange(3)) == pytest.approx(1)
    assert temperature(-always, torch.arange(3)) == pytest.approx(1e6)
    with pytest.raises(DataError, match="fitted to labels, and no item has one"):
        temperature(always, torch.full((3,), -1))


def test_bounds_that_say_nothing_are_said_to(run: ec.Run, caplog: Any) -> None:
    home = own_data(run)
    labels = truth(items_of(run, split="select"), "label", run.conditions["label"])  # type: ignore[arg-type]

    def weigh(items: object) -> torch.Tensor:
        return -9 * torch.eye(10)[labels]

    weigh.__dict__.update(condition="label", kind=run.conditions["label"])
    with caplog.at_level("INFO", logger="ectype"):
        assert _fitted(cast(Any, weigh), home) > 1e5
    assert "the bounds say nothing about 'label'" in caplog.text


# ---- the job ----


def trained(model: str = "vae", steps: int = 300, **more: Any) -> ec.Run:
    data = ec.read("digits", **more)
    built = ec.build(model, data, network="mlp", latent=4, hidden=(64,), prior="normal")
    for _ in ec.fit(built, data, steps=steps):
        pass
    return ec.Run.of(built, data)


@pytest.fixture(scope="module")
def run() -> ec.Run:
    return trained(given=["label"])


def test_a_conditional_vae_tells_digits_apart(run: ec.Run, tmp_path: Path) -> None:
    found = classify(run, samples=2, count=100, out=tmp_path / "c.csv")
    right = found.scores[0]
    assert right.name == "accuracy"
    assert right.value > 0.6 > 3 * (right.floor or 0)
    np.testing.assert_allclose(found.p.sum(1), 1)
    assert found.temperature != 1
    assert "temperature" in right.note
    with (tmp_path / "c.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["item", "class", "label", *(f"p({i})" for i in range(10))]
    assert len(rows) == 100
    hits = [row["class"] == row["label"] for row in rows]
    assert sum(hits) / 100 == pytest.approx(right.value)
    with pytest.raises(OutputError, match="already exists"):
        classify(run, out=tmp_path / "c.csv")


def test_an_items_own_label_is_not_looked_at(run: ec.Run) -> None:
    data = own_data(run)
    plain = classify(run, data, samples=1, count=40, temperature=1.0)
    given = data.given["label"]
    data.given = {"label": replace(given, stored=(given.stored + 1) % 10)}
    moved = classify(run, data, samples=1, count=40, temperature=1.0)
    assert np.array_equal(plain.p, moved.p)
    assert plain.labels != moved.labels
    data.given = {"label": replace(given, present=torch.zeros_like(given.present))}
    unknown = classify(run, data, samples=1, count=40, temperature=1.0)
    assert np.array_equal(plain.p, unknown.p)
    assert unknown.labels == []
    assert unknown.scores == []


def test_an_item_does_not_depend_on_the_others(run: ec.Run) -> None:
    few, many = (classify(run, samples=2, count=n, temperature=2.0).p for n in (7, 120))
    np.testing.assert_allclose(few, many[:7], atol=1e-5)


def test_the_prior_is_the_train_splits_and_matched_by_name(run: ec.Run) -> None:
    from ectype.kinds.label import Label

    data = own_data(run)
    labels = data.given["label"].stored[data.splits["train"]].long()
    want = (labels.bincount(minlength=10) + 1) / (len(labels) + 10)
    torch.testing.assert_close(prior(data, "label", Label([str(i) for i in range(10)])).exp(), want.double())
    torch.testing.assert_close(
        prior(None, "label", Label("abcd")).exp(), torch.full((4,), 0.25, dtype=torch.float64)
    )
    items = items_of(run, count=20)
    turned = truth(items, "label", Label([str(9 - i) for i in range(10)]))
    assert torch.equal(turned, 9 - data.given["label"].stored[items.indices].long())
    assert set(truth(items, "style", Label("ab")).tolist()) == {-1}


def test_no_temperature_is_fitted_on_the_items_themselves(run: ec.Run, caplog: Any) -> None:
    with caplog.at_level("INFO", logger="ectype"):
        assert classify(run, split="select", samples=1, count=10).temperature == 1
    assert "no temperature was fitted: there is no labelled select split beside these items" in caplog.text


def test_what_cannot_classify_says_why(run: ec.Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="this gan has no bound on log p"):
        classify(trained("gan", 1, given=["label"]))
    with pytest.raises(UsageError, match="no condition 'label' with named classes: train one with"):
        classify(trained(steps=1))
    with pytest.raises(UsageError, match="no condition 'labels' with named classes.*did you mean.*label"):
        classify(run, condition="labels")
    with pytest.raises(UsageError, match="samples is at least 1, not 0"):
        classify(run, samples=0)
    with pytest.raises(UsageError, match="temperature is above 0, not -1"):
        classify(run, temperature=-1.0)
    with pytest.raises(UsageError, match=r"written to a \.csv, not to c\.png"):
        classify(run, out=tmp_path / "c.png")
