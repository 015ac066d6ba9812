"""New items: z from p(z | c), then what p(x | z, c) shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ectype.errors import UsageError, did_you_mean
from ectype.jobs import outputs

if TYPE_CHECKING:
    from ectype.runs import Run

OUT = "samples"


def sample(
    run: Run | str | Path,
    count: int = 16,
    *,
    given: Mapping[str, str] | None = None,
    each: str | None = None,
    seed: int = 0,
    temperature: float = 1.0,
    truncation: float | None = None,
    guidance: float = 1.0,
    noise: bool = False,
    out: Path | None = None,
    overwrite: bool = False,
) -> list[Any]:
    """New items from a trained model.

    Item i depends on the seed and i alone: 4 samples are the first 4 of 16. Images and numbers are
    shown as the mean of p(x | z), tokens and labels are drawn.

    Arguments:
        run: a run's folder, or its model file.
        count: how many; with each, of every class.
        given: conditions all of them have, such as label=7; what is not given is left open.
        each: a condition with named values, such as label: items of every class, one row of the sheet each.
        seed: another seed, other items.
        temperature: below 1 nearer to the typical item, above 1 further from it.
        truncation: no number of z further from the normal prior's mean than this many of its standard
            deviations; lower is more typical and less varied, 0.5 to 2 is usual.
        guidance: how strongly conditions act: above 1 more than as trained, and less varied; 0 not at all.
        noise: draw from p(x | z) instead of showing its mean.
        out: folder for one file each and a contact sheet, or one .png (the sheet) or .npz (arrays).
        overwrite: replace files that exist.

    Raises UsageError for a condition the model does not have and a truncation or guidance it has no
    room for, DataError for a value it does not know, OutputError where `out` cannot be written.
    """
    from ectype.jobs import decoding
    from ectype.jobs.inputs import opened

    if out is not None:
        outputs.refuse(out, overwrite)
    run = opened(run)
    items, names = [], []
    for value in [None] if each is None else classes(run, each, given):
        chosen = given if each is None else {**(given or {}), each: str(value)}
        under: dict[str, Any] = {"given": chosen, "seed": seed, "guidance": guidance}
        z = decoding.latents(run, count, temperature=temperature, truncation=truncation, **under)
        items += decoding.items(run, z, noise=noise, **under)
        names += [] if value is None else [f"{value}-{i:04d}" for i in range(count)]
    if out is not None:
        row = None if each is None else count
        outputs.put_items(run.kind, items, out, names=names, row=row, overwrite=overwrite)
    return items


def classes(run: Run, name: str, given: Mapping[str, str] | None) -> list[str]:
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
