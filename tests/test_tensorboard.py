"""Curves for TensorBoard: the same points as in metrics.jsonl, and a clear word where it is not installed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ectype.errors import MissingExtra
from ectype.jobs.curves import BOARD, Curves
from ectype.jobs.train import train
from ectype.training.step import Step

SHORT: dict[str, Any] = {"hidden": (8,), "latent": 2, "batch": 50, "prior": "normal", "patience": 0}


def step(number: int, loss: float, select: float | None = None) -> Step:
    return Step(number, 200, 1.0, loss, {"kl": loss / 2}, select, 1.0, 0, False, False, False, None, ())


def points(folder: Path) -> set[tuple[str, int, float]]:
    """Every curve's points in metrics.jsonl, as TensorBoard names them."""
    found = set()
    for line in map(json.loads, (folder / "metrics.jsonl").read_text().splitlines()):
        if "split" in line:
            found.add((f"loss/{line['split']}", line["step"], line["loss"]))
            found |= {(f"{line['split']}/{k}", line["step"], v) for k, v in line["parts"].items()}
    return found


class Board:
    """Stands in for torch.utils.tensorboard.SummaryWriter."""

    made: list[Board]

    def __init__(self, folder: str, purge_step: int | None = None) -> None:
        self.folder, self.purge, self.closed = folder, purge_step, False
        self.points: set[tuple[str, int, float]] = set()
        Board.made.append(self)

    def add_scalar(self, name: str, value: float, number: int) -> None:
        self.points.add((name, number, value))

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> type[Board]:
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Board  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    Board.made = []
    return Board


def test_the_board_has_the_points_of_the_curves(tmp_path: Path, board: type[Board]) -> None:
    with Curves(tmp_path, tensorboard=True) as curves:
        curves.add(step(10, 4.0))
        curves.add(step(20, 3.0, select=3.5))
        curves.add(step(30, float("nan")))
    (made,) = board.made
    assert made.points == points(tmp_path)
    assert len(made.points) == 5
    assert (made.folder, made.purge, made.closed) == (str(tmp_path / BOARD), None, True)
    with Curves(tmp_path, after=10, tensorboard=True) as curves:
        curves.add(step(20, 2.5))
    assert board.made[1].purge == 11, "a resumed run makes the points after 10 again"
    with Curves(tmp_path):
        pass
    assert len(board.made) == 2, "nothing is written that nobody asked for"


def test_without_tensorboard_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtra, match=r"needs tensorboard: pip install 'ectype\[tensorboard\]'"):
        train("ring", steps=2, tensorboard=True, out=tmp_path / "run", **SHORT)
    assert not (tmp_path / "run").exists()


def test_a_real_board_of_a_run(tmp_path: Path) -> None:
    reason = "the extra 'tensorboard' is not installed"
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason=reason)
    out, source = tmp_path / "run", str(tmp_path / "rows.npy")
    np.save(source, np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32))
    for steps in (4, 6):
        train(source, steps=steps, tensorboard=True, overwrite=True, out=out, **SHORT)
        read = events.EventAccumulator(str(out / BOARD))
        read.Reload()
        for name, number, value in points(out):
            written = {point.step: point.value for point in read.Scalars(name)}
            assert written[number] == pytest.approx(value, rel=1e-5)
        assert len(list((out / BOARD).iterdir())) == 1, "what an overwritten run left is gone"
