"""Ctrl-C and SIGTERM ask the loop to stop after the step it is in; the second one is immediate."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Stop:
    """Set by a signal, read by the loop once per step.

    Arguments:
        signal: the number of the signal that came, 0 while none has.
    """

    signal: int = 0

    @property
    def exit_code(self) -> int:
        """130 for Ctrl-C, 143 for SIGTERM, as shells count; 0 when nothing came."""
        return 128 + self.signal if self.signal else 0


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Catch Ctrl-C and SIGTERM inside the block; outside the main thread, where Python cannot, don't."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.signal:  # asked twice: whoever asks does not want to wait
            raise KeyboardInterrupt
        stop.signal = number

    before = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
