"""What `evaluate` says about made texts: how various they are, how like real ones, what is copied."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from ectype.jobs import outputs

if TYPE_CHECKING:
    from torch import Tensor

    from ectype.data.data import Data
    from ectype.jobs.comparing import Made
    from ectype.jobs.inputs import Items
    from ectype.kinds import Array
    from ectype.kinds.text import Text
    from ectype.metrics import Score
    from ectype.runs import Run

_MOST = 200_000  # training texts among which copies are looked for
_SYMBOLS = 2_000_000  # of training texts that an n-gram learns from
TEMPERATURES = (0.5, 0.7, 1.0)


def worded(
    run: Run, made: Made, items: Items, home: Data | None, others: Tensor, *, seed: int
) -> list[Score]:
    """The scores of made texts; nothing for other kinds.

    Where a condition says what the one right text is, as a title or a picture does and a label does not, each
    made text is also compared with the real one of the same item. What was learned against a critic stands
    beside an n-gram of the training texts at several temperatures.

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
    scores = texts(own, real, known, rivals, held_out=not learned, **told)
    if known is not None and criticised(run):
        scores = _swept(run.kind, scores, (len(own), known, real), told)
    return scores + _paired(run, run.kind, made, told)


def criticised(run: Run) -> bool:
    """Whether a critic taught the model, or its prior, what to make."""
    from ectype.models import Autoencoder

    return run.model.adversarial or (isinstance(run.model, Autoencoder) and not run.model.prior.dense)


def _swept(
    kind: Text, scores: list[Score], sets: tuple[int, Array, Array], told: dict[str, Any]
) -> list[Score]:
    """Scores of made texts, each followed by the same ones of as many texts of an n-gram at temperatures.

    Arguments:
        sets: how many texts were made, those that were trained on, and the real ones (N, T).
        told: as of `texts`.
    """
    from ectype.metrics.grams import Grams
    from ectype.metrics.texts import texts
    from ectype.noise import mix

    n, train, real = sets
    order = 5 if kind.unit in ("characters", "bytes") else 3
    outputs.tell(f"for comparison: a {order}-gram of the training texts, at temperatures")
    grams = Grams(train[: max(1, _SYMBOLS // kind.length)], order, len(kind.symbols) + 1)
    beside: dict[str, list[Score]] = {}
    for temperature in TEMPERATURES:
        drawn = grams.draw(n, kind.length, temperature=temperature, seed=mix(told["seed"], 43))
        for score in texts(drawn, real, train, copies=False, held_out=False, **told):
            name = f"{score.name} ({order}-gram at {temperature:g})"
            one = replace(score, name=name, note="interpolated as Witten and Bell have it")
            beside.setdefault(score.name, []).append(one)
    return [one for score in scores for one in (score, *beside.get(score.name, ()))]


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
