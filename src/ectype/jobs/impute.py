"""What is missing from time series, filled in several ways: gaps (`impute`) and what comes next (`forecast`).

Both search the latent of a trained model, as `inpaint` does for pictures (`jobs/fills.py`): of 32 draws from
the prior the one nearest on the known values is refined until it fits them. Known values stay, to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ectype.errors import DataError, UsageError
from ectype.jobs import outputs

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ectype.kinds.series import Series
    from ectype.runs import Run

    Array = np.ndarray[Any, Any]

SHEET = "filled.png"
_OWN = 200
_BATCH = 100
_ON_SHEET = 16
_MIDDLE = (0.1, 0.9)  # quantiles between which 80 % of the truth should lie
_ENOUGH = 10  # draws from which an interval is worth telling


def impute(
    run: Run | str | Path,
    source: str | Path | None = None,
    *,
    hide: float = 0.2,
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
    from ectype.jobs.inputs import items_of, opened

    check(draws, temperature, out, overwrite)
    if not 0 < hide < 1:
        raise UsageError(f"hide is a share of the values, between 0 and 1, not {hide}")
    run = opened(run)
    kind = series_of(run)
    items = items_of(run, source, split=split, count=_OWN if source is None and count is None else count)
    stored = items.data.store.gather(items.indices)
    there = ~stored.isnan()
    seen = there
    if source is None:
        stream = torch.Generator().manual_seed(seed)
        seen = there & (torch.rand(there.shape, generator=stream) >= hide)
    made = _filled(run, kind, stored, seen, draws, seed, noise=noise, temperature=temperature)
    if source is None:
        plain = _straight(torch.where(seen, stored, torch.nan))
        _tell(kind, made, stored, there & ~seen, plain, "a straight line", split=items.split, seed=seed)
    return _given(kind, made, torch.where(seen, stored, torch.nan), items.names, out, overwrite)


def forecast(
    run: Run | str | Path,
    source: str | Path | None = None,
    *,
    steps: int,
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
        draws: futures of each series.
        noise: draw from p(x | z) instead of taking its mean; an interval of means is too narrow.
        temperature: below 1 nearer to the typical future, above 1 further from it.
        by: of a table: the column that says which series a row is of.
        time: of a table: the column rows are put in order by.
        split: which part of the run's own data: train, select, test or all.
        count: series at most; default: all of a source, 200 of the run's own data.
        seed: another seed, other futures.
        out: folder for one table each (the window, with what was said at its end) and filled.png.
        overwrite: replace files that exist.

    Raises UsageError for a run of anything else or too many steps, DataError where the source cannot be read.
    """
    import torch

    from ectype.jobs.fills import check
    from ectype.jobs.inputs import items_of, opened

    check(draws, temperature, out, overwrite)
    run = opened(run)
    kind = series_of(run)
    if not 0 < steps < kind.length:
        raise UsageError(f"steps is from 1 to {kind.length - 1}, the model's window less one, not {steps}")
    if source is None:
        items = items_of(run, None, split=split, count=count or _OWN)
        stored, names, told = items.data.store.gather(items.indices), items.names, items.split
    else:
        stored, names = _ends(kind, source, steps, by, time)
        stored, names, told = stored[:count], names[:count], ""
    seen = ~stored.isnan()
    seen[:, :, -steps:] = False
    made = _filled(run, kind, stored, seen, draws, seed, noise=noise, temperature=temperature)
    if told:
        history = torch.where(seen, stored, torch.nan)
        hidden = ~stored.isnan() & ~seen
        _tell(kind, made, stored, hidden, _straight(history), "the last value", split=told, seed=seed)
    return _given(kind, made, torch.where(seen, stored, torch.nan), names, out, overwrite)


def series_of(run: Run) -> Series:
    """The kind of a run that makes series of one length; UsageError for any other."""
    from ectype.kinds.series import Series

    if not isinstance(run.kind, Series) or run.kind.varies:
        what = "series of many lengths" if isinstance(run.kind, Series) else f"items of kind {run.kind.name}"
        raise UsageError(f"gaps and futures are of time series of one length, and this model makes {what}")
    return run.kind


