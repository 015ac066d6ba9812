"""Time series: one or more numbers at each step, of one length or of many, with gaps.

    raw (T, C) in the data's units, NaN: missing  --pack-->  (C, T) float32  --(v - mean) / std-->  x

Mean and standard deviation are those of each feature in the train split. What is missing, and what lies
after the end of a shorter series, is not seen: it is in no loss and no encoder. Where lengths differ a
series is two things at once, its numbers and how many steps it has, so that a model says its length too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, final

import numpy as np
import torch
from PIL import Image as Pillow
from PIL import ImageDraw
from torch import Tensor

from ectype.errors import DataError, ModelFileError, OutputError
from ectype.kinds import Array, Kind
from ectype.noise import Noise
from ectype.shapes import Joint, Tokens
from ectype.shapes import Series as Form

_WIDE, _HIGH, _GAP = 132, 84, 6
_INKS = ((40, 90, 160), (214, 90, 40), (50, 140, 80), (150, 70, 170), (120, 110, 40), (90, 90, 90))
_DEVIATIONS = 3.0
_SHORT = 1024  # numbers of a series that full connections pay for


@final
class Series(Kind):
    """Series of C features and at most T steps.

    Arguments:
        mean: of each feature, in the data's units.
        std: standard deviation of each feature, in the data's units.
        length: T.
        names: of the features.
        varies: whether items differ in length.
    """

    name = "series"

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        length: int,
        *,
        names: Sequence[str] = (),
        varies: bool = False,
    ) -> None:
        self.mean, self.std = tuple(map(float, mean)), tuple(map(float, std))
        self.length = int(length)
        self.names = tuple(map(str, names)) or tuple(f"feature {i}" for i in range(len(self.mean)))
        self.varies = bool(varies)
        if not self.mean or not len(self.mean) == len(self.std) == len(self.names):
            raise DataError(
                f"{len(self.mean)} means, {len(self.std)} deviations and {len(self.names)} names: one of "
                "each per feature"
            )
        if not np.isfinite([*self.mean, *self.std]).all() or min(self.std) <= 0:
            raise DataError("means and deviations are finite, and deviations above 0")
        if not 1 <= self.length <= 1 << 20:
            raise DataError(f"a series has from 1 to {1 << 20:,} steps, not {self.length}")

    @classmethod
    def fit(cls, values: Array, names: Sequence[str] = (), *, varies: bool = False) -> Self:
        """Mean and deviation of what is seen in series (N, C, T); NaN is missing."""
        rows = values.astype(np.float64).transpose(1, 0, 2).reshape(values.shape[1], -1)
        unknown = np.flatnonzero(np.isnan(rows).all(1))
        if len(unknown):
            which = f"'{names[unknown[0]]}'" if len(names) else f"feature {unknown[0]}"
            raise DataError(f"{which} holds no number in the series to learn from: leave it out")
        std = np.nanstd(rows, 1)
        std = np.where(std > 1e-9 * np.maximum(1, np.nanmax(np.abs(rows), 1)), std, 1.0)
        return cls(np.nanmean(rows, 1).tolist(), std.tolist(), values.shape[2], names=names, varies=varies)

    @property
    def features(self) -> int:
        """C."""
        return len(self.mean)

    @property
    def numbers(self) -> Form:
        """The form of the numbers alone."""
        return Form(self.features, self.length)

    @property
    def shape(self) -> Form | Joint:
        return Joint((self.numbers, Tokens(self.length + 1))) if self.varies else self.numbers

    @property
    def network(self) -> str:
        # a short series is learned sooner by layers that see all of it at once
        return "joint" if self.varies else "mlp" if self.numbers.sites <= _SHORT else "sequence"

    @property
    def network_options(self) -> dict[str, object]:
        return {"networks": ("sequence", "mlp")} if self.varies else {}

    @property
    def likelihood(self) -> str:
        return "product" if self.varies else "normal"

    @property
    def likelihood_options(self) -> dict[str, object]:
        return {"factors": (("normal", {}), ("categorical", {}))} if self.varies else {}

    def pack(self, item: Any) -> Array:
        """Numbers (T, C), or (T,) where there is one feature, as float32 (C, T); NaN and None are missing.

        Raises DataError where they are too many, too few of equal length, infinite, or none at all.
        """
        try:
            rows = np.asarray(item, np.float32)
        except (TypeError, ValueError):
            raise DataError(f"no series of {self.features} numbers a step: {str(item)[:80]}") from None
        rows = rows[:, None] if rows.ndim == 1 else rows
        if rows.ndim != 2 or rows.shape[1] != self.features:
            raise DataError(f"a series of form {rows.shape}, where (steps, {self.features}) is needed")
        if np.isinf(rows).any():
            raise DataError("a series with infinite numbers")
        if np.isnan(rows).all():
            raise DataError("a series without any number")
        steps = len(rows)
        if steps > self.length or (steps < self.length and not self.varies):
            at_most = "at most " if self.varies else ""
            raise DataError(f"a series of {steps} steps, where the kind has {at_most}{self.length}")
        out = np.full((self.features, self.length), np.nan, np.float32)
        out[:, :steps] = rows.T
        return out

    def unpack(self, array: Array) -> Array:
        """(C, T) as numbers (steps, C) in the data's units, without what lies after the end."""
        rows = np.asarray(array, np.float32).T
        return rows[: int(self.steps(torch.from_numpy(rows.T[None]))[0])]

    def steps(self, stored: Tensor) -> Tensor:
        """(N,) steps of stored arrays (N, C, T): T, or where lengths vary up to the last that is known."""
        at = torch.arange(1, self.length + 1, device=stored.device)
        last: Tensor = (at * ~stored.isnan().all(1)).amax(1)
        return last if self.varies else torch.full_like(last, self.length)

    def lasting(self, x: Tensor, steps: Tensor) -> Tensor:
        """x (B, *form) with so many steps (B,), where lengths vary, in place of those it says itself."""
        return torch.cat([x[:, :-1], steps.to(x).unsqueeze(1)], 1) if self.varies else x

    def tensor(self, stored: Tensor, noise: Noise = None) -> Tensor:
        """(B, C, T) in the data's units to standardised x (B, C, T), 0 where nothing is known.

        Where lengths vary, one row (B, C · T + 1) that ends with the number of steps.
        """
        mean, std = (stored.new_tensor(v, dtype=torch.float32).view(-1, 1) for v in (self.mean, self.std))
        x = ((stored.to(torch.float32) - mean) / std).nan_to_num(0.0)
        if not self.varies:
            return x
        return torch.cat([x.flatten(1), self.steps(stored).to(x).unsqueeze(1)], 1)

    def seen(self, stored: Tensor) -> Tensor | None:
        known = ~stored.isnan()
        if self.varies:
            return torch.cat([known.flatten(1), known.new_ones(len(known), 1)], 1)
        return None if bool(known.all()) else known

    def stored(self, x: Tensor) -> Array:
        x = x.detach().float().cpu()
        rest = x[:, self.features * self.length :]
        rows = x[:, : self.features * self.length] if self.varies else x
        values: Array = rows.reshape(len(x), self.features, self.length).numpy()
        values = values * np.asarray(self.std)[:, None] + np.asarray(self.mean)[:, None]
        if self.varies:
            steps = rest.nan_to_num(float(self.length)).round().numpy()
            values = np.where(np.arange(self.length) < steps[:, :, None], values, np.nan)
        return values.astype(np.float32)

    def write(self, items: Sequence[Any], folder: Path) -> list[Path]:
        """Write a table for each item: a header, then one row per step; a gap is an empty cell."""
        paths = []
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            for i, item in enumerate(items):
                path = Path(folder) / f"{i:04d}.csv"
                lines = [",".join("" if np.isnan(v) else f"{v:.9g}" for v in row) for row in item]
                header = ",".join(f'"{n}"' if "," in n else n for n in self.names)
                path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
                paths.append(path)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be written ({error}); choose another folder") from None
        return paths

    def sheet(self, items: Sequence[Any], columns: int = 8) -> Pillow.Image:
        """Each item as one line per feature, in deviations from its mean, over the steps."""
        columns = max(1, min(columns, len(items)))
        rows = max(1, -(-len(items) // columns))
        page = Pillow.new("RGB", (columns * (_WIDE + _GAP), rows * (_HIGH + _GAP)), "white")
        draw = ImageDraw.Draw(page)
        for i, item in enumerate(items):
            left, top = i % columns * (_WIDE + _GAP), i // columns * (_HIGH + _GAP)
            draw.rectangle((left, top, left + _WIDE, top + _HIGH), outline=(210, 210, 210))
            values = (np.asarray(item, np.float64).reshape(-1, self.features) - self.mean) / self.std
            across = left + np.linspace(2, _WIDE - 2, max(2, self.length))
            down = top + _HIGH / 2 * (1 - np.clip(values, -_DEVIATIONS, _DEVIATIONS) / _DEVIATIONS * 0.94)
            for c in range(self.features):
                _line(draw, across, down[:, c], _INKS[c % len(_INKS)])
        return page

    def state(self) -> dict[str, Any]:
        return {
            "mean": list(self.mean),
            "std": list(self.std),
            "length": self.length,
            "names": list(self.names),
            "varies": self.varies,
        }

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Self:
        try:
            return cls(
                state["mean"],
                state["std"],
                state["length"],
                names=state["names"],
                varies=state["varies"],
            )
        except (KeyError, TypeError, ValueError, DataError) as error:
            raise ModelFileError(f"the model file describes no series kind ({error}): damaged") from None


def _line(draw: ImageDraw.ImageDraw, across: Array, down: Array, ink: tuple[int, int, int]) -> None:
    """One feature; a gap parts the line, and a number between two gaps is a dot."""
    points = [(float(x), float(y)) for x, y in zip(across, down, strict=False)]
    for i, (x, y) in enumerate(points):
        if np.isnan(y):
            continue
        if i + 1 < len(points) and not np.isnan(points[i + 1][1]):
            draw.line((x, y, *points[i + 1]), fill=ink)
        else:
            draw.point((x, y), fill=ink)
