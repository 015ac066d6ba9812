"""Several things at once that are made together, such as a picture and its caption.

    {"image": picture, "caption": "a cat"}  --pack-->  bytes of each part, then one byte per part: is it there
    x = part after part in one row, floats; token numbers as floats are exact up to 2^24

A part may be missing: then its values are not seen, and what is said of the item is said of the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self, final

import numpy as np
import torch
from PIL import Image as Pillow
from torch import Tensor

from ectype.errors import DataError, EctypeError, ModelFileError, OutputError, did_you_mean
from ectype.kinds import Array, Kind, restored, state_of
from ectype.kinds.lettering import WIDTH
from ectype.noise import Noise
from ectype.shapes import Joint, Tokens

_GAP = 4


@final
class Record(Kind):
    """Named parts of different kinds, any of which may be missing from an item.

    Arguments:
        parts: their kinds by name, in their order; none is a record itself. Each name may be a folder's.
    """

    name = "record"

    def __init__(self, parts: Mapping[str, Kind]) -> None:
        self.parts = dict(parts)
        if len(self.parts) < 2:
            raise DataError(f"a record has two parts or more, not {list(self.parts)}")
        for name, kind in self.parts.items():
            if isinstance(kind, Record):
                raise DataError(f"the part '{name}' is a record itself: give its parts one by one")
            if name in ("", ".", "..") or set(name) & set("/\\\0") or len(name.encode()) > 200:
                raise DataError(f"a part cannot be called {name[:40]!r}: its folder is called so too")

    @property
    def shape(self) -> Joint:
        # a record holds no record, so that none of these is a Joint
        return Joint(tuple(kind.shape for kind in self.parts.values()))  # type: ignore[misc]

    @property
    def network(self) -> str:
        return "joint"

    @property
    def network_options(self) -> dict[str, object]:
        return {"networks": tuple(kind.network for kind in self.parts.values())}

    @property
    def likelihood(self) -> str:
        return "product"

    @property
    def likelihood_options(self) -> dict[str, object]:
        kinds = self.parts.values()
        return {"factors": tuple((kind.likelihood, kind.likelihood_options) for kind in kinds)}

    @property
    def random(self) -> bool:
        return any(kind.random for kind in self.parts.values())

    @cached_property
    def _blanks(self) -> list[Array]:
        """Each part's stored array of a tensor of zeros, for its form and dtype."""
        return [kind.stored(torch.zeros(1, *kind.shape.form))[0] for kind in self.parts.values()]

    def pack(self, item: Any) -> Array:
        """A mapping of parts' names to raw items as uint8 (bytes,); a part that is None or absent is missing.

        Raises DataError where no part is there, for a name there is not, and where a part does not fit.
        """
        if not isinstance(item, Mapping):
            raise DataError(f"{item!r} is no record, such as {{'{next(iter(self.parts))}': …}}")
        for name in item:
            if name not in self.parts:
                raise DataError(f"there is no part '{name}'{did_you_mean(str(name), self.parts)}")
        there = [item.get(name) is not None for name in self.parts]
        if not any(there):
            raise DataError(f"a record without any part; give at least one of {', '.join(self.parts)}")
        pieces = []
        for (name, kind), blank, known in zip(self.parts.items(), self._blanks, there, strict=True):
            array = np.asarray(kind.pack(item[name]) if known else np.zeros_like(blank))
            pieces.append(np.ascontiguousarray(array, blank.dtype).reshape(-1).view(np.uint8))
        return np.concatenate([*pieces, np.asarray(there, np.uint8)])

    def unpack(self, array: Array) -> dict[str, Any]:
        """The parts that are there, by name."""
        row = np.asarray(array)
        return {
            name: kind.unpack(piece[0])
            for (name, kind), piece, known in zip(
                self.parts.items(), self.pieces(row[None]), row[-len(self.parts) :], strict=True
            )
            if known
        }

    def pieces(self, stored: Array, first: int = 0) -> list[Array]:
        """Stored records (B, bytes) as each part's stored arrays (B, *stored form).

        Arguments:
            stored: the bytes of the parts from number `first` on.
            first: the part that they begin with.
        """
        pieces, at = [], 0
        for blank in self._blanks[first:]:
            # a copy, so that it is aligned, also of one item, whose slice counts as contiguous
            piece = stored[:, at : at + blank.nbytes].copy()
            pieces.append(piece.view(blank.dtype).reshape(len(stored), *blank.shape))
            at += blank.nbytes
        return pieces

    def tensor(self, stored: Tensor, noise: Noise = None) -> Tensor:
        """Records (B, bytes) to float32 x (B, values); of a missing part stands what zeros stand for."""
        pieces = self.pieces(stored.cpu().numpy())
        rows = [
            kind.tensor(torch.from_numpy(piece).to(stored.device), noise).reshape(len(stored), -1).float()
            for kind, piece in zip(self.parts.values(), pieces, strict=True)
        ]
        return torch.cat(rows, 1)

    def seen(self, stored: Tensor) -> Tensor:
        there = stored[:, -len(self.parts) :] > 0
        pieces = zip(self.parts.values(), self.pieces(stored.cpu().numpy()), strict=True)
        own = [kind.seen(torch.from_numpy(piece)) for kind, piece in pieces]
        if all(one is None for one in own):
            return self.values_of(there)
        rows = [
            there[:, i : i + 1].expand(-1, kind.shape.sites)
            if (one := own[i]) is None
            else one.reshape(len(stored), -1).to(there.device) & there[:, i : i + 1]
            for i, kind in enumerate(self.parts.values())
        ]
        return torch.cat(rows, 1)

    def values_of(self, parts: Tensor) -> Tensor:
        """One value per part (B, parts) as the same for each of the part's values, (B, values)."""
        counts = torch.tensor([part.sites for part in self.shape.parts], device=parts.device)
        return parts.repeat_interleave(counts, 1)

    def stored(self, x: Tensor) -> Array:
        """x (B, values) to records (B, bytes); a part that is NaN throughout is missing."""
        rows, there = [], []
        for kind, piece in zip(self.parts.values(), self.shape.split(x.detach()), strict=True):
            present = ~piece.isnan().reshape(len(x), -1).all(1).cpu().numpy()
            known = piece.nan_to_num(0.0)
            arrays = kind.stored(known.long() if isinstance(kind.shape, Tokens) else known)
            row = np.ascontiguousarray(arrays).reshape(len(x), -1).view(np.uint8)
            rows.append(np.where(present[:, None], row, 0).astype(np.uint8))
            there.append(present)
        return np.concatenate([*rows, np.stack(there, 1).astype(np.uint8)], 1)

    def write(self, items: Sequence[Any], folder: Path) -> list[Path]:
        """Write each part into a folder of its own; files of one item have its number."""
        written = []
        for name, kind in self.parts.items():
            numbers = [i for i, item in enumerate(items) if name in item]
            paths = kind.write([items[i][name] for i in numbers], Path(folder) / name)
            if len(paths) == len(numbers):  # else the kind writes a table
                try:
                    # from the last, so that none is replaced: a file's number never falls
                    for i, path in zip(reversed(numbers), reversed(paths), strict=True):
                        written.append(path.replace(path.with_name(f"{i:04d}{path.suffix}")))
                except OSError as error:
                    raise OutputError(f"{folder}: cannot be written ({error}); choose another one") from None
            else:
                written += paths
        return written

    def sheet(self, items: Sequence[Any], columns: int = 8) -> Pillow.Image:
        """The items side by side, of each the parts one below the other."""
        tiles = [
            [kind.sheet([item[name]], 1) if name in item else None for name, kind in self.parts.items()]
            for item in items
        ]
        heights = [max((tile.height for tile in row if tile), default=0) for row in zip(*tiles, strict=True)]
        width = max((tile.width for row in tiles for tile in row if tile), default=WIDTH)
        columns = max(1, min(columns, len(items)))
        height = sum(heights) + _GAP
        page = Pillow.new("RGB", (columns * (width + _GAP), -(-len(items) // columns) * height), "white")
        for i, row in enumerate(tiles):
            left, top = i % columns * (width + _GAP), i // columns * height
            for tile, room in zip(row, heights, strict=True):
                if tile:
                    page.paste(tile, (left, top))
                top += room
        return page

    def state(self) -> dict[str, Any]:
        return {"parts": {name: state_of(kind) for name, kind in self.parts.items()}}

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Self:
        try:
            # no deeper than one level, however deep the file says it is
            if any(part["name"] == cls.name for part in state["parts"].values()):
                raise DataError("a record in a record")
            return cls({str(name): restored(part) for name, part in state["parts"].items()})
        except (AttributeError, KeyError, TypeError, EctypeError) as error:
            raise ModelFileError(f"the model file describes no record kind ({error}): damaged") from None
