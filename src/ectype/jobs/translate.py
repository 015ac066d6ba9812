"""Pictures of one sort into pictures of another, texts into texts: a condition into what the model makes.

outline → filled     low → high resolution     noisy → clean     grey → colour     any picture of a pair
text → summary       title → poem              one language → another              any text of a pair
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

    from ectype.context import Context
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
    nucleus: float = 1.0,
    beam: int = 1,
    split: str = "test",
    count: int | None = None,
    seed: int = 0,
    out: Path | None = None,
    overwrite: bool = False,
) -> list[list[Any]]:
    """Make pictures of outlines, of few pixels, of noisy or grey ones, of the other half of a pair; or texts.

    The model was trained with that as its condition (`--given low`, of texts `--given title:words`): a
    summary is what a model of summaries, given their texts, makes of a text. The source holds items of the
    condition's sort; with from_items, or without a source, they are those of items of the model's own sort.
    How near the results are to these is printed, of pictures beside the simple answer (bicubic upscaling of
    low, the picture itself of noisy), of texts beside another item's. Result j of item i depends on
    (seed, i, j) only.

    Arguments:
        run: a run's folder, or its model file.
        source: pictures or texts, anything train reads; default: the data the run was trained on.
        condition: which of the model's conditions they are; needed where it has several of that sort.
        from_items: the source's items are of the sort the model makes: make the condition from them.
        draws: results of each.
        given: further conditions all results have, such as label=7.
        temperature: below 1 nearer to the typical result, above 1 further from it; of texts also what
            symbols are drawn with.
        nucleus: of texts: share of the probability that each symbol is drawn from.
        beam: of texts: in place of a draw the most probable one, searched for with so many beginnings at a
            time, its log p not divided by its length.
        split: which part of the run's own data: train, select, test or all.
        count: items at most; default: all of a source, 64 of the run's own data.
        seed: another seed, other results.
        out: folder for one file each and comparison.png (what was given above); or one .png or .npz.
        overwrite: replace files that exist.

    Raises UsageError for a model that is conditioned on nothing of its own sort, DataError where the source
    cannot be read, OutputError where `out` cannot be written.
    """
    import torch

    from ectype.jobs.fills import check
    from ectype.jobs.inputs import items_of, opened

    check(draws, temperature, out, overwrite)
    run = opened(run)
    name = condition_of(run, condition, given or {})
    own = source is None or from_items
    count = _OWN if source is None and count is None else count
    items = items_of(run, source, split=split, count=count) if own else asked(run, name, source, count)
    if beam != 1 and draws != 1:
        raise UsageError("beam looks for the most probable text, of which there is one: leave out draws")
    how: dict[str, Any] = {"temperature": temperature, "nucleus": nucleus, "beam": beam, "seed": seed}
    parts = list(translated(run, name, items, own, draws=draws, given=given or {}, **how))
    read = run.conditions[name]
    asked_for = _raw(read, torch.cat([part[0] for part in parts]))
    rows = [_raw(run.kind, x) for x in torch.cat([part[1] for part in parts], 1)]
    if out is not None:
        _put(run.kind, asked_for, rows, items.names, out, overwrite=overwrite)
    if own:
        _tell(run.kind, read, parts, items.split, seed)
    return [list(column) for column in zip(*rows, strict=True)]


def _raw(kind: Kind, x: Tensor) -> list[Any]:
    return [kind.unpack(array) for array in kind.stored(x)]


def _put(
    kind: Kind, asked_for: list[Any], rows: list[list[Any]], names: list[str], out: Path, *, overwrite: bool
) -> None:
    """Write the results of each item one after the other, and a sheet with what was asked for above them."""
    from ectype.jobs.reconstruct import blocks, put_beside

    sheet = blocks(kind, [asked_for, *rows])
    called = [n if len(rows) == 1 else f"{n}-{j}" for n in names for j in range(len(rows))]
    results = [item for column in zip(*rows, strict=True) for item in column]
    put_beside(kind, results, SHEET, sheet, out, names=called, overwrite=overwrite)
    outputs.tell_texts(kind, asked_for, *rows)


def condition_of(run: Run, name: str | None, given: Mapping[str, str]) -> str:
    """The run's condition that items are translated from; raises UsageError where that is not clear."""
    from ectype.kinds.derived import Derived
    from ectype.kinds.image import Image
    from ectype.kinds.text import Text

    if not isinstance(run.kind, Image | Text):
        raise UsageError(f"only pictures and texts are translated, and this model makes a {run.kind.name}")
    written = isinstance(run.kind, Text)
    what, sorts = ("text", Text) if written else ("picture", Derived | Image)
    known = [n for n, kind in run.conditions.items() if isinstance(kind, sorts)]
    if not known:
        how = "a column of texts" if written else "low, outline, grey or noisy"
        raise UsageError(f"this model is not conditioned on a {what}: train one with --given {how}")
    if name is None and len(known) > 1:
        raise UsageError(f"this model has several {what}s as conditions: --condition {' or '.join(known)}")
    name = known[0] if name is None else name
    if name not in known:
        raise UsageError(f"this model cannot be given a {what} '{name}'{did_you_mean(name, known)}")
    if name in given:
        raise UsageError(f"'{name}' is what is translated from, so it cannot be given too")
    return name


