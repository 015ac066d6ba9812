"""A GAN in training: resumed bit for bit, on data that is hardly any, and on a ring whose modes it finds.

Run as a program, this file is another process: it resumes trainings from their state files and writes
down where they ended.
"""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import ectype as ec
from ectype.data.data import Data
from ectype.errors import EctypeError, UsageError
from ectype.hardware import has_bf16
from ectype.models.gan import GAN
from ectype.training.player import Player
from ectype.training.state import load_state

STEPS = 20
CONV = {"network": "conv", "width": 4, "depth": 1}
MLP = {"network": "mlp", "hidden": (16,)}

# name: of pictures or of rows, options of the model, options of training
CASES: dict[str, tuple[bool, dict[str, Any], dict[str, Any]]] = {
    "rows": (False, MLP, {"decay": 0.01}),
    "pictures": (True, {**CONV, "augment": 0.5, "dropout": 0.2}, {"drop": 0.5}),
    "packed-spectral": (True, {**CONV, "pack": 2, "spectral": True, "adversary": "hinge"}, {"clip": 0.0}),
    "wasserstein": (True, {**MLP, "adversary": "wasserstein", "regularizer": "gp"}, {"half_life": 0.2}),
    "bf16": (True, CONV, {"precision": "bf16"}),
}
if not has_bf16(torch.device("cpu")):
    del CASES["bf16"]


def make(case: str) -> tuple[Data, GAN, dict[str, Any]]:
    """The data, a new model, and the options of training of a case."""
    pictures, building, training = CASES[case]
    random = np.random.default_rng(0)
    items: Any = random.normal(size=(150, 3)).astype(np.float32)
    if pictures:
        items = random.integers(0, 256, (150, 9, 10), np.uint8)
    data = ec.read((items, np.arange(150) % 3), given="label", **({} if pictures else {"kind": "vector"}))
    model = ec.build("gan", data, latent=3, seed=3, **building)
    assert isinstance(model, GAN)
    return data, model, {"batch": 32, "rate": 0.003, "seed": 5, "precision": "fp32", **training}


