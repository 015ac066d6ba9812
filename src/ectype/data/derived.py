"""Conditions that are made from the pictures themselves: nothing is stored for them."""

from __future__ import annotations

import difflib
from collections.abc import Container, Sequence

import torch

from ectype.data.data import Condition
from ectype.errors import DataError, UsageError, did_you_mean
from ectype.kinds import Kind
from ectype.kinds.derived import WAYS, Derived, is_way
from ectype.kinds.image import Image


def derived(
    names: Sequence[str], columns: Container[str], kind: Kind, n: int, where: str
) -> dict[str, Condition]:
    """The conditions of these names that are made from the items; the source's own columns come first.

    Arguments:
        names: of all conditions asked for.
        columns: names of what the source holds.
        kind: of the items.
        n: how many items there are.
        where: the source's name, for messages.

    Raises DataError where the items are no pictures, UsageError for a name that is nearly one of these.
    """
    found = {}
    for name in names:
        if name in columns:
            continue
        if not is_way(name):
            if isinstance(kind, Image) and difflib.get_close_matches(name, WAYS, n=1, cutoff=0.6):
                raise UsageError(f"{where}: there is no '{name}' to be given{did_you_mean(name, WAYS)}")
            continue
        if not isinstance(kind, Image):
            raise DataError(
                f"{where}: '{name}' is made from pictures, and these are items of kind {kind.name}"
            )
        found[name] = made(Derived(kind, name), n)
    return found


def made(kind: Derived, n: int) -> Condition:
    """A derived condition that `n` items all have."""
    return Condition(kind, torch.empty(n, 0), torch.ones(n, dtype=torch.bool))
