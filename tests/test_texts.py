"""Texts as what is made: read, trained, sampled, weighed, saved; what a model without a latent refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ectype.assembly import build
from ectype.data.fitted import read_with
from ectype.data.reading import read, reread
from ectype.errors import DataError, UsageError
from ectype.jobs.decoding import items, latents
from ectype.jobs.encode import encode
from ectype.jobs.evaluate import evaluate
from ectype.jobs.interpolate import interpolate
from ectype.jobs.invert import invert
from ectype.jobs.reconstruct import reconstruct
from ectype.jobs.sample import sample
from ectype.jobs.train import train
from ectype.kinds.text import Text
from ectype.metrics.classifier import Classifier
from ectype.runs import Run, load
from ectype.training.loop import fit

LINES = [a * n + b for a in "abc" for b in "xyz" for n in range(1, 9)]


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(LINES) + "\n\n", encoding="utf-8")
    return path


def trained(lines: Path, family: str, folder: Path, steps: int = 150, **options: Any) -> Run:
    data = read(lines)
    model = build(family, data, units=16, **options)
    list(fit(model, data, steps=steps, batch=32, rate=1e-2, threads=1, supervise=False))
    return Run.of(model, data).save(folder)


def test_a_line_is_an_item(lines: Path) -> None:
    data = read(lines)
    assert isinstance(data.kind, Text) and len(data) == len(LINES) and data.kind.length == 16
    assert data.items(range(len(LINES))) == LINES
    batch = data.batch([0, 7])
    assert batch.seen is not None and torch.equal(batch.seen, batch.x > 0)
    assert batch.seen.sum(1).tolist() == [len(LINES[0]) + 1, len(LINES[7]) + 1]
    assert read_with(lines, data.kind).splits["all"].tolist() == list(range(len(LINES)))
    odd = read_with(_file(lines.parent, "ax\nqq\n"), data.kind)
    assert len(odd) == 1 and "1 texts were left out, first: the characters 'q'" in odd.notes[0]
    with pytest.raises(DataError, match="2 texts do not fit, first"):
        read_with(_file(lines.parent, "q\nr\n"), data.kind)


def test_windows_are_cut_from_one_stream(lines: Path) -> None:
    text = lines.read_text(encoding="utf-8")
    data = read(lines, window=10)
    assert "".join(data.items(data.splits["all"])) == text[: len(text) // 10 * 10]
    assert all(len(item) == 10 for item in data.items(data.splits["all"]))
    parts = [data.splits[name].sort().values for name in ("train", "select", "test")]
    assert torch.equal(torch.cat(parts), data.splits["all"])  # where they stand
    assert data.batch([0]).seen.all()  # type: ignore[union-attr]


def test_a_run_cuts_a_text_as_training_did(lines: Path, tmp_path: Path) -> None:
    data = read(lines, window=10)
    pieces = data.items(data.splits["all"])
    for again in (reread(data.source), read_with(lines, data.kind, trained=data.source)):
        assert again.items(again.splits["all"]) == pieces
    with pytest.raises(DataError, match="a text of 3 symbols, and pieces are of 10: name a longer one"):
        read_with(_file(tmp_path, pieces[0][:3]), data.kind, trained=data.source)


def test_what_is_no_text_is_refused(tmp_path: Path, lines: Path) -> None:
    with pytest.raises(DataError, match=r"holds no text"):
        read(_file(tmp_path, " \n"))
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(DataError, match=r"latin.txt: line 1 is not written in UTF-8 \(byte 3\); save"):
        read(tmp_path / "latin.txt")
    with pytest.raises(DataError, match="window=1: a number of symbols from 2 to the 469"):
        read(lines, window=1)
    with pytest.raises(UsageError, match="bits are for pictures, and these are texts"):
        read(lines, bits=8)
    with pytest.raises(DataError, match="holds no text; leave kind and window out"):
        read(np.zeros((20, 3), np.float32), window=3)


def _file(folder: Path, text: str) -> Path:
    path = folder / "other.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_language_model_weighs_and_writes(lines: Path, tmp_path: Path) -> None:
    run = load(trained(lines, "lm", tmp_path / "lm").folder or "")
    scores = {score.name: score for score in evaluate(run, lines)}
    counts = np.mean([len(line) + 1 for line in LINES])
    assert scores["bits/dim"].value == pytest.approx(scores["nll"].value / counts / np.log(2))
    assert scores["nll/symbol"].value == pytest.approx(scores["nll"].value / counts)
    assert "the end is counted, the start is not" in scores["nll/symbol"].note
    assert scores["nll"].value < 8  # log 72 = 4.3, and 5 symbols of 7 alike 11
    made = sample(run, 40, seed=1)
    assert np.mean([text in LINES for text in made]) > 0.3 and len(set(made)) > 10
    assert sample(run, 40, seed=1)[:4] == sample(run, 4, seed=1)
    assert len(set(sample(run, 20, temperature=0.0))) == 1
    assert len(set(sample(run, 20, nucleus=0.5))) < len(set(sample(run, 20)))


def test_what_has_no_codes_says_so(lines: Path, tmp_path: Path) -> None:
    run = trained(lines, "lm", tmp_path / "lm", steps=2)
    for job in (encode, reconstruct):
        with pytest.raises(UsageError, match="this lm has no codes: it only samples and weighs items"):
            job(run, lines)  # type: ignore[operator]
    for refused in (interpolate, invert):
        with pytest.raises(UsageError, match="this lm has no codes"):
            refused(run)  # type: ignore[operator]
    with pytest.raises(UsageError, match="nucleus is for texts and labels"):
        data = read(np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32))
        items(Run.of(build("vae", data), data), torch.zeros(1, 2), nucleus=0.5)


@pytest.mark.parametrize(("cell", "steps"), [("gru", 250), ("lstm", 600)])
def test_an_autoencoder_gives_texts_back(lines: Path, tmp_path: Path, cell: str, steps: int) -> None:
    run = load(trained(lines, "ae", tmp_path / "ae", steps=steps, cell=cell).folder or "")
    back = reconstruct(run, lines)
    assert np.mean([a == b for a, b in zip(back, LINES, strict=True)]) > 0.9
    assert reconstruct(run, lines) == back


def test_a_vae_of_texts_saves_and_edits(lines: Path, tmp_path: Path) -> None:
    made = trained(lines, "vae", tmp_path / "vae")
    run = load(made.folder or "")
    assert run.model.latent == 32 and run.model.free_bits == 0.15 and run.model.warmup == 0.25  # type: ignore[union-attr]
    assert sample(run, 8, seed=3) == sample(made, 8, seed=3)
    z = latents(run, 3)
    assert items(run, z, temperature=0.0) == items(run, z, temperature=0.0, seed=5)
    assert len(interpolate(run, steps=4)) == 4
    names = [score.name for score in evaluate(run, lines, samples=3)]
    assert {"elbo", "iwae-3", "nll/symbol", "kl", "active units", "shuffle gap of z"} <= set(names)
    assert {"exact", "edit distance"} <= set(names)


def test_a_vanilla_vae_of_texts_is_found_collapsed(lines: Path) -> None:
    data = read(lines)
    model = build("vae", data, units=16, free_bits=0.0, warmup=0.0, skip=0.0, prior="normal", beta=4.0)
    *_, last = fit(model, data, steps=400, batch=32, rate=3e-3, threads=1)
    assert [event["kind"] for event in last.events] == ["collapse"]
    assert last.events[0]["kl"] < 0.1


def test_texts_are_judged_by_their_labels() -> None:
    texts, labels = LINES[:40], ["odd" if "x" in line else "even" for line in LINES[:40]]
    data = read((texts, labels), kind="text")
    judge = Classifier(data)
    said = judge.of(data, data.splits["all"]).argmax(1).tolist()
    right = [data.label_kind.classes[n] == label for n, label in zip(said, labels, strict=True)]  # type: ignore[union-attr]
    assert np.mean(right) > 0.9
    made = data.batch([0, 1]).x.double().masked_fill(data.batch([0, 1]).x == 0, np.nan)
    assert torch.equal(judge(made), judge(data.batch([0, 1]).x))


def test_a_run_of_texts_has_its_samples_as_text(tmp_path: Path) -> None:
    path = _file(tmp_path, "\n".join(f"床{line}" for line in LINES[:12]))
    train(str(path), model="lm", out=tmp_path / "run", steps=2, units=8, threads=1, supervise=False)
    made = (tmp_path / "run" / "samples.txt").read_text(encoding="utf-8")
    assert made == "\n\n".join(sample(tmp_path / "run", 64))
