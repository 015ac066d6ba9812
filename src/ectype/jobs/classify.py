"""Which class an item is of, by the model itself: log p(c | x) = log p(x | c) + log p(c) + constant."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ectype.errors import EctypeError, UsageError, did_you_mean
from ectype.jobs import outputs

if TYPE_CHECKING:
    from torch import Tensor

    from ectype.data.data import Data
    from ectype.jobs.classes import Classes
    from ectype.jobs.inputs import Items
    from ectype.kinds.label import Label
    from ectype.models import Autoencoder
    from ectype.runs import Run

OUT = "classes.csv"
_SELECT = 1000  # items the temperature is fitted to: one number needs no more
_SIZE = 100


def classify(
    run: Run | str | Path,
    source: str | Path | None = None,
    *,
    condition: str = "label",
    split: str = "test",
    samples: int = 10,
    count: int | None = None,
    temperature: float | None = None,
    seed: int = 0,
    device: str = "auto",
    out: Path | None = None,
    overwrite: bool = False,
) -> Classes:
    """Which class each item is of, by the bound on log p(x | class) of a conditional VAE.

    The item is read and weighed under every class in turn, with the same noise, and never sees its own label;
    the classes' shares of the train split are the prior. Bounds are far too sure of themselves, so they are
    divided by a temperature that is fitted on the select split. Where items have labels, accuracy,
    Brier score, calibration error and a table of reliability say how far to trust it.

    Arguments:
        run: a run's folder, or its model file.
        source: items, anything train reads; default: the data the run was trained on.
        condition: which condition's classes.
        split: which part of that data: train, select, test or all.
        samples: K of the importance-weighted bound; more is tighter and takes longer.
        count: items at most, the first ones.
        temperature: what bounds are divided by; default: fitted on the select split, where it is at hand, to
            1 or more; below 1 where they are not sure enough.
        seed: of the noise.
        device: auto, cpu, cuda, …
        out: a .csv with a row for each item: its name, its class, its label, the probability of each class.
        overwrite: replace a file that exists.

    Raises UsageError for a model without a bound or without such a condition, DataError where there are no
    items, OutputError where `out` cannot be written.
    """
    from ectype.hardware import choose_device
    from ectype.jobs.classes import save, told
    from ectype.jobs.inputs import device_of, items_of, opened

    _check(out, overwrite, samples, temperature)
    run = opened(run)
    model, kind = able(run, condition)
    items, home = items_of(run, source, split=split, count=count), _home(run)
    before = device_of(run)
    model.to(choose_device(device)).eval()
    try:
        weigh = _Weighed(run, model, condition, kind, prior(home, condition, kind), samples, seed)
        logits = weigh(items)
        if temperature is None:
            held_back = source is None and split in ("select", "all")
            temperature = _fitted(weigh, None if held_back else home)
    finally:
        model.to(before)
    found = _judged(items, logits, truth(items, condition, kind), kind, temperature)
    told(found)
    if out is not None:
        outputs.write(out, lambda path: save(found, path), overwrite=overwrite)
    return found


def _check(out: Path | None, overwrite: bool, samples: int, temperature: float | None) -> None:
    if samples < 1:
        raise UsageError(f"samples is at least 1, not {samples}")
    if temperature is not None and not temperature > 0:
        raise UsageError(f"temperature is above 0, not {temperature}")
    if out is not None:
        if out.suffix != ".csv":
            raise UsageError(f"classes are written to a .csv, not to {out.name}: choose another --out")
        outputs.refuse(out, overwrite)


def able(run: Run, condition: str) -> tuple[Autoencoder, Label]:
    """The run's model and the condition's kind; UsageError where it cannot say which class an item is of."""
    from ectype.kinds.label import Label
    from ectype.models import Autoencoder

    name = run.spec.get("model", "model")
    if not isinstance(run.model, Autoencoder) or not run.model.bounded:
        raise UsageError(
            f"this {name} has no bound on log p(x | class), so it cannot classify: "
            "train a vae (train --model vae --given label, with any prior but gan)"
        )
    kind = run.conditions.get(condition)
    if not isinstance(kind, Label):
        labels = [key for key, one in run.conditions.items() if isinstance(one, Label)]
        why = did_you_mean(condition, labels) if labels else ": train one with train --given label"
        raise UsageError(f"this {name} has no condition '{condition}' with named classes{why}")
    return run.model, kind


def _home(run: Run) -> Data | None:
    """The data the run was trained on, or None where it is not at hand."""
    from ectype.jobs.inputs import own_data

    try:
        return own_data(run)
    except EctypeError as error:
        outputs.tell(f"note: all classes are taken to be equally frequent: {error}")
        return None


def prior(home: Data | None, condition: str, kind: Label) -> Tensor:
    """(C,) log of the classes' shares of the train split, one added to each count: no class is impossible."""
    import torch

    counts = torch.ones(len(kind.classes), dtype=torch.float64)
    if home is not None and len(home.splits.get("train", ())):
        from ectype.jobs.inputs import Items

        labels = truth(Items(home, home.splits["train"], "train"), condition, kind)
        counts += labels[labels >= 0].bincount(minlength=len(counts))
    return (counts / counts.sum()).log()


