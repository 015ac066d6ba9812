"""Translating: from the condition's pictures or the model's own, told beside the simple answer."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

import ectype as ec
from ectype.data.data import Condition
from ectype.errors import DataError, OutputError, UsageError
from ectype.jobs.translate import SHEET, condition_of, translate
from ectype.kinds.image import Image
from ectype.runs import Run
from ectype.surfaces.cli import main


def levels(n: int = 120) -> np.ndarray[Any, Any]:
    """Checks of 8 by 8 pixels, of many contrasts: means over areas say all but what is always the same."""
    random = np.random.default_rng(0)
    light = random.integers(20, 125, (n, 1, 1))
    check = np.indices((8, 8)).sum(0) % 2
    return (2 * light * check + random.integers(0, 4, (n, 8, 8))).astype(np.uint8)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for i, picture in enumerate(levels()):
        Pillow.fromarray(picture).save(folder / f"p{i:03d}.png")
    return folder


def trained(data: ec.Data, steps: int) -> Run:
    built = ec.build("vae", data, network="mlp", hidden=(32,), latent=4, prior="normal")
    for _ in ec.fit(built, data, steps=steps, batch=32, rate=3e-3, device="cpu"):
        pass
    return Run.of(built, data)


@pytest.fixture(scope="module")
def low(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(ec.read(source, given="low"), 250).save(tmp_path_factory.mktemp("runs") / "low")


@pytest.fixture(scope="module")
def two(source: Path) -> Run:
    """A run that may be given outlines or noisy pictures, hardly trained."""
    return trained(ec.read(source, given="outline,noisy"), 3)


def stacked(rows: list[list[Any]]) -> np.ndarray[Any, Any]:
    return np.stack([[np.asarray(item) for item in row] for row in rows])


def test_the_runs_own_items_are_made_low_first_and_beat_bicubic(
    low: Run, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="ectype"):
        made = stacked(translate(low, draws=3))
    assert made.shape == (12, 3, 8, 8)
    assert all(w in caplog.text for w in ("mean_fill_rmse", "bicubic upscaling", "psnr", "N=12"))
    data = ec.read(low.record["data"]["path"], given="low")
    at = data.splits["test"]
    true = np.stack([np.asarray(item) for item in data.items(at)])
    name, plain = data.conditions["low"].plain(data.batch(at).given["low"])  # type: ignore[attr-defined]
    assert name == "bicubic upscaling"
    error = np.abs(made.mean(1) - true).mean()
    assert error < 0.3 * np.abs(255 * plain[:, 0].numpy() - true).mean()


def test_pictures_of_the_conditions_sort_give_what_items_give(low: Run, source: Path, tmp_path: Path) -> None:
    data = ec.read(source, given="low")
    kind = data.conditions["low"]
    small = data.batch(range(5)).given["low"]
    kind.write([kind.unpack(array) for array in kind.stored(small)], tmp_path / "small")
    direct = stacked(translate(low, tmp_path / "small"))
    own = stacked(translate(low, source, from_items=True, count=5))
    assert direct.shape == own.shape == (5, 1, 8, 8)
    assert np.abs(direct.astype(int) - own).max() <= 3  # the files have 8 bits
    first = stacked(translate(low, tmp_path / "small", draws=2))
    assert (first[:, :1] == direct).all() and (first[:, 1] != direct[:, 0]).any()


def test_names_are_kept_and_the_sheet_shows_both(low: Run, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert low.folder is not None
    words = ["translate", str(low.folder), str(source), "--from-items", "--count", "2", "--out", str(out)]
    assert main(words) == 0
    assert {"p000.png", "p001.png", SHEET} <= {p.name for p in out.iterdir()}
    with Pillow.open(out / SHEET) as sheet:
        assert sheet.size == (2 * 66 + 2, 2 * 66 + 2)
    with pytest.raises(OutputError, match="already exists"):
        translate(low, source, out=out)
    translate(low, source, from_items=True, count=1, draws=2, out=tmp_path / "more")
    assert (tmp_path / "more" / "p000-1.png").exists()


def test_which_condition_is_asked_where_there_are_several(two: Run, source: Path) -> None:
    with pytest.raises(UsageError, match="several pictures as conditions: --condition outline or noisy"):
        translate(two, source)
    with pytest.raises(UsageError, match="cannot be given a picture 'noise'; did you mean 'noisy'"):
        translate(two, source, condition="noise")
    with pytest.raises(UsageError, match="'noisy' is what is translated from"):
        condition_of(two, "noisy", {"noisy": "x.png"})
    a, b = (stacked(translate(two, source, condition=c, count=2)) for c in ("outline", "noisy"))
    assert a.shape == b.shape == (2, 1, 8, 8)


def test_a_picture_condition_that_came_with_the_data_is_translated_too(source: Path, tmp_path: Path) -> None:
    data = ec.read(source)
    sketches = torch.from_numpy(levels()[:, None, ::2, ::2].copy())
    data.given = {"sketch": Condition(Image(1, (4, 4)), sketches, torch.ones(120, dtype=torch.bool))}
    run = trained(data, 3)
    Pillow.fromarray(levels()[3, ::2, ::2]).save(tmp_path / "s.png")
    assert stacked(translate(run, tmp_path / "s.png", draws=2)).shape == (1, 2, 8, 8)


def test_what_cannot_be_translated_is_said(source: Path, low: Run, tmp_path: Path) -> None:
    plain = trained(ec.read(source), 1)
    with pytest.raises(UsageError, match="not conditioned on a picture: train one with --given low"):
        translate(plain, source)
    with pytest.raises(UsageError, match="draws is at least 1"):
        translate(low, source, draws=0)
    with pytest.raises(UsageError, match="count is at least 1"):
        translate(low, source, count=0)
    with pytest.raises(DataError, match="there is no such file"):
        translate(low, tmp_path / "nothing")
    rows = ec.read(np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32))
    run = Run.of(ec.build("vae", rows, hidden=(4,), latent=2, prior="normal"), rows)
    with pytest.raises(UsageError, match="only pictures and texts are translated"):
        translate(run)
