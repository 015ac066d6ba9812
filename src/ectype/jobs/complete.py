"""What belongs to the known parts of an item: the others, drawn given these.

z ~ p(z | known parts)    the others ~ p(x | z)    the known parts stay as they are

Codes are found among many candidates (`candidates.py`): what the encoder says of some parts alone is one
normal, and a caption is true of pictures whose codes lie far apart.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ectype.errors import DataError, UsageError, did_you_mean
from ectype.jobs import outputs

if TYPE_CHECKING:
    from torch import Tensor

    from ectype.data.batch import Batch
    from ectype.data.data import Data
    from ectype.jobs.inputs import Items
    from ectype.kinds.record import Record
    from ectype.models.vae import VAE
    from ectype.runs import Run

OUT = "completed"
_MOST = 10_000  # draws of an item: its streams of noise are numbered by them
_OWN = 8
_ITEMS = 3  # mixed into the seed, so that items that are drawn anew do not share z's noise


def complete(
    run: Run | str | Path,
    source: str | Path | None = None,
    *,
    known: Mapping[str, str] | Sequence[str] | None = None,
    prefix: str | None = None,
    given: Mapping[str, str] | None = None,
    draws: int = 4,
    split: str = "test",
    count: int | None = None,
    noise: bool = False,
    temperature: float = 1.0,
    nucleus: float = 1.0,
    seed: int = 0,
    out: Path | None = None,
    overwrite: bool = False,
) -> list[Any]:
    """Missing parts of items: several answers to what is known, such as pictures of a caption.

    Of a text what is known may be its beginning, which stays to the symbol; its code is drawn from what the
    beginning leaves possible. Answers to one item are found together, in a second or a few for each 128 of
    them. Draw k of an item depends on the seed, the item and k alone.

    Arguments:
        run: a run's folder, or its model file; trained with --joint.
        source: items whose known parts are taken; default: the data the run was trained on.
        known: parts by name, as in caption="a red circle" or image=cat.png; or, without values, the names of
            the parts that are taken from the source's items.
        prefix: in their place, of a model of texts: how the texts begin.
        given: conditions of a part given by value, or of a beginning, such as label=7.
        draws: answers to each.
        split: which part of the run's own data: train, select, test or all.
        count: items at most; default: all of a source, 8 of the run's own data.
        noise: draw x from p(x | z) instead of showing its mean; texts and labels are always drawn.
        temperature: what symbols after a beginning are drawn with: below 1 probable ones more often, at 0 the
            most probable one.
        nucleus: share of the probability that each of these is drawn from, the most probable ones first.
        seed: of the draws.
        out: folder for one folder per part and a contact sheet, one row per item; or .png or .npz.
        overwrite: replace files that exist.

    Raises UsageError for a model that completes nothing and a part it does not have, DataError for a value
    that does not fit, OutputError where `out` cannot be written.
    """
    from ectype.jobs.inputs import opened

    if not 1 <= draws <= _MOST:
        raise UsageError(f"draws is a number from 1 to {_MOST:,}, not {draws}")
    if out is not None:
        outputs.refuse(out, overwrite)
    run = opened(run)
    if prefix is not None:
        if source is not None or known:
            raise UsageError("a beginning is all that is known: leave out the source and known")
        drawn: dict[str, Any] = {"temperature": temperature, "nucleus": nucleus, "seed": seed}
        return _begun(run, prefix, out, given=given, draws=draws, overwrite=overwrite, **drawn)
    if temperature != 1 or nucleus != 1:
        raise UsageError("temperature and nucleus are for what follows a beginning: add prefix")
    model, record = _completing(run)
    names = _names(record, known or ())
    items = _asked(run, record, source, known or (), given or {}, split=split, count=count)
    numbers = _having(items, names)
    made = _made(run, model, record, items.data, numbers, names, draws=draws, noise=noise, seed=seed)
    if out is not None:
        outputs.put_items(record, made, out, row=draws, overwrite=overwrite)
    return made


def _asked(
    run: Run,
    record: Record,
    source: str | Path | None,
    known: Mapping[str, str] | Sequence[str],
    given: Mapping[str, str],
    *,
    split: str,
    count: int | None,
) -> Items:
    """One item of values that were given, or the source's."""
    from ectype.jobs.inputs import items_of

    if isinstance(known, Mapping):
        if source is not None:
            raise UsageError("the known parts are given by value: leave out the source, or the values")
        return items_of(run, _one(run, record, known, given), split="all")
    if given:
        raise UsageError("items of a source have conditions of their own: leave out given")
    return items_of(run, source, split=split, count=_OWN if source is None and count is None else count)


def _begun(run: Run, prefix: str, out: Path | None, *, overwrite: bool, **how: Any) -> list[str]:
    """Texts that begin with `prefix`, said where they are few, and written."""
    from ectype.jobs.prefix import continued

    made = continued(run, prefix, **how)
    if out is not None:
        outputs.put_items(run.kind, made, out, overwrite=overwrite)
        outputs.tell_texts(run.kind, made)
    return made


