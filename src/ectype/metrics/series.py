"""Whether made series move as real ones do: in time, and one feature with another.

    autocorrelation    mean over features c and lags k of |r(x_c(t), x_c(t + k)) of made - of real series|
    cross-correlation  mean over pairs of features of |r(x_c(t), x_d(t)) of made - of real series|

r is Pearson's correlation over all items and steps at which both numbers are known, 0 where one of them
never changes. Autocorrelation as a score of made series: Wiese, Knobloch, Korn and Kretschmer 2020, "Quant
GANs: deep generation of financial time series"; cross-correlation: Ni, Szpruch, Wiese, Liao and Xiao 2020,
"Conditional Sig-Wasserstein GANs for time series generation". Both are 0 only where the correlations are the
same, and a little above for two samples of one distribution: the floor says how much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ectype.errors import DataError
from ectype.metrics import REAL, Score
from ectype.noise import mix

LEAST = 100
"""Items below which neither should be trusted."""
_LAGS = 24
_PAIRS = 500  # of features at most, at even distances
_REDRAWN = 40


def series(
    made: Tensor, real: Tensor, others: Tensor | None = None, *, split: str = "test", seed: int = 0
) -> list[Score]:
    """The distances of autocorrelation and, with two features or more, of cross-correlation.

    Arguments:
        made: (N, C, T) made series; NaN where they have ended.
        real: (M, C, T) real ones of the split; NaN is missing.
        others: (N, C, T) further real ones: what real items get. None: no floor.
        split: which part of the data `real` is.
        seed: of what was made and of the bootstrap.

    Raises DataError where the forms differ or a number is infinite.
    """
    check(made, real, others)
    return [
        *_score("autocorrelation", _steps, made, real, others, (split, seed)),
        *_score("cross-correlation", _features, made, real, others, (split, seed)),
    ]


def check(made: Tensor, real: Tensor, others: Tensor | None = None) -> None:
    """Refuse series that cannot be compared; DataError says why."""
    for name, x in (("made", made), ("real", real), ("further real", others)):
        if x is None:
            continue
        if x.dim() != 3 or x.shape[1:] != real.shape[1:] or not len(x):
            forms = f"{tuple(x.shape)} and real ones {tuple(real.shape)}"
            raise DataError(
                f"{name} series have the form {forms}: (N, C, T) with the same C and T are compared"
            )
        if bool(x.isinf().any()):
            raise DataError(f"{name} series have infinite numbers; train again, or leave them out")


Pairs = Callable[[Tensor], Iterator[tuple[Tensor, Tensor]]]
"""Series (N, C, T) to the pairs of numbers that are correlated, two times (N, L) each."""


def _score(
    name: str, pairs: Pairs, made: Tensor, real: Tensor, others: Tensor | None, told: tuple[str, int]
) -> list[Score]:
    """The score of one sort of pairs; none where there are no pairs."""
    split, seed = told
    middle, spread = _scale(real)
    sums = [_sums(pairs, (x.double() - middle) / spread) for x in (made, real)]
    if not sums[0].shape[1]:
        return []
    stream = torch.Generator().manual_seed(mix(seed, 41))
    one, two = (_correlations(s, stream) for s in sums)
    apart = (one - two).abs().mean(1)
    floor = None
    if others is not None:
        rivals = _correlations(_sums(pairs, (others.double() - middle) / spread), stream)
        floor = float((rivals[0] - two[0]).abs().mean())
    note = f"mean over {sums[0].shape[1]:,} correlations; windows that overlap make the error too small"
    return [
        Score(
            name, float(apart[0]), "", "lower", min(len(made), len(real)), split, seed,
            error=float(apart[1:].std()), floor=floor, floor_name="" if floor is None else REAL,
            least=LEAST, note=note,
        )
    ]  # fmt: skip


def _scale(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each feature (1, C, 1); correlations of large numbers would lose all digits."""
    x = x.double()
    middle = x.nanmean((0, 2), keepdim=True).nan_to_num(0.0)
    spread = (x - middle).square().nanmean((0, 2), keepdim=True).sqrt().nan_to_num(0.0)
    return middle, torch.where(spread > 0, spread, torch.ones_like(spread))


def _steps(x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Each feature with itself k steps later, up to 24 and half of the steps."""
    for k in range(1, min(_LAGS, x.shape[2] // 2) + 1):
        for c in range(x.shape[1]):
            yield x[:, c, :-k], x[:, c, k:]


def _features(x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Each feature with each other one at the same step; of very many pairs some."""
    first, second = torch.triu_indices(x.shape[1], x.shape[1], 1)
    each = max(1, -(-len(first) // _PAIRS))
    for c, d in zip(first[::each].tolist(), second[::each].tolist(), strict=True):
        yield x[:, c], x[:, d]


def _sums(pairs: Pairs, x: Tensor) -> Tensor:
    """(N, P, 6) of each item and pair (a, b): how many are known, and the sums of a, b, ab, a², b²."""
    found = []
    for a, b in pairs(x):
        known = ~(a.isnan() | b.isnan())
        a, b = (torch.where(known, v, 0.0) for v in (a, b))
        terms = (known.to(a), a, b, a * b, a * a, b * b)
        found.append(torch.stack([term.sum(1) for term in terms], 1))
    return torch.stack(found, 1) if found else x.new_zeros(len(x), 0, 6)


def _correlations(sums: Tensor, stream: torch.Generator) -> Tensor:
    """(1 + redrawn, P): of all items, then of items drawn with repetition."""
    n = len(sums)
    drawn = torch.randint(n, (_REDRAWN, n), generator=stream)
    weights = torch.cat(
        [torch.ones(1, n), torch.zeros(_REDRAWN, n).scatter_add_(1, drawn, torch.ones(_REDRAWN, n))]
    )
    total = torch.einsum("rn,nps->rps", weights.double(), sums)
    count = total[..., :1].clamp(min=1)
    a, b, ab, aa, bb = (total[..., 1:] / count).unbind(2)
    square = (aa - a * a) * (bb - b * b)
    # the deviation is 1 for all but a constant feature, so this is far below anything that moves
    moves = square > 1e-18
    return torch.where(moves, (ab - a * b) / torch.where(moves, square, 1.0).sqrt(), 0.0)
