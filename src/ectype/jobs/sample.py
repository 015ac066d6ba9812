"""New items: z from p(z | c), then what p(x | z, c) shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ectype.errors import UsageError, did_you_mean
from ectype.jobs import outputs

if TYPE_CHECKING:
    from ectype.jobs.inputs import Given
    from ectype.runs import Run

OUT = "samples"


def sample(
    run: Run | str | Path,
    count: int | None = None,
    *,
    given: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    given_from: Path | None = None,
    each: str | None = None,
    seed: int = 0,
    temperature: float = 1.0,
    truncation: float | None = None,
    nucleus: float = 1.0,
    guidance: float = 1.0,
    noise: bool = False,
    out: Path | None = None,
    overwrite: bool = False,
) -> list[Any]:
    """New items from a trained model.

    Item i depends on the seed, its conditions and i alone: 4 samples are the first 4 of 16. Images and
    numbers are shown as the mean of p(x | z), tokens and labels are drawn.

    Arguments:
        run: a run's folder, or its model file.
        count: how many, 16; with each, of every class; with given_from, of every row, 1.
        given: conditions all of them have, such as label=7, text="a red circle", outline=drawing.png or
            tags="red|small"; what is not given is left open. From Python also a list, one mapping per item.
        given_from: table (.csv, .tsv, .jsonl, .json) whose columns are conditions: one item per row, in a
            file called as its column file, name or id says.
        each: a condition with named values, such as label: items of every class, one row of the sheet each.
        seed: another seed, other items.
        temperature: below 1 nearer to the typical item, above 1 further from it; of texts and labels also
            what their symbols are drawn with: at 0 the most probable one.
        truncation: no number of z further from the normal prior's mean than this many of its standard
            deviations; lower is more typical and less varied, 0.5 to 2 is usual.
        nucleus: share of the probability that each symbol of a text is drawn from, the most probable ones
            first; 0.9 leaves out unlikely slips.
        guidance: how strongly conditions act: above 1 more than as trained, and less varied; 0 not at all.
        noise: draw from p(x | z) instead of showing its mean.
        out: folder for one file each and a contact sheet, or one .png (the sheet), .npz (arrays) or, of
            texts, .txt (one on each line).
        overwrite: replace files that exist.

    Raises UsageError for a condition the model does not have and a truncation or guidance it has no
    room for, DataError for a value it does not know, OutputError where `out` cannot be written.
    """
    from ectype.jobs import decoding
    from ectype.jobs.inputs import opened

    if out is not None:
        outputs.refuse(out, overwrite)
    run = opened(run)
    single = given_from is None and (given is None or isinstance(given, Mapping))
    many = count if count is not None else 16 if single else 1
    items = []
    parts = _parts(run, many, given, given_from, each)
    for _, conditions, number in parts:
        under: dict[str, Any] = {"given": conditions, "seed": seed, "guidance": guidance}
        z = decoding.latents(run, number, temperature=temperature, truncation=truncation, **under)
        under |= {"temperature": temperature, "nucleus": nucleus}
        items += decoding.items(run, z, noise=noise, **under)
    if out is not None:
        row = None if many == 1 or (single and each is None) else many
        names = [name for part, _, _ in parts for name in part]
        outputs.put_items(run.kind, items, out, names=names, row=row, overwrite=overwrite)
        outputs.tell_texts(run.kind, items)
    return items


def _parts(
    run: Run,
    count: int,
    given: Given | None,
    given_from: Path | None,
    each: str | None,
) -> list[tuple[list[str], Given | None, int]]:
    """What is made with one stream of noise each: files' names, conditions, how many.

    The classes of `each` share their noise, so that a column of the sheet shows what a class changes.
    """
    from ectype.jobs.asking import rows_of

    if given_from is None and (given is None or isinstance(given, Mapping)):
        if each is None:
            return [([], given, count)]
        return [
            ([f"{value}-{i:04d}" for i in range(count)], {**(given or {}), each: value}, count)
            for value in classes(run, each, given)
        ]
    if each is not None:
        raise UsageError("either every class or the conditions of a list: use one of each and given_from")
    rows = rows_of(run, given, given_from)
    if not rows:
        raise UsageError("a list of conditions without any: give one mapping per item")
    names = [name if count == 1 else f"{name}-{i:04d}" for name, _ in rows for i in range(count)]
    return [(names, [row for _, row in rows for _ in range(count)], len(names))]


def classes(run: Run, name: str, given: Mapping[str, Any] | None) -> list[str]:
    """The values of a condition that has names for them; UsageError for any other, and one that is given."""
    from ectype.kinds.label import Label

    known = [key for key, kind in run.conditions.items() if isinstance(kind, Label)]
    kind = run.conditions.get(name)
    if not isinstance(kind, Label):
        why = did_you_mean(name, known) if known else ": it was trained without one (train --given label)"
        raise UsageError(f"this model has no classes called '{name}'{why}")
    if name in (given or {}):
        raise UsageError(f"either every {name} or the one that is given: use one of each and given")
    return list(kind.classes)
