"""Budgets and house rules, measured on every file of the package.

An exception has to be listed, and one that is no longer needed fails: the list only shrinks.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "ectype"
FILE, FUNCTION, ARGUMENTS = 300, 40, 6
BANNED = {"abstract", "base", "config", "handler", "helper", "helpers", "manager", "util", "utils", "wrapper"}

# (file, problem) as `problems` words them.
EXCEPTIONS: set[tuple[str, str]] = set()

Function = ast.FunctionDef | ast.AsyncFunctionDef


def words(name: str) -> set[str]:
    """The words of a name in snake_case or CamelCase."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def length(node: Function) -> int:
    """Lines of a function without its docstring."""
    lines = (node.end_lineno or 0) - node.lineno + 1
    if ast.get_docstring(node, clean=False) is None:
        return lines
    text = node.body[0]
    return lines - ((text.end_lineno or 0) - text.lineno + 1)


def function_problems(node: Function) -> Iterator[str]:
    if length(node) > FUNCTION:
        yield f"{node.name} has more than {FUNCTION} lines"
    arguments = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
    if arguments and arguments[0] in ("self", "cls"):
        arguments = arguments[1:]
    if len(arguments) > ARGUMENTS:
        yield f"{node.name} has more than {ARGUMENTS} arguments before *"


def probes(node: ast.Call) -> bool:
    """Whether a call asks an object what it can do."""
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    return name == "hasattr" or (
        name == "getattr" and len(node.args) > 1 and isinstance(node.args[1], ast.Constant)
    )


def problems(source: str, stem: str = "module") -> set[str]:
    """What breaks the rules in one file."""
    tree = ast.parse(source)
    found = set()
    if len(source.splitlines()) > FILE:
        found.add(f"more than {FILE} lines")
    if not ast.get_docstring(tree):
        found.add("no docstring")
    names = [stem]
    for node in ast.walk(tree):
        if isinstance(node, Function):
            found.update(function_problems(node))
        if isinstance(node, Function | ast.ClassDef):
            names.append(node.name)
        if isinstance(node, ast.Call) and probes(node):
            found.add(f"capability probing: {ast.unparse(node)}")
        if isinstance(node, ast.Assert):
            found.add("assert vanishes under -O: raise")
    return found | {f"banned word in {name}" for name in names if words(name) & BANNED}


def concrete_parents(sources: dict[str, str]) -> set[tuple[str, str]]:
    """Classes that inherit from a class of the package that is not abstract, by file."""
    classes = [
        (path, node)
        for path, source in sources.items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ClassDef)
    ]
    parents = {
        # torch's own layers share names with ours
        id(node): {
            ast.unparse(base).split(".")[-1].split("[")[0]
            for base in node.bases
            if not ast.unparse(base).startswith(("nn.", "torch."))
        }
        for _, node in classes
    }
    final = {node.name for _, node in classes if not parents[id(node)] & {"ABC", "Protocol"}}
    return {
        (path, f"{node.name} inherits from the concrete {parent}")
        for path, node in classes
        for parent in parents[id(node)] & final
    }


def package() -> dict[str, str]:
    return {str(path.relative_to(SOURCE)): path.read_text() for path in sorted(SOURCE.rglob("*.py"))}


def test_rules_hold_but_for_the_listed_exceptions() -> None:
    sources = package()
    found = {(path, text) for path, source in sources.items() for text in problems(source, Path(path).stem)}
    # Exceptions are a tree of concrete classes by nature.
    found |= concrete_parents({path: source for path, source in sources.items() if path != "errors.py"})
    assert found - EXCEPTIONS == set(), "new problems"
    assert EXCEPTIONS - found == set(), "exceptions that are no longer needed: take them off the list"


LONG = '"""d"""\ndef long():\n    """d"""\n' + "    x = 1\n" * 40


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ('"""d"""\n' + "x = 1\n" * 300, "more than 300 lines"),
        ("x = 1", "no docstring"),
        (LONG, "long has more than 40 lines"),
        (
            '"""d"""\nclass A:\n    def f(self, a, b, c, d, e, f, g): ...',
            "f has more than 6 arguments before *",
        ),
        ('"""d"""\nclass DataManager: ...', "banned word in DataManager"),
        ('"""d"""\ndef load_config(): ...', "banned word in load_config"),
        ('"""d"""\nx = hasattr(y, "z")', "capability probing: hasattr(y, 'z')"),
        ('"""d"""\nx = getattr(y, "z", None)', "capability probing: getattr(y, 'z', None)"),
        ('"""d"""\nassert x', "assert vanishes under -O: raise"),
    ],
)
def test_planted_problems_are_caught(source: str, problem: str) -> None:
    assert problems(source) == {problem}


def test_within_the_rules_nothing_is_found() -> None:
    source = '"""d"""\ndef baseline(self, a, b, c, d, e, f, *, g, h): return getattr(a, b)\n'
    assert problems(source + LONG.removeprefix('"""d"""\n').removesuffix("    x = 1\n")) == set()
    assert problems('"""d"""', "utils") == {"banned word in utils"}


def test_a_planted_concrete_parent_is_caught() -> None:
    sources = {
        "a.py": "class Model(nn.Module, ABC): ...\nclass Middle(Model, ABC): ...\nclass VAE(Middle): ...",
        "b.py": "class Box(Generic[T]): ...\nclass Beta(ae.VAE): ...\nclass Case(Box[int]): ...",
        "c.py": "class VAE(nn.VAE): ...",
    }
    assert concrete_parents(sources) == {
        ("b.py", "Beta inherits from the concrete VAE"),
        ("b.py", "Case inherits from the concrete Box"),
    }
