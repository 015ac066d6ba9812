"""Means of what players report, summed on the device: nothing waits for it until somebody looks."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


class Meter:
    """Sums since the last look, one set per player.

    A step that moved nothing because its gradient was not finite is counted, and left out of the means:
    one such step would otherwise hide a whole second of good ones.
    """

    def __init__(self) -> None:
        self._sums: dict[str, dict[str, Tensor]] = {}
        self._moves: dict[str, int] = {}

    def add(self, player: str, total: Tensor, parts: Mapping[str, Tensor], broken: Tensor) -> None:
        """One move: its scalar loss, its parts (B,) or scalar, and 1 where nothing moved, else 0."""
        sums = self._sums.setdefault(player, {})
        bad = broken > 0
        for name, value in {"loss": total.detach(), **parts}.items():
            value = value.float().mean().masked_fill(bad, 0.0)
            sums[name] = sums[name] + value if name in sums else value
        sums["skipped"] = sums["skipped"] + broken if "skipped" in sums else broken
        self._moves[player] = self._moves.get(player, 0) + 1

    @property
    def moves(self) -> int:
        """Moves since the last look, those that moved nothing included."""
        return sum(self._moves.values())

    @property
    def skipped(self) -> int:
        """How many of them moved nothing; waits for the device."""
        return sum(round(float(sums["skipped"])) for sums in self._sums.values())

    def means(self) -> dict[str, float]:
        """Means per move by name, "loss" being that over the players; none where nothing moved.

        With several players the parts carry the player's name in front.
        """
        out: dict[str, float] = {}
        losses = []
        for player, sums in self._sums.items():
            count = self._moves[player] - round(float(sums["skipped"]))
            prefix = f"{player}." if len(self._sums) > 1 else ""
            if count > 0:
                out |= {prefix + k: float(v) / count for k, v in sums.items() if k not in ("loss", "skipped")}
                losses.append(float(sums["loss"]) / count)
        if losses:
            out["loss"] = sum(losses) / len(losses)
        return out
