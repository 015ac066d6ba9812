"""A metric: one score with its direction, its minimum sample size, its floor and its error bar.

A number alone says nothing. A `Score` says on what it was computed, how sure it is, which way is
better, and what an answer that learned nothing would have got.

    activity    what the latent dimensions carry: KL per dimension, active units, mutual information
    agreement   whether made items are what they were asked to be: classes, tags, numbers
    bounds      bounds on log p(x): ELBO, IWAE-K
    calibration how right and how rightly sure class probabilities are: accuracy, Brier, ECE
    conditions  whether a model reads its conditions: what shuffling them costs
    diversity   how various what is made under one condition is
    fidelity    how near reconstructions are: MSE, PSNR, SSIM
    fills       how near several fills of a hole are to what was there
    generation  how near made items are to real ones: energy, Fréchet, precision, recall, coverage
    judge       which classes are made, as a classifier fitted on the spot sees it
    likeness    how like a text is to the one it should be: edit distance, ROUGE-L, chrF
    pairing     whether made items go with the text or picture they were asked for
    probes      what codes know about labels: linear probe, nearest neighbours
    reading     whether a decoder reads its code: what the code of another item costs
    series      whether made series move as real ones do: autocorrelation, cross-correlation
    spectrum    whether made pictures have the texture of real ones: the power of each frequency
    texts       how various made texts are, how like real ones, how much is copied: BLEU, distinct-n
    timegan     whether a small recurrent network tells made series from real ones, and learns from them
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, final

from torch import Tensor

from ectype.errors import DataError

REAL = "real items"
"""The floor's name where it is what as many real items get: a model comes near it and need not beat it."""


@final
@dataclass(frozen=True)
class Score:
    """One measured number and everything needed to judge it.

    Arguments:
        name: what it is called, such as "psnr".
        value: the number.
        unit: its unit, such as "dB"; empty for a pure number.
        better: "higher", "lower", or "neither" where no direction is better (a KL).
        n: how many items it was computed on.
        split: which part of the data those were.
        seed: of the noise it used; None where it used none.
        error: standard error of the value over the items; None where unknown.
        floor: what an answer that learned nothing gets, or (`REAL`) what real items get; None: nothing.
        floor_name: what that answer is, such as "mean image".
        least: items below which the number should not be trusted.
        parts: the numbers it is the sum of, such as one per latent dimension.
        note: anything else a reader has to know.
    """

    name: str
    value: float
    unit: str
    better: Literal["higher", "lower", "neither"]
    n: int
    split: str
    seed: int | None = None
    error: float | None = None
    floor: float | None = None
    floor_name: str = ""
    least: int = 0
    parts: tuple[float, ...] = ()
    note: str = ""

    @property
    def enough(self) -> bool:
        """Whether there were enough items to trust it."""
        return self.n >= self.least

    @property
    def above_floor(self) -> bool:
        """Whether it beats the answer that learned nothing; True where there is none."""
        if self.floor is None or self.floor_name == REAL or self.better == "neither":
            return True
        return self.value > self.floor if self.better == "higher" else self.value < self.floor

    def state(self) -> dict[str, Any]:
        """The score as JSON; `restore` is its inverse. Infinities and NaN become words."""
        state = {k: _spoken(v) for k, v in asdict(self).items()}
        return {**state, "parts": [_spoken(v) for v in self.parts]}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Score:
        """The score that `state` described; raises DataError where it describes none."""
        known = {f.name for f in fields(cls)}
        try:
            told = {k: v for k, v in state.items() if k in known}
            for key in ("error", "floor"):
                told[key] = None if told.get(key) is None else float(told[key])
            told["parts"] = tuple(float(v) for v in told.get("parts", ()))
            return cls(**{**told, "value": float(told["value"]), "n": int(told["n"])})
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"this is not a score: {state!r} ({error}); run `ectype evaluate` again"
            ) from error

    @property
    def figures(self) -> str:
        """The value with its error bar and unit: "21.34 ± 0.03 dB"."""
        sure = self.error is not None and math.isfinite(self.error) and self.error > 0
        if sure and math.isfinite(self.value):
            decimals = _decimals(self.error or 0.0)
            text = f"{self.value:,.{decimals}f} ± {self.error:,.{decimals}f}"
        else:
            text = short(self.value)
        return f"{text} {self.unit}".strip()

    def __str__(self) -> str:
        where = f"{self.split}, N={self.n:,}"
        if self.floor is not None:
            where += f"; {self.floor_name or 'floor'} {short(self.floor)}"
        if not self.enough:
            where += f"; too few items, {self.least:,} are needed"
        return f"{self.name} {self.figures} ({where})"


def mean_error(values: Tensor) -> tuple[float, float | None]:
    """Mean of (N,) values and its standard error; None where one value or infinities leave none."""
    mean = float(values.double().mean())
    if len(values) < 2 or not math.isfinite(mean):
        return mean, None
    return mean, float(values.double().std()) / math.sqrt(len(values))


def share_error(hits: Tensor) -> tuple[float, float]:
    """Share of true among (N,) and its standard error, not 0 at 0 or 1 (Agresti and Coull 1998)."""
    n, value = len(hits), float(hits.double().mean())
    p = (value * n + 2) / (n + 4)
    return value, math.sqrt(p * (1 - p) / (n + 4))


def short(value: float) -> str:
    """A number in at most four significant figures, without powers of ten where it can be."""
    if not math.isfinite(value):
        return str(value)
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def _decimals(error: float) -> int:
    """Decimals that show an error bar to one figure, two where that figure is a one."""
    order = math.floor(math.log10(error))
    return max(0, -order + (1 if error / 10**order < 2 else 0))


def _spoken(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
