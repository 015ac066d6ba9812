"""Signs of trouble in a window of steps, read from numbers that were gathered without waiting for them.

    non-finite   most steps of the window had no finite gradient (each of them moved nothing)
    gradient     the longest gradient is four times what it was, or what other multiple chance never reaches
    penalty      the same of the critic's penalty: it became steep
    loss         more than half of what had been learned is lost again
    critic       the critic ranks nearly every pair rightly while made items get no nearer to real ones, or
                 suddenly far more pairs than before
    collapse     made items are far nearer to each other than real ones are
    coverage     made items lie in far fewer of the places where real ones do than before: modes are gone
    quality      made items are much further from real ones than they were

What a number is compared with is the median of the windows before, and the median of their distances
from it: one bad window does not move either.
"""

from __future__ import annotations

import math
from statistics import median
from typing import Any, final

from ectype.metrics.space import energy, shared, within

WINDOW = 50
"""Steps between two looks."""

STRONG = {"non-finite", "collapse", "quality"}
"""What is acted upon at once."""

_ENOUGH = 6  # windows of history before anything is compared with it
_KEPT = 12  # windows that are remembered: what was usual at another rate is not usual now
_BROKEN = 0.6  # of the steps
_WON = 0.98
_NEARER = 0.95  # times the nearest of the looks before; a generator that learns may be behind its critic
_LOOKS = 3
_JUMP = 0.2
_STEEP = math.log(4)
_ALIKE = 0.25
_COVERED = 0.4  # less is no usual state that could be lost
_LOST = 0.75  # of the usual coverage; undisturbed runs of the ring kept 0.92 and more of it
_MANY = 50  # items from which on a coverage says anything
_FAR = 0.25  # energy distance: hardly anything in common; what is nearer than this is no alarm


def unusual(value: float, history: list[float], least: float) -> bool:
    """Whether a value lies above its history by more than `least` and ten times the usual distance."""
    if len(history) < _ENOUGH:
        return False
    middle = median(history)
    usual = median(abs(h - middle) for h in history)
    return value > middle + max(least, 10 * usual)


@final
class Signs:
    """The history of one run, and what is unusual about its newest window.

    Arguments:
        state: what `state` gave, to go on from.
    """

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        self.history: dict[str, list[float]] = dict(state or {})

    def state(self) -> dict[str, Any]:
        """As JSON."""
        return dict(self.history)

    def forget(self) -> None:
        """Start anew, after the run was put back to where it had been."""
        self.history = {k: v for k, v in self.history.items() if k.endswith("first")}

    def read(self, player: str, rows: list[list[float]], settled: bool) -> set[str]:
        """Signs in a window of one player: rows of (broken, gradient length, loss, accuracy or NaN, penalty
        or NaN).

        Arguments:
            settled: past the rise of rate and KL, when a loss may be compared with what it was.
        """
        found = set()
        finite = [row for row in rows if row[0] == 0 and math.isfinite(row[2])]
        if len(rows) - len(finite) >= _BROKEN * len(rows):
            return {"non-finite"}
        if not settled:
            self._begin(player, finite)
            return set()
        leapt = (
            name
            for name, column in (("gradient", 1), ("penalty", 4))
            if self._leapt(f"{player}.{name}", [row[column] for row in finite])
        )
        found |= set(list(leapt)[:1])  # a leap of both is one leap
        accuracy = [row[3] for row in finite if math.isfinite(row[3])]
        if accuracy:
            mean = sum(accuracy) / len(accuracy)
            won = mean > _WON and not self.nearing
            found |= {"critic"} if self._above(f"{player}.accuracy", mean, _JUMP) or won else set()
        else:
            loss = sum(row[2] for row in finite) / len(finite)
            first = self.history.setdefault(f"{player}.first", [loss])[0]
            past = self.history.get(f"{player}.loss", [loss])
            lost = self._above(f"{player}.loss", loss, 0.5 * max(first - median(past), 0.0))
            found |= {"loss"} if lost else set()
        return found

    def _begin(self, player: str, rows: list[list[float]]) -> None:
        """What the loss was before anything was learned; nothing else is usual yet."""
        mean = sum(row[2] for row in rows) / len(rows)
        self.history.setdefault(f"{player}.first", [mean])

    def look(self, made: Any, real: Any) -> set[str]:
        """Signs in made items beside real ones, coordinates (N, d) in the fixed space."""
        if not bool(made.isfinite().all()):
            return {"non-finite"}
        found = set()
        apart = energy(real, made)
        self.history["apart"] = [*self.history.get("apart", []), apart][-_LOOKS - 1 :]
        if within(made) < _ALIKE * within(real) and self.history.get("spread", [0.0])[-1] > 2 * _ALIKE:
            found.add("collapse")
        else:
            self._remember("spread", float(within(made) / within(real).clamp(min=1e-12)))
        if self._above("energy", apart, _FAR):
            found.add("quality")
        if min(len(made), len(real)) >= _MANY and self._left(shared(real, made)):
            found.add("coverage")
        return found

    @property
    def nearing(self) -> bool:
        """Whether the newest look found made items nearer to real ones than before, or is an early one.

        Also where nobody can look: of a few items, or equal ones, a critic is right without having won.
        """
        looks = self.history.get("apart", [])
        return len(looks) <= _LOOKS or looks[-1] < _NEARER * min(looks[:-1])

    def _left(self, coverage: float) -> bool:
        """Whether a coverage lies far below what it was; what does not joins the history."""
        history = self.history.get("coverage", [])
        usual = median(history) if len(history) >= _ENOUGH else 0.0
        if usual > _COVERED and coverage < _LOST * usual:
            return True
        self._remember("coverage", coverage)
        return False

    def _leapt(self, name: str, values: list[float]) -> bool:
        """Whether the largest of a window's values is unusually large; nothing where there are none."""
        known = [value for value in values if math.isfinite(value)]
        return bool(known) and self._above(name, math.log(max(*known, 1e-30)), _STEEP)

    def _above(self, name: str, value: float, least: float) -> bool:
        """Whether a value is unusually high; what is not joins the history."""
        if unusual(value, self.history.get(name, []), least):
            return True
        self._remember(name, value)
        return False

    def _remember(self, name: str, value: float) -> None:
        self.history[name] = [*self.history.get(name, []), value][-_KEPT:]
