"""Where stored arrays lie, in memory or mapped from a file; gathered by index, never one by one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from ectype.errors import DataError

Array = np.ndarray[Any, Any]
CHUNK = 1024
"""How many items are converted or hashed at a time."""


@final
class Resident:
    """Stored arrays in memory.

    Arguments:
        tensor: (N, *stored form).
    """

    resident = True

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def __len__(self) -> int:
        return self.tensor.shape[0]

    def gather(self, indices: Tensor) -> Tensor:
        """Items (B, *stored form)."""
        return self.tensor.index_select(0, indices)


@final
class Mapped:
    """Stored arrays in a file that is larger than memory should hold.

    Arguments:
        values: (N, ...) mapped from a file.
        convert: what makes stored arrays of some items' values.
    """

    resident = False

    def __init__(self, values: Array, convert: Callable[[Array], Array]) -> None:
        self.values = values
        self.convert = convert

    def __len__(self) -> int:
        return len(self.values)

    def gather(self, indices: Tensor) -> Tensor:
        """Items (B, *stored form), read in the file's order."""
        at = indices.numpy()
        order = np.argsort(at, kind="stable")
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        read = np.asarray(self.values[at[order]])
        return torch.from_numpy(np.ascontiguousarray(self.convert(read)[back]))


@final
class Widened:
    """Stored arrays as bytes, followed by further bytes of each item.

    Arguments:
        items: whose stored arrays come first.
        further: (N, bytes) uint8.
    """

    def __init__(self, items: Store, further: Tensor) -> None:
        self.items = items
        self.further = further

    @property
    def resident(self) -> bool:
        """Whether all of it lies in memory."""
        return self.items.resident

    def __len__(self) -> int:
        return len(self.items)

    def gather(self, indices: Tensor) -> Tensor:
        """Items (B, bytes)."""
        first = self.items.gather(indices).reshape(len(indices), -1).view(torch.uint8)
        return torch.cat([first, self.further.index_select(0, indices)], 1)


Store = Resident | Mapped | Widened


def chunks(store: Store) -> Iterator[Array]:
    """All stored arrays in order, some at a time."""
    for start in range(0, len(store), CHUNK):
        yield store.gather(torch.arange(start, min(start + CHUNK, len(store)))).numpy()


def room(limit: float | None) -> int:
    """How many bytes data may take in memory: `limit` in GB, by default 40 % of what is free."""
    return int(limit * 1e9) if limit is not None else int(0.4 * free_memory())


def free_memory() -> int:
    """Bytes of memory that are free, within the container's limit where there is one."""
    if sys.platform == "win32":
        return 8 * 10**9  # Windows has no sysconf; a guess that any machine of today bears
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
        most = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii"))
        return free if most == "max" else max(0, min(free, int(most) - used))
    except (OSError, StopIteration, ValueError):
        return free  # macOS, or no container


def cache_folder() -> Path:
    """Where decoded copies of large sources lie: $ECTYPE_CACHE, by default ~/.cache/ectype."""
    folder = Path(os.environ.get("ECTYPE_CACHE") or Path.home() / ".cache" / "ectype")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{folder}: no place for the decoded pictures ({error}); set ECTYPE_CACHE to a folder that can "
            "be written, or give more memory with limit="
        ) from None
    return folder
