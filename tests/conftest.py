"""What every test gets: one thread per worker, and a process generator in a known state."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator

import pytest

# Before torch is imported, and inherited by child processes: two workers on two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def _known_noise() -> Iterator[None]:
    """Seed the process generators before each test; torch only where a test module loaded it."""
    random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
    yield
