"""MNIST's idx files: four bytes of type and axes, the axes' lengths, then the numbers; perhaps gzipped."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ectype.data.found import SPLIT_NAMES, SPLITS, Found
from ectype.data.memory import as_column
from ectype.data.store import free_memory
from ectype.errors import DataError

Array = np.ndarray[Any, Any]
TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_NAME = re.compile(r"(images|labels|idx\d)[-._]?(idx\d)?(-?u?byte)?(\.gz)?$", re.IGNORECASE)


def idx_files(files: Sequence[Path]) -> list[Path]:
    """Those whose names are usual for idx files."""
    return [file for file in files if _NAME.search(file.name)]


def from_idx(files: Sequence[Path]) -> Found:
    """Pictures and labels of one folder: train-images…, t10k-labels… and so on, matched by name.

    One file of pictures alone brings the labels that lie beside it. Raises DataError for a damaged
    file, for labels without pictures, and for pictures and labels that differ in number.
    """
    images = [file for file in files if "label" not in file.name.lower()]
    if not images:
        raise DataError(f"{files[0]}: holds labels only; name the file with the pictures")
    images.sort(key=lambda file: SPLITS.index(_split(file) or "train"))
    blocks = [_load(file) for file in images]
    if len({block.shape[1:] for block in blocks}) > 1:
        raise DataError(
            f"{images[0].parent}: the files hold pictures of different sizes: "
            + ", ".join(f"{f.name} {b.shape}" for f, b in zip(images, blocks, strict=True))
        )
    found = Found(values=blocks[0] if len(blocks) == 1 else np.concatenate(blocks))
    column: list[Any] = []
    for file, block in zip(images, blocks, strict=True):
        beside = _labels_of(file)
        labels = None if beside is None else as_column(_load(beside), len(block), str(beside))
        column += [None] * len(block) if labels is None else list(labels)
    if any(value is not None for value in column):
        found.columns["label"] = column
    if len(images) > 1:
        found.split = [_split(f) for f, block in zip(images, blocks, strict=True) for _ in range(len(block))]
    return found


def _split(file: Path) -> str:
    words = re.split(r"[^a-z0-9]+", file.name.lower())
    return next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), "")


def _labels_of(file: Path) -> Path | None:
    """The labels beside a file of pictures: its name with labels for images and one axis, gzipped or not."""
    if "images" not in file.name:
        return None
    name = re.sub(r"idx\d", "idx1", file.name.replace("images", "labels"))
    for other in (name, name.removesuffix(".gz"), name + ".gz"):
        if (file.parent / other).is_file():
            return file.parent / other
    return None


def _load(file: Path) -> Array:
    """The file's array: mapped, or unpacked where gzipped."""
    with file.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(file) if packed else file.open("rb") as stream:
            head = stream.read(4)
            if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in TYPES or not head[3]:
                raise DataError(f"{file}: no idx file (it begins with {head.hex() or 'nothing'})")
            shape = tuple(int(v) for v in np.frombuffer(stream.read(4 * head[3]), ">u4"))
            sort = np.dtype(TYPES[head[2]])
            size = int(np.prod(shape, dtype=np.float64)) * sort.itemsize
            if not packed:
                return _mapped(file, shape, sort, 4 + 4 * head[3])
            if size > free_memory():
                raise DataError(f"{file}: {size / 1e9:.1f} GB do not fit into memory; unpack it with gunzip")
            body = stream.read(size)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{file}: damaged gzip file ({error})") from None
    if len(shape) != head[3] or len(body) < size:
        raise DataError(f"{file}: truncated: form {shape} is promised, {len(body):,} of {size:,} bytes there")
    values = np.frombuffer(body, sort).reshape(shape)
    return values.astype(sort.newbyteorder("="), copy=False)


def _mapped(file: Path, shape: tuple[int, ...], sort: np.dtype[Any], start: int) -> Array:
    size = int(np.prod(shape, dtype=np.float64)) * sort.itemsize
    there = file.stat().st_size - start
    if there < size or not size:
        raise DataError(f"{file}: truncated: form {shape} is promised, {there:,} of {size:,} bytes there")
    return np.memmap(file, sort, "r", start, shape)