def asked(run: Run, name: str, source: Any, count: int | None) -> Items:
    """The items of a source as those of a condition; raises as `items_of`."""
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
        raise DataError(f"{source}: holds no items")
    return Items(data, data.split("all")[:count], GIVEN)


def translated(
    run: Run,
    name: str,
    items: Items,
    own: bool,
    *,
    draws: int,
    given: Mapping[str, str],
    beam: int = 1,
    **how: Any,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Batches of the condition (B, *form), what is made (draws, B, *form) and the items (B, …), on the CPU.

    Arguments:
        own: whether the items are of the sort the model makes, with their conditions; else they are the
            condition.
        how: seed, temperature and nucleus, as `fills.drawn` has them.
    """
    from ectype.jobs.decoding import evaluating
    from ectype.jobs.inputs import device_of, tensors_of
    from ectype.kinds.derived import Derived

    device, kind = device_of(run), run.conditions[name]
    for at, batch in zip(items.indices.split(_BATCH), items.batches(_BATCH, how["seed"]), strict=True):
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
            made = _made(run, context, at.tolist(), draws, beam, **how)
        yield told[name].cpu(), made.cpu(), batch.x.cpu()


def _made(run: Run, context: Context | None, numbers: list[int], draws: int, beam: int, **how: Any) -> Tensor:
    """What is made under a context, (draws, B, *form), or one most probable text of each."""
    import torch

    from ectype.jobs.decoding import likeliest
    from ectype.jobs.fills import drawn

    if beam == 1:
        return torch.stack([drawn(run, context, numbers, j, **how) for j in range(draws)])
    z = run.model.latents(len(numbers), context).mean
    return likeliest(run.model, z, context, beam)[None]


def _tell(kind: Kind, read: Kind, parts: list[tuple[Tensor, Tensor, Tensor]], split: str, seed: int) -> None:
    """Say how near the results are to the items that have the conditions."""
    import torch

    from ectype.kinds.derived import Derived
    from ectype.kinds.text import Text
    from ectype.metrics.fidelity import fidelity
    from ectype.metrics.fills import fills
    from ectype.metrics.likeness import likeness

    condition, truth = (torch.cat([part[i] for part in parts]) for i in (0, 2))
    made = torch.cat([part[1] for part in parts], 1)
    if isinstance(kind, Text):
        said = (_raw(kind, truth), _raw(kind, made[0]))
        outputs.tell_scores(likeness(truth, made[0], said, unit=kind.unit, split=split, seed=seed))
        return
    answer = read.plain(condition) if isinstance(read, Derived) else None
    name, plain = answer or ("", None)
    everywhere = torch.ones(truth.shape[2:], dtype=torch.bool)
    scores = fills(truth, made, everywhere, plain=plain, plain_name=name, split=split, seed=seed)
    outputs.tell_scores(scores)
    outputs.tell("the first result of each:")
    outputs.tell_scores(fidelity([(truth, made[0])], split=split, seed=seed))
    if plain is not None:
        outputs.tell(f"{name}:")
        outputs.tell_scores(fidelity([(truth, plain)], split=split))
