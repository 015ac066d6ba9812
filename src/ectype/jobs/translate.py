"""Pictures of one sort into pictures of another: what the model was conditioned on into what it makes.

outline → filled     low → high resolution     noisy → clean     grey → colour     any picture of a pair
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ectype.errors import DataError, UsageError, did_you_mean
from ectype.jobs import outputs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from ectype.jobs.inputs import Items
    from ectype.kinds import Kind
    from ectype.runs import Run

OUT = "translations"
SHEET = "comparison.png"
_OWN = 64
_BATCH = 64


def translate(
    run: Run | str | Path,
    source: str | Path | None = None,
    *,
    condition: str | None = None,
    from_items: bool = False,
    draws: int = 1,
    given: Mapping[str, str] | None = None,
    temperature: float = 1.0,
    split: str = "test",
    count: int | None = None,
    seed: int = 0,
    out: Path | None = None,
    overwrite: bool = False,
) -> list[list[Any]]:
    """Make pictures of outlines, of few pixels, of noisy or grey ones, or of the other half of a pair.

    The model was trained with that as its condition (`--given low`). The source holds pictures of the
    condition's sort; with from_items, or without a source, they are made from pictures of the model's own
    sort first, and how near the results are to those is printed beside the simple answer (bicubic
    upscaling of low, the picture itself of noisy). Result j of item i depends on (seed, i, j) only.

    Arguments:
        run: a run's folder, or its model file.
        source: pictures, anything train reads; default: the data the run was trained on.
        condition: which of the model's conditions they are; needed where it has several pictures.
        from_items: the source's pictures are of the sort the model makes: make the condition from them.
        draws: results of each.
        given: further conditions all results have, such as label=7.
        temperature: below 1 nearer to the typical result, above 1 further from it.
        split: which part of the run's own data: train, select, test or all.
        count: pictures at most; default: all of a source, 64 of the run's own data.
        seed: another seed, other results.
        out: folder for one file each and comparison.png (what was given above); or one .png or .npz.
        overwrite: replace files that exist.

    Raises UsageError for a model that is conditioned on no picture, DataError where the source cannot be
    read, OutputError where `out` cannot be written.
    """
    import torch

    from ectype.jobs.fills import check
    from ectype.jobs.inputs import items_of, opened
    from ectype.jobs.reconstruct import blocks, put_beside

    check(draws, temperature, out, overwrite)
    run = opened(run)
    name = condition_of(run, condition, given or {})
    own = source is None or from_items
    count = _OWN if source is None and count is None else count
    items = items_of(run, source, split=split, count=count) if own else asked(run, name, source, count)
    parts = list(
        translated(run, name, items, own, draws=draws, given=given or {}, seed=seed, temperature=temperature)
    )
    read = run.conditions[name]
    rows = [_raw(run.kind, x) for x in torch.cat([part[1] for part in parts], 1)]
    if out is not None:
        sheet = blocks(run.kind, [_raw(read, torch.cat([part[0] for part in parts])), *rows])
        names = [n if draws == 1 else f"{n}-{j}" for n in items.names for j in range(draws)]
        put_beside(run.kind, _columns(rows), SHEET, sheet, out, names=names, overwrite=overwrite)
    if own:
        _tell(read, parts, items.split, seed)
    return [list(column) for column in zip(*rows, strict=True)]


def _raw(kind: Kind, x: Tensor) -> list[Any]:
    return [kind.unpack(array) for array in kind.stored(x)]


def _columns(rows: list[list[Any]]) -> list[Any]:
    """The items of equally long rows, those that stand one above the other in a row."""
    return [item for column in zip(*rows, strict=True) for item in column]


def condition_of(run: Run, name: str | None, given: Mapping[str, str]) -> str:
    """The run's condition that pictures are translated from; raises UsageError where that is not clear."""
    from ectype.jobs.inpaint import pictures_of
    from ectype.kinds.derived import Derived
    from ectype.kinds.image import Image

    pictures_of(run)
    known = [n for n, kind in run.conditions.items() if isinstance(kind, Derived | Image)]
    if not known:
        raise UsageError(
            "this model is not conditioned on a picture: train one with --given low, outline, grey or noisy"
        )
    if name is None and len(known) > 1:
        raise UsageError(f"this model has several pictures as conditions: --condition {' or '.join(known)}")
    name = known[0] if name is None else name
    if name not in known:
        raise UsageError(f"this model cannot be given a picture '{name}'{did_you_mean(name, known)}")
    if name in given:
        raise UsageError(f"'{name}' is what is translated from, so it cannot be given too")
    return name


