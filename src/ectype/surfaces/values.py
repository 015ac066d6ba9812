"""What a person types, as the values an annotation asks for.

    int float str bool Path        one word; "none" where None is allowed
    Literal["a", "b"]              one of the words
    tuple[int, ...] Sequence[str]  words with commas between them
    Mapping[str, str]              NAME=VALUE, several with commas between them or given again; a comma in a
                                   value stays where no NAME= follows it, or between double quotes

Unions are tried from the narrowest member to the widest, so "32" for `int | str` is a number. Names
that no word can stand for (a run, an array) are left out of a union. pydantic does the converting
and is imported when there is something to convert, never for help.
"""

from __future__ import annotations

import ast
import re
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ectype.errors import UsageError, did_you_mean

_WORDS: dict[str, type] = {"int": int, "float": float, "bool": bool, "Path": Path, "str": str}
_SEQUENCES = {"tuple", "list", "Sequence", "Iterable"}
_MAPPINGS = {"dict", "Mapping"}
_WIDTH = ["literal", "int", "float", "bool", "mapping", "sequence", "str", "Path"]
_MEANING = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "mapping": "NAME=VALUE",
    "str": "a word",
    "Path": "a path",
}


_BETWEEN_PAIRS = re.compile(r',(?=[^,="]+=)(?=(?:[^"]*"[^"]*")*[^"]*$)')
"""A comma with NAME= behind it and no open quote before it."""
_QUOTED = re.compile(r'^"(.*)"$', re.DOTALL)


class Wanted:
    """The members of an annotation that can be typed, narrowest first.

    Arguments:
        annotation: its source text; an empty or foreign one is taken as text.
    """

    def __init__(self, annotation: str) -> None:
        self.nothing = False
        self.members: dict[str, tuple[Any, ...]] = {}
        if annotation:
            self._add(ast.parse(annotation, mode="eval").body)
        if not self.members:
            self.members["str"] = ()
        self.members = {name: self.members[name] for name in _WIDTH if name in self.members}

    def _add(self, node: ast.expr) -> None:
        match node:
            case ast.BinOp(op=ast.BitOr()):
                self._add(node.left)
                self._add(node.right)
            case ast.Constant(value=None):
                self.nothing = True
            case ast.Constant(value=str(text)):
                self._add(ast.parse(text, mode="eval").body)
            case ast.Name(id=name) if name in _WORDS:
                self.members[name] = ()
            case ast.Name(id=name) if name in _SEQUENCES | _MAPPINGS:
                self._generic(name, [])
            case ast.Subscript(value=ast.Name(id=name)):
                inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
                self._generic(name, inner)

    def _generic(self, name: str, inner: list[ast.expr]) -> None:
        if name == "Literal":
            known = self.members.get("literal", ())
            self.members["literal"] = (*known, *(ast.literal_eval(value) for value in inner))
        elif name == "Optional":
            self.nothing = True
            self._add(inner[0])
        elif name in _SEQUENCES and inner and isinstance(inner[0], ast.Subscript):
            return  # rows of something: nothing that can be typed
        elif name in _SEQUENCES:
            self.members["sequence"] = (_word(inner[0]) if inner else str, _fixed(name, inner))
        elif name in _MAPPINGS:
            self.members["mapping"] = (_word(inner[1]) if len(inner) == 2 else str,)

    @property
    def flag(self) -> bool:
        """True when naming the option is enough: yes or no is all it can say."""
        return list(self.members) == ["bool"]

    @property
    def many(self) -> bool:
        """True when the option may be given more than once."""
        return "sequence" in self.members or "mapping" in self.members

    @property
    def placeholder(self) -> str:
        """What help shows in the value's place."""
        shown = {"int": "N", "float": "NUMBER", "bool": "yes|no", "mapping": "NAME=VALUE", "str": "WORD"}
        parts = []
        for name, detail in self.members.items():
            if name == "literal":
                parts += [str(word) for word in detail]
            elif name == "sequence":
                one = {int: "N", float: "NUMBER"}.get(detail[0], "WORD")
                parts.append(",".join([one] * (detail[1] or 1)) + ("" if detail[1] else ",…"))
            elif name == "Path" and "WORD" in parts:
                parts[parts.index("WORD")] = "PATH"
            else:
                parts.append(shown.get(name, name.upper()))
        return "|".join(dict.fromkeys(parts))

    def value(self, words: Sequence[str]) -> Any:
        """The words as a value; raises UsageError with what was expected instead."""
        if self.nothing and list(words) == ["none"]:
            return None
        if len(words) > 1 and not self.many:
            raise UsageError(f"is given {len(words)} times ({', '.join(words)}); once is enough")
        for name, detail in self.members.items():
            found = self._as(name, detail, words)
            if found is not None:
                return found
        raise UsageError(f"'{','.join(words)}' is not {self.expected}{self._near(words[-1])}")

    @property
    def expected(self) -> str:
        """What a value has to be, in words."""
        parts = []
        for name, detail in self.members.items():
            if name == "literal":
                parts.append("one of " + ", ".join(str(word) for word in detail))
            elif name == "sequence":
                one = {int: "whole numbers", float: "numbers"}.get(detail[0], "words")
                parts.append(f"{detail[1] or ''} {one} with commas between them".strip())
            else:
                parts.append(_MEANING[name])
        return " or ".join([*parts, *(["none"] if self.nothing else [])])

    def _near(self, word: str) -> str:
        choices = [str(choice) for choice in self.members.get("literal", ())]
        hint = did_you_mean(word, choices) if choices else ""
        return hint if "did you mean" in hint else ""

    def _as(self, name: str, detail: tuple[Any, ...], words: Sequence[str]) -> Any:
        """The words as one member of the union, or None where they are not."""
        if name == "literal":
            return next((choice for choice in detail if str(choice) == words[0]), None)
        if name == "mapping":
            return _pairs(words, detail[0])
        if name == "sequence":
            parts = [part.strip() for word in words for part in word.split(",")]
            if len(parts) == 1 and len(self.members) > 1 and name != list(self.members)[-1]:
                return None  # one word for `str | Sequence[str]` is the word
            one, number = detail
            form: Any = types.GenericAlias(tuple, (one,) * number if number else (one, ...))
            return _converted(form, parts)
        return _converted(_WORDS[name], words[0])


def _word(node: ast.expr) -> type:
    return _WORDS.get(node.id, str) if isinstance(node, ast.Name) else str


def _fixed(name: str, inner: list[ast.expr]) -> int:
    """How many items a tuple has; 0 for any number."""
    open_ended = any(isinstance(n, ast.Constant) and n.value is ... for n in inner)
    return len(inner) if name == "tuple" and not open_ended else 0


def _pairs(words: Sequence[str], value: type) -> Mapping[str, Any] | None:
    pairs = [part.partition("=") for word in words for part in _BETWEEN_PAIRS.split(word)]
    if not all(name.strip() and equals for name, equals, _ in pairs):
        return None
    names = [name.strip() for name, _, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"'{twice}' is given twice; once is enough")
    found = {name.strip(): _converted(value, _QUOTED.sub(r"\1", text.strip())) for name, _, text in pairs}
    return None if None in found.values() else found


def _converted(form: Any, words: str | list[str]) -> Any:
    """The words as a type, or None where they are not; whole numbers may be written 20_000."""
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    try:
        return TypeAdapter(form, config=ConfigDict(allow_inf_nan=False)).validate_python(words)
    except ValidationError:
        return None
