"""Means of what players report, summed on the device: nothing waits for it until somebody looks."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class Meter:
    """Sums since the last look, one set per player.

    A step that moved nothing because its gradient was not finite is counted, and left out of the means:
    one such step would otherwise hide a whole second of good ones.
    """

    def __init__(self) -> None:
        self._names: dict[str, tuple[str, ...]] = {}
        self._sums: dict[str, Tensor] = {}
        self._moves: dict[str, int] = {}

    def add(self, player: str, total: Tensor, parts: Mapping[str, Tensor], broken: Tensor) -> None:
        """One move: its scalar loss, its parts (B,) or scalar, and 1 where nothing moved, else 0."""
        # one vector per player, skipped first: few small operations, because every step pays for them
        values = torch.stack([total.detach(), *(v.float().mean() for v in parts.values())])
        row = torch.cat([broken.view(1), values.masked_fill(broken > 0, 0.0)])
        self._names[player] = ("loss", *parts)
        self._sums[player] = self._sums[player] + row if player in self._sums else row
        self._moves[player] = self._moves.get(player, 0) + 1

    @property
    def moves(self) -> int:
        """Moves since the last look, those that moved nothing included."""
        return sum(self._moves.values())

    @property
    def skipped(self) -> int:
        """How many of them moved nothing; waits for the device."""
        return sum(round(float(row[0])) for row in self._sums.values())

    def means(self) -> dict[str, float]:
        """Means per move by name, "loss" being that over the players; none where nothing moved.

        With several players the parts carry the player's name in front.
        """
        out: dict[str, float] = {}
        losses = []
        for player, row in self._sums.items():
            skipped, loss, *parts = row.tolist()
            count = self._moves[player] - round(skipped)
            prefix = f"{player}." if len(self._sums) > 1 else ""
            if count > 0:
                names = self._names[player][1:]
                out |= {prefix + k: v / count for k, v in zip(names, parts, strict=True)}
                losses.append(loss / count)
        if losses:
            out["loss"] = sum(losses) / len(losses)
        return out
