"""Pictures that belong to items: outlines of photos, masks, low resolutions."""

from __future__ import annotations

from statistics import median

import torch

from ectype.data import fitting, pictures
from ectype.data.data import Condition
from ectype.data.found import Column, Found, Picture
from ectype.data.store import Resident
from ectype.errors import DataError
from ectype.kinds import Kind
from ectype.kinds.image import Image, same_aspect


def paired(
    column: Column,
    kind: Image | None,
    where: str,
    notes: list[str],
    *,
    item: Kind | None,
    strict: bool,
    limit: float | None,
) -> Condition:
    """A column of pictures as a condition; damaged ones are missing, and named in the notes.

    Pictures of the items' aspect take their size, so that each pixel lies on one of the item's; others
    take the size that `pictures.target` chooses.

    Arguments:
        kind: what they are made to fit; None: fitted to them.
        where: what messages call them.
        notes: receives sentences.
        item: the items' kind.
        strict: refuse damaged and missing ones.
        limit: gigabytes they may take in memory.

    Raises DataError where no picture can be read, and where they do not fit into memory.
    """
    at = [i for i, value in enumerate(column) if isinstance(value, Picture)]
    if not at:
        raise DataError(f"{where}: holds no pictures")
    if strict and len(at) < len(column):
        missing = f"{len(column) - len(at)} of {len(column)} items have no picture"
        raise DataError(f"{where}: {missing}; complete them, or read without strict")
    part = Found(pictures=[column[i] for i in at], names=[str(i) for i in at])
    if kind is None:
        size = _size(pictures.survey(part, where, strict), item)
        kind, store = fitting.images(
            part, where, size=size, channels=None, bits=None, limit=limit, strict=strict
        )
    else:
        store = fitting.by_kind(part, kind, where, strict=strict, limit=limit, seed=0)
    if not isinstance(store, Resident):
        raise DataError(f"{where}: these pictures do not fit into memory; make them smaller, or raise limit=")
    there = torch.tensor([int(name) for name in part.names or []])
    stored = store.tensor.new_zeros(len(column), *store.tensor.shape[1:])
    stored[there] = store.tensor
    present = torch.zeros(len(column), dtype=torch.bool)
    present[there] = True
    notes += [f"{where.rpartition(': ')[2]}: {note}" for note in part.notes]
    if len(at) < len(column):
        notes.append(f"{len(column) - len(at)} of {len(column)} items have no {where.rpartition(': ')[2]}")
    return Condition(kind, stored, present)


def _size(forms: list[pictures.Form], item: Kind | None) -> tuple[int, int] | None:
    if not isinstance(item, Image):
        return None
    usual = (round(1000 * median(form.height / form.width for form in forms)), 1000)
    return item.size if same_aspect(usual, item.size) else None
