"""New items: z from p(z | c), then what p(x | z, c) shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ectype.jobs import outputs

if TYPE_CHECKING:
    from ectype.runs import Run

OUT = "samples"


def sample(
    run: Run | str | Path,
    count: int = 16,
    *,
    given: Mapping[str, str] | None = None,
    seed: int = 0,
    temperature: float = 1.0,
    noise: bool = False,
    out: Path | None = None,
    overwrite: bool = False,
) -> list[Any]:
    """New items from a trained model.

    Item i depends on the seed and i alone: 4 samples are the first 4 of 16. Images and numbers are
    shown as the mean of p(x | z), tokens and labels are drawn.

    Arguments:
        run: a run's folder, or its model file.
        count: how many.
        given: conditions all of them have, such as label=7; what is not given is left open.
        seed: another seed, other items.
        temperature: below 1 nearer to the typical item, above 1 further from it.
        noise: draw from p(x | z) instead of showing its mean.
        out: folder for one file each and a contact sheet, or one .png (the sheet) or .npz (arrays).
        overwrite: replace files that exist.

    Raises UsageError for a condition the model does not have, DataError for a value it does not know,
    OutputError where `out` cannot be written.
    """
    from ectype.jobs import decoding
    from ectype.jobs.inputs import opened

    if out is not None:
        outputs.refuse(out, overwrite)
    run = opened(run)
    z = decoding.latents(run, count, given=given, seed=seed, temperature=temperature)
    items = decoding.items(run, z, given=given, noise=noise, seed=seed)
    if out is not None:
        outputs.put_items(run.kind, items, out, overwrite=overwrite)
    return items
