"""How near several made pictures are to the one true one, on the pixels that were to be made.

    mean_fill_rmse   of the mean of an item's fills: near where the model knows what is probable; blur pays
    best_fill_rmse   of the nearest of them: near where one of the guesses is right
    fills_apart      root mean squared distance between two fills of an item: 0 where all are the same

RMSE = √ mean over items and pixels of the squared difference, x in [0, 1]; its error is that of the mean over
items, carried through the root.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from ectype.errors import DataError
from ectype.metrics import Score, mean_error

LEAST = 50
"""Items below which the mean over items says little."""


def fills(
    truth: Tensor,
    made: Tensor,
    hole: Tensor,
    *,
    plain: Tensor | None = None,
    plain_name: str = "",
    split: str = "test",
    seed: int | None = None,
) -> list[Score]:
    """The scores of fills (D, N, C, H, W) of items whose truth is known (N, C, H, W).

    Arguments:
        hole: (H, W) bool, the pixels that count.
        plain: (N, C, H, W) or (C, H, W), the simple answer the floor is made of.
        plain_name: what that is.
        split: what the items are called.
        seed: of the fills.

    Raises DataError for no items or no hole.
    """
    if not len(truth) or not hole.any():
        raise DataError("fills need at least one item and one pixel to fill")
    truth, made = truth.double()[..., hole], made.double()[..., hole]
    each = (made - truth).square().flatten(2).mean(2)
    floor = None
    if plain is not None:
        floor = math.sqrt(float((plain.double()[..., hole] - truth).square().mean()))
    told: dict[str, Any] = {
        "n": len(truth),
        "split": split,
        "seed": seed,
        "least": LEAST,
        "note": f"{len(made)} fills each",
    }
    mean = (made.mean(0) - truth).square().flatten(1).mean(1)
    found = [Score("mean_fill_rmse", **_root(mean), floor=floor, floor_name=plain_name, **told)]
    if len(made) > 1:
        # the mean over pairs of fills is twice the variance around their mean
        apart = 2 * made.var(0).flatten(1).mean(1)
        found.append(Score("best_fill_rmse", **_root(each.min(0).values), **told))
        found.append(Score("fills_apart", **_root(apart, "neither"), **told))
    return found


def _root(squares: Tensor, better: str = "lower") -> dict[str, Any]:
    """Value, error and direction of the root of the mean of (N,) squared distances."""
    value, error = mean_error(squares)
    root = math.sqrt(value)
    sure = None if error is None or root == 0 else error / (2 * root)
    return {"value": root, "unit": "", "better": better, "error": sure}
