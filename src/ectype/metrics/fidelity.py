"""How near reconstructions are to the originals: MSE, PSNR and SSIM per item, then their mean.

    PSNR = 10 log10(1 / MSE), dB, data range 1
    SSIM = (2 μx μy + C1)(2 σxy + C2) / ((μx² + μy² + C1)(σx² + σy² + C2)),  C1 = 0.01², C2 = 0.03²

SSIM is Wang, Bovik, Sheikh and Simoncelli 2004, "Image quality assessment: from error visibility to
structural similarity", equation 13: Gaussian window 11 × 11, σ = 1.5, only where it fits wholly,
channels apart and then averaged. The floor is the same score for one constant answer, the mean of
the training items. Other numbers get the MSE only, of series over what is known; of tokens it says what share
comes back right, to the end of each text, which share of the items comes back exactly, and of texts the
edit distance per symbol, beside that from another item's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from ectype.errors import DataError
from ectype.kinds import Kind
from ectype.kinds.record import Record
from ectype.kinds.series import Series
from ectype.kinds.text import PADDING
from ectype.metrics import Score, mean_error
from ectype.metrics.likeness import ANOTHER, edits
from ectype.shapes import Tokens

LEAST = 100
"""Items below which the mean over items says little."""
WINDOW = 11
SIGMA = 1.5


def mse(x: Tensor, y: Tensor) -> Tensor:
    """Mean squared error of each item, (B,), for x and y (B, *form), but where x is missing (NaN)."""
    return (x.double() - y.double()).square().flatten(1).nanmean(1)


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each item, (B,) dB, for x and y (B, *form) in [0, 1]."""
    return -10 * torch.log10(mse(x, y))


