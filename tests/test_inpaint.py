"""Inpainting: known pixels stay to the bit, hidden ones tell nothing, fills differ, bad holes are refused."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

import ectype as ec
from ectype.errors import DataError, OutputError, UsageError
from ectype.jobs.inpaint import SHEET, hole_of, inpaint
from ectype.kinds.image import Image
from ectype.metrics.fills import fills
from ectype.runs import Run

LOWER = np.arange(8)[:, None] >= 4


def levels(n: int = 120) -> np.ndarray[Any, Any]:
    """Pictures of 8 by 8 pixels, each of one brightness with a little noise: either half tells the other."""
    random = np.random.default_rng(0)
    bright = random.integers(20, 230, (n, 1, 1))
    return (bright + random.integers(-9, 10, (n, 8, 8))).astype(np.uint8)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for i, picture in enumerate(levels()):
        Pillow.fromarray(picture).save(folder / f"p{i:03d}.png")
    return folder


def made(source: Path, folder: Path, model: str, given: str | None, steps: int = 250) -> Run:
    data = ec.read(source, given=given)
    prior = "fitted" if model == "ae" else "normal"
    built = ec.build(model, data, network="mlp", hidden=(32,), latent=4, prior=prior)
    for _ in ec.fit(built, data, steps=steps, batch=32, rate=3e-3, device="cpu"):
        pass
    return Run.of(built, data).save(folder)


@pytest.fixture(scope="module")
def known(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that was trained to fill."""
    return made(source, tmp_path_factory.mktemp("runs") / "known", "vae", "known,low2")


