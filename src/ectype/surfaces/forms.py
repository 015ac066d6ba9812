"""A job's signature is its form: the same one on the command line and in Python.

    signature (read as text) → Form of Fields → words from the command line → arguments of the job

Parameters before `*` are given by place or by name, the others by name. A job with `**options` also
takes what the constructors of the parts it wires together take, and what reading data and training take:
that is `train`, and nothing here knows its name. Underscore and dash are the same. Every problem is
collected, and all are told at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ectype import catalog
from ectype.errors import UsageError, did_you_mean
from ectype.jobs.signatures import Parameter, Signature, constant, signature
from ectype.surfaces.values import Wanted

PARTS = {"model": "models", "network": "networks", "likelihood": "likelihoods", "prior": "priors"}
"""The fields that name a part, and the table of the catalog the name is looked up in."""

FUNCTIONS = {
    "data": ("ectype.data.reading", "read"),
    "training": ("ectype.training.loop", "fit"),
    "critic": ("ectype.models.critic", "Critic"),
}
"""What is called, besides the catalog's parts, with options of a job with `**options`, by its heading."""

_WIRED = (("ectype.assembly", "_WIRED"), ("ectype.training.loop", "WIRED"))


@dataclass(frozen=True)
class Field:
    """One blank of a form.

    Arguments:
        name: as in Python.
        wanted: what may be typed.
        default: source text; None when it has to be given.
        help: one line.
        place: True when it may be given without its name.
        parts: the parts that take it, as (table, name); empty for the job's own.
        defaults: of those parts, in the same order, as source text.
    """

    name: str
    wanted: Wanted
    default: str | None
    help: str
    place: bool
    parts: tuple[tuple[str, str], ...] = ()
    defaults: tuple[str | None, ...] = ()

    @property
    def option(self) -> str:
        """The name with dashes in front, as typed."""
        return "--" + self.name.replace("_", "-")


@dataclass(frozen=True)
class Form:
    """What a job asks for.

    Arguments:
        job: its name in the catalog.
        signature: as read from its file.
        fields: by name, in order.
        out: file or folder inside the run where the command line writes when `out` is not given.
    """

    job: str
    signature: Signature
    fields: Mapping[str, Field]
    out: str | None

    def place(self) -> list[Field]:
        """The fields that may be given by place, in order."""
        return [field for field in self.fields.values() if field.place]


def form(job: str) -> Form:
    """The form of a job; raises UsageError with the nearest name where there is no such job."""
    module, name = catalog.location("jobs", job)
    found = signature(module, name or job)
    fields = {p.name: _field(p, ()) for p in found.parameters}
    if found.open:
        for field in _options():
            if field.name in fields:
                held = fields[field.name]
                if held.parts:
                    fields[field.name] = _joined(held, field)
            else:
                fields[field.name] = field
    out = constant(module, "OUT")
    return Form(job, found, fields, None if out is None else str(out))


def _joined(held: Field, other: Field) -> Field:
    """One field for an option that several parts take; parts of one sort say the same by it."""
    said = held.help
    if held.parts[-1][0] != other.parts[0][0] or not said:
        said = "; ".join(text for text in (said.rstrip("."), other.help) if text)
    return replace(held, help=said, parts=held.parts + other.parts, defaults=held.defaults + other.defaults)


def _field(parameter: Parameter, parts: tuple[tuple[str, str], ...]) -> Field:
    wanted = Wanted(parameter.annotation)
    place, default = not parameter.keyword, parameter.default
    return Field(parameter.name, wanted, default, parameter.help, place, parts, (default,) * len(parts))


def _options() -> list[Field]:
    """What every part in the catalog, reading data and training take by name."""
    supplied: set[str] = set()
    for module, attribute in _WIRED:
        found = constant(module, attribute)
        supplied |= found if isinstance(found, set) else set()
    sources = [(module, function, (title, "")) for title, (module, function) in FUNCTIONS.items()]
    for table in PARTS.values():
        for name in catalog.TABLES[table]:
            place, part = catalog.location(table, name)
            sources += [(place, each, (table, name)) for each in ([part] if part else ["Encoder", "Decoder"])]
    return [
        _field(parameter, (part,))
        for module, attribute, part in sources
        for parameter in signature(module, attribute).parameters
        if parameter.keyword and parameter.name not in supplied
    ]


