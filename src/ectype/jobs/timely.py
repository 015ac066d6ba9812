"""What `evaluate` says about made time series, gaps and ends of real ones left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ectype.errors import DataError
from ectype.jobs import outputs

if TYPE_CHECKING:
    from torch import Tensor

    from ectype.data.data import Data
    from ectype.jobs.comparing import Made
    from ectype.jobs.inputs import Items
    from ectype.kinds import Kind
    from ectype.metrics import Score
    from ectype.metrics.timegan import Compared
    from ectype.runs import Run

_TOLD, _AHEAD = 1000, 2000  # steps of the networks that judge: a part of the published ones, for the time
_LONG = 48  # steps of a series from which on the published protocol has fewer of its own as well


def as_read(kind: Kind, made: Tensor, items: Items) -> Tensor:
    """Made series (N, *form) as real ones are read: nothing after their end, and no number in the gaps of the
    real ones that stand beside them; anything else as it is.

    Without that made series of a perfect model would lie away from real ones, by what is never there.
    """
    from ectype.kinds.series import Series
    from ectype.metrics.timegan import gaps

    if not isinstance(kind, Series):
        return made
    real = items.data.store.gather(items.indices[: len(made)])
    stored = torch.from_numpy(kind.stored(made))
    return kind.tensor(torch.where(gaps(real), torch.nan, stored))


def timely(
    run: Run, made: Made, items: Items, home: Data | None, others: Tensor, *, judged: bool, seed: int
) -> list[Score]:
    """Correlations and, where judged, discriminative and predictive score; nothing for other kinds.

    Arguments:
        made: the made items.
        items: the real ones they stand beside.
        home: the data the run was trained on.
        others: numbers of training items in it.
        judged: whether networks may be fitted.
        seed: of what was made and of the networks.
    """
    from ectype.kinds.series import Series
    from ectype.metrics.series import series
    from ectype.metrics.timegan import Compared

    if not isinstance(run.kind, Series):
        return []
    # as they are stored, in the data's units: NaN where nothing is known
    own = torch.from_numpy(run.kind.stored(made.x))
    real = items.data.store.gather(items.indices[: len(own)])
    train = None if home is None or not len(others) else home.store.gather(others)
    try:
        scores = series(own, real, None if train is None else train[: len(own)], split=items.split, seed=seed)
    except DataError as error:  # what can be measured is worth its numbers all the same
        outputs.tell(f"note: {error}")
        return []
    try:
        if judged and train is not None:
            sets = Compared(own, real, train, items.split)
            scores += _judged(sets, seed)
    except DataError as error:
        outputs.tell(f"note: {error}")
    return scores


def _judged(sets: Compared, seed: int) -> list[Score]:
    """What networks that were fitted say, and the same by the published protocol where there can be."""
    from ectype.metrics.timegan import STEPS, discriminative, predictive, published

    scores = [
        discriminative(sets, seed=seed, steps=_TOLD, tell=outputs.tell),
        predictive(sets, seed=seed, steps=_AHEAD, tell=outputs.tell),
    ]
    theirs = published(sets)
    if theirs is None:
        return scores
    outputs.tell("the same by the published protocol")
    share = min(1.0, _LONG / sets.real.shape[2])
    for score in (discriminative, predictive):
        steps = max(1, int(share * STEPS[score.__name__]))
        scores.append(score(theirs, protocol="timegan", seed=seed, steps=steps))
    return scores
