"""A zip of pictures, read in place: nothing is unpacked to disk."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePosixPath

from PIL import Image as Pillow

from ectype.data.folder import METADATA, described, hidden, is_picture
from ectype.data.found import Found, Picture
from ectype.data.joining import within
from ectype.data.manifest import add_metadata
from ectype.data.tables import Table, refuse_large, table_of
from ectype.errors import DataError

MOST_MEMBERS = 5_000_000
LARGEST = 512 * 2**20
"""Bytes one picture may have once unpacked; a picture of more is an attack or a mistake."""
MOST_BYTES = 256 * 2**30


def from_zip(path: Path) -> Found:
    """All pictures of a zip, in order of their path; sub-folders are read as in `folder`.

    Raises DataError for what is no zip, is encrypted, holds no pictures, or would unpack to an
    unreasonable size (the sizes are read from the directory before anything is unpacked).
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DataError(f"{path}: no readable zip archive ({error})") from None
    members = [m for m in archive.infolist() if not m.is_dir() and not hidden(PurePosixPath(m.filename))]
    if len(members) > MOST_MEMBERS or sum(m.file_size for m in members) > MOST_BYTES:
        raise DataError(
            f"{path}: unpacks to more than {MOST_BYTES >> 30} GiB or {MOST_MEMBERS:,} files; "
            "unpack it yourself if you trust it, and read the folder"
        )
    chosen = sorted((m for m in members if is_picture(m.filename)), key=_name)
    if not chosen:
        raise DataError(f"{path}: the archive {'holds no pictures' if members else 'is empty'}")
    tables = sorted((m for m in members if PurePosixPath(m.filename).name in METADATA), key=_name)
    if any(m.flag_bits & 1 for m in (*chosen, *tables)):
        raise DataError(f"{path}: is encrypted; unpack it and read the folder")
    found = described([PurePosixPath(m.filename) for m in chosen])
    found.pictures = [
        Picture(f"{path}/{m.filename}", partial(_open, archive, m), f"{m.file_size}:{m.CRC}") for m in chosen
    ]
    others = len(members) - len(chosen) - len(tables)
    if others:
        found.notes.append(f"left out, as they are no pictures: {others} files")
    names = {PurePosixPath(m.filename): m for m in chosen}
    add_metadata(
        found, path, [_table(archive, path, m) for m in tables], partial(_named, archive, path, names)
    )
    return found


def _name(member: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(member.filename)


def _table(archive: zipfile.ZipFile, path: Path, member: zipfile.ZipInfo) -> Table:
    whole = path / member.filename
    refuse_large(whole, member.file_size)
    try:
        return table_of(whole, archive.read(member))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise DataError(f"{whole}: cannot be unpacked ({error})") from None


def _named(
    archive: zipfile.ZipFile,
    path: Path,
    members: Mapping[PurePosixPath, zipfile.ZipInfo],
    table: Path,
    name: object,
) -> Picture:
    """The picture that a table in the archive names: one of the archive's, never a file outside of it."""
    full = within(table.parent, name, str(table))
    inside = PurePosixPath(full.relative_to(path).as_posix()) if full.is_relative_to(path) else None
    member = None if inside is None else members.get(inside)
    if member is None:
        return Picture(str(full), _missing)
    return Picture(str(full), partial(_open, archive, member), f"{member.file_size}:{member.CRC}")


def _missing() -> Pillow.Image:
    raise DataError("there is no such file in the archive")


def _open(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Pillow.Image:
    if member.file_size > LARGEST:
        raise DataError(f"unpacks to {member.file_size >> 20} MiB, more than a picture may")
    return Pillow.open(io.BytesIO(archive.read(member)))
