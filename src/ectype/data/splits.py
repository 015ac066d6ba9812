"""Which items are trained on, which choose, and which are only measured.

Deterministic and disjoint in content: items are grouped by a hash of what is stored, keyed with the
seed, and groups go whole to one split in the order of the hash. A copy of a training picture can
therefore not be held back to be measured on. Where a column says what belongs together, its groups go
whole as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ectype.data.found import SPLITS, Found
from ectype.errors import DataError

Array = np.ndarray[Any, Any]
HELD_BACK = 0.1
CARVED_AT_MOST = 5000


def digests(parts: Iterable[Array], seed: int) -> Array:
    """One 64-bit hash of each item's bytes (N,), keyed with the seed."""
    key = int(seed).to_bytes(16, "little", signed=True)
    found = bytearray()
    for part in parts:
        rows = np.ascontiguousarray(part)
        for row in rows.reshape(len(rows), -1).view(np.uint8):
            found += hashlib.blake2b(row.tobytes(), digest_size=8, key=key).digest()
    return np.frombuffer(bytes(found), np.uint64)


def splits_of(found: Found, hashes: Array, seed: int, where: str) -> dict[str, Tensor]:
    """The splits of what was found, whose items have these hashes (N,); its groups stay whole.

    Splits of its own that share items are kept, and noted.

    Raises DataError for fewer than three groups, and for official splits that part a group.
    """
    if found.groups is None:
        parts = split(hashes, found.split, found.notes)
        found.notes += shared(hashes, parts) if found.split else []
        return parts
    notes: list[str] = []
    parts = split(bound(hashes, found.groups, seed), found.split, notes)
    if notes:
        several = len(set(found.groups) - {None})
        raise DataError(
            f"{where}: too few groups to hold any back ({several} values; items that are equal stay together "
            "too); split by another column, or leave split_by out"
        )
    sets = [{found.groups[i] for i in parts[name].tolist()} - {None} for name in SPLITS]
    parted = set.union(*(a & b for a, b in ((sets[0], sets[1]), (sets[0], sets[2]), (sets[1], sets[2]))))
    if parted:
        raise DataError(
            f"{where}: has splits of its own, and they part {len(parted)} groups, such as "
            f"'{sorted(map(str, parted))[0]}'; leave split_by out"
        )
    found.notes += shared(hashes, parts) if found.split else []
    return parts


def shared(hashes: Array, parts: Mapping[str, Tensor]) -> list[str]:
    """A sentence about items that are equal and in two splits; none where there are none.

    Arguments:
        hashes: (N,) of the items' content.
        parts: items' numbers by split.
    """
    own = {name: hashes[parts[name].numpy()] for name in SPLITS}
    counts = []
    for name, other in (("test", "train"), ("select", "train"), ("test", "select")):
        twice = int(np.isin(own[name], own[other]).sum())
        if twice:
            counts.append(f"{twice:,} of {len(own[name]):,} items of {name} are in {other} too")
    return (
        [f"{', '.join(counts)}: its own splits are kept, and numbers on such items flatter"] if counts else []
    )


def bound(hashes: Array, groups: Sequence[str | None], seed: int) -> Array:
    """One number for all items that are equal or of one group, directly or through others (N,) uint64.

    Arguments:
        hashes: (N,) of the items' content.
        groups: a value per item; None: the item is a group of its own.
        seed: of the groups' order.
    """
    names = [np.frombuffer(group.encode("utf-8", "replace"), np.uint8)[None] for group in groups if group]
    keys = hashes.copy()
    keys[[bool(group) for group in groups]] = digests(names, seed)
    ties = [np.unique(values, return_inverse=True)[1] for values in (keys, hashes)]
    while True:  # each round reaches one item further; groups are rarely tied by more than one
        before = keys
        for tie in ties:
            least = np.full(tie.max() + 1, np.iinfo(np.uint64).max)
            np.minimum.at(least, tie, keys)
            keys = least[tie]
        if (keys == before).all():
            return keys


def split(hashes: Array, official: Sequence[str] | None, notes: list[str]) -> dict[str, Tensor]:
    """The splits "train", "select", "test" and "all", as item numbers in ascending order.

    80, 10 and 10 % where the source has no splits of its own (to half the size of one group of equal
    items, at least one item each where there are three different ones). Where it has, they are kept,
    and what is missing is carved from train: 10 %, at most 5,000.

    Arguments:
        hashes: (N,) of the items' content.
        official: each item's own split, "" where it has none; None: there are none.
        notes: receives a sentence where a split stays empty.
    """
    n = len(hashes)
    where = np.array([SPLITS.index(s) if s else 0 for s in official] if official else np.zeros(n), np.int64)
    owned = {s for s in official or () if s}
    if "train" in owned or not owned:
        for name in ("test", "select"):
            if name not in owned:
                pool = int((where == 0).sum()) if owned else n
                share = max(1, round(pool * HELD_BACK))
                _carve(hashes, where, SPLITS.index(name), min(share, CARVED_AT_MOST) if owned else share)
    else:
        where[:] = 0  # a source of test items only is data like any other
        return split(hashes, None, notes)
    parts = {name: torch.from_numpy(np.flatnonzero(where == i)) for i, name in enumerate(SPLITS)}
    empty = [name for name in ("select", "test") if not len(parts[name])]
    if empty:
        notes.append(
            f"too few different items to hold any back: {' and '.join(empty)} empty, so numbers on train only"
        )
    return {**parts, "all": torch.arange(n)}


def mixed(parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same splits with their items in random order, a function of their number; "all" stays as it is.

    Much is measured on the first items of a split, and in a source that is sorted by class or date these are
    no sample of it.
    """
    found = dict(parts)
    for name in found.keys() - {"all"}:
        order = np.random.default_rng(len(found[name])).permutation(len(found[name]))
        found[name] = found[name][torch.from_numpy(order)]
    return found


def _carve(hashes: Array, where: Array, code: int, share: int) -> None:
    """Move about `share` items of train to another split, by their hash; train keeps one group."""
    at = np.flatnonzero(where == 0)
    if not len(at):
        return
    _, group, counts = np.unique(hashes[at], return_inverse=True, return_counts=True)
    share = min(share, int(counts.sum()) // 2)
    # a group larger than the share is moved only when there is nothing else: half the data may be one blank
    order = np.lexsort((np.arange(len(counts)), counts > share))
    before = np.cumsum(counts[order]) - counts[order]
    moved = np.empty(len(counts), bool)
    moved[order] = before + counts[order] / 2 <= share  # so that the share is missed by least
    moved[order[0]] = True
    moved[order[-1]] = False
    where[at[moved[group]]] = code
