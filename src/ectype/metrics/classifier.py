"""The classifier that judges made items: a small encoder of the data's kind, fitted on the spot.

    x ─ pictures pooled to at most 32 × 32 ─ conv or mlp ─→ logits ─→ p(class | x)

It learns from the train split alone, by a bounded number of steps, and is neither the model's critic nor
its encoder: a model cannot please it by having had a part in it.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ectype.catalog import find
from ectype.data.data import Data
from ectype.errors import DataError
from ectype.hardware import channels_last, choose_precision, computing, is_convolutional
from ectype.noise import PerItem, mix
from ectype.shapes import Grid, Joint, Shape

FEWEST = 10
"""Labelled training items below which there is no judge."""
_STEPS, _ROUNDS, _BATCH, _RATE = 1000, 40, 128, 2e-3
_SIDE = 32  # pixels; larger pictures are pooled, or the judge would take longer than the model


def why_not(data: Data) -> str:
    """Why no judge can be fitted to this data, in one sentence; empty when one can."""
    if data.labels is None or data.label_kind is None:
        return "no judge of classes: the data has no labels"
    if isinstance(data.kind.shape, Joint):
        return "no judge of classes: it sees one kind, and these items have several parts"
    labels = data.labels[data.splits.get("train", data.splits["all"][:0])]
    labels = labels[labels >= 0]
    if len(labels) < FEWEST:
        return f"no judge of classes: it needs {FEWEST} labelled training items, there are {len(labels)}"
    kinds = len(labels.unique())
    if kinds < 2:
        return "no judge of classes: all training items have the same label"
    if kinds * 2 > len(labels):
        return f"no judge of classes: {len(labels):,} training items have {kinds:,} different labels"
    return ""


@final
class Classifier:
    """p(class | x), fitted to the labelled training items of data for which `why_not` is empty.

    Small pictures go through small convolutions, everything else through an mlp; cross-entropy, AdamW,
    at most 1,000 steps of 128 items, and at most 40 times through the items. The same seed gives the
    same judge on the same machine.

    Arguments:
        data: with labels.
        seed: of its weights and of the order of the items.
        device: of the computation.
    """

    def __init__(self, data: Data, *, seed: int = 0, device: torch.device | None = None) -> None:
        if data.labels is None or data.label_kind is None:
            raise DataError("a judge of classes needs labels, and this data has none")
        self.classes = data.label_kind.classes
        self.device = device or torch.device("cpu")
        self.shape = _seen(data.kind.shape)
        pictures = data.kind.network == "conv"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(mix(seed, 11))
            sizes = {"width": 16, "depth": 1} if pictures else {"hidden": (256, 256)}
            network = find("networks", data.kind.network).Encoder
            self.network: nn.Module = network(self.shape, len(self.classes), activation="leaky", **sizes).to(
                self.device
            )
        channels_last(self.network)
        self.precision = choose_precision("auto", self.device, self.shape)
        self.convolutional = is_convolutional(self.network)
        self._fit(data, data.labels, seed)
        self.network.eval()

    def _logits(self, x: Tensor) -> Tensor:
        x = x.to(self.device)
        if isinstance(self.shape, Grid) and tuple(x.shape[2:]) != self.shape.size:
            x = F.adaptive_avg_pool2d(x.float(), (self.shape.size[0], self.shape.size[1]))
        with computing(self.convolutional, self.device, self.precision):
            logits: Tensor = self.network(x)
        return logits.float()

    def _fit(self, data: Data, labels: Tensor, seed: int) -> None:
        train = data.splits["train"]
        train = train[labels[train] >= 0]
        stream = torch.Generator().manual_seed(mix(seed, 12))
        weights: list[Tensor] = [p for p in self.network.parameters() if p.requires_grad]
        memory: tuple[list[Tensor], list[Tensor]]
        memory = ([torch.zeros_like(p) for p in weights], [torch.zeros_like(p) for p in weights])
        count = torch.zeros((), device=self.device)
        steps = min(_STEPS, max(50, _ROUNDS * len(train) // _BATCH))
        for step in range(steps):
            at = train[torch.randint(len(train), (min(_BATCH, len(train)),), generator=stream)]
            with torch.enable_grad():
                x = data.batch(at, stream).x
                loss = F.cross_entropy(self._logits(x), labels[at].to(self.device))
                # a part that never has a say, such as the constant for unseen values, gets no gradient
                found = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
            rate = _RATE * min(1.0, (step + 1) / 50, 2 * (1 - step / steps))
            with torch.no_grad():
                _descend(weights, list(found), memory, count, rate)

    @torch.inference_mode()
    def __call__(self, x: Tensor) -> Tensor:
        """Class probabilities (N, classes) of items (N, *form), on the CPU."""
        found = [self._logits(part).softmax(1).cpu() for part in x.split(500)]
        return torch.cat(found) if found else torch.zeros(0, len(self.classes))

    def of(self, data: Data, indices: Tensor, seed: int = 0) -> Tensor:
        """The same of items of data by number."""
        parts = [self(data.batch(at, PerItem(seed, at.tolist())).x) for at in indices.split(500)]
        return torch.cat(parts) if parts else torch.zeros(0, len(self.classes))


def _seen(shape: Shape) -> Shape:
    """The shape the judge looks at: a large picture's is pooled."""
    if isinstance(shape, Grid) and len(shape.size) == 2:
        return Grid(shape.channels, (min(shape.size[0], _SIDE), min(shape.size[1], _SIDE)))
    return shape


def _descend(
    weights: list[Tensor],
    gradients: list[Tensor],
    memory: tuple[list[Tensor], list[Tensor]],
    count: Tensor,
    rate: float,
) -> None:
    """One step of AdamW: Loshchilov and Hutter 2019, "Decoupled weight decay regularization", algorithm 2.

    PyTorch's own kernel, called directly: torch.optim imports the compiler before its first step.
    """
    count += 1
    torch._fused_adamw_(
        weights,
        gradients,
        *memory,
        [],
        [count] * len(weights),
        lr=rate,
        beta1=0.9,
        beta2=0.999,
        weight_decay=1e-2,
        eps=1e-8,
        amsgrad=False,
        maximize=False,
    )
