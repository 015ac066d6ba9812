"""What a classifier that was trained on the spot sees in made items: which classes, and how surely.

    judge right   share of held-out real items it names rightly: how far the rest can be believed
    classes made  classes that at least one made item belongs to
    class shares  ½ Σ_c |share of c among made items - share of c among real ones|, both as judged
    confidence    mean of the largest class probability; below real items': neither one thing nor another

The total variation distance of the shares is 0 where the classes are as frequent as in the data, and 1
where nothing of the data is made. Counting the modes a classifier finds is the protocol of Metz, Poole,
Pfau and Sohl-Dickstein 2017, "Unrolled generative adversarial networks", section 3.3.1. The judge is
`eye.Eye`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from ectype.kinds.label import Label
from ectype.metrics import REAL, Score, agreement, share_error

LEAST = 100
"""Items below which a share should not be trusted."""
_RARE = 0.1  # of a class's share among real items


def judge(
    classes: tuple[str, ...],
    made: Tensor,
    real: Tensor,
    known: tuple[Tensor, Tensor],
    *,
    others: Tensor | None = None,
    split: str = "test",
    seed: int = 0,
) -> list[Score]:
    """The judge's own accuracy, and what it says of made items; not where it is no better than chance.

    Arguments:
        classes: their names, C of them.
        made: (N, C) its class probabilities for made items.
        real: (M, C) those for real items of the split.
        known: (L, C) those for items it was not fitted on, and their labels (L,), -1 where missing.
        others: (N, C) those for further real items: what real items get.
        split: which part of the data `real` is.
        seed: of what was made and of the judge.
    """
    right = _right(classes, *known)
    own = agreement.Answers(*known, known[1] >= 0)
    if right is not None and not agreement.told("label", Label(classes), own):
        return [right]  # its names of made items would be noise
    told = "" if right is None else f"the judge is right on {right.value:.1%} of {right.n:,} real items"
    return [
        *([right] if right else []),
        *_classes_made(classes, made, real, others, _Told(split, seed, told)),
    ]


@dataclass(frozen=True)
class _Told:
    """What every score of a judge says beside its number."""

    split: str
    seed: int
    right: str

    def note(self, *words: str) -> str:
        return "; ".join(text for text in (*words, self.right) if text)


def _classes_made(
    classes: tuple[str, ...], made: Tensor, real: Tensor, others: Tensor | None, told: _Told
) -> list[Score]:
    """Which classes are made, how often, and how surely they are named; for probabilities (N, C)."""
    shares, true = (_shares(p.argmax(1), len(classes)) for p in (made, real))
    rivals = None if others is None else _shares(others.argmax(1), len(classes))
    beside = Score(
        "",
        0.0,
        "",
        "neither",
        len(made),
        told.split,
        told.seed,
        floor_name=REAL,
        least=LEAST,
        note=told.note(),
    )
    reached = replace(
        beside,
        name="classes made",
        value=float((shares > 0).sum()),
        unit=f"of {len(classes)}",
        better="higher",
        floor=float(((true if rivals is None else rivals) > 0).sum()),
        parts=tuple(shares.tolist()),
        note=told.note(_missing(classes, shares, true)),
    )
    even = replace(
        beside,
        name="class shares",
        value=_apart(shares, true),
        better="lower",
        floor=None if rivals is None else _apart(rivals, true),
        floor_name="" if rivals is None else REAL,
        note=told.note("total variation distance from those of real items"),
    )
    sure, usual = (float(p.max(1).values.mean()) for p in (made, real))
    return [reached, even, replace(beside, name="confidence", value=sure, floor=usual)]


def _right(classes: tuple[str, ...], probabilities: Tensor, labels: Tensor) -> Score | None:
    """The judge's accuracy on labelled items; None where there are none."""
    labelled = labels >= 0
    answers, labels = probabilities.argmax(1)[labelled], labels[labelled]
    if not len(labels):
        return None
    value, error = share_error(answers == labels)
    floor = float(_shares(labels, len(classes)).max())
    return Score(
        "judge right", value, "", "higher", len(labels), "held-out items", error=error, floor=floor,
        floor_name="commonest label", least=LEAST, note="a small classifier fitted to the train split",
    )  # fmt: skip


def _missing(classes: tuple[str, ...], shares: Tensor, true: Tensor) -> str:
    """Which classes are made never, and which far more rarely than they occur."""
    never = [classes[i] for i in range(len(classes)) if shares[i] == 0]
    rare = [classes[i] for i in range(len(classes)) if 0 < shares[i] < _RARE * true[i]]
    said = []
    for words, names in (("never made", never), ("hardly made", rare)):
        if names:
            more = f" and {len(names) - 10:,} more" if len(names) > 10 else ""
            said.append(f"{words}: {', '.join(names[:10])}{more}")
    return "; ".join(said)


def _shares(labels: Tensor, c: int) -> Tensor:
    """(C,) share of each class among labels (N,)."""
    return labels.bincount(minlength=c).double() / max(1, len(labels))


def _apart(shares: Tensor, true: Tensor) -> float:
    """Total variation distance of two rows of shares (C,)."""
    return 0.5 * float((shares - true).abs().sum())
