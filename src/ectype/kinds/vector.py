"""Rows of numbers, such as points of a plane, codes or measurements.

    stored (D,) float32  --(value - mean) / std-->  x

Mean and standard deviation are those of the train split; a column that never changes has std 1.
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
from ectype.shapes import Row


@final
class Vector(Kind):
    """Rows of D numbers, standardised for the model.

    Arguments:
        mean: of each column, in the data's units.
        std: standard deviation of each column, in the data's units.
    """

    name = "vector"

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean = tuple(float(v) for v in mean)
        self.std = tuple(float(v) for v in std)
        if not self.mean or len(self.mean) != len(self.std):
            raise DataError(f"{len(self.mean)} means and {len(self.std)} deviations: one of each per column")
        if not np.isfinite(self.mean).all() or not np.isfinite(self.std).all() or min(self.std) <= 0:
            raise DataError("means and deviations are finite, and deviations above 0")

    @classmethod
    def fit(cls, rows: Array) -> Self:
        """Mean and deviation of rows (N, D)."""
        rows = rows.astype(np.float64)
        std = rows.std(0)
        # a column of one value has a deviation of rounding errors, not of exactly 0
        std = np.where(std > 1e-9 * np.maximum(1, np.abs(rows).max(0)), std, 1.0)
        return cls(rows.mean(0).tolist(), std.tolist())

    @property
    def shape(self) -> Row:
        return Row((1,) * len(self.mean))

    @property
    def network(self) -> str:
        return "mlp"

    @property
    def likelihood(self) -> str:
        return "normal"

    def pack(self, item: Any) -> Array:
        """D finite numbers (one alone where D is 1, or typed with commas between them) as float32 (D,)."""
        numbers = item.replace(",", " ").split() if isinstance(item, str) else item
        try:
            row = np.asarray(numbers, np.float32).reshape(-1)
        except (TypeError, ValueError):
            wanted = "a number" if len(self.mean) == 1 else f"a row of {len(self.mean)} numbers"
            raise DataError(f"{item!r} is not {wanted}") from None
        if len(row) != len(self.mean):
            raise DataError(f"a row of {len(row)} numbers, where the kind has {len(self.mean)}")
        if not np.isfinite(row).all():
            raise DataError("a row with numbers that are missing or infinite")
        return row

    def unpack(self, array: Array) -> Array:
        return np.asarray(array, np.float32)

    def tensor(self, stored: Tensor, noise: Noise = None) -> Tensor:
        """Rows (B, D) in the data's units to standardised x (B, D)."""
        return (stored.to(torch.float32) - stored.new_tensor(self.mean)) / stored.new_tensor(self.std)

    def stored(self, x: Tensor) -> Array:
        rows: Array = x.detach().float().cpu().numpy() * np.asarray(self.std) + np.asarray(self.mean)
        return rows.astype(np.float32)

    def write(self, items: Sequence[Any], folder: Path) -> list[Path]:
        """Write rows.csv, one row per line."""
        path = Path(folder) / "rows.csv"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w", encoding="utf-8") as file:
                for item in items:
                    file.write(",".join(f"{v:.9g}" for v in item) + "\n")
        except OSError as error:
            raise OutputError(f"{path}: cannot be written ({error}); choose another folder") from None
        return [path]

    def sheet(self, items: Sequence[Any], columns: int = 8) -> Pillow.Image:
        """Two columns: a scatter plot; else one line per row over the columns, in deviations."""
        page = Pillow.new("RGB", (400, 400), "white")
        draw = ImageDraw.Draw(page)
        draw.rectangle((0, 0, 399, 399), outline="grey")
        if not len(items):
            return page
        rows = (np.asarray(items, np.float64).reshape(len(items), -1) - self.mean) / self.std
        rows = np.clip(rows, -3, 3)
        if rows.shape[1] == 2:
            for x, y in 200 + rows * (62, -62):
                draw.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill=(40, 90, 160))
            return page
        across = np.linspace(10, 390, rows.shape[1]) if rows.shape[1] > 1 else np.array([10.0, 390.0])
        for row in 200 - rows * 62:
            points = row if len(row) > 1 else np.repeat(row, 2)
            draw.line(list(zip(across.tolist(), points.tolist(), strict=True)), fill=(40, 90, 160))
        return page

    def state(self) -> dict[str, Any]:
        return {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Self:
        try:
            return cls(state["mean"], state["std"])
        except (KeyError, TypeError, ValueError, DataError) as error:
            raise ModelFileError(f"the model file describes no vector kind ({error}): damaged") from None
