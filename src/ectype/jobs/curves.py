"""The curves of a run: one JSON line per look at the metrics, and TensorBoard where it is wanted."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ectype.errors import MissingExtra
from ectype.jobs import outputs

if TYPE_CHECKING:
    from ectype.training.step import Step

METRICS_FILE = "metrics.jsonl"
BOARD = "tensorboard"


class Curves:
    """Appends lines to `metrics.jsonl`, nats per item and seconds of training:

        {"split": "train" or "select", "loss": nats, "parts": {name: nats}, "step": int, "seconds": s}
        {"split": "train" or "select", "parts": {"codes.…" or "prior.kl": value}, "step": int, "seconds": s}
        {"event": {"step": int, "kind": str, "signs": [str], …}, "step": int, "seconds": s}

    The second is of the prior's own part, where it has one. An event is what the supervisor noticed or
    did, as in the record; its line stands once, with the step of the event and the time it was told at.

    Arguments:
        folder: of the run.
        after: keep what is there up to this step (a resumed run), and drop the rest.
        tensorboard: write TensorBoard's files too, into a folder of that name.

    Raises OutputError where the folder cannot be written, MissingExtra without TensorBoard.
    """

    def __init__(self, folder: Path, *, after: int = 0, tensorboard: bool = False) -> None:
        self.path = folder / METRICS_FILE
        self.board = _board(folder, after) if tensorboard else None
        try:
            lines = self.path.read_text().splitlines() if after and self.path.exists() else []
            kept = [x for x in lines if _step_of(x) <= after]
            self.file = open(self.path, "w")
            self.file.writelines(x + "\n" for x in kept)
        except OSError as error:
            raise outputs.cannot_write(self.path, error) from error
        self.told = [told for x in kept if (told := json.loads(x).get("event")) is not None]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        try:
            self.file.close()
        except OSError as error:  # the disk is full; what ended the block first has said so
            if raised[0] is None:
                raise outputs.cannot_write(self.path, error) from error
        if self.board is not None:
            self.board.close()

    def add(self, step: Step) -> list[dict[str, Any]]:
        """One report of the loop; the events that are new. Raises OutputError when the disk is full."""
        new = [event for event in step.events if event not in self.told]
        self.told += new
        rows: list[dict[str, Any]] = [{"event": event, "step": event["step"]} for event in new]
        rows += _points(step)
        try:
            for row in rows:
                row |= {"step": row.get("step", step.number), "seconds": round(step.seconds, 2)}
                self.file.write(json.dumps(row) + "\n")
                if self.board is not None and "split" in row:
                    if "loss" in row:
                        self.board.add_scalar(f"loss/{row['split']}", row["loss"], step.number)
                    for name, value in row["parts"].items():
                        self.board.add_scalar(f"{row['split']}/{name}", value, step.number)
            self.file.flush()
        except OSError as error:
            raise outputs.cannot_write(self.path, error) from error
        return new


def _points(step: Step) -> list[dict[str, Any]]:
    """What was measured, by split: a game of codes has no loss of items."""
    found: list[dict[str, Any]] = []
    if step.of:
        if step.parts:
            found.append({"split": "train", "parts": {f"{step.of}.{k}": v for k, v in step.parts.items()}})
        if step.select is not None:
            found.append(
                {
                    "split": "select",
                    "parts": {f"{step.of}.{'distance' if step.of == 'codes' else 'kl'}": step.select},
                }
            )
        return found
    if math.isfinite(step.loss):
        found.append({"split": "train", "loss": step.loss, "parts": step.parts})
    if step.select is not None:
        found.append({"split": "select", "loss": step.select, "parts": {}})
    return found


def _step_of(line: str) -> float:
    """The step of a curve point; a line cut short by a kill counts as later than any."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf


def writer() -> Any:
    """TensorBoard's class that writes its files; raises MissingExtra where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtra("tensorboard", "tensorboard") from error
    return SummaryWriter


def _board(folder: Path, after: int) -> Any:
    """What writes; a resumed run hides the points it makes again."""
    return writer()(str(folder / BOARD), purge_step=after + 1 if after else None)
