"""Jobs on texts: numbers for them, beginnings completed, the most probable text, texts from texts."""

from __future__ import annotations

import pytest
import torch

from ectype.assembly import build
from ectype.data.data import Condition, Data
from ectype.data.store import Resident
from ectype.jobs.evaluate import evaluate
from ectype.jobs.report import warnings_of
from ectype.kinds.text import Text
from ectype.runs import Run
from ectype.training.loop import fit

TITLES = [a + b for a in "abcdef" for b in "uvwxyz"]
BODIES = [f"{title.upper()}{title[0]}{title}" for title in TITLES]


def data_of(titles: list[str], bodies: list[str]) -> Data:
    """Bodies, each with its title as a condition; all of them trained on, every third held out as well."""
    kind, given = Text.fit(bodies), Text.fit(titles)
    rows, conditions = (
        torch.stack([torch.from_numpy(k.pack(one)) for one in lines])
        for k, lines in ((kind, bodies), (given, titles))
    )
    n = torch.arange(len(bodies))
    splits = {"all": n, "train": n[n % 3 > 0], "select": n[:0], "test": n[n % 3 == 0]}
    there = torch.ones(len(n), dtype=torch.bool)
    return Data(kind, Resident(rows), splits, {"title": Condition(given, conditions, there)})


def trained(family: str, data: Data, steps: int, **options: object) -> Run:
    model = build(family, data, units=24, **options)
    list(fit(model, data, steps=steps, batch=24, rate=1e-2, threads=1, supervise=False))
    return Run.of(model, data)


@pytest.fixture(scope="module")
def pairs() -> Data:
    return data_of(TITLES, BODIES)


@pytest.fixture(scope="module")
def writer(pairs: Data) -> Run:
    """A language model that writes a body for a title."""
    return trained("lm", pairs, 250)


def test_texts_from_texts_are_compared_with_what_they_should_be(writer: Run, pairs: Data) -> None:
    scores = {score.name: score for score in evaluate(writer, pairs, judge=False)}
    assert {"distinct-1", "bleu-4", "self-bleu-2", "rouge-l", "chrf"} <= set(scores)
    assert scores["rouge-l"].floor_name == "another item's" and scores["rouge-l"].n == 12
    assert scores["rouge-l"].value > (scores["rouge-l"].floor or 0) + 0.1
    assert "novelty" not in scores  # the run does not know what it was trained on


def test_a_report_warns_of_texts_that_are_copies() -> None:
    from ectype.jobs.pictures import Pictures
    from ectype.metrics import REAL, Score

    score = Score("novelty", 0.2, "", "neither", 500, "test", 0, 0.01, 1.0, REAL, least=100)
    assert any("most made texts are training texts" in line for line in warnings_of({}, [score], Pictures()))
