"""Writing results: nothing is overwritten unless asked, nothing is left half written.

A result is written beside its place under a hidden name with `.partial` in it and moved there when it
is complete. What cannot be written raises OutputError with the path, the reason and what to do.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ectype.errors import OutputError, UsageError

if TYPE_CHECKING:
    from ectype.data.data import Data
    from ectype.kinds import Kind
    from ectype.metrics import Score

_NOT_WRITTEN = {".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".npy", ".csv", ".zip", ".html"}
_REASONS = {
    errno.ENOSPC: "the disk is full; free some space or write elsewhere with --out",
    errno.EDQUOT: "your disk quota is used up; free some space or write elsewhere with --out",
    errno.EROFS: "that disk is read-only; write elsewhere with --out",
    errno.EACCES: "you have no right to write there; write elsewhere with --out",
    errno.EPERM: "you have no right to write there; write elsewhere with --out",
    errno.ENOTDIR: "a file stands where a folder is needed; write elsewhere with --out",
    errno.EEXIST: "a file stands where a folder is needed; write elsewhere with --out",
    errno.ENOENT: "a folder of that path cannot be made; write elsewhere with --out",
    errno.ENAMETOOLONG: "that name is too long; choose a shorter one",
}


def tell(message: str) -> None:
    """Say what was done: the command line prints it, Python programs see it when they log INFO."""
    logging.getLogger("ectype").info(message)


def cannot_write(out: Path, error: OSError) -> OutputError:
    """The error that says in one line why `out` could not be written."""
    reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
    return OutputError(f"cannot write {out}: {reason}")


def refuse(out: Path, overwrite: bool) -> None:
    """Raise OutputError when something is already at `out` and may not be replaced.

    Called before the work is done, so that nobody waits for a result that cannot be kept.
    """
    if overwrite or not os.path.lexists(out):
        return
    if out.is_dir() and not any(out.iterdir()):
        return
    raise OutputError(f"{out} already exists: choose another --out, or replace it with --overwrite")


def free(path: Path) -> Path:
    """`path`, or the first of path-2, path-3, … that does not exist."""
    number, candidate = 1, path
    while os.path.lexists(candidate):
        number += 1
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return candidate


@contextmanager
def file(out: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A path to write one file to; it becomes `out` when the block ends without an error.

    Raises OutputError where `out` exists and may not be replaced, or cannot be written.
    """
    refuse(out, overwrite)
    # the suffix stays last: writers choose the format by it
    partial = out.with_name(f".{out.stem}.{os.getpid()}.partial{out.suffix}")
    try:
        if out.is_dir():
            raise IsADirectoryError(errno.EISDIR, "a folder of that name is there; choose another --out")
        out.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, out)
    except OSError as error:
        raise cannot_write(out, error) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


