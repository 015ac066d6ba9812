"""Whether made items go with what they were asked for, where that is no class but a text or a picture.

    pairing = share of items for which a judge picks their own condition among TEN different ones

The judge has seen training pairs only: an encoder of items and a reader of conditions, whose codes h and g
have learned to match,

    -log softmax_j(s h_i · g_j)_i - log softmax_j(s h_j · g_i)_i

over a batch of pairs, |h| = |g| = 1 (van den Oord, Li and Vinyals 2018, "Representation learning with
contrastive predictive coding", equation 4, both ways as in Radford et al. 2021, "Learning transferable
visual models from natural language supervision", figure 3). The number of real held-out pairs stands
beside; where the judge does no better than chance on those, there is none.
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
from ectype.kinds import Kind
from ectype.metrics import Score, share_error
from ectype.metrics.eye import descend, reduced, seen_shape
from ectype.networks.readers import reader, vector_of
from ectype.noise import mix
from ectype.shapes import Row

TEN = 10
"""Conditions to pick from."""
LEAST = 100
PAIRING = "pairing"
_STEPS, _ROUNDS, _BATCH, _RATE, _WIDTH = 600, 40, 100, 2e-3, 64


@final
class Pairing:
    """Codes of items and of conditions that are near where they belong together, fitted to the train split.

    Arguments:
        data: items that have the condition; DataError where fewer than TEN training items do.
        name: of the condition.
        kind: the condition's.
        seed: of its weights and of the order of the items.
        device: of the computation.
    """

    def __init__(
        self, data: Data, name: str, kind: Kind, *, seed: int = 0, device: torch.device | None = None
    ) -> None:
        self.name = name
        self.device = device or torch.device("cpu")
        self.shape = seen_shape(data.kind.shape)
        pictures = data.kind.network == "conv"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(mix(seed, 19))
            # a text or a record is read by its own network with its usual sizes
            sizes: dict[str, dict[str, object]]
            sizes = {"conv": {"width": 16, "depth": 1}, "mlp": {"hidden": (256, 256)}}
            options = {**sizes.get(data.kind.network, {}), **data.kind.network_options}
            looks = find("networks", data.kind.network).Encoder(self.shape, _WIDTH, **options)
            # as conditions of a row, so that a picture is read as a whole and not laid on a grid
            reads = reader(kind.network, kind.shape, Row((1,)), _WIDTH)
            self.network = nn.ModuleList([looks, reads]).to(self.device)
            self.scale = nn.Parameter(torch.tensor(2.0, device=self.device))
        channels_last(self.network)
        self.precision = choose_precision("auto", self.device, self.shape)
        self.convolutional = pictures or is_convolutional(self.network)
        self._fit(data, seed)
        self.network.eval()

    def items(self, x: Tensor) -> Tensor:
        """Codes (N, D) of length 1 of items (N, *form)."""
        with computing(self.convolutional, self.device, self.precision):
            h: Tensor = self.network[0](reduced(x.to(self.device), self.shape))
        return F.normalize(h.float(), dim=1)

    def conditions(self, values: Tensor) -> Tensor:
        """Codes (N, D) of length 1 of conditions (N, *form)."""
        with computing(self.convolutional, self.device, self.precision):
            g = vector_of(self.network[1](values.to(self.device)))
        return F.normalize(g.float(), dim=1)

    def _loss(self, x: Tensor, values: Tensor) -> Tensor:
        score = self.scale.exp() * self.items(x) @ self.conditions(values).T
        same = alike(values).to(score.device)
        other = torch.eye(len(same), dtype=torch.bool, device=score.device)
        score = score.masked_fill(same & ~other, -torch.inf)  # the same words are no wrong answer
        at = torch.arange(len(x), device=score.device)
        return F.cross_entropy(score, at) + F.cross_entropy(score.T, at)

    def _fit(self, data: Data, seed: int) -> None:
        train = data.splits["train"]
        train = train[data.given[self.name].present[train]]
        if len(train) < TEN:
            raise DataError(f"a judge of pairs needs {TEN} training items with '{self.name}'")
        stream = torch.Generator().manual_seed(mix(seed, 20))
        weights: list[Tensor] = [*(p for p in self.network.parameters() if p.requires_grad), self.scale]
        memory = ([torch.zeros_like(p) for p in weights], [torch.zeros_like(p) for p in weights])
        count = torch.zeros((), device=self.device)
        steps = min(_STEPS, max(50, _ROUNDS * len(train) // _BATCH))
        for step in range(steps):
            at = train[torch.randint(len(train), (min(_BATCH, len(train)),), generator=stream)]
            batch = data.batch(at, stream)
            with torch.enable_grad():
                loss = self._loss(batch.x, batch.given[self.name])
                found = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
            rate = _RATE * min(1.0, (step + 1) / 50, 2 * (1 - step / steps))
            with torch.no_grad():
                descend(weights, list(found), memory, count, rate)

    @torch.inference_mode()
    def picks(self, x: Tensor, values: Tensor, seed: int) -> Tensor | None:
        """(N,) whether an item's own condition is the nearest of TEN; None with fewer different ones.

        Arguments:
            x: items (N, *form).
            values: their conditions (N, *form).
            seed: of the nine others of each.
        """
        different = torch.unique(values.flatten(1) if values.dim() > 1 else values, dim=0)
        if len(different) < TEN:
            return None
        h = torch.cat([self.items(part).cpu() for part in x.split(250)])
        g = torch.cat([self.conditions(part).cpu() for part in values.split(250)])
        allowed = ~alike(values)
        stream = torch.Generator().manual_seed(mix(seed, 21))
        chance = torch.rand(allowed.shape, generator=stream).masked_fill(~allowed, -1.0)
        # one of each sort would be best; nine different items differ from the own one, which is enough
        others = chance.topk(TEN - 1, 1)
        rivals = torch.einsum("nd,nkd->nk", h, g[others.indices])
        return (h * g).sum(1) > rivals.masked_fill(others.values < 0, -torch.inf).amax(1)


def alike(values: Tensor) -> Tensor:
    """(N, N) which of the conditions (N, *form) are one and the same."""
    flat = values.flatten(1) if values.dim() > 1 else values.unsqueeze(1)
    places = torch.unique(flat, dim=0, return_inverse=True)[1]
    return places.unsqueeze(0) == places.unsqueeze(1)


def pairing(name: str, made: Tensor | None, real: Tensor | None, *, split: str, seed: int) -> list[Score]:
    """The score of one condition; nothing where the judge cannot tell real pairs apart.

    Arguments:
        name: of the condition.
        made: (N,) what `Pairing.picks` says of made items.
        real: the same of real held-out ones.
        split: which part of the data the conditions are from.
        seed: of what was made.
    """
    if made is None or real is None or not len(made):
        return []
    best, bar = share_error(real)
    if best - 2 * (bar or 0.0) <= 1 / TEN:
        return []
    value, error = share_error(made)
    note = f"own condition among {TEN}; the judge gets {best:.1%} on {len(real):,} held-out real items"
    return [
        Score(f"{PAIRING}: {name}", value, "", "higher", len(made), split, seed, error=error, floor=1 / TEN,
              floor_name="chance", least=LEAST, note=note)
    ]  # fmt: skip
