"""How various items made under one condition are, beside real items that share it.

    diversity = mean distance of two different made items of one condition / the same of real items

Both means are over all pairs of a group, weighted by the items of the group; groups are items with one and
the same condition, for a single number those within a tenth of the items. Distances are those of
`space.Space`. 1 is as various as the data, 0 one item per condition; the error bar is that of a ratio of two
means of pairs (Hoeffding 1948, "A class of statistics with asymptotically normal distribution", section 5).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ectype.metrics import Score
from ectype.metrics.space import Space

LEAST = 100
"""Items below which it should not be trusted."""
DIVERSITY = "diversity"
_TENTHS = 10
_GROUP = 500  # items of a group that are enough


def grouped(values: Tensor, known: Tensor) -> Tensor:
    """(N,) the group of each item by its condition (N, *form), -1 for those without one."""
    flat = values.flatten(1) if values.dim() > 1 else values.unsqueeze(1)
    groups = torch.full((len(flat),), -1)
    if not bool(known.any()):
        return groups
    found = flat[known]
    _, places = torch.unique(found, dim=0, return_inverse=True)
    if found.shape[1] == 1 and found.is_floating_point() and int(places.max()) >= _TENTHS:
        ranks = torch.empty(len(found), dtype=torch.int64)
        ranks[found[:, 0].argsort(stable=True)] = torch.arange(len(found))
        places = ranks * _TENTHS // len(found)
    groups[known] = places
    return groups


def diversity(
    name: str, space: Space, made: Tensor, real: Tensor, groups: Tensor, *, split: str, seed: int
) -> list[Score]:
    """The ratio for one condition; nothing where fewer than half of the items share theirs with another.

    Arguments:
        name: of the condition.
        space: where distances are taken.
        made: (N, *form) items, the i-th made under the condition of the i-th real one.
        real: (N, *form).
        groups: (N,) as `grouped` has them.
        split: which part of the data the real items are.
        seed: of what was made.
    """
    sizes = groups[groups >= 0].bincount()
    if int(sizes[sizes > 1].sum()) < max(2, len(groups[groups >= 0]) / 2):
        return []
    (top, above), (bottom, below) = (_within(space(x), groups) for x in (made, real))
    if not bottom > 0:
        return []
    value = top / bottom
    error = math.sqrt(above / bottom**2 + value**2 * below / bottom**2)
    n, count = int((groups >= 0).sum()), int((sizes > 1).sum())
    note = f"within {count:,} values of it; 1 is as various as real items"
    called = f"{DIVERSITY}: {name}"
    return [Score(called, value, "", "neither", n, split, seed, error=error, least=LEAST, note=note)]


def _within(x: Tensor, groups: Tensor) -> tuple[float, float]:
    """Mean distance of two different items (N, d) of one group, and the variance of that mean."""
    total, spread, n = 0.0, 0.0, 0
    for group in groups[groups >= 0].unique().tolist():
        own = x[groups == group][:_GROUP]
        if len(own) < 2:
            continue
        each = torch.cdist(own, own).double().sum(1) / (len(own) - 1)
        total += float(each.sum())
        spread += 4 * float(each.var()) * len(own)
        n += len(own)
    return total / max(n, 1), spread / max(n, 1) ** 2
