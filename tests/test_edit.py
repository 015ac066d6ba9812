"""Editing: the direction is a difference of mean codes, the amount scales it, conditions replace it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

import ectype as ec
from ectype.errors import DataError, OutputError, UsageError
from ectype.jobs import decoding
from ectype.jobs.edit import direction, edit, members
from ectype.jobs.inputs import items_of, own_data, reader
from ectype.jobs.invert import invert
from ectype.runs import Run

UP, DOWN = {"label": "up"}, {"label": "down"}


def pictures(folder: Path, n: int = 90) -> Path:
    """Pictures of 8 by 8 pixels in the folders up, down and flat: bright in that half, or in none."""
    levels = np.random.default_rng(0).integers(0, 100, (n, 8, 8), np.uint8)
    for i, picture in enumerate(levels):
        label = ("up", "down", "flat")[i % 3]
        if label != "flat":
            picture[slice(0, 4) if label == "up" else slice(4, 8)] += 150
        (folder / label).mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(picture).save(folder / label / f"{i:03d}.png")
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures(tmp_path_factory.mktemp("data") / "pictures")


def make(source: Path, folder: Path, model: str, given: str | None, steps: int = 300) -> Run:
    """A run that has learned for a moment."""
    data = ec.read(source, given=given)
    built = ec.build(model, data, network="mlp", hidden=(32,), latent=4)
    for _ in ec.fit(built, data, steps=steps, batch=36, rate=3e-3, drop=0.1, device="cpu"):
        pass
    return Run.of(built, data).save(folder)


@pytest.fixture(scope="module", params=["ae", "vae", "gan"])
def run(request: pytest.FixtureRequest, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of each family that is not conditioned on the label, the GAN's with an encoder."""
    found = make(source, tmp_path_factory.mktemp("runs") / request.param, request.param, None)
    if request.param == "gan":
        invert(found, steps=200, batch=36, rate=3e-3)
    return found


