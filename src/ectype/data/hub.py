"""A Hugging Face data set of pictures, by name; needs the extra `hub`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image as Pillow

from ectype.data.found import SPLIT_NAMES, Found, Picture
from ectype.data.tables import typed
from ectype.errors import DataError, MissingExtra


def from_hub(name: str) -> Found:
    """All splits of `owner/name` or `owner/name:configuration`, or of a folder written by `save_to_disk`.

    The first column of pictures is the items; columns of classes are labels (the one called label, or
    the first, is the main one); texts, numbers and lists of such are columns too. Raises MissingExtra
    without the package `datasets`, DataError where the data set cannot be had or holds no pictures.
    """
    try:
        import datasets
    except ImportError:
        raise MissingExtra("datasets", "hub") from None
    path, _, configuration = name.partition(":")
    try:
        if Path(path).is_dir():
            loaded = datasets.load_from_disk(path)
        else:
            loaded = datasets.load_dataset(path, configuration or None)
    except Exception as error:  # the client raises errors of a dozen libraries: network, rights, parsing
        raise DataError(f"hf:{name}: cannot be had ({type(error).__name__}: {str(error)[:200]})") from None
    splits = dict(loaded) if isinstance(loaded, dict) else {"": loaded}
    return _joined(name, splits)


def _joined(name: str, splits: dict[str, Any]) -> Found:
    known = {key: table for key, table in splits.items() if key in SPLIT_NAMES or len(splits) == 1}
    if not known:
        raise DataError(f"hf:{name}: none of its splits ({', '.join(splits)}) is train, validation or test")
    features = next(iter(known.values())).features
    sorts = {column: type(feature).__name__ for column, feature in features.items()}
    pictures = [column for column, sort in sorts.items() if sort == "Image"]
    classes = [column for column, sort in sorts.items() if sort == "ClassLabel"]
    if not pictures:
        raise DataError(f"hf:{name}: has no column of pictures ({sorts})")
    items: list[Picture] = []
    found = Found(pictures=items, split=[] if len(known) > 1 else None)
    columns: dict[str, list[str | int | None]] = {column: [] for column in classes}
    for key, table in known.items():
        for i in range(len(table)):
            opener = partial(_open, table, i, pictures[0])
            items.append(Picture(f"hf:{name} {key} {i}", opener, f"{name}:{key}:{i}"))
        if found.split is not None:
            found.split += [SPLIT_NAMES[key]] * len(table)
        for column in classes:
            names = features[column].names
            columns[column] += [names[v] if v is not None and v >= 0 else None for v in table[column]]
    for column in (
        name for name, sort in sorts.items() if sort in ("Value", "List", "Sequence", "LargeList")
    ):
        found.columns[column] = typed([value for table in known.values() for value in table[column]])
    if classes:
        main = "label" if "label" in classes else classes[0]
        found.columns["label"] = columns.pop(main)
    found.columns.update(columns)
    if len(known) < len(splits):
        found.notes.append(f"splits left out: {', '.join(key for key in splits if key not in known)}")
    return found


def _open(table: Any, i: int, column: str) -> Pillow.Image:
    picture: Pillow.Image = table[i][column]
    return picture
