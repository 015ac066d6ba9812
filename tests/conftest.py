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


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--matrix FILE`: write what test_any_to_any.py found as a table (one process: without -n)."""
    parser.addoption("--matrix", default=None, help="file for the table of any condition x any output")


@pytest.fixture(scope="session")
def matrix(pytestconfig: pytest.Config) -> Iterator[dict[tuple[str, str, str], float]]:
    """Least share of items that obey, by family, output and condition; written where --matrix says."""
    found: dict[tuple[str, str, str], float] = {}
    yield found
    path = pytestconfig.getoption("--matrix")
    if path and found:
        from pathlib import Path

        Path(path).write_text(_table(found))


def _table(found: dict[tuple[str, str, str], float]) -> str:
    outputs = sorted({output for _, output, _ in found})
    families = sorted({family for family, _, _ in found})
    lines = [
        "# Any condition, any output",
        "",
        "Written by `./dev test tests/test_any_to_any.py --matrix docs/matrix.md` from the tests themselves:",
        "the share of made items that obey the condition on a toy of two sorts, the worse sort's.",
        "A vaegan of labels and texts is refused in words (no gradient passes through its tokens), an `lm`",
        "makes texts only, `derived` conditions are made from pictures. Other empty places are not tried.",
        "",
        "| condition | family | " + " | ".join(outputs) + " |",
        "|" + "---|" * (2 + len(outputs)),
    ]
    for condition in sorted({condition for _, _, condition in found}):
        for family in families:
            cells = [found.get((family, output, condition)) for output in outputs]
            row = " | ".join("" if cell is None else f"{cell:.0%}" for cell in cells)
            lines.append(f"| {condition} | {family} | {row} |")
    return "\n".join(lines) + "\n"
