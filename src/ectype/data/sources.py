"""Which sort of source a path, a name or a Python value is, and how it is opened."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image as Pillow

from ectype.catalog import DATASETS, find
from ectype.data.archive import from_zip
from ectype.data.files import from_npy, from_npz
from ectype.data.folder import from_folder, is_picture
from ectype.data.found import Found, Picture
from ectype.data.hub import from_hub
from ectype.data.idx import from_idx, idx_files
from ectype.data.manifest import add_metadata, from_manifest, metadata, named
from ectype.data.memory import from_python
from ectype.data.tables import is_table, read_table
from ectype.data.texts import ENDING, column_of, from_documents, from_table, from_text
from ectype.errors import DataError, UsageError, did_you_mean

HUB = "hf:"


def open_source(source: Any) -> Found:
    """What a source holds.

    A string is, in this order: a built-in name, `hf:owner/name`, or a path. Raises DataError for what
    does not exist or is none of the sorts that can be read.
    """
    if isinstance(source, str) and source in DATASETS:
        found: Found = find("datasets", source)()
        if Path(source).exists():
            found.notes.append(
                f"{source} is the built-in data set; what lies here under that name is ./{source}"
            )
        return found
    if isinstance(source, str) and source.startswith(HUB):
        return from_hub(source.removeprefix(HUB))
    if isinstance(source, str | Path):
        try:
            return _open_path(Path(source).expanduser())
        except OSError as error:
            raise DataError(f"{source}: cannot be read ({error.strerror or error})") from None
    return from_python(source)


def open_texts(source: Any, column: str | None = None, *, cut: int | None = None) -> Found:
    """The texts of a source: of a .txt its lines, of a folder its documents, of a table one column.

    Arguments:
        source: as of `open_source`.
        column: of a table; None: the one that is called so, or the only one of texts.
        cut: symbols of the pieces that items are to be, which makes one text of a .txt; None: whole texts.

    Raises DataError for what cannot be read, UsageError where a column is named of what is no table.
    """
    path = Path(source).expanduser() if isinstance(source, str | Path) else None
    try:
        if path is not None and path.is_file() and is_table(path):
            found = from_table(read_table(path), column)
        elif column is not None:
            raise UsageError(f"{name_of(source)}: column names a column of a table, and this is none")
        elif path is not None and path.is_dir():
            found = from_documents(path)
        elif path is not None and path.is_file() and path.suffix.lower() == ENDING:
            found = from_text(path, whole=cut is not None)
        else:
            found = open_source(source)
    except OSError as error:
        raise DataError(f"{source}: cannot be read ({error.strerror or error})") from None
    found.cut = cut
    return found


def name_of(source: Any) -> str:
    """What messages call a source."""
    return str(source) if isinstance(source, str | Path) else f"the {type(source).__name__} given"


def _open_path(path: Path) -> Found:
    if not path.exists():
        hint = did_you_mean(str(path), DATASETS) if len(path.parts) == 1 else ""
        raise DataError(f"{path}: there is no such file, folder or built-in data set{hint}")
    if path.is_dir():
        return _open_folder(path)
    ending = path.suffix.lower()
    if ending == ".npy":
        return from_npy(path)
    if ending == ".npz":
        return from_npz(path)
    if ending == ENDING:
        return from_text(path)
    if ending == ".zip":
        return from_zip(path)
    if is_table(path):
        table = read_table(path)
        # what names pictures may have texts beside them; then texts are asked for
        return from_manifest(table) if named(table) or not column_of(table) else from_table(table, None)
    if is_picture(path.name):
        picture = Picture(str(path), partial(Pillow.open, path))
        return Found(pictures=[picture], names=[path.stem], paths=[path.name])
    if idx_files([path]):
        return from_idx([path])
    raise DataError(
        f"{path}: pictures, .txt, .npy, .npz, .zip and idx files, tables that name pictures or hold texts "
        "(.csv, .tsv, .jsonl, .json) and folders of pictures or .txt can be read; this is none"
    )


def _open_folder(path: Path) -> Found:
    files = sorted(p for p in path.iterdir() if p.is_file())
    pairs = idx_files(files)
    if pairs:
        return from_idx(pairs)
    found = from_folder(path)
    if len(found):
        add_metadata(found, path, metadata(path))
        return found
    others = [p for p in files if p.suffix.lower() in (".npy", ".npz", ".zip")]
    if len(others) == 1:
        return _open_path(others[0])
    if others:
        names = ", ".join(p.name for p in others)
        raise DataError(f"{path}: holds no pictures but {names}; name one of them")
    if any(path.rglob(f"*{ENDING}")):
        return from_documents(path)
    anything = next((p for p in path.rglob("*") if p.is_file()), None)
    raise DataError(f"{path}: the folder {'holds no pictures' if anything else 'is empty'}")
