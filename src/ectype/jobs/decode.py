"""Codes back to items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ectype.errors import DataError
from ectype.jobs import outputs

if TYPE_CHECKING:
    import numpy as np

    from ectype.runs import Run

OUT = "decoded"


def decode(
    run: Run | str | Path,
    codes: np.ndarray[Any, Any] | str | Path,
    *,
    given: Mapping[str, str] | None = None,
    noise: bool = False,
    seed: int = 0,
    out: Path | None = None,
    overwrite: bool = False,
) -> list[Any]:
    """Items from codes, as `encode` wrote them or as you made them.

    Arguments:
        run: a run's folder, or its model file.
        codes: .npz or .csv written by encode, a .npy, or from Python an array (N, D).
        given: conditions all of them have, such as label=7; labels in the codes' file are used for a label
            that is not given, and everything else is left open.
        noise: draw from p(x | z) instead of showing its mean.
        seed: of that noise.
        out: folder for one file each and a contact sheet, or one .png (the sheet), .npz (arrays) or, of
            texts, .txt (one on each line).
        overwrite: replace files that exist.

    Raises DataError where the codes cannot be read or are not the model's, OutputError where `out`
    cannot be written.
    """
    import numpy as np
    import torch

    from ectype.jobs import codes as files
    from ectype.jobs import decoding
    from ectype.jobs.inputs import opened

    if out is not None:
        outputs.refuse(out, overwrite)
    run = opened(run)
    table = files.load(Path(codes)) if isinstance(codes, str | Path) else files.Codes(np.asarray(codes), [])
    if table.z.ndim != 2 or table.z.shape[1] != run.model.latent or not len(table.z):
        raise DataError(
            f"these codes have the form {table.z.shape}, and the model needs (N, {run.model.latent}): "
            "use codes that encode made with this run"
        )
    if not np.isfinite(table.z).all():
        row = int(np.flatnonzero(~np.isfinite(table.z).all(1))[0])
        raise DataError(f"code number {row} holds NaN or an infinity: leave it out")
    z = torch.from_numpy(np.ascontiguousarray(table.z, np.float32))
    every = _conditions(run, table.labels, given, len(z))
    items = decoding.items(run, z, given=every, noise=noise, seed=seed)
    if out is not None:
        outputs.put_items(run.kind, items, out, names=table.names, overwrite=overwrite)
    return items


def _conditions(
    run: Run, labels: Sequence[str], given: Mapping[str, str] | None, n: int
) -> Mapping[str, Any] | list[dict[str, Any]] | None:
    """What is given to `n` codes: the same to all, or with each its own label from the file."""
    own = bool(labels) and "label" in run.conditions and "label" not in (given or {})
    if own and len(labels) != n:
        raise DataError(f"there are {n} codes and {len(labels)} labels: repair the file")
    known = {*(given or {}), *(["label"] if own else [])}
    if left := [name for name in run.conditions if name not in known]:
        outputs.tell(f"note: decoded without {' and '.join(left)}; --given names what they have")
    if not own:
        return given
    for label in {label for label in labels if label}:
        run.conditions["label"].pack(label)  # a DataError: the file's fault, not the user's words
    return [{**(given or {}), "label": label or None} for label in labels]
