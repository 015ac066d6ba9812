"""Help as text and as a page, drawn from the forms. Nothing here imports a job."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterable

from ectype import catalog, errors
from ectype.jobs.signatures import summary
from ectype.surfaces.forms import FUNCTIONS, PARTS, Field, Form, form

WIDTH = 100

ABOUT = "Train a generative model of your own data, use it, and be told how good it is."

EXAMPLES = (
    ("ectype train photos/ --minutes 10", "a folder of pictures to runs/photos/"),
    ("ectype train digits --given label --beta 0.5", "built-in data, one option of the family"),
    ("ectype sample runs/digits --given label=7 --count 32", "new items"),
    ("ectype evaluate runs/digits", "how good it is, with error bars"),
    ("ectype list models", "what there is"),
)

STOPPED = (
    (130, "stopped by Ctrl-C"),
    (141, "the reader of the output went away"),
    (143, "stopped by SIGTERM"),
)


def exit_codes() -> list[tuple[int, str]]:
    """Each exit code of the command and what it means; those of errors from the error tree."""
    raised: list[type[errors.EctypeError]] = [errors.EctypeError, *errors.EctypeError.__subclasses__()]
    told = {kind.exit_code: _clause(kind.__doc__ or "") for kind in reversed(raised)}
    told[1] = "anything else that went wrong"
    return sorted([(0, "done"), *told.items(), *STOPPED])


def _clause(sentence: str) -> str:
    """A sentence as part of a table: no capital, no full stop."""
    text = sentence.strip().rstrip(".")
    return text[:1].lower() + text[1:]


def overview() -> str:
    """The text of `ectype --help`."""
    jobs = [(name, summary(*catalog.location("jobs", name))) for name in catalog.JOBS]
    return "\n".join(
        [
            f"ectype: {ABOUT}",
            "",
            "usage: ectype JOB [arguments]      ectype JOB --help      ectype --version",
            "",
            "jobs",
            *_table(jobs),
            "",
            "examples",
            *_table(EXAMPLES, 60),
            "",
            "everywhere",
            *_table([("--debug", "show the whole traceback of an error")]),
            "",
            "exit codes",
            *_table((str(code), meaning) for code, meaning in exit_codes()),
        ]
    )


def usage(asked: Form) -> str:
    """One line: what the job takes by place."""
    words = [
        field.name.upper() if field.default is None else f"[{field.name.upper()}]" for field in asked.place()
    ]
    return " ".join(["ectype", asked.job, *words, "[--options]"])


def job_help(job: str) -> str:
    """The text of `ectype JOB --help`; raises UsageError where there is no such job."""
    asked = form(job)
    lines = [f"usage: {usage(asked)}", ""]
    for paragraph in asked.signature.text.split("\n\n"):
        if not paragraph.startswith("Raises"):
            lines += [*textwrap.wrap(" ".join(paragraph.split()), WIDTH), ""]
    for title, fields in sections(asked):
        lines += [title, *_table((_shown(f), told(asked, f)) for f in fields), ""]
    return "\n".join(lines).rstrip()


def sections(asked: Form) -> list[tuple[str, list[Field]]]:
    """The fields of a form by heading: arguments, options, then those of each sort of part."""
    fields = list(asked.fields.values())
    own = [f for f in fields if not f.parts and not f.place]
    found = [("arguments", asked.place()), ("options", own)]
    for table in (*FUNCTIONS, *PARTS.values()):
        mine = [f for f in fields if f.parts and f.parts[0][0] == table]
        found.append((f"options of the {table}", mine))
    return [(title, fields) for title, fields in found if fields]


def told(asked: Form, field: Field) -> str:
    """A field's help line: what it is, whose it is, and what it is when it is not given."""
    words = [field.help.rstrip(".")]
    owners = list(dict.fromkeys(name for _, name in field.parts if name))
    if owners:
        words.append(f"({', '.join(owners)})")
    if field.name == "out" and asked.out is not None:
        words.append(f"(default: {asked.out} in the run's folder, numbered when that exists)")
    elif "default:" not in field.help and (defaults := _defaults(field)):
        words.append(f"(default: {'; '.join(defaults)})")
    return " ".join(word for word in words if word)


def _defaults(field: Field) -> list[str]:
    """Its default, and those of the parts where it is another one, or differs between encoder and decoder."""
    unsaid = ("None", "False")
    found: dict[str, list[str]] = {}
    for (_, name), default in zip(field.parts, field.defaults, strict=True):
        if default is not None and default not in unsaid and _plain(default) not in found.get(name, []):
            found.setdefault(name, []).append(_plain(default))
    usual = [] if field.default is None or field.default in unsaid else [_plain(field.default)]
    return usual + [f"{name} {' and '.join(own)}" for name, own in found.items() if own != usual]


def _plain(default: str) -> str:
    """A default as it would be typed."""
    value = ast.literal_eval(default)
    if isinstance(value, tuple | list):
        return ",".join(str(v) for v in value)
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _shown(field: Field) -> str:
    if field.place:
        return field.name.upper()
    return field.option if field.wanted.flag else f"{field.option} {field.wanted.placeholder}"


def _table(rows: Iterable[tuple[str, str]], limit: int = 26) -> list[str]:
    """Two columns; a first entry that is too long gets a line of its own."""
    rows = list(rows)
    edge = 2 + min(limit, max(len(first) for first, _ in rows)) + 2
    lines = []
    for first, second in rows:
        text = textwrap.wrap(second, WIDTH - edge) or [""]
        if len(first) + 4 > edge:
            lines.append(f"  {first}")
        else:
            lines.append(f"  {first:{edge - 2}}{text.pop(0)}".rstrip())
        lines += [" " * edge + line for line in text]
    return lines


def page() -> str:
    """docs/cli.md: every job, every option, every exit code, in Markdown."""
    lines = [
        "# The command line",
        "",
        "Made from the jobs' signatures by `ectype.surfaces.forms:reference`; a test says it is fresh.",
        "",
        "`ectype JOB --help` shows the same. Arguments come in any order, before, after or between the",
        "options; `--name value` and `--name=value`, `--two-words` and `--two_words` are the same; a",
        "yes-or-no option is `--name` or `--no-name`; `none` stands for nothing where that is allowed.",
        "",
    ]
    for job in catalog.JOBS:
        asked = form(job)
        lines += [f"## {job}", "", f"    {usage(asked)}", "", asked.signature.text, ""]
        for title, fields in sections(asked):
            lines += [f"{title.capitalize()}:", ""]
            lines += [f"- `{_shown(f)}` {told(asked, f)}".rstrip() for f in fields]
            lines += [""]
    lines += ["## Exit codes", "", "| code | meaning |", "|---|---|"]
    lines += [f"| {code} | {meaning} |" for code, meaning in exit_codes()]
    return "\n".join([*lines, ""])
