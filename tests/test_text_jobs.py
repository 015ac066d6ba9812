"""Jobs on texts: numbers for them, beginnings completed, the most probable text, texts from texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ectype.assembly import build
from ectype.data.data import Condition, Data
from ectype.data.reading import read
from ectype.data.store import Resident
from ectype.errors import DataError, OutputError, UsageError
from ectype.jobs.complete import complete
from ectype.jobs.decoding import evaluating
from ectype.jobs.edit import edit
from ectype.jobs.evaluate import evaluate
from ectype.jobs.interpolate import interpolate
from ectype.jobs.outputs import put_items
from ectype.jobs.reconstruct import reconstruct
from ectype.jobs.report import warnings_of
from ectype.jobs.sample import sample
from ectype.jobs.translate import translate
from ectype.kinds.image import Image
from ectype.kinds.label import Label
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


@pytest.mark.parametrize(("family", "prior"), [("gan", None), ("ae", "gan"), ("vae", None)])
def test_what_a_critic_taught_stands_beside_an_ngram(
    pairs: Data, family: str, prior: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ectype.jobs.evaluate._home", lambda run, items, own: items.data)
    data = Data(pairs.kind, pairs.store, pairs.splits)
    run = Run.of(build(family, data, **({"prior": prior} if prior else {})), data)
    names = [score.name for score in evaluate(run, data, judge=False)]
    for name in ("distinct-2", "bleu-5", "self-bleu-2", "novelty"):
        beside = names[names.index(name) + 1 :][:3]
        there = beside == [f"{name} (5-gram at {t})" for t in ("0.5", "0.7", "1")]
        assert there == (family != "vae")


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


def test_texts_are_made_from_texts(writer: Run, pairs: Data, tmp_path: Path) -> None:
    source = tmp_path / "titles.txt"
    source.write_text("bv\nez\n", encoding="utf-8")
    found = translate(writer, source, draws=20, seed=1)
    assert [len(column) for column in found] == [20, 20]
    assert found[0].count("BVbbv") > found[1].count("BVbbv")
    assert translate(writer, source, draws=2, seed=1) == [column[:2] for column in found]
    best = translate(writer, source, beam=4)
    assert best == translate(writer, source, beam=4, seed=5)  # nothing is drawn
    assert translate(writer, source, temperature=0.0) == translate(writer, source, temperature=0.0, seed=9)
    with pytest.raises(UsageError, match="of which there is one: leave out draws"):
        translate(writer, source, beam=4, draws=2)
    with pytest.raises(UsageError, match="beam is a number from 1 to 100, not 0"):
        translate(writer, source, beam=0)
    with pytest.raises(UsageError, match="cannot be given a text 'titel'; did you mean 'title'"):
        translate(writer, source, condition="titel")


def test_a_translation_is_told_and_written(
    writer: Run, pairs: Data, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ectype")
    made = translate(writer, pairs, from_items=True, count=3, beam=2, out=tmp_path / "out")
    titles = [TITLES[i] for i in (0, 3, 6)]
    assert [f"  {a} → {b[0]}" for a, b in zip(titles, made, strict=True)] == caplog.messages[-5:-2]
    assert "rouge-l" in caplog.messages[-2] and "chrf" in caplog.messages[-1]
    assert (tmp_path / "out" / "000000.txt").read_text(encoding="utf-8") == f"{made[0][0]}\n"
    assert (tmp_path / "out" / "comparison.png").is_file()


def test_a_model_without_texts_to_read_translates_none(coded: Run) -> None:
    with pytest.raises(UsageError, match="not conditioned on a text: train one with --given a column"):
        translate(coded, "titles.txt")
    with pytest.raises(UsageError, match="beam looks for the most probable text and noise"):
        reconstruct(coded, "titles.txt", noise=True, beam=2)


def test_a_search_gives_texts_back_that_are_no_less_probable(coded: Run, pairs: Data) -> None:
    own = Data(pairs.kind, pairs.store, pairs.splits)
    plain, found = (reconstruct(coded, own, count=12, beam=beam) for beam in (1, 5))
    batch = own.batch(own.splits["test"])
    with evaluating(coded):
        p = coded.model.decode(coded.model.posterior(batch.x).mean)  # type: ignore[attr-defined]
        nats = [
            p.log_prob(torch.stack([torch.from_numpy(own.kind.pack(text)) for text in texts])).sum(1)
            for texts in (plain, found)
        ]
    assert bool((nats[1] >= nats[0] - 1e-5).all())
    with pytest.raises(UsageError, match="beam is for texts"):
        points = read(np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32))
        reconstruct(Run.of(build("vae", points, prior="normal"), points), points, split="all", beam=3)


def test_edits_and_ways_between_texts_are_told(
    coded: Run, pairs: Data, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ectype")
    ends = tmp_path / "ends.txt"
    ends.write_text("AUaau\nFZffz\n", encoding="utf-8")
    way = interpolate(coded, ends, steps=4, out=tmp_path / "way.png")
    assert "right" in caplog.messages[0] and "there and back" in caplog.messages[0]
    assert caplog.messages[-4:] == [f"  {text}" for text in way]


def test_the_ends_of_a_way_can_be_typed(coded: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ends.txt").write_text("AUaau\nFZffz\n", encoding="utf-8")
    assert interpolate(coded, "AUaau", "FZffz", steps=4) == interpolate(coded, "ends.txt", steps=4)
    Path("FZffz").write_text("", encoding="utf-8")
    with pytest.raises(DataError, match="FZffz"):  # a file is a file
        interpolate(coded, "AUaau", "FZffz")
    with pytest.raises(DataError, match="the characters '!' were in no text"):
        interpolate(coded, "AUaau", "AU!")
    with pytest.raises(DataError, match="there is room for 7"):
        interpolate(coded, "AUaau", "A" * 5000)
    with pytest.raises(DataError, match=r"nowhere\.txt: there is no such file"):
        interpolate(coded, "nowhere.txt")
    with pytest.raises(DataError, match="AUaau holds one item, and a way has two ends: name a second"):
        interpolate(coded, "AUaau")


def test_texts_are_edited_towards_a_label(
    coded: Run, pairs: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ectype")
    first = torch.tensor([int(body.startswith("A")) for body in BODIES])
    data = Data(pairs.kind, pairs.store, pairs.splits, labels=first, label_kind=Label(["no", "yes"]))
    monkeypatch.setattr("ectype.jobs.inputs.own_data", lambda run: data)
    made = edit(coded, data, towards={"label": "yes"}, amount=2, count=5, out=tmp_path / "edited")
    rows = [message.split(" → ") for message in caplog.messages if " → " in message]
    assert [row[-1] for row in rows] == made
    assert [row[0].strip() for row in rows] == data.items([0, 3, 6, 9, 12])
    assert (tmp_path / "edited" / "000000.txt").read_text(encoding="utf-8") == f"{made[0]}\n"


def test_texts_are_written_to_a_file_of_lines(coded: Run, tmp_path: Path) -> None:
    made = sample(coded, 5, seed=3, out=tmp_path / "made.txt")
    lines = (tmp_path / "made.txt").read_text(encoding="utf-8").splitlines()
    assert lines == [" ".join(str(text).splitlines()) for text in made]
    with pytest.raises(OutputError, match="already exists"):
        sample(coded, 5, out=tmp_path / "made.txt")
    back = reconstruct(coded, lines, out=tmp_path / "back.txt")  # type: ignore[arg-type]
    assert len((tmp_path / "back.txt").read_text(encoding="utf-8").splitlines()) == len(back) == 5
    with pytest.raises(
        UsageError, match=r"pictures.txt: items are written to a folder, a .png .* of texts, a"
    ):
        put_items(Image(1, (8, 8)), [], tmp_path / "pictures.txt")