def _ends(
    kind: Series, source: str | Path, steps: int, by: str | None, time: str | None
) -> tuple[Tensor, list[str]]:
    """The last steps of each series of a source and room for `steps` more, (N, C, T), and their names."""
    import numpy as np
    import torch

    from ectype.data.series import whole

    found, rows = whole(source, window=kind.length, by=by, time=time)
    stored = np.full((len(rows), kind.features, kind.length), np.nan, np.float32)
    for i, row in enumerate(rows):
        if row.shape[1] != kind.features:
            raise DataError(f"{source}: {row.shape[1]} features, where the model knows {kind.features}")
        end = row[-(kind.length - steps) :]
        if not len(end) or np.isnan(end).all() or np.isinf(end).any():
            raise DataError(f"{source}: series {i} ends in nothing known, or in infinite numbers")
        stored[i, :, kind.length - steps - len(end) : kind.length - steps] = end.T
    return torch.from_numpy(stored), found.names or [f"{i:04d}" for i in range(len(rows))]


def _filled(
    run: Run,
    kind: Series,
    stored: Tensor,
    seen: Tensor,
    draws: int,
    seed: int,
    *,
    noise: bool,
    temperature: float,
) -> Tensor:
    """(draws, N, C, T) in the data's units: known values as they are, the others as the model says."""
    import torch

    from ectype.jobs.decoding import evaluating, noise_of_pixels
    from ectype.jobs.fills import searched
    from ectype.jobs.inputs import device_of
    from ectype.noise import mix

    conditioner = run.model.conditioner
    parts = []
    with evaluating(run):
        for start in range(0, len(stored), _BATCH):
            own, there = stored[start : start + _BATCH], seen[start : start + _BATCH]
            numbers = range(start, start + len(own))
            x = kind.tensor(own).to(device_of(run))
            given = None if conditioner is None else conditioner({}, {}, len(own))
            found = []
            for j in range(draws):
                p = searched(
                    run, given, numbers, j, x, there.to(x.device), seed=seed, temperature=temperature
                )
                y = p.draw(noise_of_pixels(mix(seed, j), numbers)) if noise else p.mean
                found.append(torch.where(there, own, torch.from_numpy(kind.stored(y))))
            parts.append(torch.stack(found))
    return torch.cat(parts, 1)


def _straight(known: Tensor) -> Tensor:
    """(N, C, T) with NaN replaced by a line between neighbours, by the nearest value at the ends."""
    import numpy as np
    import torch

    rows = known.numpy().reshape(-1, known.shape[2]).copy()
    across = np.arange(rows.shape[1])
    for row in rows:
        there = ~np.isnan(row)
        row[~there] = np.interp(across[~there], across[there], row[there]) if there.any() else np.nan
    return torch.from_numpy(rows.reshape(known.shape))


def _tell(
    kind: Series,
    made: Tensor,
    true: Tensor,
    hidden: Tensor,
    plain: Tensor,
    plain_name: str,
    *,
    split: str,
    seed: int,
) -> None:
    """Say how near the mean fill is to what was hidden, in deviations of each feature."""
    import torch

    from ectype.metrics import Score, mean_error, share_error

    std = torch.tensor(kind.std).view(-1, 1)
    gap = ((made.mean(0) - true) / std)[hidden].double().square()
    far = ((plain - true) / std)[hidden & ~plain.isnan()].double().square()
    value, error = mean_error(gap)
    root = value**0.5
    told: dict[str, Any] = {"n": int(hidden.sum()), "split": split, "seed": seed}
    scores = [
        Score("fill_rmse", root, "deviations", "lower", **told, error=(error or 0) / max(2 * root, 1e-12),
              floor=float(far.mean()) ** 0.5, floor_name=plain_name, note=f"mean of {len(made)} fills")
    ]  # fmt: skip
    if len(made) >= _ENOUGH:
        low, high = (torch.quantile(made, q, 0) for q in _MIDDLE)
        share, bar = share_error(((low <= true) & (true <= high))[hidden])
        scores.append(
            Score("inside 80 %", share, "", "neither", **told, error=bar, floor=0.8, floor_name="ideal",
                  note="values between the 10 % and 90 % quantiles of the fills")
        )  # fmt: skip
    outputs.tell_scores(scores)


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
