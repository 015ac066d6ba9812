"""Sentence-VAE's side of a comparison: timbmg/Sentence-VAE's own `train.py`, its loop as it is published.

Runs in the peer's environment, where ectype is not installed. The repository is no package:
$ECTYPE_SENTENCE_VAE names a checkout of https://github.com/timbmg/Sentence-VAE (commit 4e2c7009), by default
/tmp/peer/Sentence-VAE. Its imports of tensorboardX and of its own reader of Penn Treebank are met by
stand-ins: nothing is logged, and the texts are numbers already.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _record import versions

PADDING, END = 0, 1
CHECKOUT = Path(os.environ.get("ECTYPE_SENTENCE_VAE") or "/tmp/peer/Sentence-VAE")  # noqa: S108
LEFT_OUT = 3


class Sentences:
    """Texts of numbers (N, T) that end with END, as items of the peer's data set."""

    pad_idx, sos_idx, eos_idx, unk_idx = PADDING, END, END, 2

    def __init__(self, data_dir: str, split: str, **_: Any) -> None:
        with np.load(data_dir) as file:
            self.texts, self.vocab_size = file["texts"].astype(np.int64), int(file["vocabulary"])
        if split != "train":  # the loop looks at this split once an epoch, which is not timed
            self.texts = self.texts[:2]
        self.lengths = (self.texts != PADDING).sum(1)

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int) -> dict[str, Any]:
        text, length = self.texts[index], int(self.lengths[index])
        known = np.concatenate([[END], text[:-1]])
        known[length:] = PADDING
        return {"input": known, "target": text, "length": length}

    def get_i2w(self) -> dict[str, str]:
        """Number to word."""
        return {str(i): str(i) for i in range(self.vocab_size)}


def published() -> Any:
    """The peer's training script as a module; ends the program where there is no checkout."""
    if not (CHECKOUT / "train.py").is_file():
        raise SystemExit(
            f"{CHECKOUT} is not there: git clone https://github.com/timbmg/Sentence-VAE {CHECKOUT}, or name "
            "a checkout in ECTYPE_SENTENCE_VAE"
        )
    sys.path.insert(0, str(CHECKOUT))
    for name, inside in (("tensorboardX", {"SummaryWriter": None}), ("ptb", {"PTB": Sentences})):
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(inside)
    import train  # type: ignore[import-not-found]

    train.cpu_count = lambda: 0  # no loading processes beside the one that is timed
    return train


def sentences(path: str, steps: int, batch: int, rate: float, **sizes: Any) -> dict[str, Any]:
    """Milliseconds per step of the loop, by the clock and by the processor, and target symbols a step."""
    train = published()
    marks: list[tuple[float, float]] = []
    models, symbols = [], []

    class Timed(train.SentenceVAE):  # type: ignore[misc,name-defined]
        def forward(self, texts: torch.Tensor, length: torch.Tensor) -> Any:
            if self.training:
                marks.append((time.perf_counter(), time.process_time()))
                symbols.append(int(length.sum()))
                models[:] = [self]
            return super().forward(texts, length)

    train.SentenceVAE = Timed
    torch.manual_seed(0)
    settings = {
        "data_dir": path, "create_data": False, "max_sequence_length": 60, "min_occ": 1, "test": False,
        "epochs": 1, "batch_size": batch, "learning_rate": rate, "rnn_type": "gru", "word_dropout": 0,
        "num_layers": 1, "bidirectional": False, "anneal_function": "logistic", "k": 0.0025, "x0": 2500,
        "print_every": 50, "tensorboard_logging": False, "logdir": "logs", "save_model_path": "bin",
        **sizes,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        os.chdir(folder)
        train.main(argparse.Namespace(**settings))
        os.chdir("/")
    first, last = marks[LEFT_OUT], marks[LEFT_OUT + steps]
    return {
        "ms_per_step": round(1000 * (last[0] - first[0]) / steps, 2),
        "cpu_ms_per_step": round(1000 * (last[1] - first[1]) / steps, 2),
        "symbols_per_step": round(sum(symbols[LEFT_OUT : LEFT_OUT + steps]) / steps, 1),
        "steps": steps,
        "parameters": sum(p.numel() for p in models[0].parameters()),
    }


if __name__ == "__main__":
    settings = json.loads(sys.argv[2])
    torch.set_num_threads(settings.pop("threads"))
    print(json.dumps({**sentences(**settings), "versions": versions("torch", "numpy")}))
