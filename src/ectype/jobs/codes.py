"""Files of codes: .npz with arrays codes (N, D), names (N,) and labels (N,), or .csv with a header."""

from __future__ import annotations

import csv
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ectype.errors import DataError, UsageError

if TYPE_CHECKING:
    from ectype.metrics import Score

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Codes:
    """What `encode` found.

    Arguments:
        z: (N, D) posterior means.
        names: of the items, or none.
        labels: of the items, "" where missing, or none at all.
        scores: what the codes know about the labels.
    """

    z: Array
    names: list[str]
    labels: list[str] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)


def check(path: Path) -> None:
    """Raise UsageError for a file that codes cannot be written to."""
    if path.suffix not in (".npz", ".csv"):
        raise UsageError(f"codes are written to .npz or .csv, not to {path.name}: choose another --out")


def save(codes: Codes, path: Path) -> None:
    """Write codes in the format the file's suffix names."""
    if path.suffix == ".npz":
        arrays: dict[str, Any] = {"codes": codes.z, "names": np.array(codes.names)}
        np.savez(path, **arrays | ({"labels": np.array(codes.labels)} if codes.labels else {}))
        return
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        numbers = [f"z{i}" for i in range(codes.z.shape[1])]
        writer.writerow(["name", *(["label"] if codes.labels else []), *numbers])
        for i, row in enumerate(codes.z.tolist()):
            writer.writerow([codes.names[i], *([codes.labels[i]] if codes.labels else []), *row])


def load(path: Path) -> Codes:
    """Codes from .npz, .npy or .csv; raises DataError where that is not possible. Nothing is executed."""
    try:
        if path.suffix == ".csv":
            return _load_csv(path)
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return Codes(found.astype(np.float64), [])
        with found:
            if "codes" not in found.files:
                raise DataError(
                    f"{path} holds {', '.join(found.files) or 'nothing'}, and no array called codes"
                )
            names, labels = (
                [str(value) for value in found[key]] if key in found.files else []
                for key in ("names", "labels")
            )
            return Codes(found["codes"].astype(np.float64), names, labels)
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}: ectype encode makes one") from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        # numpy's own message would advise to unpickle the file
        raise DataError(f"{path} cannot be read as codes: it is damaged, or no file of numbers") from error


def _load_csv(path: Path) -> Codes:
    with path.open(newline="", encoding="utf-8") as stream:
        rows = csv.DictReader(stream)
        columns = [name for name in rows.fieldnames or () if name[:1] == "z" and name[1:].isdecimal()]
        if not columns:
            raise DataError(f"{path} has no columns z0, z1, …: ectype encode writes such a file")
        names, labels, numbers = [], [], []
        for line, row in enumerate(rows, 2):
            try:
                numbers.append([float(row[name]) for name in columns])
            except (TypeError, ValueError) as error:
                raise DataError(f"{path}, line {line}: a number is missing or is none") from error
            names.append(row.get("name") or f"{line - 2:06d}")
            labels += [row["label"] or ""] if "label" in row else []
    return Codes(np.array(numbers, np.float64).reshape(len(numbers), len(columns)), names, labels)
