"""The command `ectype`: words in, one job run, a person's words out.

No traceback reaches a person for anything they can cause or cure: one line on stderr says what
happened, where and what to do, and the exit code says which sort it was (`errors.py`).
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ectype.errors import EctypeError, OutputError

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit code.

    Arguments:
        argv: the words after `ectype`; default: those of this process.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    try:
        code = _run([word for word in words if word != "--debug"])
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _drop_stdout()
        return 141
    except KeyboardInterrupt:
        _say("stopped")
        return 130
    except Exception as error:
        if debug:
            import traceback

            traceback.print_exc()
        return _explain(error)


def _run(words: list[str]) -> int:
    from ectype.surfaces import help as drawn

    if not words or words[0] in ("-h", "--help", "help"):
        print(drawn.job_help(words[1]) if len(words) > 1 and words[0] == "help" else drawn.overview())
        return 0 if words else 2
    if words[0] == "--version":
        from ectype import __version__

        print(f"ectype {__version__}")
        return 0
    job, rest = words[0], words[1:]
    asked_for_help = rest[: rest.index("--")] if "--" in rest else rest
    if "-h" in asked_for_help or "--help" in asked_for_help:
        print(drawn.job_help(job))
        return 0
    _do(job, rest)
    return 0


def _do(job: str, words: Sequence[str]) -> None:
    from ectype import catalog
    from ectype.surfaces.forms import form, parse

    asked = form(job)
    values = parse(asked, words)
    if asked.out is not None and values.get("out") is None:
        values["out"] = _out_of(values, asked.out)
    call = catalog.find("jobs", job)
    with _Telling():
        result = call(**values)
    if isinstance(result, str):  # everything else a job has written, and said where
        print(result)


def _out_of(values: dict[str, Any], name: str) -> Path:
    """Where a job writes when nobody said: in the run's folder, under a name that is free."""
    from ectype.jobs.outputs import free

    run = Path(values["run"])
    return free((run if run.is_dir() else run.parent) / name)


class _Telling:
    """Prints what jobs say through the logger "ectype" while they run."""

    def __enter__(self) -> None:
        import logging

        class Printed(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                # not StreamHandler: it swallows the BrokenPipeError that has to end the program
                print(record.getMessage(), file=sys.stderr if record.levelno > logging.INFO else sys.stdout)

        self.logger = logging.getLogger("ectype")
        self.before = self.logger.level, self.logger.propagate
        self.handler = Printed()
        self.logger.addHandler(self.handler)
        self.logger.setLevel(logging.INFO)
        self.logger.propagate = False

    def __exit__(self, *error: object) -> None:
        self.logger.removeHandler(self.handler)
        level, self.logger.propagate = self.before
        self.logger.setLevel(level)


def _explain(error: Exception) -> int:
    """Say on stderr what went wrong; returns the exit code for it."""
    if isinstance(error, EctypeError):
        _say(str(error))
        return error.exit_code
    if isinstance(error, OSError):
        _say(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error))
        return OutputError.exit_code if error.errno in _NO_ROOM else EctypeError.exit_code
    detail = " ".join(str(error).split())
    _say(
        f"sorry, this was not expected: {type(error).__name__}: {detail}\n"
        "run again with --debug to see where it happened"
    )
    return EctypeError.exit_code


def _say(message: str) -> None:
    for line in message.splitlines():
        print(f"ectype: {line}", file=sys.stderr)


def _drop_stdout() -> None:
    """Leave nothing for the interpreter to flush into a closed pipe at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
