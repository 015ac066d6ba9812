"""What lies between two items: decoded steps of a path between their codes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ectype.errors import DataError, UsageError
from ectype.jobs import outputs

if TYPE_CHECKING:
    from torch import Tensor

    from ectype.jobs.inputs import Items
    from ectype.runs import Run

OUT = "interpolation.png"


def interpolate(
    run: Run | str | Path,
    first: str | Path | None = None,
    second: str | Path | None = None,
    *,
    steps: int = 8,
    mode: Literal["spherical", "linear"] = "linear",
    given: Mapping[str, str] | None = None,
    refine: int = 0,
    seed: int = 0,
    out: Path | None = None,
    overwrite: bool = False,
) -> list[Any]:
    """Items on the way from one to another, both ends included.

    Between two items of yours, between the first two of one source, or, when none is named, between
    the first two samples of a seed. How near the ends come back to items that were named is said.

    Arguments:
        run: a run's folder, or its model file.
        first: an item, or a source whose first two items are the ends; for a model of texts also a text
            itself, where no file is called that.
        second: the other item.
        steps: how many items, ends included.
        mode: linear is the straight line; spherical keeps to where a normal prior has its mass.
        given: conditions the whole way has, such as label=7.
        refine: steps by which the codes of named items are moved to where they give them back best.
        seed: of the two samples.
        out: one .png with the strip, a .npz, or a folder.
        overwrite: replace files that exist.

    Raises UsageError for fewer than 2 steps or a model that cannot read named items, DataError where
    an item cannot be read, OutputError where `out` cannot be written.
    """
    from ectype.jobs import decoding
    from ectype.jobs.inputs import check_coded, opened

    if steps < 2:
        raise UsageError(f"steps is at least 2, the two ends, not {steps}")
    if out is not None:
        outputs.refuse(out, overwrite)
    run = opened(run)
    check_coded(run)
    if first is None:
        ends = decoding.latents(run, 2, given=given, seed=seed)
    else:
        ends = _ends(run, first, second, given, refine)
    items = decoding.items(run, path(ends, steps, mode), given=given, temperature=0.0)
    if out is not None and out.suffix.lower() == ".png":
        outputs.write(out, run.kind.sheet(items, steps).save, overwrite=overwrite)
    elif out is not None:
        outputs.put_items(run.kind, items, out, overwrite=overwrite)
    if out is not None:
        outputs.tell_texts(run.kind, items)
    return items


def _ends(
    run: Run, first: str | Path, second: str | Path | None, given: Mapping[str, str] | None, refine: int
) -> Tensor:
    """Codes (2, D) of two items under the given conditions; says how near they come back."""
    import torch

    from ectype.data.batch import Batch
    from ectype.jobs.decoding import evaluating
    from ectype.jobs.inputs import GIVEN, codes, context_of, device_of, items_of, reader
    from ectype.metrics.fidelity import fidelity_of

    model = reader(run)
    sources = [first] if second is None else [first, second]
    each = 2 if second is None else 1
    parts = []
    for source in sources:
        items = _typed(run, source) or items_of(run, source, count=each)
        if len(items.indices) < each:
            raise DataError(f"{source} holds one item, and a way has two ends: name a second item")
        parts.append(next(items.batches()))
    with evaluating(run):
        masks = [torch.ones_like(part.x) if part.seen is None else part.seen for part in parts]
        seen = None if all(part.seen is None for part in parts) else torch.cat(masks)
        ends = Batch(torch.cat([part.x for part in parts]), seen=seen).to(device_of(run))
        context = context_of(run, given, 2)
        z = codes(model, ends, context, refine)
        back = model.decode(z, context).mean
    outputs.tell_scores(fidelity_of(run.kind, [(ends.known, back)], split=f"{GIVEN}, there and back")[:1])
    return z


def _typed(run: Run, source: str | Path) -> Items | None:
    """A text that was typed itself, of a model of texts; None for what is, or looks like, a file or a source.

    Raises DataError for a text with symbols the model does not know, and for one too long.
    """
    import torch

    from ectype.data.data import Data
    from ectype.data.sources import HUB
    from ectype.data.store import Resident
    from ectype.data.tables import is_table
    from ectype.data.texts import ENDING
    from ectype.jobs.inputs import GIVEN, Items
    from ectype.kinds.text import Text

    if not isinstance(run.kind, Text) or isinstance(source, Path) or source.startswith(HUB):
        return None
    if os.path.exists(os.path.expanduser(source)) or is_table(source) or source.endswith(ENDING):
        return None
    row = torch.from_numpy(run.kind.pack(source))
    one = torch.arange(1)
    return Items(Data(run.kind, Resident(row[None]), {"all": one}), one, GIVEN)


def path(ends: Tensor, steps: int, mode: Literal["spherical", "linear"] = "linear") -> Tensor:
    """Steps (steps, D) from the first to the second of `ends` (2, D).

        spherical   sin((1 - t) ω) / sin ω · a + sin(t ω) / sin ω · b,   ω the angle between a and b

    Shoemake 1985, "Animating rotation with quaternion curves", section 3.3; White 2016, "Sampling
    generative networks", section 2.1. Where a and b point the same or opposite ways there is no
    one great circle, and the straight line is taken.
    """
    import torch

    if mode not in ("spherical", "linear"):
        raise UsageError(f"mode is spherical or linear, not '{mode}'")
    a, b = ends[:1].double(), ends[1:].double()
    t = torch.linspace(0, 1, steps, dtype=torch.float64, device=ends.device).unsqueeze(1)
    cosine = torch.nn.functional.cosine_similarity(a, b).clamp(-1, 1)
    angle = torch.arccos(cosine)
    if mode == "linear" or float(torch.sin(angle)) < 1e-4:
        way = (1 - t) * a + t * b
    else:
        way = (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)
    return way.to(ends.dtype)
