"""How near made items are to real ones as a whole: distances, and who lies among whose neighbours.

    energy      (2 E|x - y| - E|x - x'| - E|y - y'|) / E|x - x'|, see `space`
    frechet     |μ_x - μ_y|² + tr Σ_x + tr Σ_y - 2 Σ_i √λ_i(Σ_x^½ Σ_y Σ_x^½), squared units of x
    precision   share of made items y with |y - x_i| < r_i for some real x_i
    recall      share of real items x with |x - y_j| < s_j for some made y_j
    density     mean over made items of the number of such x_i, divided by k
    coverage    share of real items x_i with |y - x_i| < r_i for some made y

r_i and s_j are the distances to the k-th nearest item of the same set, itself not counted, k = 5.

Error bars are standard errors over another draw of both sets. Of the distances by the bootstrap. The other
four are about neighbours, and an item drawn twice is its own: there it is the spread of what random parts
of both sets give, a share f of each without repetition, times √(f / (1 - f)) (Shao and Wu 1989, "A general
theory for jackknife variance estimation", the delete-d jackknife, equation 2.2). A mean over items with the
balls as they are would say too little.

Fréchet distance of two Gaussians: Dowson and Landau 1982, "The Fréchet distance between multivariate
normal distributions", by symmetric eigenvalues. Precision and recall: Kynkäänniemi, Karras,
Laine, Lehtinen and Aila 2019, "Improved precision and recall metric for assessing generative models",
equations 1 and 2, here with a strict <. Density and coverage: Naeem, Oh, Uh, Choi and Yoo 2020, "Reliable
fidelity and diversity metrics for generative models", section 3. All in the `Space` of the
training items: it is no network's, so none of these numbers is the FID of a paper. Each stands beside
what as many real items get.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ectype.errors import DataError
from ectype.metrics import REAL, Score
from ectype.metrics.space import Space
from ectype.noise import mix
from ectype.shapes import Shape

K = 5
LEAST = 100
"""Items below which none of these numbers should be trusted."""
AXES_OF = 5000
"""Training items that are enough for the space's axes."""
_ROWS = 500  # of a matrix of distances at a time
_PART = 500  # items of a random part at most, so that the error bar costs less than the score
_REDRAWN = 40  # bootstrap samples: the error bar is then known to a tenth


def generation(
    shape: Shape,
    made: Tensor,
    real: Tensor,
    train: Tensor | None = None,
    *,
    split: str = "test",
    seed: int = 0,
) -> list[Score]:
    """Energy and Fréchet distance, precision, recall, density and coverage of made items.

    What needs more items than there are is left out: `gap` says why. Raises DataError where made items
    are not finite.

    Arguments:
        shape: of the items.
        made: (N, *form) made items.
        real: (M, *form) real items of the split.
        train: (T, *form) training items that are not among `real`, in any order; they give the axes, and
            the first N of them are what real items get. None: the axes are those of `real`.
        split: which part of the data the real items are.
        seed: of what was made, and of the bootstrap.
    """
    broken = int((~made.float().isfinite().flatten(1).all(1)).sum())
    if broken:
        raise DataError(f"{broken:,} of {len(made):,} made items are not finite; train again")
    space = Space(shape, real if train is None else train[:AXES_OF])
    x, y = space(real), space(made)
    others = space(train[: len(y)]) if train is not None and len(train) >= len(y) else None
    n, d = min(len(x), len(y)), x.shape[1]
    rows: list[Score] = []

    def add(name: str, value: float, error: float | None, floor: float | None, least: int, note: str) -> None:
        better: Literal["higher", "lower"] = "lower" if name in ("energy", "frechet") else "higher"
        known = REAL if floor is not None else ""
        rows.append(
            Score(name, value, "", better, n, split, seed, error, floor, known, least=least, note=note)
        )

    where = f"in {d} principal axes of the training items"
    measures: dict[str, tuple[Callable[..., tuple[float, float | None]], int]]
    measures = {"energy": (_energy, LEAST), "frechet": (_frechet, max(LEAST, 2 * d))}
    if n > 1:
        for name, (measure, least) in measures.items():
            floor = None if others is None else measure(x, others, seed, 0)[0]
            add(name, *measure(x, y, seed, _REDRAWN), floor, least, where)
    if n > K:
        found, errors = neighbours(x, y).means, _neighbours_error(x, y, seed)
        best = {} if others is None else neighbours(x, others).means
        for name, value in found.items():
            add(name, value, errors.get(name), best.get(name), LEAST, f"k={K}, {where}")
    return rows


def gap(made: int, real: int) -> str:
    """Why so many made and real items cannot be compared, in one sentence; empty when they can."""
    if min(made, real) > K:
        return ""
    return (
        f"too few items for precision, recall, density and coverage: {K + 1} made and {K + 1} real ones are "
        f"needed, there are {made} and {real}"
    )


def frechet(x: Tensor, y: Tensor) -> float:
    """Fréchet distance of the Gaussians with the moments of (N, d) and (M, d), squared units of x.

    NaN where one of them is a single item, which has no covariance.
    """
    x, y = x.double(), y.double()
    if min(len(x), len(y)) < 2:
        return math.nan
    between = (x.mean(0) - y.mean(0)).square().sum()
    first, second = (torch.atleast_2d(torch.cov(a.T)) for a in (x, y))
    values, vectors = torch.linalg.eigh(first)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    # of a matrix that is symmetric but for rounding, and so are its eigenvalues not negative but for rounding
    product = root @ second @ root
    across = torch.linalg.eigvalsh((product + product.T) / 2).clamp(min=0).sqrt().sum()
    return float((between + first.trace() + second.trace() - 2 * across).clamp(min=0))


