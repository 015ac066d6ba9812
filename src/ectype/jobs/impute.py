"""What is missing from time series, filled in several ways: gaps (`impute`) and what comes next (`forecast`).

Both search the latent of a trained model, as `inpaint` does for pictures (`jobs/fills.py`): of 32 draws from
the prior the one nearest on the known values is refined until it fits them. Known values stay, to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ectype.errors import DataError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ectype.context import Context
    from ectype.jobs.inputs import Given, Items
    from ectype.kinds.series import Series
    from ectype.runs import Run

    Array = np.ndarray[Any, Any]

SHEET = "filled.png"
_OWN = 200
_ON_SHEET = 16


def impute(
    run: Run | str | Path,
    source: str | Path | None = None,
    *,
    hide: float = 0.2,
    given: Mapping[str, str] | None = None,
    draws: int = 1,
    noise: bool = False,
    temperature: float = 1.0,
    split: str = "test",
    count: int | None = None,
    seed: int = 0,
    out: Path | None = None,
    overwrite: bool = False,
) -> list[list[Any]]:
    """Fill gaps in time series, in one or several ways; known values stay as they are, to the bit.

    Without a source, some known values of the run's own data are hidden, and how near the fills come to them
    is printed beside a straight line from neighbour to neighbour.

    Arguments:
        run: a run's folder, or its model file, of series of one length.
        source: series with gaps (empty cells, NaN), anything train reads; default: the run's own data.
        hide: of the run's own data: share of the values to hide.
        given: conditions of all series by value, such as label=7, in place of those that each has.
        draws: fills of each series.
        noise: draw from p(x | z) instead of taking its mean.
        temperature: below 1 nearer to the typical fill, above 1 further from it.
        split: which part of the run's own data: train, select, test or all.
        count: series at most; default: all of a source, 200 of the run's own data.
        seed: another seed, other fills.
        out: folder for one table each and filled.png; or one .png or .npz.
        overwrite: replace files that exist.

    Raises UsageError for a run of anything else, DataError where the source cannot be read.
    """
    import torch

    from ectype.jobs.fills import check
    from ectype.jobs.gaps import filled, tell_distance
    from ectype.jobs.inputs import items_of, opened

    check(draws, temperature, out, overwrite)
    if not 0 < hide < 1:
        raise UsageError(f"hide is a share of the values, between 0 and 1, not {hide}")
    run = opened(run)
    kind = series_of(run)
    items = items_of(run, source, split=split, count=_OWN if source is None and count is None else count)
    stored = items.data.store.gather(items.indices)
    seen = ~stored.isnan()
    if source is None:
        stream = torch.Generator().manual_seed(seed)
        seen &= torch.rand(seen.shape, generator=stream) >= hide
    context = _context(run, given, items, len(stored))
    made = filled(run, stored, seen, context, draws=draws, seed=seed, noise=noise, temperature=temperature)
    if source is None:
        tell_distance(kind, made, stored, seen, "a straight line", split=items.split, seed=seed)
    return _given(kind, made, torch.where(seen, stored, torch.nan), items.names, out, overwrite)


def forecast(
    run: Run | str | Path,
    source: str | Path | None = None,
    *,
    steps: int,
    given: Mapping[str, str] | None = None,
    draws: int = 20,
    noise: bool = True,
    temperature: float = 1.0,
    by: str | None = None,
    time: str | None = None,
    split: str = "test",
    count: int | None = None,
    seed: int = 0,
    out: Path | None = None,
    overwrite: bool = False,
) -> list[list[Any]]:
    """What may come next: the last steps of a model's window, drawn under those before them.

    Of each series of the source the model sees the end, as far as its window reaches. Without a source, the
    last steps of the run's own windows are hidden, and the distance to them is printed beside that of the
    last known value, and how often the truth lies between the 10 % and 90 % quantiles.

    Arguments:
        run: a run's folder, or its model file, of series of one length.
        source: series, anything train reads; default: windows of the run's own data.
        steps: how many to say, fewer than the model's window has.
        given: conditions of all series by value, such as label=7, in place of those that each has.
        draws: futures of each series.
        noise: draw from p(x | z) instead of taking its mean; an interval of means is too narrow.
        temperature: below 1 nearer to the typical future, above 1 further from it.
        by: of a table: the column that says which series a row is of; default: as in training.
        time: of a table: the column rows are put in order by; default: as in training.
        split: which part of the run's own data: train, select, test or all.
        count: series at most; default: all of a source, 200 of the run's own data.
        seed: another seed, other futures.
        out: folder for one table each (the window, with what was said at its end) and filled.png.
        overwrite: replace files that exist.

    Raises UsageError for a run of anything else or too many steps, DataError where the source cannot be read.
    """
    from ectype.data.data import Data
    from ectype.jobs.fills import check
    from ectype.jobs.gaps import filled, tell_distance
    from ectype.jobs.inputs import items_of, opened

    check(draws, temperature, out, overwrite)
    run = opened(run)
    kind = series_of(run)
    if not 0 < steps < kind.length:
        raise UsageError(f"steps is from 1 to {kind.length - 1}, the model's window less one, not {steps}")
    items = own = None
    if source is None or isinstance(source, Data):
        items = items_of(run, source, split=split, count=count or _OWN)
        stored, names, told = items.data.store.gather(items.indices), items.names, items.split
    else:
        (stored, names, own), told = _ends(run, source, steps, count, by, time), ""
    seen = ~stored.isnan()
    seen[:, :, -steps:] = False
    context = _context(run, given or own, items, len(stored))
    made = filled(run, stored, seen, context, draws=draws, seed=seed, noise=noise, temperature=temperature)
    if told:
        tell_distance(kind, made, stored, seen, "the last value", split=told, seed=seed)
    return _given(kind, made, stored.where(seen, math.nan), names, out, overwrite)


def series_of(run: Run) -> Series:
    """The kind of a run that makes series of one length; UsageError for any other."""
    from ectype.kinds.series import Series

    if not isinstance(run.kind, Series) or run.kind.varies:
        what = "series of many lengths" if isinstance(run.kind, Series) else f"items of kind {run.kind.name}"
        raise UsageError(f"gaps and futures are of time series of one length, and this model makes {what}")
    return run.kind


def _context(run: Run, given: Given | None, items: Items | None, n: int) -> Context | None:
    """The context of n series: the conditions that are given by value, else those that each has."""
    from ectype.jobs.decoding import evaluating
    from ectype.jobs.inputs import context_of, device_of

    with evaluating(run):
        if given or items is None:
            return context_of(run, given, n)
        return run.model.condition(items.data.batch(items.indices).to(device_of(run)))


def _ends(
    run: Run, source: Any, steps: int, count: int | None, by: str | None, time: str | None
) -> tuple[Tensor, list[str], list[dict[str, Any]]]:
    """The last steps of each series of a source and room for `steps` more, names, conditions."""
    import numpy as np
    import torch

    from ectype.data.fitted import columns_of
    from ectype.data.series import whole

    kind, usual = series_of(run), columns_of(source, run.record.get("data"))
    found, rows = whole(source, window=kind.length, by=by or usual[0], time=time or usual[1])
    rows = rows[:count]
    stored = np.full((len(rows), kind.features, kind.length), np.nan, np.float32)
    for i, row in enumerate(rows):
        if row.shape[1] != kind.features:
            raise DataError(f"{source}: {row.shape[1]} features, where the model knows {kind.features}")
        end = row[-(kind.length - steps) :]
        if not len(end) or np.isnan(end).all() or np.isinf(end).any():
            raise DataError(f"{source}: series {i} ends in nothing known, or in infinite numbers")
        stored[i, :, kind.length - steps - len(end) : kind.length - steps] = end.T
    names = (found.names or [f"{i:04d}" for i in range(len(rows))])[:count]
    there = {name: found.columns[name] for name in run.conditions if name in found.columns}
    return torch.from_numpy(stored), names, [{n: c[i] for n, c in there.items()} for i in range(len(rows))]


def _given(
    kind: Series, made: Tensor, known: Tensor, names: Sequence[str], out: Path | None, overwrite: bool
) -> list[list[Any]]:
    """The fills of each series as raw items, written where asked."""
    rows = [[kind.unpack(fill[i].numpy()) for fill in made] for i in range(made.shape[1])]
    if out is not None:
        from ectype.jobs.reconstruct import put_beside

        tiles = [[kind.unpack(known[i].numpy()), *rows[i][:6]] for i in range(min(len(rows), _ON_SHEET))]
        sheet = kind.sheet([tile for row in tiles for tile in row], len(tiles[0]))
        each = [name if len(made) == 1 else f"{name}-{j}" for name in names for j in range(len(made))]
        flat = [fill for row in rows for fill in row]
        put_beside(kind, flat, SHEET, sheet, out, names=each, overwrite=overwrite)
    return rows
