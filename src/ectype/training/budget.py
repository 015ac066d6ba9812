"""Minutes, epochs or steps → a number of steps, settled once at the start.

A time budget becomes a step count by one short trial on a copy of the model. From then on the
schedule is a function of the step, so it repeats exactly, which a clock in the loop would not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import torch

from ectype.errors import UsageError

CHECKS = 30
"""How often a whole run is judged on the select split."""

_TRIAL_SECONDS = 2.0
# of a long budget, whose trial is longer: batches of new lengths have first steps of their own
_TRIAL_SHARE = 0.005
DEFAULT_MINUTES = 5.0
_MOST = 100_000_000


def count_steps(
    steps: int | None,
    epochs: float | None,
    minutes: float | None,
    per_epoch: int,
    trial: Callable[[float], int],
) -> int:
    """How many steps to train. Exactly one of the three may be given; none is 5 minutes.

    Arguments:
        per_epoch: steps in one pass over the data.
        trial: seconds → the number of steps that fit in them (`time_steps`).

    Raises UsageError when more than one is given or one is not positive.
    """
    check_length(steps, epochs, minutes)
    if steps is not None:
        return steps
    if epochs is not None:
        return max(1, round(epochs * per_epoch))
    return trial(60 * (minutes if minutes is not None else DEFAULT_MINUTES))


def check_length(steps: int | None, epochs: float | None, minutes: float | None) -> None:
    """Raise UsageError when more than one is given or one is not positive."""
    named = {"steps": steps, "epochs": epochs, "minutes": minutes}
    given = {name: value for name, value in named.items() if value is not None}
    if len(given) > 1:
        raise UsageError(f"give one of steps, epochs and minutes, not {' and '.join(given)}")
    for name, value in given.items():
        if not 0 < value <= _MOST:
            raise UsageError(f"{name} has to be above 0 (and below 10^8), got {value}")


def time_steps(
    step: Callable[[int], None], check: Callable[[], object], wait: Callable[[], None], seconds: float
) -> int:
    """How many steps fit into `seconds`, with their checks, by doing some of each.

    `wait` returns when the device has done what it was told: the clock is read only after it.

    The first steps are not counted: kernels are chosen and memory is found in them.
    """
    start = time.perf_counter()
    for i in range(3):
        step(i)
    wait()
    began, done = time.perf_counter(), 0
    trial = min(max(_TRIAL_SECONDS, _TRIAL_SHARE * seconds), 0.05 * seconds)
    while time.perf_counter() - began < trial or done < 3:
        step(3 + done)
        done += 1
    wait()
    each = (time.perf_counter() - began) / done
    took: list[float] = []
    while not took or (len(took) < 2 and CHECKS * took[0] > 0.02 * seconds):  # the first is slow as well
        began = time.perf_counter()
        check()
        wait()
        took.append(time.perf_counter() - began)
    checks = CHECKS * min(took)
    left = seconds - (time.perf_counter() - start) - checks
    return max(1, int(left / each))


def best_threads(counts: Iterable[int], steps_in: Callable[[float], int], seconds: float) -> int:
    """The most steps that fit into `seconds` with any of these numbers of threads, which stays set.

    More are not always faster: beside another busy process two threads can take thirty times as long
    as one, because they wait for each other by spinning.
    """
    began = time.perf_counter()
    found: dict[int, int] = {}
    for threads in counts:
        torch.set_num_threads(threads)
        found[threads] = steps_in(seconds - (time.perf_counter() - began))
    best = max(found, key=lambda threads: found[threads])
    torch.set_num_threads(best)
    return found[best]
