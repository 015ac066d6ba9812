"""What a function or a constructor takes, read from its source text: nothing is imported.

Importing a model to draw its help would load torch, which takes seconds; parsing its file takes
milliseconds. The price is that a signature has to be written out: decorators that change one, and
parameters inherited from another file, are not seen.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from ectype.errors import EctypeError


@dataclass(frozen=True)
class Parameter:
    """One parameter as written.

    Arguments:
        name: as in Python, with underscores.
        annotation: source text, with the file's own aliases put in; empty when there is none.
        default: source text; None when the parameter is required.
        help: its line under "Arguments:".
        keyword: True when it has to be named.
    """

    name: str
    annotation: str
    default: str | None
    help: str
    keyword: bool


@dataclass(frozen=True)
class Signature:
    """What a function or constructor takes.

    Arguments:
        summary: the first line of its docstring.
        text: the docstring up to "Arguments:".
        parameters: in order.
        open: True when it takes further options by name (`**options`).
    """

    summary: str
    text: str
    parameters: tuple[Parameter, ...]
    open: bool


def source_file(module: str) -> Path:
    """The file of a module; only its top-level package is looked up, and not even that is run.

    Raises EctypeError where there is no such file.
    """
    top, *rest = module.split(".")
    found = find_spec(top)
    for folder in (found.submodule_search_locations if found else None) or ():
        for path in (Path(folder, *rest, "__init__.py"), Path(folder, *rest[:-1], f"{rest[-1]}.py")):
            if path.is_file():
                return path
    raise EctypeError(f"the catalog names the module {module}, and there is no such file: reinstall ectype")


@cache
def tree(module: str) -> ast.Module:
    """The parsed source of a module."""
    return ast.parse(source_file(module).read_text(encoding="utf-8"))


def constant(module: str, name: str) -> object:
    """The literal that a module assigns to a name at its top level; None when it assigns none."""
    value = _assigned(tree(module)).get(name)
    return None if value is None else ast.literal_eval(value)


@cache
def signature(module: str, name: str) -> Signature:
    """The signature of a function, or of a class's constructor, in a module.

    Raises EctypeError where the module does not define it.
    """
    body = {n.name: n for n in tree(module).body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    if name not in body:
        raise EctypeError(f"the catalog names {name} in {module}, and that file does not define it")
    node = body[name]
    docs = ast.get_docstring(node) or ""
    if isinstance(node, ast.FunctionDef):
        return _read(node, docs, _assigned(tree(module)))
    init = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
    if init is not None:
        found = _read(init, docs, _assigned(tree(module)))
        return replace(found, parameters=found.parameters[1:])  # without self
    for parent in node.bases:
        if isinstance(parent, ast.Name) and parent.id in body:
            inherited = signature(module, parent.id)
            return replace(inherited, summary=docs.partition("\n")[0], text=_before_arguments(docs))
    return Signature(docs.partition("\n")[0], _before_arguments(docs), (), False)


def summary(module: str, name: str | None) -> str:
    """The first docstring line of a module's function or class, or of the module itself."""
    if name is not None:
        return signature(module, name).summary
    return (ast.get_docstring(tree(module)) or "").partition("\n")[0]


def arguments_of(docstring: str) -> dict[str, str]:
    """The lines under "Arguments:" by name, continuation lines joined."""
    lines = docstring.splitlines()
    start = next((i for i, line in enumerate(lines) if line.strip() == "Arguments:"), len(lines))
    found: dict[str, str] = {}
    names: list[str] = []
    indent = None
    for line in lines[start + 1 :]:
        if not line.strip():
            break
        depth = len(line) - len(line.lstrip())
        indent = depth if indent is None else indent
        entry = re.match(r"\s*(\w+(?:, \w+)*): (.*)", line) if depth == indent else None
        if depth < indent:
            break
        if entry:
            names = entry[1].split(", ")
            found.update(dict.fromkeys(names, entry[2].strip()))
        else:
            found.update({name: f"{found[name]} {line.strip()}" for name in names})
    return found


def _before_arguments(docstring: str) -> str:
    return docstring.partition("Arguments:")[0].strip()


def _read(node: ast.FunctionDef, docs: str, aliases: dict[str, ast.expr]) -> Signature:
    helps = arguments_of(docs)
    takes = node.args
    plain = [*takes.posonlyargs, *takes.args]
    defaults: list[ast.expr | None] = [None] * (len(plain) - len(takes.defaults)) + list(takes.defaults)
    rows = [(a, d, False) for a, d in zip(plain, defaults, strict=True)]
    rows += [(a, d, True) for a, d in zip(takes.kwonlyargs, takes.kw_defaults, strict=True)]
    parameters = tuple(
        Parameter(
            a.arg,
            "" if a.annotation is None else ast.unparse(_Spelled(aliases).visit(a.annotation)),
            None if default is None else ast.unparse(default),
            helps.get(a.arg, ""),
            keyword,
        )
        for a, default, keyword in rows
    )
    return Signature(docs.partition("\n")[0], _before_arguments(docs), parameters, takes.kwarg is not None)


def _assigned(module: ast.Module) -> dict[str, ast.expr]:
    """What a module's top level assigns to plain names."""
    found = {}
    for node in module.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            found[node.target.id] = node.value
    return found


class _Spelled(ast.NodeTransformer):
    """Puts the meaning of a file's own type aliases in their place."""

    def __init__(self, aliases: dict[str, ast.expr]) -> None:
        self.aliases = aliases

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.visit(self.aliases[node.id]) if node.id in self.aliases else node