def window_of(height: int, width: int) -> int:
    """The side of SSIM's window in pixels: 11, or the largest odd number that fits the image."""
    side = min(WINDOW, height, width)
    return side if side % 2 else side - 1


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Structural similarity of each image, (B,), for x and y (B, C, H, W) in [0, 1]."""
    x, y = x.double(), y.double()
    side = window_of(x.shape[2], x.shape[3])
    place = torch.arange(side, dtype=torch.float64) - side // 2
    kernel = torch.exp(-0.5 * (place / SIGMA).square())
    kernel = kernel / kernel.sum()

    def smooth(image: Tensor) -> Tensor:
        flat = image.flatten(0, 1).unsqueeze(1)
        rows = functional.conv2d(flat, kernel.view(1, 1, -1, 1))
        return functional.conv2d(rows, kernel.view(1, 1, 1, -1)).view(*image.shape[:2], -1)

    mean_x, mean_y = smooth(x), smooth(y)
    var_x = smooth(x * x) - mean_x * mean_x
    var_y = smooth(y * y) - mean_y * mean_y
    both = smooth(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    top = (2 * mean_x * mean_y + c1) * (2 * both + c2)
    return (top / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))).flatten(1).mean(1)


def fidelity(
    pairs: Iterable[tuple[Tensor, Tensor]],
    *,
    mean: Tensor | None = None,
    split: str = "test",
    seed: int | None = None,
) -> list[Score]:
    """MSE, and for images PSNR and SSIM, of reconstructions: mean over the items ± standard error.

    Raises DataError when there are no items, or originals and reconstructions differ in form.

    Arguments:
        pairs: batches of originals and their reconstructions, each (B, *form); images (B, C, H, W)
            in [0, 1].
        mean: the mean training item (*form), the answer the floor is made of.
        split: which part of the data the items are.
        seed: of the noise the reconstructions used; None when they used none.
    """
    measured: dict[str, list[Tensor]] = {}
    floors: dict[str, list[Tensor]] = {}
    form: tuple[int, ...] = ()
    for x, y in pairs:
        if x.shape != y.shape:
            raise DataError(f"originals {tuple(x.shape)} and reconstructions {tuple(y.shape)} differ in form")
        if len(x) == 0:
            continue
        form = tuple(x.shape[1:])
        x, y = x.detach().cpu(), y.detach().cpu()
        for name, measure in _measures(form).items():
            measured.setdefault(name, []).append(measure(x, y))
            if mean is not None:
                floors.setdefault(name, []).append(measure(x, mean.detach().cpu().expand_as(x)))
    if not measured:
        raise DataError(f"fidelity needs at least one item, the {split} split has none")
    return [_score(name, measured[name], floors.get(name), form, split, seed=seed) for name in measured]


def fidelity_of(
    kind: Kind,
    pairs: Iterable[tuple[Tensor, Tensor]],
    *,
    mean: Tensor | None = None,
    split: str = "test",
    seed: int | None = None,
) -> list[Score]:
    """The same for items of a kind: of several parts for each part where it is there, of tokens as shares.

    Arguments: as `fidelity`'s; a part of an original that is missing is NaN.
    """
    if isinstance(kind.shape, Tokens):
        return _right(pairs, split=split, seed=seed)
    if isinstance(kind, Series) and kind.varies:  # the number of steps is no number of the series
        pairs = ((x[:, :-1], y[:, :-1]) for x, y in pairs)
        mean = None if mean is None else mean[:-1]
    if not isinstance(kind, Record):
        return fidelity(pairs, mean=mean, split=split, seed=seed)
    held = [(kind.shape.split(x), kind.shape.split(y)) for x, y in pairs]
    middle = None if mean is None else kind.shape.split(mean[None])
    scores = []
    for i, (name, part) in enumerate(kind.parts.items()):
        there = [(x[i], y[i], ~x[i].isnan().reshape(len(x[i]), -1).all(1)) for x, y in held]
        if not any(bool(known.any()) for _, _, known in there):
            continue
        rows = ((x[known], y[known]) for x, y, known in there)
        own = None if middle is None else middle[i][0]
        found = fidelity_of(part, rows, mean=own, split=split, seed=seed)
        scores += [replace(score, name=f"{name} {score.name}") for score in found]
    return scores


def _right(pairs: Iterable[tuple[Tensor, Tensor]], *, split: str, seed: int | None) -> list[Score]:
    """Shares of tokens (B, *size) and of items that come back; of texts as far as the original goes."""
    symbols, whole, distances, strangers = [], [], [], []
    for x, y in pairs:
        x, y = (t.detach().cpu().nan_to_num(PADDING).long().reshape(len(t), -1) for t in (x, y))
        if x.shape[1] > 1:
            distances.append(edits(x, y))
            strangers.append(edits(x, y.roll(1, 0)))
        # what stands after a text's end says nothing; a label has no end
        counted = (x != PADDING) if x.shape[1] > 1 else torch.ones_like(x, dtype=torch.bool)
        right = (x == y) & counted
        symbols.append(right.sum(1).double() / counted.sum(1).clamp(min=1))
        whole.append((right == counted).all(1).double())
    if not sum(map(len, whole)):
        raise DataError(f"fidelity needs at least one item, the {split} split has none")
    scores = []
    for name, values in (("right", symbols), ("exact", whole)):
        share, error = mean_error(torch.cat(values))
        n = sum(map(len, values))
        scores.append(Score(name, share, "", "higher", n, split, seed=seed, error=error, least=LEAST))
    if distances:
        value, error = mean_error(torch.cat(distances))
        floor = float(torch.cat(strangers).mean()) if n > 1 else None
        scores.append(
            Score("edit distance", value, "per symbol", "lower", n, split, seed, error, floor,
                  "" if floor is None else ANOTHER, least=LEAST)
        )  # fmt: skip
    return scores


Measure = Callable[[Tensor, Tensor], Tensor]
_ALL: dict[str, Measure] = {"mse": mse, "psnr": psnr, "ssim": ssim}
_UNITS = {"mse": "", "psnr": "dB", "ssim": ""}


def _measures(form: tuple[int, ...]) -> dict[str, Measure]:
    return _ALL if len(form) == 3 else {"mse": mse}


def _score(
    name: str,
    measured: list[Tensor],
    floors: list[Tensor] | None,
    form: tuple[int, ...],
    split: str,
    *,
    seed: int | None,
) -> Score:
    values = torch.cat(measured)
    value, error = mean_error(values)
    note = ""
    if name == "ssim" and window_of(*form[1:]) < WINDOW:
        side = window_of(*form[1:])
        note = f"window {side}x{side}: the images are smaller than {WINDOW} pixels"
    if name == "psnr" and math.isinf(value):
        note = "at least one reconstruction is exact, so the mean is infinite"
    return Score(
        name,
        value,
        _UNITS[name],
        "lower" if name == "mse" else "higher",
        len(values),
        split,
        seed=seed,
        error=error,
        floor=None if floors is None else float(torch.cat(floors).mean()),
        floor_name="" if floors is None else ("mean image" if len(form) == 3 else "mean item"),
        least=LEAST,
        note=note,
    )
