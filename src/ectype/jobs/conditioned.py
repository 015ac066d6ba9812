"""What `evaluate` says about conditions: whether they are read, and whether made items heed them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ectype.jobs import outputs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from ectype.data.data import Data
    from ectype.jobs.comparing import Made
    from ectype.jobs.inputs import Items
    from ectype.metrics import Score
    from ectype.metrics.agreement import Answers
    from ectype.metrics.eye import Eye
    from ectype.metrics.targets import Target
    from ectype.models import Autoencoder
    from ectype.runs import Run

UNTOLD = "nothing tells whether made items heed"
_SHUFFLED = 1000  # items that are weighed under another's conditions: enough for a tenth of a nat
_SAMPLES = 20
_SIZE = 250
_PAIRS = 1000  # held-out items that say what a judge of pairs can do


def gap_scores(run: Run, model: Autoencoder, items: Items, *, samples: int, seed: int) -> list[Score]:
    """What shuffling each condition costs the first items; nothing for a model without conditions."""
    from ectype.jobs.inputs import device_of
    from ectype.metrics.conditions import gaps

    if not run.conditions:
        return []
    there = [batch.to(device_of(run)) for batch in items.first(_SHUFFLED).batches(_SIZE, seed)]
    if not there[0].given:
        outputs.tell("note: these items have no conditions, so nothing says whether the model reads them")
        return []
    return gaps(model, there, samples=min(samples, _SAMPLES), seed=seed, split=items.split)


def targets_of(run: Run, home: Data) -> dict[str, Target]:
    """What a judge can be fitted to tell: labels, and the conditions that labels, tags or numbers say."""
    from ectype.metrics.classifier import LABEL, labels_of, why_not
    from ectype.metrics.targets import target, tells

    why = why_not(home)
    if why and home.labels is not None:
        outputs.tell(f"note: {why}")
    found = {} if why else {LABEL: labels_of(home)}
    train = home.splits.get("train", home.splits["all"][:0])
    for name, kind in run.conditions.items():
        own = home.given.get(name)
        if name == LABEL and home.labels is not None:
            continue
        if own is None or own.kind.state() != kind.state():
            outputs.tell(f"note: no judge can tell from an item which '{name}' it was made under")
        elif tells(kind) and bool(own.present[train].any()):
            found[name] = target(own)
    return found


def judged(
    run: Run, eye: Eye, made: Made, known: tuple[dict[str, Tensor], Tensor], *, split: str, seed: int
) -> list[Score]:
    """Agreement with each condition, and how many of its values are recognised.

    Arguments:
        eye: the judge.
        made: the made items and the real ones beside them.
        known: its answers for held-out items of the data it was fitted to, and their numbers in it.
        split: which part of the data the conditions are from.
        seed: of what was made.
    """
    from ectype.metrics.agreement import agreement, recognised, told

    answers, numbers = known
    said, real = eye(made.x), eye(made.real)
    scores = []
    for name in run.conditions:
        one = eye.targets.get(name)
        wanted = None if one is None else asked(run, made, name, one)
        if one is None or wanted is None:
            continue
        own = _answers(answers[name], one.values[numbers], one.present[numbers])
        says = told(name, one.kind, own)
        if says is False:
            blind(run, name, int(own.known.sum()))
        if not says:
            continue
        there = [_answers(part[name], *wanted) for part in (said, real)]
        scores += agreement(name, one.kind, there[0], own, split=split, seed=seed)
        if made.same:
            scores += recognised(name, one.kind, there[0], there[1], split=split, seed=seed)
    return scores


def parted(run: Run, made: Made) -> tuple[Run, Made]:
    """Items of several parts as if the first had been made under the others; any other run as it is.

    So the judges of conditions say whether parts that are made together go together.
    """
    from dataclasses import replace

    import torch

    from ectype.kinds.record import Record
    from ectype.shapes import Tokens

    record = run.kind
    if not isinstance(record, Record):
        return run, made
    (_, first), *others = record.parts.items()
    # as they are kept: of a text what stands behind its end is nobody's
    stored = torch.from_numpy(record.stored(made.x))
    there = stored[:, -len(record.parts) :] > 0
    (x, *pieces), (real, *_) = (record.shape.split(rows) for rows in (record.tensor(stored), made.real))
    given, kept = dict(made.given), dict(made.kept)
    for i, ((name, kind), piece) in enumerate(zip(others, pieces, strict=True), 1):
        kept[name] = there[:, i]
        given[name] = piece.long() if isinstance(kind.shape, Tokens) else piece
    return (
        replace(run, kind=first, conditions={**run.conditions, **dict(others)}),
        replace(made, x=x, real=real, given=given, kept=kept, same=False),
    )


def _answers(said: Tensor, true: Tensor, known: Tensor) -> Answers:
    from ectype.metrics.agreement import Answers

    return Answers(said, true, known)


def paired(run: Run, home: Data, made: Made, held_out: Tensor, *, split: str, seed: int) -> list[Score]:
    """Whether made items go with the texts and pictures they were asked for.

    Arguments:
        home: the data the run was trained on.
        held_out: numbers of items in it that a judge may not learn from.
    """
    from ectype.jobs.inputs import device_of
    from ectype.metrics.pairing import TEN, Pairing, pairing
    from ectype.metrics.targets import tells
    from ectype.noise import PerItem

    scores: list[Score] = []
    train = home.splits.get("train", home.splits["all"][:0])
    for name, kind in run.conditions.items():
        own = home.given.get(name)
        if own is None or tells(kind) or own.kind.state() != kind.state() or name not in made.given:
            continue
        there, known = held_out[own.present[held_out]], made.kept[name]
        if int(own.present[train].sum()) < TEN or not len(there):
            continue
        real = home.batch(there[:_PAIRS], PerItem(seed, there[:_PAIRS].tolist()))
        judge = Pairing(home, name, kind, seed=seed, device=device_of(run))
        picked = judge.picks(made.x[known], made.given[name][known], seed)
        right = judge.picks(real.x, real.given[name], seed)
        found = pairing(name, picked, right, split=split, seed=seed)
        if picked is not None and right is not None and not found:
            blind(run, name, len(right))
        scores += found
    return scores


def blind(run: Run, name: str, n: int) -> None:
    """Keep in the record, and say, that no judge of a condition could be had."""
    text = f"{UNTOLD} '{name}': on {n:,} real held-out items a judge is no better than chance at telling it"
    run.record["warnings"].append(text)
    outputs.tell(f"warning: {text}")


def asked(run: Run, made: Made, name: str, one: Target) -> tuple[Tensor, Tensor] | None:
    """What items were asked to be (N, *form), as the judge numbers it, and which were asked; or None."""
    import torch

    from ectype.kinds.label import Label

    if name not in made.given:
        return None
    values, known = made.given[name], made.kept[name]
    kind = run.conditions[name]
    if isinstance(kind, Label) and isinstance(one.kind, Label):
        table = torch.tensor([one.kind.numbers.get(word, -1) for word in kind.classes])
        values = table[values.clamp(0, len(table) - 1)]  # anything stands where the condition is missing
        known = known & (values >= 0)
        values = values.clamp(min=0)
    return values, known


def varied(made: Made, train: Tensor | None, run: Run, *, split: str, seed: int) -> list[Score]:
    """How various what is made under one condition is, beside real items of that condition."""
    from ectype.metrics.diversity import diversity, grouped
    from ectype.metrics.generation import AXES_OF
    from ectype.metrics.space import Space

    if not made.given:
        return []
    space = Space(run.kind.shape, made.real if train is None else train[:AXES_OF])
    scores = []
    for name, values in made.given.items():
        groups = grouped(values, made.kept[name])
        scores += diversity(name, space, made.x, made.real, groups, split=split, seed=seed)
    return scores


def warn(scores: Sequence[Score]) -> None:
    """Say in words what the numbers about conditions mean where something is wrong."""
    from ectype.metrics.conditions import warning

    for text in filter(None, map(warning, scores)):
        outputs.tell(f"warning: {text}")