def truth(items: Items, condition: str, kind: Label) -> Tensor:
    """(N,) class numbers of the items as `kind` has them, matched by name; -1 where missing."""
    import torch

    from ectype.kinds.label import Label

    given = items.data.given.get(condition)
    if given is None or not isinstance(given.kind, Label):
        return torch.full((len(items.indices),), -1)
    table = torch.tensor([kind.numbers.get(name, -1) for name in given.kind.classes])
    stored = given.stored[items.indices].long().clamp(0, len(table) - 1)
    return torch.where(given.present[items.indices], table[stored], -1)


@dataclass(frozen=True)
class _Weighed:
    """log p(c) and the bound on log p(x | c) of every class, for items."""

    run: Run
    model: Autoencoder
    condition: str
    kind: Label
    prior: Tensor
    samples: int
    seed: int

    def __call__(self, items: Items) -> Tensor:
        """(N, C), nats, on the CPU; a bar with the time left shows when it takes longer."""
        import torch
        from tqdm import tqdm

        total = len(items.indices) * len(self.prior)
        with tqdm(
            total=total, unit="bound", desc=items.split, file=sys.stderr, delay=2, disable=None, leave=False
        ) as bar:
            rows = []
            for columns in self._of_batches(items):
                rows.append(columns)
                bar.update(columns.numel())
        found: Tensor = torch.cat(rows) + self.prior
        return found

    def _of_batches(self, items: Items) -> Iterator[Tensor]:
        """(B, C) bounds, batch by batch; the noise of an item is the same under every class."""
        import torch

        from ectype.jobs.inputs import device_of
        from ectype.metrics.bounds import bounds

        for batch in items.batches(_SIZE, self.seed):
            batch, columns = batch.to(device_of(self.run)), []
            n, place = len(batch), batch.x.device
            there = torch.ones(n, dtype=torch.bool, device=place)
            for c in range(len(self.prior)):
                # as if asked for: whatever the items' own label is, it is not looked at
                given = {**batch.given, self.condition: torch.full((n,), c, device=place)}
                under = replace(batch, given=given, kept={**batch.kept, self.condition: there})
                columns.append(bounds(self.model, [under], samples=self.samples, seed=self.seed).iwae)
            yield torch.stack(columns, 1).double()


def _fitted(weigh: _Weighed, home: Data | None) -> float:
    """The temperature that suits the select split, told before and after; 1 where there is none to use."""
    import torch

    from ectype.jobs.inputs import Items
    from ectype.metrics.calibration import USELESS, calibration, temperature

    none = torch.zeros(0, dtype=torch.int64)
    indices = none if home is None else home.splits.get("select", none)[:_SELECT]
    items = None if home is None or not len(indices) else Items(home, indices, "select")
    labels = none if items is None else truth(items, weigh.condition, weigh.kind)
    if items is None or not bool((labels >= 0).any()):
        outputs.tell("note: no temperature was fitted: there is no labelled select split beside these items")
        return 1.0
    logits = weigh(items)
    found = temperature(logits, labels)
    before, after = (calibration((logits / t).softmax(1), labels, split="select") for t in (1.0, found))
    change = "; ".join(
        f"{a.name} {a.figures} → {b.figures}" for a, b in zip(before[1:], after[1:], strict=True)
    )
    unsure = " (the least: the bounds are not too sure of themselves)" if found < 1.001 else ""
    outputs.tell(f"temperature {found:.4g}{unsure}, fitted on {before[0].n:,} items of select: {change}")
    if found > USELESS:
        outputs.tell(
            f"warning: on those items the bounds say nothing about '{weigh.condition}': all classes are made "
            "equally probable; train longer, or give a --temperature"
        )
    return found


def _judged(items: Items, logits: Tensor, labels: Tensor, kind: Label, temperature: float) -> Classes:
    from ectype.jobs.classes import Classes
    from ectype.metrics.calibration import calibration, reliability

    p = (logits / temperature).softmax(1)
    note = f"temperature {temperature:.4g}"
    known = bool((labels >= 0).any())
    return Classes(
        items.names,
        kind.classes,
        p.numpy(),
        [kind.classes[i] if i >= 0 else "" for i in labels.tolist()] if known else [],
        temperature,
        calibration(p, labels, split=items.split, note=note),
        reliability(p, labels),
    )
