"""What `evaluate` says about made texts: how various they are, how like real ones, what is copied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from ectype.data.data import Data
    from ectype.jobs.comparing import Made
    from ectype.jobs.inputs import Items
    from ectype.kinds.text import Text
    from ectype.metrics import Score
    from ectype.runs import Run

_MOST = 200_000  # training texts among which copies are looked for


def worded(
    run: Run, made: Made, items: Items, home: Data | None, others: Tensor, *, seed: int
) -> list[Score]:
    """The scores of made texts; nothing for other kinds.

    Where a condition says what the one right text is, as a title or a picture does and a label does not, each
    made text is also compared with the real one of the same item.

    Arguments:
        made: the made items.
        items: the real ones they stand beside.
        home: the data the run was trained on.
        others: numbers of training items in it.
        seed: of what was made.
    """
    from ectype.kinds.text import Text
    from ectype.metrics.texts import texts

    if not isinstance(run.kind, Text):
        return []
    own, real = run.kind.stored(made.x), run.kind.stored(made.real)
    known = rivals = None
    learned = False
    if home is not None and len(others):
        train = home.splits["train"]
        learned = items.data is home and bool(torch.isin(items.indices, train).any())
        known, rivals = (home.store.gather(at).numpy() for at in (train[:_MOST], others[: len(own)]))
    told: dict[str, Any] = {"unit": run.kind.unit, "split": items.split, "seed": seed}
    return texts(own, real, known, rivals, held_out=not learned, **told) + _paired(run, run.kind, made, told)


def _paired(run: Run, kind: Text, made: Made, told: dict[str, Any]) -> list[Score]:
    """How like each made text is to the one it should be."""
    from ectype.metrics.likeness import likeness
    from ectype.metrics.targets import tells

    kept = [kept for name, kept in made.kept.items() if not tells(run.conditions[name])]
    if not kept or not bool(torch.stack(kept).all(0).any()):
        return []
    at = torch.stack(kept).all(0)
    real, own = made.real[at], made.x[at]
    said = [[kind.unpack(array) for array in kind.stored(x)] for x in (real, own)]
    return likeness(real, own, (said[0], said[1]), **told)