@pytest.fixture(scope="module")
def asked(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that is conditioned on the label."""
    return make(source, tmp_path_factory.mktemp("runs") / "asked", "vae", "label")


def pixels(items: list[Any]) -> np.ndarray[Any, Any]:
    return np.stack([np.asarray(item) for item in items]).astype(int)


def near(a: list[Any], b: list[Any]) -> bool:
    """Equal but for rounding: other batches add up in another order."""
    return bool(np.abs(pixels(a) - pixels(b)).max() <= 1)


def between(run: Run, towards: dict[str, str], away: dict[str, str] | None) -> torch.Tensor:
    return direction(run, reader(run), towards, away, 0)


# ---- moving along an attribute ----


def test_the_direction_is_the_difference_of_mean_codes(run: Run) -> None:
    codes = ec.encode(run, split="train")
    label = np.array(codes.labels)
    up, down, rest = (codes.z[keep].mean(0) for keep in (label == "up", label == "down", label != "up"))
    assert np.allclose(between(run, UP, DOWN).numpy(), up - down, atol=1e-4)
    assert np.allclose(between(run, UP, None).numpy(), up - rest, atol=1e-4)
    assert np.allclose(between(run, DOWN, UP).numpy(), down - up, atol=1e-4)
    assert not np.allclose(up - down, up - rest, atol=1e-2)


def test_nothing_of_it_is_the_reconstruction(run: Run) -> None:
    assert np.array_equal(
        pixels(edit(run, towards=UP, away=DOWN, amount=0.0, count=6)), pixels(ec.reconstruct(run, count=6))
    )


@pytest.mark.parametrize("amount", [-1.0, 0.5, 2.0])
def test_the_amount_scales_the_move(run: Run, amount: float) -> None:
    codes = torch.from_numpy(ec.encode(run).z)[:6] + amount * between(run, UP, DOWN)
    edited = edit(run, towards=UP, away=DOWN, amount=amount, count=6)
    assert near(edited, decoding.items(run, codes))
    assert not near(edited, ec.reconstruct(run, count=6))


def test_an_edit_brings_the_attribute(source: Path, run: Run) -> None:
    """Light moves from the lower half to the upper one, in most items and on average by much."""

    def above(items: list[Any]) -> np.ndarray[Any, Any]:
        x = pixels(items)
        found: np.ndarray[Any, Any] = x[:, :4].mean((1, 2)) - x[:, 4:].mean((1, 2))
        return found

    before = above(ec.reconstruct(run, source / "down"))
    after = above(edit(run, source / "down", towards=UP, away=DOWN))
    assert (after > before).mean() > 0.8
    assert (after - before).mean() > 50


def test_an_edited_item_does_not_depend_on_the_others(run: Run) -> None:
    assert near(edit(run, towards=UP, count=8)[:3], edit(run, towards=UP, count=3))


def test_refined_codes_are_edited(run: Run) -> None:
    plain, better = (edit(run, towards=UP, amount=0.0, count=6, refine=n) for n in (0, 60))
    assert near(better, ec.reconstruct(run, count=6, refine=60))
    assert not near(plain, better)


# ---- groups ----


def test_members_have_all_that_is_wanted(source: Path) -> None:
    data = ec.read(source, given="label")
    kind = data.label_kind
    assert kind is not None
    up = members(data, UP)
    assert torch.equal(up, data.labels == kind.numbers["up"])
    assert 0 < int(up.sum()) < len(data)
    assert bool(members(data, {}).all())
    data.given["label"].present[up.nonzero()[0]] = False  # an item whose label nobody knows is of no group
    assert int(members(data, UP).sum()) == int(up.sum()) - 1


def test_numbers_that_came_with_the_data_make_groups() -> None:
    data = ec.read("shapes")
    name, values = next(iter(data.factors.items()))
    value = float(values[0])
    assert torch.equal(members(data, {name: str(value)}), values == value)
    with pytest.raises(UsageError, match=f"{name} is a number, not 'big'"):
        members(data, {name: "big"})


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, UsageError, "say what to edit: --towards label=7"),
        ({"away": UP}, UsageError, "say what to edit"),
        ({"towards": {"lable": "up"}}, UsageError, "says nothing of 'lable'; did you mean 'label'?"),
        ({"towards": {"label": "upp"}}, UsageError, "there is no label 'upp'; did you mean 'up'?"),
        ({"towards": UP, "away": {"label": "x"}}, UsageError, "there is no label 'x'"),
        ({"given": UP}, UsageError, "this model cannot be given 'label': it was trained without conditions"),
        ({"towards": UP, "amount": float("nan")}, UsageError, "amount is a number, not nan"),
        ({"towards": UP, "refine": -2}, UsageError, "refine is a number of steps, 0 or more, not -2"),
        ({"towards": UP, "split": "tset"}, UsageError, "there is no split 'tset'"),
    ],
    ids=str,
)
def test_what_editing_refuses(
    run: Run, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        edit(run, **options)
    assert message in str(caught.value)


def test_a_group_without_training_items_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    data = own_data(run)
    kind = data.label_kind
    assert kind is not None
    data.splits["train"] = (data.labels != kind.numbers["flat"]).nonzero().flatten()
    monkeypatch.setattr("ectype.jobs.inputs.own_data", lambda _: data)
    with pytest.raises(DataError, match="no training item is of the group 'label=flat'"):
        edit(run, towards={"label": "flat"})


# ---- another condition ----


def test_a_condition_is_given_in_place_of_the_items_own(asked: Run) -> None:
    items = items_of(asked, count=6)
    batch = items.data.batch(items.indices)
    with torch.no_grad():
        z = asked.model.posterior(batch.x, asked.model.condition(batch)).mean  # type: ignore[operator]
    edited = edit(asked, given=UP, count=6)
    assert near(edited, decoding.items(asked, z, given=UP))
    assert not near(edited, ec.reconstruct(asked, count=6))
    assert not near(edited, edit(asked, given=DOWN, count=6))


def test_towards_a_condition_is_to_give_it(
    asked: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ectype.jobs.outputs.tell", print)
    moved = edit(asked, towards=UP, away=DOWN, count=6)
    assert "the model is conditioned on label: decoded with label=up" in capsys.readouterr().out
    assert np.array_equal(pixels(moved), pixels(edit(asked, given=UP, count=6)))
    with pytest.raises(UsageError, match="label cannot be both up and down"):
        edit(asked, towards=UP, given=DOWN)
    with pytest.raises(UsageError, match="away from label needs something to go towards"):
        edit(asked, given=UP, away=DOWN)
    with pytest.raises(UsageError, match="there is no label 'upp'"):
        edit(asked, given={"label": "upp"})


def test_items_without_the_condition_can_be_given_it(asked: Run, source: Path) -> None:
    data = ec.read(source, given="label")
    data.given["label"].present[:] = False
    edited = edit(asked, data, given=UP, count=6)  # type: ignore[arg-type]
    batch = data.batch(data.splits["test"][:6])
    with torch.no_grad():
        z = asked.model.posterior(batch.x, asked.model.condition(batch)).mean  # type: ignore[operator]
    assert near(edited, decoding.items(asked, z, given=UP))
    assert not near(edited, decoding.items(asked, z))
    assert len(edit(asked, next((source / "down").iterdir()), given=UP)) == 1


# ---- what is written ----


def test_the_sheet_has_original_reconstruction_and_edited_above_each_other(run: Run, tmp_path: Path) -> None:
    edited = edit(run, towards=UP, count=5, out=tmp_path / "edited")
    names = sorted(p.name for p in (tmp_path / "edited").iterdir())
    assert len(names) == 7
    assert {"comparison.png", "contact-sheet.png"} < set(names)
    sheet = Pillow.open(tmp_path / "edited" / "comparison.png")
    step = 64 + 2
    assert sheet.size == (5 * step + 2, 3 * step + 2)
    items = items_of(run, count=5)
    originals, back = items.data.items(items.indices), ec.reconstruct(run, count=5)
    grey = np.asarray(sheet.convert("L"))
    for row, shown in enumerate((originals, back, edited)):
        for column, item in enumerate(shown):
            tile = grey[row * step + 2 :, column * step + 2 :][:64:8, :64:8]
            assert np.abs(tile.astype(int) - np.asarray(item).astype(int)).max() <= 1
    with pytest.raises(OutputError, match="already exists"):
        edit(run, towards=UP, out=tmp_path / "edited")


def test_rows_of_a_long_sheet_stay_above_each_other(run: Run, tmp_path: Path) -> None:
    edit(run, source=None, split="train", towards=UP, count=19, out=tmp_path / "sheet.png")
    with Pillow.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (8 * 66 + 2, 6 * 66 + 2)  # two blocks of eight


def test_the_error_of_the_unedited_round_trip_is_said(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ectype.jobs.outputs.tell", print)
    ec.reconstruct(run, count=6)
    wanted = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("mse"))
    edit(run, towards=UP, amount=3.0, count=6)
    said = capsys.readouterr().out
    assert wanted in said
    assert "there and back, unedited" in said
    assert "of label=up less that of" in said
