"""Jobs on texts: numbers for them, beginnings completed, the most probable text, texts from texts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ectype.assembly import build
from ectype.data.data import Condition, Data
from ectype.data.reading import read
from ectype.data.store import Resident
from ectype.errors import UsageError
from ectype.jobs.complete import complete
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


@pytest.fixture(scope="module")
def coded(pairs: Data) -> Run:
    """A VAE of bodies without titles, hardly trained."""
    return trained("vae", Data(pairs.kind, pairs.store, pairs.splits), 60)


def test_a_beginning_stays_and_what_follows_is_drawn(coded: Run, writer: Run) -> None:
    for run in (coded, writer):
        made = complete(run, prefix="AUa", draws=6, seed=3)
        assert len(made) == 6 and all(text.startswith("AUa") for text in made)
        assert complete(run, prefix="AUa", draws=2, seed=3) == made[:2]
        assert complete(run, prefix="AUa", draws=6, seed=4) != made
        assert len(set(complete(run, prefix="AUa", draws=6, temperature=0.0))) <= len(set(made))
    right = [complete(writer, prefix="B", draws=20, given={"title": t}).count("BVbbv") for t in ("bv", "cw")]
    assert right[0] > right[1]


def test_the_code_of_a_beginning_is_drawn_from_what_it_leaves_possible() -> None:
    from ectype.jobs.prefix import CANDIDATES, chosen

    # two codes, and the beginning is 3 times as probable under the second, which most candidates are
    log_p, log_q = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.1, 0.9]).log()
    said = torch.tensor([0.2, 0.6]).log()
    stream = torch.Generator().manual_seed(0)
    mixed = (log_p.exp() + log_q.exp()) / 2
    which = torch.multinomial(mixed, CANDIDATES * 400, replacement=True, generator=stream).split(CANDIDATES)
    share = torch.stack([at[chosen(said[at], log_p[at], log_q[at], stream)].double() for at in which]).mean()
    assert float(share) == pytest.approx(0.75, abs=0.06)


def test_what_cannot_be_begun_is_refused(coded: Run) -> None:
    with pytest.raises(UsageError, match="the characters 'Q' were in no text"):
        complete(coded, prefix="Q")
    with pytest.raises(UsageError, match="a text of 8 characters, and there is room for 7"):
        complete(coded, prefix="AAAAAAAA")
    with pytest.raises(UsageError, match="leave out the source and known"):
        complete(coded, "texts.txt", prefix="A")
    with pytest.raises(UsageError, match="temperature and nucleus are for what follows a beginning"):
        complete(coded, known="text", temperature=0.5)
    with pytest.raises(UsageError, match=r"texts are completed from their beginning \(--prefix\)"):
        complete(coded)
    points = read(np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32))
    with pytest.raises(UsageError, match="a prefix begins a text, and this model makes"):
        complete(Run.of(build("vae", points, prior="normal"), points), prefix="A")