def asked(run: Run, name: str, source: Any, count: int | None) -> Items:
    """The pictures of a source as those of a condition; raises as `items_of`."""
    from ectype.data.fitted import read_with
    from ectype.jobs.inputs import GIVEN, Items
    from ectype.kinds.derived import Derived

    if count is not None and count < 1:
        raise UsageError(f"count is at least 1, not {count}")
    kind = run.conditions[name]
    data = read_with(source, kind.picture if isinstance(kind, Derived) else kind)
    for note in data.notes:
        outputs.tell(f"note: {note}")
    if not len(data):
        raise DataError(f"{source}: holds no pictures")
    return Items(data, data.split("all")[:count], GIVEN)


def translated(
    run: Run,
    name: str,
    items: Items,
    own: bool,
    *,
    draws: int,
    given: Mapping[str, str],
    seed: int,
    temperature: float,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Batches of the condition (B, *form), what is made (draws, B, C, H, W) and the items (B, …), on the CPU.

    Arguments:
        own: whether the items are of the sort the model makes, with their conditions; else they are the
            condition.
    """
    import torch

    from ectype.jobs.decoding import evaluating
    from ectype.jobs.fills import drawn
    from ectype.jobs.inputs import device_of, tensors_of
    from ectype.kinds.derived import Derived

    device, kind = device_of(run), run.conditions[name]
    for at, batch in zip(items.indices.split(_BATCH), items.batches(_BATCH, seed), strict=True):
        batch = batch.to(device)
        if own:
            told = {
                n: v
                for n, v in batch.given.items()
                if n == name or not isinstance(run.conditions[n], Derived)
            }
        else:
            told = {name: kind.of(batch.x) if isinstance(kind, Derived) else batch.x}
        with evaluating(run):
            told |= tensors_of(run, given, len(batch))
            kept = {n: v for n, v in batch.kept.items() if n in told and n not in given}
            context = None if run.model.conditioner is None else run.model.conditioner(told, kept, len(batch))
            made = [
                drawn(run, context, at.tolist(), j, seed=seed, temperature=temperature) for j in range(draws)
            ]
        yield told[name].cpu(), torch.stack(made).cpu(), batch.x.cpu()


def _tell(kind: Kind, parts: list[tuple[Tensor, Tensor, Tensor]], split: str, seed: int) -> None:
    """Say how near the results are to the pictures the condition was made from."""
    import torch

    from ectype.kinds.derived import Derived
    from ectype.metrics.fidelity import fidelity
    from ectype.metrics.fills import fills

    condition, truth = (torch.cat([part[i] for part in parts]) for i in (0, 2))
    made = torch.cat([part[1] for part in parts], 1)
    answer = kind.plain(condition) if isinstance(kind, Derived) else None
    name, plain = answer or ("", None)
    everywhere = torch.ones(truth.shape[2:], dtype=torch.bool)
    scores = fills(truth, made, everywhere, plain=plain, plain_name=name, split=split, seed=seed)
    outputs.tell_scores(scores)
    outputs.tell("the first result of each:")
    outputs.tell_scores(fidelity([(truth, made[0])], split=split, seed=seed))
    if plain is not None:
        outputs.tell(f"{name}:")
        outputs.tell_scores(fidelity([(truth, plain)], split=split))
