"""Everything a run needs to go on exactly where it was, in one file: safetensors, no pickle.

Tensors: the weights, their average, the best average so far, each player's optimiser moments and
gradient norm. JSON in the header: the step, what was decided at the start (number of steps, batch,
precision, threads), and the score keeping of early stopping. Noise and order are functions of
(seed, step) and need no place here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ectype.errors import ModelFileError, OutputError

FORMAT = 2


@dataclass
class Progress:
    """The JSON half of the state.

    Arguments:
        step: steps done.
        decisions: what the start settled; a resumed run takes it from here.
        best: lowest select loss so far, nats per item, and the step it came from.
        patience: checks since then.
        seconds: time spent training, over all sittings.
        resumed: how many times the run was taken up again.
        skipped: steps whose gradient was not finite and moved nothing.
        supervisor: what it remembers.
        rest: steps, epochs or minutes of the part of training that comes after this one, or nothing.
        past: of the part that came before, its progress as JSON, or nothing.
    """

    step: int
    decisions: dict[str, Any]
    best: float | None = None
    best_step: int = 0
    patience: int = 0
    seconds: float = 0.0
    resumed: int = 0
    skipped: int = 0
    supervisor: dict[str, Any] = field(default_factory=dict)
    rest: dict[str, Any] = field(default_factory=dict)
    past: dict[str, Any] = field(default_factory=dict)

    @property
    def parts(self) -> list[Progress]:
        """Of each part of training so far, the first one first."""
        return [Progress(**self.past), self] if self.past else [self]

    @property
    def steps(self) -> int:
        """Steps done in all parts."""
        return sum(part.step for part in self.parts)


def write_atomically(path: Path, data: bytes) -> None:
    """All of `data` or nothing at `path`: a kill or a full disk leaves the old file whole.

    Raises OutputError where the folder cannot be written or the disk is full.
    """
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}; free some space or choose another folder"
        ) from error


def save_state(path: Path, tensors: Mapping[str, Tensor], progress: Progress) -> None:
    """Write the state; raises OutputError."""
    plain = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    header = {"ectype_state": json.dumps({"format": FORMAT, **asdict(progress)})}
    write_atomically(path, save(plain, header))


def load_state(path: Path) -> tuple[dict[str, Tensor], Progress]:
    """Read the state; raises ModelFileError where the file is missing, damaged or newer."""
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {})["ectype_state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        if header.pop("format") != FORMAT:
            raise ModelFileError(f"{path} was written by another version of ectype; start a new run")
        return tensors, Progress(**header)
    except FileNotFoundError as error:
        raise ModelFileError(f"there is nothing to resume: {path} does not exist") from error
    except (SafetensorError, KeyError, TypeError, ValueError, OSError, RecursionError) as error:
        raise ModelFileError(f"{path} is damaged and cannot be resumed ({error})") from error


def restore(targets: Mapping[str, Tensor], saved: Mapping[str, Tensor], path: Path) -> None:
    """Copy saved tensors into live ones in place, keeping their memory layout and device."""
    missing = sorted(set(targets) ^ set(saved))
    wrong = [n for n, t in targets.items() if n in saved and saved[n].shape != t.shape]
    if missing or wrong:
        raise ModelFileError(
            f"{path} belongs to another model or other options: {', '.join((missing + wrong)[:3])} differ"
        )
    with torch.no_grad():
        for name, target in targets.items():
            target.copy_(saved[name])
