"""A running average of the weights: what is judged, kept and handed over.

    average ← d · average + (1 - d) · weights

d comes from a half-life and is smaller at the start, so that the first weights are soon forgotten.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from ectype.models import Model

_EVERY = 4  # steps; the same half-life for a quarter of the time, which for small networks is 7 % of a step


class Average:
    """The averaged twin of a model.

    Arguments:
        source: the model that trains.
        half_life: as a share of the run; 0: no averaging, the twin is a copy made when it is looked at.
    """

    def __init__(self, source: Model, half_life: float) -> None:
        self.source = source
        self.half_life = half_life
        self.model: Model = copy.deepcopy(source).requires_grad_(False).eval()
        self._slow: list[Tensor] = list(self.model.parameters())
        self._fast: list[Tensor] = list(source.parameters())

    @torch.no_grad()
    def follow(self, number: int, total: int) -> None:
        """Move towards the weights after step `number`, counted from 0, of `total`."""
        half = self.half_life * total
        if half == 0 or (number % _EVERY != _EVERY - 1 and number != total - 1):
            return
        kept = min(0.5 ** (1 / half), (1 + number) / (10 + number)) ** _EVERY
        torch._foreach_lerp_(self._slow, self._fast, 1 - kept)

    @torch.no_grad()
    def catch_up(self) -> None:
        """Take over what is not averaged: buffers, and without a half-life the weights."""
        for mine, theirs in zip(self.model.buffers(), self.source.buffers(), strict=True):
            mine.copy_(theirs)
        if self.half_life == 0:
            torch._foreach_copy_(self._slow, self._fast)