@pytest.fixture(scope="module", params=["vae", "ae", "gan", "known"])
def run(request: pytest.FixtureRequest, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of each family that never saw a hole, and the one that did."""
    if request.param == "known":
        found: Run = request.getfixturevalue("known")
        return found
    return made(source, tmp_path_factory.mktemp("runs") / request.param, request.param, None)


def arrays(rows: list[list[Any]]) -> np.ndarray[Any, Any]:
    """Fills as levels (N, draws, H, W)."""
    return np.stack([[np.asarray(fill) for fill in row] for row in rows])


def test_known_pixels_are_bit_identical_and_hidden_ones_say_nothing(run: Run, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    a = levels()[:4]
    b = np.where(LOWER, random.integers(0, 256, a.shape), a).astype(np.uint8)
    found = []
    for name, pictures in (("a", a), ("b", b)):
        np.save(tmp_path / f"{name}.npy", pictures)
        found.append(arrays(inpaint(run, tmp_path / f"{name}.npy", side="lower", draws=3)))
    assert found[0].shape == (4, 3, 8, 8)
    assert (found[0][..., :4, :] == a[:, None, :4]).all()
    assert (found[0] == found[1]).all()
    assert (found[0] != found[0][:, :1]).any(), "fills differ"


def test_a_fill_depends_on_seed_item_and_its_number_only(run: Run, source: Path) -> None:
    more = arrays(inpaint(run, source, box=(2, 2, 6, 6), draws=3, count=5))
    fewer = arrays(inpaint(run, source, box=(2, 2, 6, 6), draws=2, count=5))
    other = arrays(inpaint(run, source, box=(2, 2, 6, 6), draws=2, count=5, seed=1))
    assert (more[:, :2] == fewer).all() and (fewer != other).any()


def test_fills_are_nearer_than_the_mean_picture(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="ectype"):
        inpaint(run, side="right", draws=4)
    said = caplog.text
    assert all(
        text in said for text in ("mean_fill_rmse", "best_fill_rmse", "fills_apart", "N=12", "mean picture")
    )
    data = ec.read(run.record["data"]["path"])
    true = np.stack([np.asarray(item) for item in data.items(data.splits["test"])])
    mean = np.abs(arrays(inpaint(run, side="right", draws=4)).mean(1) - true)[..., 4:].mean()
    floor = np.abs(true.mean(0) - true)[..., 4:].mean()
    assert mean < 0.6 * floor


def test_files_carry_the_items_names_and_a_sheet_shows_hole_and_fills(
    known: Run, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    inpaint(known, source, box=(0, 0, 3, 3), draws=2, count=2, out=out)
    assert {p.name for p in out.iterdir()} >= {"p000-0.png", "p000-1.png", "p001-0.png", "p001-1.png", SHEET}
    with Pillow.open(out / SHEET) as sheet:
        assert sheet.size == (3 * 66 + 2, 2 * 66 + 2)
    with pytest.raises(OutputError, match="already exists"):
        inpaint(known, source, box=(0, 0, 3, 3), out=out)


def mask(
    path: Path, size: tuple[int, int], white: tuple[int, int, int, int] | None, level: int = 255
) -> Path:
    picture = Pillow.new("L", size)
    if white is not None:
        picture.paste(level, white)
    picture.save(path)
    return path


def test_white_in_the_mask_is_the_hole_split_in_the_middle(tmp_path: Path) -> None:
    kind = Image(1, (8, 8))
    path = mask(tmp_path / "m.png", (8, 8), (0, 0, 4, 2), 140)
    hole = hole_of(kind, path, None, None)
    assert torch.equal(hole, hole_of(kind, None, (0, 0, 4, 2), None)) and int(hole.sum()) == 8
    with pytest.raises(UsageError, match="no white pixel, so there is no hole"):
        hole_of(kind, mask(tmp_path / "dark.png", (8, 8), (0, 0, 4, 2), 120), None, None)


def test_a_mask_may_be_an_array_or_a_picture_of_pillows(tmp_path: Path) -> None:
    kind, there = Image(1, (8, 8)), np.zeros((8, 8), bool)
    there[2:4, 1:5] = True
    for same in (there, there * 0.9, there.astype(np.uint8) * 255, Pillow.fromarray(there)):
        assert np.array_equal(hole_of(kind, same, None, None).numpy(), there)


def test_pictures_of_another_size_are_said_to_be_scaled(
    known: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Pillow.new("L", (16, 16)).save(tmp_path / "large.png")
    with caplog.at_level("INFO", logger="ectype"):
        inpaint(known, tmp_path / "large.png", side="lower", draws=1)
    assert "1 of 1 pictures were scaled and cut to 8x8, the size this model makes" in caplog.text


def test_of_a_brush_on_a_transparent_layer_the_strokes_are_the_hole(tmp_path: Path) -> None:
    for empty in ((0, 0, 0, 0), (255, 255, 255, 0)):  # editors leave either colour where nothing was drawn
        layer = Pillow.new("RGBA", (8, 8), empty)
        layer.paste((255, 255, 255, 255), (2, 3, 5, 6))
        layer.save(tmp_path / "layer.png")
        hole = hole_of(Image(1, (8, 8), bits=8), tmp_path / "layer.png", None, None)
        assert hole.sum() == 9 and hole[3:6, 2:5].all()


def test_a_mask_as_large_as_the_photo_is_scaled_with_it(known: Run, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Pillow.fromarray(np.full((32, 32), 90, np.uint8)).save(photo)
    path = mask(tmp_path / "m.png", (32, 32), (0, 16, 32, 32))
    ((fill,),) = inpaint(known, photo, mask=path, draws=1)
    assert (np.asarray(fill)[:4] == 90).all() and (np.asarray(fill)[4:] != 90).any()


def test_holes_that_are_none_are_refused_in_one_line(known: Run, source: Path, tmp_path: Path) -> None:
    kind = Image(1, (8, 8))
    wrong = mask(tmp_path / "wrong.png", (9, 7), (0, 0, 2, 2))
    with pytest.raises(
        DataError, match=r"wrong.png has 9x7 pixels and the pictures 8x8: make it of that size"
    ):
        inpaint(known, source, mask=wrong)
    with pytest.raises(DataError, match="nothing.png: there is no such file"):
        hole_of(kind, tmp_path / "nothing.png", None, None)
    with pytest.raises(DataError, match="^the mask has 9x7 pixels and the pictures 8x8"):
        hole_of(kind, np.ones((7, 9), bool), None, None)
    with pytest.raises(UsageError, match=r"a mask is a picture or an array \(H, W\), not one of form"):
        hole_of(kind, np.zeros((8, 8, 3)), None, None)
    with pytest.raises(UsageError, match="covers every pixel, so nothing is known: use ectype sample"):
        hole_of(kind, None, (0, 0, 8, 8), None)
    with pytest.raises(UsageError, match=r"box 4,4,9,8 is no part of 8x8 pixels"):
        hole_of(kind, None, (4, 4, 9, 8), None)
    for asked in ((None, None, None), (None, (0, 0, 2, 2), "lower")):
        with pytest.raises(UsageError, match="say where the hole is, in one way"):
            hole_of(kind, *asked)
    with pytest.raises(UsageError, match="draws is at least 1"):
        inpaint(known, source, side="lower", draws=0)
    with pytest.raises(UsageError, match="side='under': one of lower"):
        inpaint(known, source, side="under")  # type: ignore[arg-type]


def test_only_pictures_have_holes() -> None:
    data = ec.read(np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32))
    run = Run.of(ec.build("vae", data, hidden=(4,), latent=2, prior="normal"), data)
    with pytest.raises(
        UsageError, match="only pictures have pixels, and this model makes items of kind vector"
    ):
        inpaint(run, side="lower")


def test_the_scores_of_fills_are_what_they_say() -> None:
    truth = torch.zeros(3, 1, 2, 2)
    made = torch.stack([truth + 0.3, truth - 0.1])
    hole = torch.tensor([[True, False], [True, True]])
    made[..., 0, 1] = 77  # known: does not count
    mean, best, apart = fills(truth, made, hole, plain=truth[0] + 0.5, plain_name="half")
    assert mean.value == pytest.approx(0.1) and mean.floor == pytest.approx(0.5) and mean.n == 3
    assert best.value == pytest.approx(0.1) and apart.value == pytest.approx(0.4)
    with pytest.raises(DataError, match="at least one item and one pixel"):
        fills(truth, made, hole & False)
