"""Everything ectype raises on purpose, and the exit code each has on the command line.

    EctypeError                    1   something went wrong and we know what
    ├── UsageError                 2   an option, name or combination that does not exist
    │   └── MissingExtra           2   an optional dependency is not installed
    ├── DataError                  3   the data cannot be read, or is not what was promised
    ├── ModelFileError             4   a model file is damaged, hostile or from another version
    ├── OutputError                5   the result cannot be written (exists, full disk, no right)
    ├── TrainingError              6   training diverged and could not go on
    └── Stopped            130 or 143  Ctrl-C or SIGTERM ended the run, after everything was saved
Each message says what happened, where, and what to do about it.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

_Given = ParamSpec("_Given")
_Made = TypeVar("_Made")


class EctypeError(Exception):
    """Root of all errors a user can cause or cure."""

    exit_code = 1


class UsageError(EctypeError):
    """An option, a name or a combination of them that does not exist."""

    exit_code = 2


class MissingExtra(UsageError):
    """An optional dependency is needed and not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"this needs {package}: pip install 'ectype[{extra}]'")


class DataError(EctypeError):
    """Data that cannot be read, or is not what was promised."""

    exit_code = 3


class ModelFileError(EctypeError):
    """A model file that is damaged, hostile, or from another version."""

    exit_code = 4


class OutputError(EctypeError):
    """A result that cannot be written."""

    exit_code = 5


class TrainingError(EctypeError):
    """Training that diverged and cannot go on."""

    exit_code = 6


class Stopped(EctypeError):
    """A run that a signal ended; everything was saved first."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def spelled(function: Callable[_Given, _Made]) -> Callable[_Given, _Made]:
    """The function, with a UsageError and the nearest name for a keyword it does not have."""
    known = inspect.signature(function).parameters

    @functools.wraps(function)
    def checked(*args: _Given.args, **kwargs: _Given.kwargs) -> _Made:
        for name in kwargs.keys() - known.keys():
            raise UsageError(f"{function.__name__} takes no '{name}'{did_you_mean(name, known)}")
        return function(*args, **kwargs)

    return checked


_NAMED = 100
"""Names that a message lists at most: a model may know thousands of words."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`"; did you mean 'x'?"` for the nearest known name, else the list of what there is."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f"; did you mean '{near[0]}'?"
    more = ", …" if len(names) > _NAMED else ""
    return f"; known: {', '.join(names[:_NAMED])}{more}" if names else ""