@contextmanager
def folder(out: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """An empty folder to write files to; they move to `out` when the block ends without an error.

    With `overwrite`, files of the same name are replaced and nothing else in `out` is touched.
    Raises OutputError where `out` holds something and may not be changed, or cannot be written.
    """
    refuse(out, overwrite)
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
        yield partial
        if out.is_dir():
            for path in sorted(partial.iterdir()):
                os.replace(path, out / path.name)
        else:
            os.replace(partial, out)
    except OSError as error:
        raise cannot_write(out, error) from error
    except OutputError as error:
        # a kind's writer names the hidden folder; people know theirs
        cause = error.__cause__ or error.__context__
        raise (cannot_write(out, cause) if isinstance(cause, OSError) else error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write(out: Path, put: Callable[[Path], object], *, overwrite: bool = False, quiet: bool = False) -> Path:
    """Write one file with `put(path)` and say so unless `quiet`; returns `out`."""
    with file(out, overwrite=overwrite) as path:
        put(path)
    if not quiet:
        tell(f"wrote {out}")
    return out


SHEET = "contact-sheet.png"
_ON_SHEET = 64
_COLUMNS = 8


def put_items(
    kind: Kind,
    items: Sequence[Any],
    out: Path,
    *,
    names: Sequence[str] = (),
    row: int | None = None,
    overwrite: bool = False,
) -> None:
    """Write raw items and say where.

    Arguments:
        kind: what they are.
        items: at least one.
        out: a .png gets a contact sheet of all, a .npz one array "items" (or one for each part), a .txt of
            texts one on each line, anything else is a folder with one file each and a contact sheet of the
            first 64.
        names: file names without suffix; used where each item has one of its own.
        row: how many items make a row of the contact sheet, which then shows all; default: eight.
        overwrite: replace files that exist.
    """
    lines = out.suffix.lower() == ".txt"
    if out.suffix.lower() in _NOT_WRITTEN or (lines and kind.name != "text"):
        raise UsageError(
            f"{out}: items are written to a folder, a .png (one sheet), a .npz (arrays) or, of texts, a .txt"
        )
    if out.suffix.lower() == ".png":
        write(out, kind.sheet(items, row or _COLUMNS).save, overwrite=overwrite)
    elif out.suffix.lower() == ".npz":
        import numpy as np

        arrays = _arrays(items)
        write(out, lambda path: np.savez(path, **arrays), overwrite=overwrite)
    elif lines:
        told = "".join(f"{' '.join(str(item).splitlines())}\n" for item in items)
        write(out, lambda path: path.write_text(told, encoding="utf-8"), overwrite=overwrite)
    else:
        with folder(out, overwrite=overwrite) as place:
            _rename(kind.write(items, place), names)
            kind.sheet(items if row else items[:_ON_SHEET], row or _COLUMNS).save(place / SHEET)
        tell(f"wrote {len(items):,} items and {SHEET} to {out}")


def _arrays(items: Sequence[Any]) -> dict[str, Any]:
    """Raw items as one array "items", or those of several parts as one "items.NAME" for each part.

    Raises UsageError where not all items have the same parts.
    """
    import numpy as np

    if not isinstance(items[0], dict):
        return {"items": np.stack([np.asarray("|".join(i) if isinstance(i, list) else i) for i in items])}
    if any(item.keys() != items[0].keys() for item in items):
        raise UsageError("items that lack parts make no arrays: write them to a folder")
    return {f"items.{name}": _arrays([item[name] for item in items])["items"] for name in items[0]}


def _rename(paths: Sequence[Path], names: Sequence[str]) -> None:
    """Give files the names of the items they were made from, where that is unambiguous."""
    wanted = [Path(name).name for name in names]
    if len(set(wanted)) != len(paths) or SHEET.partition(".")[0] in wanted or "" in wanted:
        return
    aside = [path.rename(path.with_name(f"aside-{i}{path.suffix}")) for i, path in enumerate(paths)]
    for path, name in zip(aside, wanted, strict=True):
        path.rename(path.with_name(name + path.suffix))


FEW_TEXTS = 16


def tell_texts(kind: Kind, *columns: Sequence[Any]) -> None:
    """Say the first texts, one a line, beside them those of further columns; of other kinds nothing."""
    if kind.name == "text":
        for row in list(zip(*columns, strict=True))[:FEW_TEXTS]:
            tell("  " + " → ".join(str(item).replace("\n", " ") for item in row))


def tell_kinds(data: Data) -> None:
    """Say as what each condition, and each part that is made with the items, was read."""
    from ectype.kinds.attributes import Attributes
    from ectype.kinds.label import Label
    from ectype.kinds.record import Record

    parts = dict(list(data.kind.parts.items())[1:]) if isinstance(data.kind, Record) else {}
    for what, kinds in (("made with it", parts), ("given", data.conditions)):
        for name, kind in kinds.items():
            more = ""
            if isinstance(kind, Attributes):
                more = f", {len(kind.tags)} tags"
            elif isinstance(kind, Label):
                lone = "1 class: it is the same for all, so there is nothing to tell apart"
                more = f", {len(kind.classes)} classes" if len(kind.classes) > 1 else f", {lone}"
            tell(f"{what}: {name} ({kind.name}{more})")


def tell_scores(scores: Sequence[Score]) -> None:
    """Say scores as aligned rows: name, figures, what they were measured on."""
    rows = []
    for score in scores:
        rest = str(score).removeprefix(f"{score.name} {score.figures} ").strip("()")
        rows.append((score.name, score.figures, "; ".join([rest, *([score.note] if score.note else [])])))
    first, second = (max((len(row[i]) for row in rows), default=0) for i in (0, 1))
    for name, figures, rest in rows:
        tell(f"{name:{first}}  {figures:>{second}}  {rest}")
