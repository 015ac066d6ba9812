"""The network that judges made items: a small encoder of the data's kind, fitted on the spot.

    x ─ pictures pooled to at most 32 × 32 ─ conv or mlp ─→ one output per class, tag or number of each target

It learns from the train split alone, by a bounded number of steps, and is neither the model's critic nor
its encoder: a model cannot please it by having had a part in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ectype.assembly import taken
from ectype.catalog import find
from ectype.data.data import Data
from ectype.errors import DataError
from ectype.hardware import channels_last, choose_precision, computing, is_convolutional, laid_out
from ectype.metrics.targets import Target
from ectype.noise import PerItem, mix
from ectype.shapes import Grid, Shape, Tokens

_STEPS, _ROUNDS, _BATCH, _RATE = 1000, 40, 128, 2e-3
_SIDE = 32  # pixels; larger pictures are pooled, or the judge would take longer than the model


@final
class Eye:
    """What an item is, by targets, fitted to the training items.

    Small pictures go through small convolutions, everything else through what suits its kind; AdamW on the
    sum of the targets' nats, at most 1,000 steps of 128 items, and at most 40 times through the items. The
    same seed gives the same eye on the same machine.

    Arguments:
        data: with a train split.
        targets: what to tell, by name; DataError where no training item has any.
        seed: of its weights and of the order of the items.
        device: of the computation.
    """

    def __init__(
        self,
        data: Data,
        targets: Mapping[str, Target],
        *,
        seed: int = 0,
        device: torch.device | None = None,
    ) -> None:
        self.targets = dict(targets)
        self.widths = [one.outputs for one in self.targets.values()]
        self.device = device or torch.device("cpu")
        self.shape = seen_shape(data.kind.shape)
        pictures = data.kind.network == "conv"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(mix(seed, 11))
            sizes = {"width": 16, "depth": 1} if pictures else {"hidden": (256, 256), "units": 64}
            encoder = find("networks", data.kind.network).Encoder
            options = taken(encoder, {**sizes, "activation": "leaky", **data.kind.network_options})
            self.network: nn.Module = encoder(self.shape, sum(self.widths), **options).to(self.device)
        channels_last(self.network)
        self.precision = choose_precision("auto", self.device, self.shape)
        self.convolutional = is_convolutional(self.network)
        self._fit(data, seed)
        self.network.eval()

    def _outputs(self, x: Tensor) -> Tensor:
        x = reduced(x.to(self.device), self.shape)
        with computing(self.convolutional, self.device, self.precision):
            outputs: Tensor = self.network(x)
        return outputs.float()

    def _loss(self, x: Tensor, at: Tensor) -> Tensor:
        parts = self._outputs(x).split(self.widths, 1)
        each = zip(self.targets.values(), parts, strict=True)
        return torch.stack([one.nats(part, at).mean() for one, part in each]).sum()

    def _fit(self, data: Data, seed: int) -> None:
        known = [one.present for one in self.targets.values()]
        train = data.splits["train"]
        train = train[torch.stack(known).any(0)[train]] if known else train[:0]
        if not len(train):
            raise DataError("a judge needs training items of which something is known")
        stream = torch.Generator().manual_seed(mix(seed, 12))
        weights: list[Tensor] = [p for p in self.network.parameters() if p.requires_grad]
        memory: tuple[list[Tensor], list[Tensor]]
        memory = ([torch.zeros_like(p) for p in weights], [torch.zeros_like(p) for p in weights])
        count = torch.zeros((), device=self.device)
        steps = min(_STEPS, max(50, _ROUNDS * len(train) // _BATCH))
        for step in range(steps):
            at = train[torch.randint(len(train), (min(_BATCH, len(train)),), generator=stream)]
            with torch.enable_grad():
                loss = self._loss(data.batch(at, stream).x, at)
                # a part that never has a say, such as the constant for unseen values, gets no gradient
                found = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
            rate = _RATE * min(1.0, (step + 1) / 50, 2 * (1 - step / steps))
            with torch.no_grad():
                descend(weights, list(found), memory, count, rate)

    @torch.inference_mode()
    def __call__(self, x: Tensor) -> dict[str, Tensor]:
        """The answer for items (N, *form) by target, (N, k) each, on the CPU."""
        found = [self._outputs(part).cpu() for part in x.split(500)]
        outputs = torch.cat(found) if found else torch.zeros(0, sum(self.widths))
        parts = zip(self.targets.items(), outputs.split(self.widths, 1), strict=True)
        return {name: one.answer(part) for (name, one), part in parts}

    def of(self, data: Data, indices: Tensor, seed: int = 0) -> dict[str, Tensor]:
        """The same of items of data by number."""
        none = torch.zeros(0, *data.kind.shape.form)
        parts = [self(data.batch(at, PerItem(seed, at.tolist())).x) for at in indices.split(500)]
        parts = parts if len(indices) else [self(none)]
        return {name: torch.cat([part[name] for part in parts]) for name in self.targets}


def seen_shape(shape: Shape) -> Shape:
    """The shape a judge looks at: a large picture's is pooled."""
    if isinstance(shape, Grid) and len(shape.size) == 2:
        return Grid(shape.channels, (min(shape.size[0], _SIDE), min(shape.size[1], _SIDE)))
    return shape


def reduced(x: Tensor, shape: Shape) -> Tensor:
    """Items (N, *form) in the shape a judge looks at."""
    if isinstance(shape, Grid) and len(shape.size) == 2 and tuple(x.shape[2:]) != shape.size:
        return F.adaptive_avg_pool2d(x.float(), (shape.size[0], shape.size[1]))
    # what is made comes as numbers with NaN where nothing was written, which is padding, 0
    return x.nan_to_num().long() if isinstance(shape, Tokens) else x


def descend(
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
        [laid_out(gradient, weight) for gradient, weight in zip(gradients, weights, strict=True)],
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