def train(case: str, state: Path, *, until: int | None = None, resume: bool = False) -> GAN:
    """Train a case, up to the step `until` or to the end."""
    data, model, options = make(case)
    steps = ec.fit(model, data, **options, **({} if resume else {"steps": STEPS}), state=state, resume=resume)
    for step in steps:
        if step.number == until:
            break
    steps.close()
    return model


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every case closed at two steps in this process and finished in another."""
    folder = tmp_path_factory.mktemp("resumed")
    for i, case in enumerate(CASES):
        train(case, folder / case, until=1 + i)
        assert load_state(folder / case)[1].step == 1 + i
        train(case, folder / case, until=9 + i, resume=True)
        assert load_state(folder / case)[1].step == 9 + i
    words = [sys.executable, __file__, *(str(folder / case) for case in CASES)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("case", list(CASES))
def test_a_resumed_gan_is_the_one_that_never_stopped(case: str, resumed: Path, tmp_path: Path) -> None:
    model = train(case, tmp_path / "state")
    assert same(load_file(resumed / f"{case}.end"), model.state_dict())
    (straight, there), (tensors, progress) = load_state(tmp_path / "state"), load_state(resumed / case)
    assert same(straight, tensors)
    assert progress.resumed == 2
    for name in ("decisions", "step", "best", "best_step", "patience", "skipped"):
        assert getattr(progress, name) == getattr(there, name)


def test_the_state_holds_both_players_moments_the_average_and_gamma(tmp_path: Path) -> None:
    model = train("rows", tmp_path / "state", until=5)
    tensors, _ = load_state(tmp_path / "state")
    for player in ("critic", "generator"):
        second = [v for k, v in tensors.items() if k.startswith(f"player/{player}/") and k.endswith("second")]
        assert len(second) == len(model.player(player)) and sum(float(v.sum()) for v in second) > 0
        assert int(tensors[f"player/{player}/steps"]) == 5
    for part in ("critic.", "decoder."):
        assert any(k.startswith(f"average/{part}") for k in tensors)
    start = make("rows")[1].balance.log_gamma
    assert not torch.equal(tensors["model/balance.log_gamma"], start)


def test_the_comparison_can_fail(tmp_path: Path) -> None:
    """Other noise, or another γ at the start, and the weights are no longer the same."""
    model = train("rows", tmp_path / "state")
    for seed, shift in ((5, 0.0), (6, 0.0), (5, 0.5)):
        data, other, options = make("rows")
        other.balance.log_gamma += shift
        for _ in ec.fit(other, data, **{**options, "seed": seed}, steps=STEPS):
            pass
        equal = torch.equal(model.critic.head.weight, other.critic.head.weight)
        assert equal == (seed == 5 and shift == 0)


# ---- hardly any data, and strange shapes ----


def noise(*form: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, form, np.uint8)


@pytest.mark.parametrize("model", ["gan", "vaegan"])
@pytest.mark.parametrize(
    ("items", "options", "batch"),
    [
        pytest.param(noise(1, 8, 8), MLP, 16, id="one image"),
        pytest.param(noise(2, 8, 8), MLP, 16, id="two images"),
        pytest.param(noise(10, 8, 8), CONV, 16, id="ten images"),
        pytest.param(np.full((40, 8, 8), 7, np.uint8), CONV, 16, id="all equal"),
        pytest.param(np.zeros((40, 3), np.float32), MLP, 16, id="all-equal rows"),
        pytest.param(noise(40, 8, 8, 4), CONV, 16, id="four channels"),
        pytest.param(noise(40, 1, 1), CONV, 16, id="1x1"),
        pytest.param(noise(30, 300, 17), CONV, 8, id="300x17"),
        pytest.param(noise(30, 17, 300), MLP, 8, id="17x300"),
        pytest.param(noise(20, 8, 8), MLP, 1000, id="a batch larger than the data"),
        pytest.param(noise(20, 8, 8), {**MLP, "pack": 4}, 1000, id="and packed"),
        pytest.param(noise(40, 8, 8), {**MLP, "pack": 2}, 2, id="one pack a step"),
        pytest.param(noise(40, 8, 8), {**MLP, "pack": 4}, 7, id="a batch that pack does not divide"),
        pytest.param(noise(40, 8, 8), MLP, 1, id="one item a step"),
    ],
)
def test_it_trains_a_few_steps(model: str, items: Any, options: dict[str, Any], batch: int) -> None:
    data = ec.read(items)
    built = ec.build(model, data, latent=2, **options)
    before = {k: v.clone() for k, v in built.state_dict().items()}
    *_, last = ec.fit(built, data, steps=4, batch=batch, half_life=0)
    assert last.number == 4 and last.skipped == 0 and math.isfinite(last.loss)
    assert last.select is None or math.isfinite(last.select)
    after = built.state_dict()
    for part in ("critic.", "decoder."):
        assert any(not torch.equal(before[k], after[k]) for k in before if part in k)
    with torch.no_grad():
        made = built.made(data.batch(data.splits["train"][:3]), torch.Generator().manual_seed(0))
    assert made.isfinite().all() and made.shape[1:] == data.kind.shape.form


@pytest.mark.parametrize(
    ("building", "training", "message"),
    [
        (
            {"pack": 4},
            {"batch": 3},
            "a batch of 3 items cannot be judged 4 at a time: choose a larger batch or",
        ),
        ({"pack": 64}, {"batch": 99}, "a batch of 32 items cannot be judged 64 at a time"),  # all there are
        ({"pack": 0}, {}, "pack is the number of items judged together, from 1 to 64, not 0"),
        ({"gamma": -1.0}, {}, "gamma is the weight of a penalty, 0 or more, not -1.0"),
        ({"augment": -1.0}, {}, "augment is a probability, not -1.0"),
        ({}, {"rate": -1e-4}, "out of range: rate=-0.0001"),
        ({}, {"batch": 0}, "out of range: batch=0"),
        ({"beta": 0.5}, {}, "no part of this model takes 'beta'"),
        ({"prior": "flow"}, {}, "a gan draws its latent from the prior normal"),
        (
            {"likelihood": "logistic"},
            {},
            "a gan emits items and no density of them: use the likelihood point",
        ),
    ],
)
def test_what_cannot_be_trained_is_said_in_one_line(
    building: dict[str, Any], training: dict[str, Any], message: str
) -> None:
    data = ec.read(noise(40, 8, 8))
    with pytest.raises(UsageError) as raised:
        for _ in ec.fit(ec.build("gan", data, latent=2, **{**MLP, **building}), data, steps=2, **training):
            pass
    assert message in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("model", ["gan", "vaegan"])
def test_a_loss_that_says_nothing_of_quality_picks_no_weights(model: str) -> None:
    """One select item has no distance to anything; the last weights are kept."""
    data = ec.read(noise(10, 8, 8))
    assert len(data.splits["select"]) == 1
    *_, last = ec.fit(ec.build(model, data, latent=2, **MLP), data, steps=4)
    assert last.select is None


def test_no_items_are_refused() -> None:
    with pytest.raises(EctypeError) as raised:
        data = ec.read(noise(0, 8, 8))
        list(ec.fit(ec.build("gan", data), data, steps=1))
    assert "\n" not in str(raised.value)


def test_a_batch_of_nan_moves_neither_the_critic_nor_gamma() -> None:
    data, model, _ = make("rows")
    batch = data.batch(range(12))
    player = Player(model.player("critic"), decay=0.01, clip=5.0, betas=model.betas)
    for x, broken in ((batch.x.index_fill(0, torch.tensor([3]), math.nan), True), (batch.x, False)):
        before = {k: v.clone() for k, v in model.state_dict().items()}
        loss = model.loss(replace(batch, x=x), "critic", torch.Generator().manual_seed(0))
        found = player.move(loss.total, 1e-3)
        model.follow("critic", loss, found)
        assert bool(found) == broken
        assert same(before, model.state_dict()) == broken


# ---- a number ----

MODES, DEVIATION = 6, 0.05


def ring(n: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Points (n, 2) around modes on a circle, and the modes' centres."""
    angles = 2 * np.pi * np.arange(MODES) / MODES
    centres = np.stack([np.cos(angles), np.sin(angles)], 1)
    random = np.random.default_rng(0)
    points = centres[np.arange(n) % MODES] + DEVIATION * random.standard_normal((n, 2))
    return points.astype(np.float32), centres


