"""What is missing from time series, filled in several ways: gaps (`impute`) and what comes next (`forecast`).

Both search the latent of a trained model, as `inpaint` does for pictures (`jobs/fills.py`): of 32 draws from
the prior the one nearest on the known values is refined until it fits them. Known values stay, to the bit.

Where series differ in length each keeps its own. One with gaps is as long as it is, whatever the model says;
what comes next is under the condition that it goes on for so long (`jobs/gaps.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ectype.errors import DataError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ectype.context import Context
    from ectype.jobs.gaps import Shown
    from ectype.jobs.inputs import Given, Items
    from ectype.kinds.series import Series
    from ectype.runs import Run

    Array = np.ndarray[Any, Any]

SHEET = "filled.png"
_OWN = 200
_ON_SHEET = 16
_NAMED = 8


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

    Each series keeps its length: gaps in its last rows are filled too, and nothing is made after its end.
    Without a source, some known values of the run's own data are hidden, and how near the fills come to them
    is printed beside a straight line from neighbour to neighbour.

    Arguments:
        run: a run's folder, or its model file, of series.
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

    Raises UsageError for a run of anything else, DataError where the source cannot be read or a series is
    longer than any the model knows.
    """
    import torch

    from ectype.jobs.fills import check
    from ectype.jobs.gaps import Shown, ends_of, filled, tell_distance
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
    shown = Shown(stored, seen, ends_of(kind, items, stored))
    context = _context(run, given, items, len(stored))
    made = filled(run, kind, shown, context, draws=draws, seed=seed, noise=noise, temperature=temperature)
    if source is None:
        tell_distance(kind, made, shown, "a straight line", split=items.split, seed=seed)
    return _given(kind, made, shown, items.names, out, overwrite)


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
    last steps of the run's own series are hidden, and the distance to them is printed beside that of the
    last known value, and how often the truth lies between the 10 % and 90 % quantiles.

    A model of series of many lengths sees the whole series and says further steps of it, up to the longest
    that it knows; series without room for so many, or of its own no longer than that, are left out and
    named. It may hold that a series ends sooner: what is drawn is what comes if it goes on for so long.

    Arguments:
        run: a run's folder, or its model file, of series.
        source: series, anything train reads; default: those of the run's own data.
        steps: how many to say, fewer than the model's window or its longest series has.
        given: conditions of all series by value, such as label=7, in place of those that each has.
        draws: futures of each series.
        noise: draw from p(x | z) instead of taking its mean; an interval of means is too narrow.
        temperature: below 1 nearer to the typical future, above 1 further from it.
        by: of a table: the column that says which series a row is of; default: as in training.
        time: of a table: the column rows are put in order by; default: as in training.
        split: which part of the run's own data: train, select, test or all.
        count: series at most; default: all of a source, 200 of the run's own data.
        seed: another seed, other futures.
        out: folder for one table each (the window or series, with what was said at its end) and filled.png.
        overwrite: replace files that exist.

    Raises UsageError for a run of anything else or too many steps, DataError where the source cannot be read.
    """
    from ectype.jobs.fills import check
    from ectype.jobs.gaps import filled, tell_distance
    from ectype.jobs.inputs import GIVEN, opened

    check(draws, temperature, out, overwrite)
    run = opened(run)
    kind = series_of(run)
    if not 0 < steps < kind.length:
        raise UsageError(f"steps is from 1 to {kind.length - 1}, one less than the model knows, not {steps}")
    shown, items, names, own = _begun(run, source, steps, split=split, count=count, by=by, time=time)
    context = _context(run, given or own, items, len(shown))
    made = filled(run, kind, shown, context, draws=draws, seed=seed, noise=noise, temperature=temperature)
    if items is not None and items.split != GIVEN:
        tell_distance(kind, made, shown, "the last value", split=items.split, seed=seed)
    return _given(kind, made, shown, names, out, overwrite)


def series_of(run: Run) -> Series:
    """The kind of a run that makes series; UsageError for any other."""
    from ectype.kinds.series import Series

    if not isinstance(run.kind, Series):
        raise UsageError(
            f"gaps and futures are of time series, and this model makes items of kind {run.kind.name}"
        )
    return run.kind


def _begun(
    run: Run, source: Any, steps: int, *, split: str, count: int | None, by: str | None, time: str | None
) -> tuple[Shown, Items | None, list[str], list[dict[str, Any]] | None]:
    """Series of which so many steps are to be said: the items they are, their names, or their conditions."""
    from ectype.data.data import Data
    from ectype.jobs.gaps import Shown
    from ectype.jobs.inputs import items_of

    kind = series_of(run)
    if hidden := source is None or isinstance(source, Data):
        items = items_of(run, source, split=split, count=count or _OWN)
    elif kind.varies:
        items = _given_items(run, source, count, by, time)
    else:
        stored, names, own = _ends(run, source, steps, count, by, time)
        return Shown.begun(stored, kind.steps(stored), steps), None, names, own
    items, stored, ends = _with_room(kind, items, steps, 0 if hidden else steps)
    return Shown.begun(stored, ends, steps), items, items.names, None


def _given_items(run: Run, source: Any, count: int | None, by: str | None, time: str | None) -> Items:
    """The whole series of a source, by columns that may be others than in training."""
    from ectype.data.fitted import read_with
    from ectype.jobs.inputs import GIVEN, Items
    from ectype.jobs.outputs import tell

    trained = run.record.get("data")
    data = read_with(source, run.kind, conditions=run.conditions, trained=trained, by=by, time=time)
    for note in data.notes:
        tell(f"note: {note}")
    return Items(data, data.split("all"), GIVEN).first(count)


def _with_room(kind: Series, items: Items, steps: int, further: int) -> tuple[Items, Tensor, Tensor]:
    """Those of which the last of so many steps can be said, their stored arrays, and where that last one is.

    Arguments:
        further: steps that come after those they have.

    Raises UsageError where there are none.
    """
    from ectype.jobs.gaps import ends_of
    from ectype.jobs.inputs import Items
    from ectype.jobs.outputs import tell

    stored = items.data.store.gather(items.indices)
    ends = ends_of(kind, items, stored) + further
    fits = (steps < ends) & (ends <= kind.length)
    if further:
        why = f"with {steps} more steps longer than {kind.length}, the longest that the model knows"
        room = kind.length - int(ends.min()) + further
    else:
        why, room = f"no longer than the {steps} steps that are to be said", int(ends.max()) - 1
    if not fits.any():
        raise UsageError(f"every series is {why}" + (f": ask for at most {room}" if room > 0 else ""))
    if not fits.all():
        left = [name for name, fit in zip(items.names, fits.tolist(), strict=True) if not fit]
        some = ", ".join(left[:_NAMED]) + (", …" if len(left) > _NAMED else "")
        tell(f"note: {len(left)} of {len(fits)} series are left out, being {why}: {some}")
    return Items(items.data, items.indices[fits], items.split), stored[fits], ends[fits]


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
    from ectype.data.sources import name_of

    where = name_of(source)
    kind, usual = series_of(run), columns_of(source, run.record.get("data"))
    found, rows = whole(source, window=kind.length, by=by or usual[0], time=time or usual[1])
    rows = rows[:count]
    stored = np.full((len(rows), kind.features, kind.length), np.nan, np.float32)
    for i, row in enumerate(rows):
        if row.shape[1] != kind.features:
            raise DataError(f"{where}: {row.shape[1]} features, where the model knows {kind.features}")
        end = row[-(kind.length - steps) :]
        if not len(end) or np.isnan(end).all() or np.isinf(end).any():
            raise DataError(f"{where}: series {i} ends in nothing known, or in infinite numbers")
        stored[i, :, kind.length - steps - len(end) : kind.length - steps] = end.T
    names = (found.names or [f"{i:04d}" for i in range(len(rows))])[:count]
    there = {name: found.columns[name] for name in run.conditions if name in found.columns}
    return torch.from_numpy(stored), names, [{n: c[i] for n, c in there.items()} for i in range(len(rows))]


def _given(
    kind: Series, made: Tensor, shown: Shown, names: Sequence[str], out: Path | None, overwrite: bool
) -> list[list[Any]]:
    """The fills of each series as raw items, written where asked."""
    rows = [[kind.unpack(fill[i].numpy()) for fill in made] for i in range(made.shape[1])]
    if out is not None:
        from ectype.jobs.reconstruct import put_beside

        known = shown.known.numpy()
        tiles = [[kind.unpack(known[i]), *rows[i][:6]] for i in range(min(len(rows), _ON_SHEET))]
        sheet = kind.sheet([tile for row in tiles for tile in row], len(tiles[0]))
        each = [name if len(made) == 1 else f"{name}-{j}" for name in names for j in range(len(made))]
        flat = [fill for row in rows for fill in row]
        put_beside(kind, flat, SHEET, sheet, out, names=each, overwrite=overwrite)
    return rows
