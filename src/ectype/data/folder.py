"""A folder of pictures: its sub-folders are the labels."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from PIL import Image as Pillow

from ectype.data.found import SPLIT_NAMES, Column, Found, Picture

_UNSAFE = re.compile(r'[\x00-\x1f/\\:*?"<>|]')
ENDINGS = {
    ".png",
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".gif",
    ".bmp",
    ".dib",
    ".webp",
    ".tif",
    ".tiff",
    ".ppm",
    ".pgm",
    ".pbm",
    ".pnm",
    ".jp2",
    ".ico",
    ".tga",
    ".avif",
}
METADATA = ("metadata.csv", "metadata.jsonl")
"""Tables of further columns that may stand in a folder (`manifest.add_metadata`)."""


def is_picture(name: str) -> bool:
    """Whether a file's name says that it is a picture."""
    return PurePosixPath(name).suffix.lower() in ENDINGS


def hidden(path: PurePosixPath) -> bool:
    """Whether a path is none of the user's: dot files, and what macOS puts into archives."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def from_folder(root: Path) -> Found:
    """All pictures under a folder, in order of their path; nothing is decoded yet."""
    paths: list[PurePosixPath] = []
    others = 0
    for folder, _, files in os.walk(root):
        for file in files:
            path = PurePosixPath((Path(folder) / file).relative_to(root).as_posix())
            if hidden(path) or file in METADATA:
                continue
            if is_picture(file):
                paths.append(path)
            else:
                others += 1
    paths.sort()
    pictures = []
    for path in paths:
        full = root / path
        stamp = stamp_of(full)
        pictures.append(Picture(str(full), partial(Pillow.open, full), stamp))
    found = described(paths)
    found.pictures = pictures
    if others and pictures:
        found.notes.append(f"left out, as they are no pictures: {others} files")
    return found


def stamp_of(path: Path) -> str:
    """Size and time of a file; a link to nowhere has none, and is named when it is opened."""
    try:
        about = path.stat()
    except OSError:
        return "missing"
    return f"{about.st_size}:{about.st_mtime_ns}"


def described(paths: Sequence[PurePosixPath]) -> Found:
    """Labels, official splits and names of pictures, from their paths.

    Folders that hold everything are passed over. Then folders called train, valid or test (or usual
    variants) are official splits, if all pictures lie in such; the next folder is the label; a picture
    outside of any has none. One folder alone is no label, as it tells nothing apart.
    """
    parts = [path.parts[:-1] for path in paths]
    while parts and parts[0] and all(p[:1] == parts[0][:1] for p in parts):
        parts = [p[1:] for p in parts]
    found = Found(names=names_of(paths), paths=[str(path) for path in paths])
    if parts and all(p and p[0].lower() in SPLIT_NAMES for p in parts):
        found.split = [SPLIT_NAMES[p[0].lower()] for p in parts]
        parts = [p[1:] for p in parts]
    labels: Column = [p[0] if p else None for p in parts]
    if len({label for label in labels if label is not None}) > (0 if None in labels else 1):
        found.columns["label"] = labels
    return found


def names_of(paths: Sequence[PurePosixPath]) -> list[str]:
    """File stems; where two are the same, the folders before them too."""
    names = [path.stem for path in paths]
    if len(set(names)) < len(names):
        names = ["_".join((*path.parts[:-1], path.stem)) for path in paths]
    # results are written under these names, and an archive can hold any
    return [_UNSAFE.sub("_", name) for name in names]
