"""NumPy's files: .npy, mapped where large, and .npz with one or several arrays. Never pickled objects."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from ectype.data.found import SPLIT_NAMES, SPLITS, Found
from ectype.data.memory import as_column
from ectype.data.store import free_memory
from ectype.errors import DataError

Array = np.ndarray[Any, Any]
ITEMS = {"image", "images", "img", "imgs", "x", "data", "features", "rows", "items", "rgb", "rgba", "arr"}
LABELS = {"label", "labels", "y", "target", "targets", "class", "classes"}


def from_npy(path: Path) -> Found:
    """One array; it is mapped, so that only what is asked for is read."""
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path}: no readable .npy array ({_reason(error)})") from None
    if not isinstance(values, np.ndarray):
        raise DataError(f"{path}: is an archive, not one array; call it .npz")
    return Found(values=values)


def from_npz(path: Path) -> Found:
    """The arrays of an archive, by their keys.

    Items are under a key such as images, x or data; official splits under train, valid and test, also as
    x_train or train_images; labels under y, label or labels, with the same split in the key. A single
    array of two or more axes may have any key. Further rows of one value per item become columns.

    Raises DataError for pickled objects, for arrays larger than the memory, and for keys it cannot tell.
    """
    arrays = _load(path)
    items: dict[str, str] = {}
    labels: dict[str, str] = {}
    wide = [key for key, array in arrays.items() if array.ndim >= 2 and array.shape[1:] != (1,)]
    for key in arrays:
        split, role = _meaning(key)
        if role == "y" and key not in wide:
            labels.setdefault(split, key)
        elif role == "x" and key in wide:
            items.setdefault(split, key)
    if not items and len(wide) == 1:
        items = {"": wide[0]}
    if "" in items and len(items) > 1:
        del items[""]
    if not items:
        keys = ", ".join(f"{key} {array.shape}" for key, array in arrays.items())
        raise DataError(f"{path}: cannot tell which array holds the items ({keys}); call it 'images' or 'x'")
    return _joined(path, arrays, items, labels)


def _joined(path: Path, arrays: dict[str, Array], items: dict[str, str], labels: dict[str, str]) -> Found:
    order = [split for split in ("", *SPLITS) if split in items]
    blocks = [arrays[items[split]] for split in order]
    if len({block.shape[1:] for block in blocks}) > 1 or len({block.dtype for block in blocks}) > 1:
        forms = ", ".join(f"{items[s]} {arrays[items[s]].shape}" for s in order)
        raise DataError(f"{path}: the splits differ in form or type ({forms})")
    found = Found(values=blocks[0] if len(blocks) == 1 else np.concatenate(blocks))
    n = len(found)
    if order != [""]:
        found.split = [split for split, block in zip(order, blocks, strict=True) for _ in range(len(block))]
    if labels:
        column: list[Any] = []
        for split, block in zip(order, blocks, strict=True):
            key = labels.get(split)
            where = f"{path}: {key}"
            column += [None] * len(block) if key is None else list(as_column(arrays[key], len(block), where))
        found.columns["label"] = column
    used = {*items.values(), *labels.values()}
    for key, array in arrays.items():
        if key not in used and array.shape == (n,) and array.dtype.kind in "buifSU":
            found.columns[key] = as_column(array, n, f"{path}: {key}", label=False)
    return found


def _meaning(key: str) -> tuple[str, str]:
    """A key's split ("" for none) and role: "x", "y" or "" for neither."""
    words = [w for w in re.split(r"[^a-z]+", key.lower()) if w]
    split = next((SPLIT_NAMES[w] for w in words if w in SPLIT_NAMES), "")
    rest = {w for w in words if w not in SPLIT_NAMES}
    if rest & LABELS:
        return split, "y"
    return split, "x" if rest & ITEMS or (split and not rest) else ""


def _load(path: Path) -> dict[str, Array]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if name.endswith(".npy")]
            need = 0
            for name in members:
                with archive.open(name) as file:
                    need += _declared(file, f"{path}: {name}")
            if need > free_memory():
                raise DataError(
                    f"{path}: {need / 1e9:.1f} GB of arrays are more than the free memory; save the items as "
                    ".npy, which is read piece by piece"
                )
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, KeyError, NotImplementedError) as error:
        raise DataError(f"{path}: no readable .npz archive ({_reason(error)})") from None


def _declared(file: IO[bytes], where: str) -> int:
    """Bytes an array in an archive will take, from its header."""
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.hasobject:
        raise DataError(f"{where}: holds pickled Python objects, which are never opened; save plain arrays")
    return int(np.prod(shape, dtype=np.float64)) * dtype.itemsize


def _reason(error: Exception) -> str:
    text = "".join(str(error).strip().splitlines()[:1])
    pickled = "pickle" in text.lower() or "Python objects" in text
    return "pickled Python objects are never opened" if pickled else text
