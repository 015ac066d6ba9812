"""Whether made items are what they were asked to be, as a judge fitted to the train split sees them.

    label        share of items judged to be of the class they were made for
    attributes   for each tag, share of items judged to have it just where they should
    vector       R² = 1 - Σ (a - â)² / Σ (a - ā)², a what was asked for, â what the judge reads off

The judge is no oracle: each number stands beside the same one of real held-out items, and where it is no
better than chance on those, there is no number (`told`). Chance is what the same answers get for conditions
that were dealt out anew, Σ_c (share of c judged) (share of c asked); for R² it is 0, the mean.

    values recognised   classes or tags c such that c is the commonest answer for items made for c
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ectype.kinds import Kind
from ectype.kinds.attributes import Attributes
from ectype.kinds.label import Label
from ectype.metrics import REAL, Score, share_error
from ectype.noise import mix

LEAST = 100
"""Items below which none of these numbers should be trusted."""
AGREEMENT = "agreement"
RECOGNISED = "values recognised"
CHANCE = "dealt out anew"
_REDRAWN = 100
_NAMED = 10


@dataclass(frozen=True)
class Answers:
    """What a judge says of items, beside what they should be.

    Arguments:
        said: (N, k) its answers, as `targets.Target.answer` has them.
        true: (N,) class numbers or (N, k), in the condition's model scale.
        known: (N,) bool, which of them have the condition at all.
    """

    said: Tensor
    true: Tensor
    known: Tensor

    def those(self) -> tuple[Tensor, Tensor]:
        """Answers and truth of the items that have the condition."""
        return self.said[self.known], self.true[self.known]


@dataclass(frozen=True)
class _Found:
    value: float
    error: float | None
    floor: float

    @property
    def beats_chance(self) -> bool:
        return self.value - 2 * (self.error or 0.0) > self.floor


def agreement(name: str, kind: Kind, made: Answers, own: Answers, *, split: str, seed: int) -> list[Score]:
    """Agreement of made items with one condition: one score, or one for each tag.

    Left out is what the judge cannot tell of real items, or what was asked of all items alike.

    Arguments:
        name: of the condition.
        kind: of the condition: a label, attributes or a vector.
        made: of made items and what they were asked to be.
        own: of real held-out items and what they are.
        split: which part of the data the conditions are from.
        seed: of what was made.
    """
    scores = []
    known = dict(_each(name, kind, own))
    for called, found in _each(name, kind, made):
        best = known.get(called)
        if best is None or not best.beats_chance:
            continue
        right = f"{best.value:.1%}" if found.floor else f"{best.value:.2f}"
        scores.append(
            Score(called, found.value, "", "higher", int(made.known.sum()), split, seed, error=found.error,
                  floor=found.floor, floor_name=CHANCE if found.floor else "the mean", least=LEAST,
                  note=f"the judge gets {right} on {int(own.known.sum()):,} held-out real items")
        )  # fmt: skip
    return scores


def told(name: str, kind: Kind, own: Answers) -> bool | None:
    """Whether a judge's answers for real held-out items say anything of a condition, beyond chance.

    None where nobody can know: fewer than two items have it, or all have the same.
    """
    found = [figures.beats_chance for _, figures in _each(name, kind, own)]
    return any(found) if found else None


def called(name: str) -> str:
    """What a score about a condition is called: the label's is the usual one and has the bare name."""
    return AGREEMENT if name == "label" else f"{AGREEMENT}: {name}"


def _each(name: str, kind: Kind, answers: Answers) -> list[tuple[str, _Found]]:
    """Name and figures of every score there is to be had from answers."""
    said, true = answers.those()
    if len(said) < 2:
        return []
    if isinstance(kind, Label):
        found = [(called(name), _shared(said.argmax(1), true, len(kind.classes)))]
    elif isinstance(kind, Attributes):
        pairs = zip(kind.tags, (said > 0.5).long().T, (true > 0.5).long().T, strict=True)
        found = [(f"{AGREEMENT}: {name}={tag}", _shared(one, other, 2)) for tag, one, other in pairs]
    else:
        found = [(called(name), _explained(said, true))]
    return [(one, figures) for one, figures in found if figures is not None]


def _shared(said: Tensor, true: Tensor, c: int) -> _Found | None:
    """Share of (N,) answers that are right; None where the truth is one and the same."""
    if len(true.unique()) < 2:
        return None
    value, error = share_error(said == true)
    shares = [a.bincount(minlength=c).double() / len(a) for a in (said, true)]
    return _Found(value, error, float((shares[0] * shares[1]).sum()))


def _explained(said: Tensor, true: Tensor) -> _Found | None:
    """R² of (N, k), the mean over the columns that vary, and its bootstrap standard error."""
    said, true = said.double(), true.double()
    vary = true.var(0) > 1e-12
    if not bool(vary.any()):
        return None
    said, true = said[:, vary], true[:, vary]

    def share(at: Tensor) -> float:
        spread = (true[at] - true[at].mean(0)).square().sum(0)
        return float((1 - (said[at] - true[at]).square().sum(0) / spread.clamp(min=1e-12)).mean())

    n, stream = len(true), torch.Generator().manual_seed(mix(0, 14))
    drawn = [share(torch.randint(n, (n,), generator=stream)) for _ in range(_REDRAWN)]
    return _Found(share(torch.arange(n)), float(torch.tensor(drawn, dtype=torch.float64).std()), 0.0)


def recognised(name: str, kind: Kind, made: Answers, real: Answers, *, split: str, seed: int) -> list[Score]:
    """How many of a condition's values are made and recognised; nothing for a condition without names.

    Arguments:
        name, kind: of the condition.
        made: of made items and what they were asked to be.
        real: of real items of the split, which are asked the same.
        split: which part of the data the conditions are from.
        seed: of what was made.
    """
    values = kind.classes if isinstance(kind, Label) else kind.tags if isinstance(kind, Attributes) else ()
    hits, best = (_hits(kind, *answers.those()) for answers in (made, real))
    asked = ~hits.isnan()
    if not len(values) or not bool(asked.any()):
        return []
    never = [value for value, hit in zip(values, hits.tolist(), strict=True) if hit == 0]
    more = f" and {len(never) - _NAMED:,} more" if len(never) > _NAMED else ""
    note = f"asked for and not recognised: {', '.join(never[:_NAMED])}{more}" if never else ""
    better: Literal["higher"] = "higher"
    return [
        Score(f"{RECOGNISED}: {name}", float(hits[asked].sum()), f"of {int(asked.sum())}", better,
              int(made.known.sum()), split, seed, floor=float(best[asked].nansum()), floor_name=REAL,
              least=LEAST, note=note)
    ]  # fmt: skip


def _hits(kind: Kind, said: Tensor, true: Tensor) -> Tensor:
    """(C,) whether each value is the commonest answer where it is asked for; NaN where it never is."""
    if isinstance(kind, Label):
        answers, c = said.argmax(1), len(kind.classes)
        rows = [answers[true == i] for i in range(c)]
        hits = [float(row.bincount(minlength=c).argmax() == i) if len(row) else torch.nan
                for i, row in enumerate(rows)]  # fmt: skip
    elif isinstance(kind, Attributes):
        columns = zip(said.T, true.T, strict=True)
        rows = [one[other > 0.5] for one, other in columns]
        hits = [float((row > 0.5).float().mean() > 0.5) if len(row) else torch.nan for row in rows]
    else:
        hits = []
    return torch.tensor(hits, dtype=torch.float64)