@dataclass(frozen=True)
class Neighbours:
    """Who lies among whose neighbours; the means are the scores.

    Arguments:
        precision: (N,) whether each made item lies in the ball of a real one.
        recall: (M,) whether each real item lies in the ball of a made one.
        density: (N,) real balls each made item lies in, divided by k.
        coverage: (M,) whether the ball of each real item holds a made one.
    """

    precision: Tensor
    recall: Tensor
    density: Tensor
    coverage: Tensor

    @property
    def means(self) -> dict[str, float]:
        """The four scores by name."""
        return {name: float(values.mean()) for name, values in vars(self).items()}


def neighbours(x: Tensor, y: Tensor, k: int = K) -> Neighbours:
    """Neighbourhoods of real items x (M, d) and made ones y (N, d); both need more than k items."""
    around_x, around_y = _radii(x, k), _radii(y, k)
    inside = torch.zeros(len(y))
    recalled, covered = [], []
    for at in range(0, len(x), _ROWS):
        apart = _distances(x[at : at + _ROWS], y)
        held = apart < around_x[at : at + _ROWS].unsqueeze(1)
        inside += held.sum(0)
        covered.append(held.any(1))
        recalled.append((apart < around_y).any(1))
    return Neighbours(
        (inside > 0).float(), torch.cat(recalled).float(), inside / k, torch.cat(covered).float()
    )


def _neighbours_error(x: Tensor, y: Tensor, seed: int) -> dict[str, float]:
    """Standard errors of the four scores over items (M, d) and (N, d); empty where there are too few."""
    stream = torch.Generator().manual_seed(mix(seed, 4))
    share = min(0.5, _PART / max(len(x), len(y)))
    if share * min(len(x), len(y)) <= K + 1:
        return {}
    found = []
    for _ in range(_REDRAWN):
        one, two = (a[torch.randperm(len(a), generator=stream)[: round(share * len(a))]] for a in (x, y))
        found.append(list(neighbours(one, two).means.values()))
    spread = torch.tensor(found, dtype=torch.float64).std(0) * math.sqrt(share / (1 - share))
    return dict(zip(Neighbours.__dataclass_fields__, spread.tolist(), strict=True))


def _radii(x: Tensor, k: int) -> Tensor:
    """(N,) distance of each item of (N, d) to the k-th nearest other one."""
    found = [
        _distances(rows, x).kthvalue(k + 1, dim=1).values for rows in x.split(_ROWS)
    ]  # k + 1: the nearest is the item itself
    return torch.cat(found)


def _distances(x: Tensor, y: Tensor) -> Tensor:
    """(N, M), not by way of products: those make equal items a little different, and a strict < sees it."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")


def _frechet(x: Tensor, y: Tensor, seed: int, redrawn: int) -> tuple[float, float | None]:
    """Fréchet distance and its bootstrap standard error over the items."""
    stream = torch.Generator().manual_seed(mix(seed, 3))
    found = []
    for _ in range(redrawn):
        one, two = (a[torch.randint(len(a), (len(a),), generator=stream)] for a in (x, y))
        found.append(frechet(one, two))
    return frechet(x, y), _spread(found)


def _energy(x: Tensor, y: Tensor, seed: int, redrawn: int) -> tuple[float, float | None]:
    """Energy distance as `space.energy` has it, and its bootstrap standard error over the items.

    A bootstrap sample is a weight per item, so the distances are computed once for all of them.
    """
    stream = torch.Generator().manual_seed(mix(seed, 2))

    def weights(n: int) -> Tensor:
        drawn = torch.randint(n, (redrawn, n), generator=stream)
        counted = torch.zeros(redrawn, n).scatter_add_(1, drawn, torch.ones(redrawn, n))
        return torch.cat([torch.ones(1, n), counted]) / n

    wx, wy = weights(len(x)), weights(len(y))
    within = _mean_distance(x, x, wx, wx)
    each = 2 * _mean_distance(x, y, wx, wy) - within - _mean_distance(y, y, wy, wy)
    found = each / within.clamp(min=1e-12)
    return float(found[0]), _spread(found[1:].tolist())


def _mean_distance(x: Tensor, y: Tensor, wx: Tensor, wy: Tensor) -> Tensor:
    """(R,) mean distance under each row of weights (R, N), (R, M); of two different items where x is y."""
    total = torch.zeros(len(wx), dtype=torch.float64)
    for at in range(0, len(x), _ROWS):
        rows = slice(at, at + _ROWS)
        total += ((wx[:, rows] @ torch.cdist(x[rows], y)) * wy).double().sum(1)
    return total if x is not y else total / (1 - wx.double().square().sum(1)).clamp(min=1e-12)


def _spread(found: list[float]) -> float | None:
    """Standard deviation of bootstrap values; None where there are too few."""
    return float(torch.tensor(found, dtype=torch.float64).std()) if len(found) > 1 else None