def _having(items: Items, names: Sequence[str]) -> list[int]:
    """The numbers of the items that have these parts; says how many are left out, DataError where all are."""
    raw = zip(items.indices.tolist(), items.data.items(items.indices), strict=True)
    numbers = [i for i, item in raw if all(name in item for name in names)]
    lacking = len(items.indices) - len(numbers)
    if not numbers:
        raise DataError(f"no item has {' and '.join(names)}: name parts that are there")
    if lacking:
        outputs.tell(f"note: {lacking:,} items lack {' or '.join(names)}: left out")
    return numbers


def _completing(run: Run) -> tuple[VAE, Record]:
    from ectype.kinds.record import Record
    from ectype.models.vae import VAE

    if not isinstance(run.kind, Record):
        raise UsageError(
            "this model's items have one part only: train with --joint caption, or other columns; texts are "
            "completed from their beginning (--prefix)"
        )
    if not isinstance(run.model, VAE) or not run.model.complete > 0:
        raise UsageError("this model was not trained to complete items: train a vae without --complete 0")
    return run.model, run.kind


def _names(record: Record, known: Mapping[str, Any] | Sequence[str]) -> list[str]:
    """The known parts' names; UsageError for one there is not, for none and for all."""
    names = [known] if isinstance(known, str) else list(known)
    for name in names:
        if name not in record.parts:
            raise UsageError(f"there is no part '{name}'{did_you_mean(name, record.parts)}")
    if not 0 < len(set(names)) < len(record.parts):
        raise UsageError(
            "some of the parts are known and some are not: say which with --known, "
            f"of {', '.join(record.parts)}"
        )
    return names


def _one(run: Run, record: Record, known: Mapping[str, Any], given: Mapping[str, Any]) -> Data:
    """One item that has the known parts and conditions."""
    import torch

    from ectype.data.data import Condition, Data
    from ectype.data.store import Resident
    from ectype.jobs.inputs import packed

    for name in given:
        if name not in run.conditions:
            raise UsageError(f"this model cannot be given '{name}'{did_you_mean(name, run.conditions)}")
    conditions = {
        name: Condition(
            kind, torch.as_tensor(packed(name, kind, given[name]))[None], torch.ones(1, dtype=torch.bool)
        )
        for name, kind in run.conditions.items()
        if name in given
    }
    for name, value in known.items():
        packed(name, record.parts[name], value)  # which says which part does not fit
    stored = torch.from_numpy(record.pack(known))[None]
    return Data(record, Resident(stored), {"all": torch.arange(1)}, conditions)


def _made(
    run: Run,
    model: VAE,
    record: Record,
    data: Data,
    numbers: Sequence[int],
    names: Sequence[str],
    *,
    draws: int,
    noise: bool,
    seed: int,
) -> list[dict[str, Any]]:
    """`draws` completed items for each of the data's items with these numbers, one after the other."""
    import torch
    from tqdm import tqdm

    from ectype.jobs.decoding import CHUNK, evaluating, noise_of_pixels, shown

    rows = [(i, k) for i in numbers for k in range(draws)]
    batch_of = _known(run, record, data, names, seed)
    made: list[dict[str, Any]] = []
    look: dict[str, Any] = {"file": sys.stderr, "delay": 2, "disable": None, "leave": False}
    with evaluating(run), tqdm(total=len(rows), unit="item", desc="completing", **look) as bar:
        codes = _codes(model, numbers, draws, batch_of, seed, bar.update)
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            # always a whole chunk, so that a draw does not depend on how many there are
            whole = part + [part[-1]] * (CHUNK - len(part))
            z = torch.stack([next(codes) for _ in part])
            z = torch.cat([z, z[-1:].expand(CHUNK - len(part), -1)])
            context = model.condition(batch_of([i for i, _ in whole]))
            p = model.decode(z, context)
            x = shown(p, noise, noise_of_pixels(seed, [i * _MOST + k for i, k in whole]))
            arrays = record.stored(x[: len(part)])
            for array, item in zip(arrays, data.items([i for i, _ in part]), strict=True):
                made.append({**record.unpack(array), **{name: item[name] for name in names}})
    return made


def _known(
    run: Run, record: Record, data: Data, names: Sequence[str], seed: int
) -> Callable[[Sequence[int]], Batch]:
    """Items by number, of which only the parts of these names are seen."""
    import torch

    from ectype.jobs.inputs import device_of
    from ectype.noise import PerItem, mix

    held = torch.tensor([[name in names for name in record.parts]])

    def batch_of(at: Sequence[int]) -> Batch:
        batch = data.batch(at, PerItem(mix(seed, _ITEMS), at))
        seen = torch.ones_like(batch.x, dtype=torch.bool) if batch.seen is None else batch.seen
        return replace(batch, seen=seen & record.values_of(held)).to(device_of(run))

    return batch_of


def _codes(
    model: VAE,
    numbers: Sequence[int],
    draws: int,
    batch_of: Callable[[Sequence[int]], Batch],
    seed: int,
    told: Callable[[int], object],
) -> Iterator[Tensor]:
    """The codes (D,) of the draws of each item, one after the other.

    Arguments:
        numbers: of the items.
        batch_of: items by number, of which only the known parts are seen.
        told: is called with 1 for each code.
    """
    from ectype.jobs.candidates import drawn
    from ectype.noise import mix

    for i in numbers:
        batch = batch_of([i])
        context = model.condition(batch)
        for z in drawn(model, batch.x, context, mix(seed, i), range(draws), batch.seen):
            told(1)
            yield z
