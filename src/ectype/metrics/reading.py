"""Whether a decoder reads its code at all: what the code of another item costs.

    shuffle gap = mean of NLL(x | z of another item, c) - NLL(x | z, c), nats per item, z ~ q(z | x, c)

A decoder that knows what it has written can do without z, and then the gap is 0 whatever the KL is; no judge
and no other model is needed to see that. Each item keeps its own conditions.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

from ectype.data.batch import Batch
from ectype.errors import DataError
from ectype.metrics import Score, mean_error
from ectype.models import Autoencoder
from ectype.noise import PerItem, mix

GAP = "shuffle gap of z"
LEAST = 100
UNREAD = 0.1
"""Nats per item below which a code is called ignored."""
_SURE = 1.96
_CODES, _CIRCLE = 27, 28  # mixed into the seed


@torch.inference_mode()
def reading(
    model: Autoencoder, batches: Iterable[Batch], *, split: str = "test", seed: int = 0
) -> list[Score]:
    """The shuffle gap of z; nothing with fewer than two items in every batch.

    Arguments:
        model: in evaluation mode.
        batches: items, on the model's device; codes go round in a random circle within each batch.
        split: which part of the data they are.
        seed: of the codes and of the circle.

    Raises DataError where there are no items.
    """
    gaps = []
    start = 0
    for batch in batches:
        n, context = len(batch), model.condition(batch)
        items = range(start, start + n) if batch.index is None else batch.index.tolist()
        start += n
        if n < 2:
            continue
        z = model.infer(batch.x, context, noise=PerItem(mix(seed, _CODES), items), seen=batch.seen).z
        order = torch.randperm(n, generator=torch.Generator().manual_seed(mix(seed, _CIRCLE, start)))
        source = torch.empty_like(order)
        source[order] = order.roll(1)
        own, other = (
            model.reconstruction(model.decode(code, context), batch) for code in (z, z[source.to(z.device)])
        )
        gaps.append((own - other).double().cpu())
    if not start:
        raise DataError("there are no items whose codes could be shuffled; name a split that has some")
    if not gaps:
        return []
    value, error = mean_error(torch.cat(gaps))
    note = f"worse by so much with another item's code; below {UNREAD:g} the code is not read"
    return [
        Score(GAP, value, "nats", "higher", sum(map(len, gaps)), split, seed, error, 0.0, "ignored",
              least=LEAST, note=note)
    ]  # fmt: skip


def warning(score: Score) -> str:
    """What the gap has to warn of, in words; empty where all is well."""
    if score.name != GAP or score.value - _SURE * (score.error or 0.0) >= UNREAD:
        return ""
    return (
        f"the decoder ignores its code: items are as probable with another item's ({score.figures}); "
        "train with more --free-bits or a longer --warmup; of texts, more --skip"
    )