def covered(points: np.ndarray[Any, Any], centres: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The share of all points that lie within 3 deviations of each centre."""
    squares = ((points[:, None] - centres[None]) ** 2).sum(2)
    near = squares.min(1) < (3 * DEVIATION) ** 2
    return np.bincount(squares.argmin(1)[near], minlength=len(centres)) / len(points)


def test_a_gan_finds_every_mode_of_a_ring() -> None:
    """The averaged weights at the end: without a select split nothing earlier is chosen.

    Over seeds 0 to 3: 0.83 to 0.87 of the points are near a mode, and at least 0.04 of all near each.
    """
    points, centres = ring(3000)
    data = ec.read(points)
    data.splits["select"] = data.splits["select"][:0]
    model = ec.build("gan", data, latent=4, hidden=(64, 64), waves=0, seed=1)

    def made() -> np.ndarray[Any, Any]:
        with torch.no_grad():
            z = model.latents(2000).draw(torch.Generator().manual_seed(1))
            return np.asarray(data.kind.stored(model.decode(z).mean))

    assert (covered(points, centres) > 0.15).all()
    assert covered(made(), centres).sum() < 0.2
    for _ in ec.fit(model, data, steps=2000, rate=1e-3, seed=1):
        pass
    found = covered(made(), centres)
    assert found.sum() > 0.6
    assert (found > 0.03).all()


# ---- the other process ----


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        ended = train(path.name, path, resume=True)
        save_file({k: v.contiguous() for k, v in ended.state_dict().items()}, f"{path}.end")
