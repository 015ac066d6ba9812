"""The command line: help without torch, one line per error, exit codes."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ectype import __version__, catalog
from ectype.errors import (
    DataError,
    EctypeError,
    MissingExtra,
    ModelFileError,
    OutputError,
    Stopped,
    TrainingError,
    UsageError,
)
from ectype.jobs import outputs
from ectype.surfaces.cli import main

HEAVY = ("torch", "numpy", "pydantic", "sklearn", "PIL")


def loaded_after(words: list[str]) -> set[str]:
    """Which heavy packages a fresh process has loaded when the command line is done with the words."""
    code = (
        "import sys\nfrom ectype.surfaces.cli import main\n"
        f"main({words!r})\nprint('LOADED', *(m for m in {HEAVY!r} if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["list"], ["--version"], ["trian"]])
def test_help_loads_nothing_heavy(words):
    assert loaded_after(words) == set()


def test_the_check_for_heavy_packages_can_fail():
    assert "torch" in loaded_after(["sample", "no/such/run"])


def test_overview(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for job in catalog.JOBS:
        assert f"\n  {job}  " in text
    for code in (0, 1, 2, 3, 4, 5, 6, 130, 141, 143):
        assert f"\n  {code}  " in text
    assert "ectype train photos/" in text
    assert max(map(len, text.splitlines())) <= 100


def test_no_words_is_help_and_a_usage_error(capsys):
    assert main([]) == 2
    assert "usage: ectype JOB" in capsys.readouterr().out


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ectype {__version__}\n"


@pytest.mark.parametrize("job", list(catalog.JOBS))
def test_help_of_each_job(job, capsys):
    assert main([job, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: ectype {job}")
    assert max(map(len, text.splitlines())) <= 100
    assert main(["help", job]) == 0
    assert capsys.readouterr().out == text


def test_help_of_train_is_grouped_by_part(capsys):
    main(["train", "--help"])
    text = capsys.readouterr().out
    headings = [f"options of the {part}" for part in ("data", "training", "models", "networks", "priors")]
    places = [text.index(f"\n{heading}\n") for heading in headings]
    assert places == sorted(places)
    assert "--beta" in text[places[2] : places[3]]


def test_unknown_names(capsys):
    assert main(["trian", "digits"]) == 2
    assert capsys.readouterr().err == "ectype: there is no job called 'trian'; did you mean 'train'?\n"
    assert main(["sample", "runs/x", "--cuont", "4", "--seed", "one"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "ectype: there is no option --cuont; did you mean --count?",
        "ectype: --seed: 'one' is not a whole number",
    ]


def test_list(capsys):
    assert main(["list", "models"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("models\n")
    assert [line.split()[0] for line in text.splitlines()[1:]] == sorted(catalog.MODELS)
    assert main(["list", "modles"]) == 2
    assert "did you mean 'models'?" in capsys.readouterr().err


def raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def job(**values: object) -> None:
        raise error

    monkeypatch.setattr(catalog, "find", lambda table, name: job)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (EctypeError("a"), 1, "a"),
        (UsageError("b"), 2, "b"),
        (MissingExtra("datasets", "hub"), 2, "this needs datasets: pip install 'ectype[hub]'"),
        (DataError("c"), 3, "c"),
        (ModelFileError("d"), 4, "d"),
        (OutputError("e"), 5, "e"),
        (TrainingError("f"), 6, "f"),
        (Stopped("g", 143), 143, "g"),
        (OSError(errno.ENOSPC, "No space left on device", "out.png"), 5, "out.png: No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "in.png"), 1, "in.png: Permission denied"),
        (KeyboardInterrupt(), 130, "stopped"),
    ],
)
def test_one_line_and_a_code_for_each_error(error, code, line, monkeypatch, capsys):
    raising(error, monkeypatch)
    assert main(["list"]) == code
    assert capsys.readouterr().err == f"ectype: {line}\n"


def test_an_unexpected_error_apologises(monkeypatch, capsys):
    raising(KeyError("spec"), monkeypatch)
    assert main(["list"]) == 1
    text = capsys.readouterr().err
    assert text == (
        "ectype: sorry, this was not expected: KeyError: 'spec'\n"
        "ectype: run again with --debug to see where it happened\n"
    )


def test_debug_shows_the_traceback(monkeypatch, capsys):
    raising(DataError("no images"), monkeypatch)
    assert main(["list", "--debug"]) == 3
    text = capsys.readouterr().err
    assert "Traceback" in text
    assert text.endswith("ectype: no images\n")


def test_what_jobs_tell_is_printed_and_only_then(monkeypatch, capsys):
    def job(**values: object) -> str:
        outputs.tell("wrote something")
        return "a result"

    monkeypatch.setattr(catalog, "find", lambda table, name: job)
    assert main(["list"]) == 0
    assert capsys.readouterr().out == "wrote something\na result\n"
    logger = logging.getLogger("ectype")
    before = logger.level, list(logger.handlers), logger.propagate
    main(["list"])
    assert (logger.level, list(logger.handlers), logger.propagate) == before


def test_a_default_output_lies_in_the_run_and_is_never_taken(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(catalog, "find", lambda table, name: lambda **values: seen.append(values["out"]))
    (tmp_path / "samples").mkdir()
    (tmp_path / "model.safetensors").touch()
    main(["sample", str(tmp_path)])
    main(["sample", str(tmp_path / "model.safetensors")])
    main(["sample", str(tmp_path), "--out", "elsewhere"])
    assert seen == [tmp_path / "samples-2", tmp_path / "samples-2", Path("elsewhere")]


def test_a_reader_that_goes_away_is_no_error():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "ectype", "list"],
        stdout=write,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")
