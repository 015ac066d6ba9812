"""A file imports only from rooms above its own, in the order that docs/design.md draws."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "ectype"

ROOMS = [
    {"errors", "shapes", "catalog", "noise", "hardware"},
    {"kinds"},
    {"data"},
    {"likelihoods"},
    {"context"},
    {"networks"},
    {"priors"},
    {"models"},
    {"assembly"},
    {"metrics"},
    {"training"},
    {"runs"},
    {"jobs"},
    {"surfaces"},
    {"__init__", "__main__"},
]
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}


def imported(tree: ast.Module) -> list[tuple[int, str]]:
    """Line and room of everything of ectype that a file imports, wherever in the file it does so."""
    found = []
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            names = ["ectype.relative"]
        elif isinstance(node, ast.ImportFrom) and node.module == "ectype":
            names = [f"ectype.{alias.name}" for alias in node.names if alias.name != "__version__"]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        found += [(node.lineno, f"{name}.__init__".split(".")[1]) for name in names if is_ours(name)]
    return found


def is_ours(name: str) -> bool:
    return name.split(".")[0] == "ectype"


def violations(source: str, room: str) -> list[str]:
    """What a file of that room imports from below it; public names count as the bottom."""
    return [
        f"line {line}: {room} imports {other}"
        for line, other in imported(ast.parse(source))
        if other != room and LEVEL.get(other, len(ROOMS)) > LEVEL[room]
    ]


def files() -> dict[str, str]:
    """Every source file's path in the package, and its room."""
    paths = [path.relative_to(SOURCE) for path in SOURCE.rglob("*.py")]
    return {str(path): path.parts[0].removesuffix(".py") for path in sorted(paths)}


def test_every_file_has_a_room() -> None:
    assert {room for room in files().values()} - set(LEVEL) == set()


def test_imports_point_upwards() -> None:
    found = [
        f"{path} {problem}"
        for path, room in files().items()
        for problem in violations((SOURCE / path).read_text(), room)
    ]
    assert not found, "\n".join(found)


def test_design_draws_the_same_order() -> None:
    text = (ROOT / "docs" / "design.md").read_text()
    block = text.split("## Rooms")[1].split("```")[1]
    drawn = []
    for line in block.strip().splitlines():
        words = re.match(r"((?:[a-z_]+(?:/|\.py)? )*[a-z_]+(?:/|\.py)?)(?:  |$)", line)
        assert words, f"this line of the rooms cannot be read: {line}"
        drawn.append({word.rstrip("/").removesuffix(".py") for word in words[1].split()})
    assert drawn == ROOMS[:-1]


def test_planted_violations_are_caught() -> None:
    assert violations("from ectype.models import Model", "networks")
    assert violations("import ectype.jobs.sample", "runs")
    assert violations("def late():\n    from ectype import runs", "training")
    assert violations("import ectype", "jobs")
    assert violations("from ectype import build", "jobs")
    assert violations("from . import loop", "training")
    assert violations("from ectype.nowhere import x", "surfaces")


def test_allowed_imports_are_not() -> None:
    allowed = (
        "import torch\nfrom ectype import __version__, noise\nfrom ectype.models.ae import AE\nimport ectypes"
    )
    assert not violations(allowed, "models")