def parse(asked: Form, words: Sequence[str]) -> dict[str, Any]:
    """The words of a command line as arguments of the job.

    Raises UsageError with every problem in it, one per line.
    """
    typed, problems = _sort(asked, words)
    values: dict[str, Any] = {}
    for name, given in typed.items():
        field = asked.fields[name]
        try:
            values[name] = field.wanted.value(given)
        except UsageError as error:
            problems.append(f"{field.option}: {error}")
    for field in asked.fields.values():
        if field.default is None and field.name not in typed:
            problems.append(f"{field.name.upper()} is missing: {field.help or field.wanted.expected}")
    problems += _misplaced(asked, values)
    if problems:
        raise UsageError("\n".join(problems))
    return values


def _sort(asked: Form, words: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Words by the field they belong to, and what is wrong with those that belong to none."""
    typed: dict[str, list[str]] = {}
    problems, loose = [], []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            loose += rest
            break
        if not word.startswith("--"):
            loose.append(word)
            continue
        option, equals, value = word[2:].partition("=")
        field, negated = _named(asked, option)
        if field is None:
            known = [f.option[2:] for f in asked.fields.values()]
            problems.append(f"there is no option --{option}{_hint(option.replace('_', '-'), known)}")
            # the value that follows an unknown option is no positional argument
            if not equals and rest and not rest[0].startswith("--"):
                rest.pop(0)
        elif field.wanted.flag and not equals:
            typed.setdefault(field.name, []).append("no" if negated else "yes")
        elif not equals and (not rest or rest[0].startswith("--")):
            problems.append(f"{field.option} needs a value: {field.wanted.expected}")
            typed.setdefault(field.name, [])
        else:
            typed.setdefault(field.name, []).append(value if equals else rest.pop(0))
    problems += _in_place(asked, loose, typed)
    return {name: given for name, given in typed.items() if given}, problems


def _named(asked: Form, option: str) -> tuple[Field | None, bool]:
    """The field an option names, and whether it was named with "no" in front."""
    name = option.replace("-", "_")
    if name in asked.fields:
        return asked.fields[name], False
    field = asked.fields.get(name.removeprefix("no_"))
    return (field, True) if field is not None and field.wanted.flag else (None, False)


def _hint(name: str, known: Sequence[str]) -> str:
    hint = did_you_mean(name, known)
    return hint.replace("'", "--", 1).replace("'", "") if "did you mean" in hint else ""


def _in_place(asked: Form, loose: Sequence[str], typed: dict[str, list[str]]) -> list[str]:
    """Give words without a name to the fields that are still empty, in order."""
    empty = [field for field in asked.place() if field.name not in typed]
    for word, field in zip(loose, empty, strict=False):
        typed[field.name] = [word]
    extra = loose[len(empty) :]
    if not extra:
        return []
    takes = " ".join(field.name.upper() for field in asked.place()) or "none"
    return [f"too many arguments: {' '.join(extra)} (without a name it takes: {takes})"]


def _misplaced(asked: Form, values: Mapping[str, Any]) -> list[str]:
    """Options of parts that were not chosen, and names of parts that do not exist."""
    problems = []
    chosen: dict[str, str] = {}
    for name, table in PARTS.items():
        field = asked.fields.get(name)
        if field is None or not asked.signature.open:
            continue
        part = values.get(name, (field.default or "").strip("'\""))
        if part in catalog.TABLES[table]:
            chosen[table] = part
        elif name in values and part is not None:
            problems.append(
                f"there is no {name} called '{part}'{did_you_mean(str(part), catalog.TABLES[table])}"
            )
    inner = _wrapped(asked, values, chosen.get("models", ""))
    for name in values:
        parts = asked.fields[name].parts
        if parts and not any(part in (chosen.get(table, part), inner) for table, part in parts):
            owners = ", ".join(sorted({part for _, part in parts}))
            instead = ", ".join(sorted({chosen[table] for table, _ in parts}))
            problems.append(f"{asked.fields[name].option} belongs to {owners}, and this is {instead}")
    return problems


def _wrapped(asked: Form, values: Mapping[str, Any], model: str) -> str:
    """The family inside a chosen one that wraps another, whose options are then options too; or nothing."""
    around = asked.fields.get("around")
    if around is None or ("models", model) not in around.parts:
        return ""
    return str(values.get("around") or (around.default or "").strip("'\""))


def reference() -> str:
    """The text of docs/cli.md, made from the forms of all jobs."""
    from ectype.surfaces.help import page

    return page()
