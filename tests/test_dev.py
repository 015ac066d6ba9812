"""./dev decides the right things, without installing anything."""

from __future__ import annotations

import ast
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
CPU, CUDA, PLAIN = "torch==2.13.0+cpu", "torch==2.13.0,!=2.13.0+cpu", "torch==2.13.0"


@pytest.fixture(scope="module")
def dev() -> ModuleType:
    module = ModuleType("dev")
    module.__file__ = str(ROOT / "dev")
    exec(compile((ROOT / "dev").read_text(), ROOT / "dev", "exec"), module.__dict__)  # noqa: S102
    return module


@pytest.mark.parametrize(
    ("installed", "system", "gpu", "wish", "expected"),
    [
        (None, "Linux", False, "", [[CPU], [CPU, "--extra-index-url", "INDEX"]]),
        (None, "Linux", True, "", [[CUDA]]),
        (None, "Linux", False, "cuda", [[CUDA]]),
        (None, "Linux", True, "cpu", [[CPU], [CPU, "--extra-index-url", "INDEX"]]),
        (None, "Darwin", False, "", [[PLAIN]]),
        (None, "Darwin", False, "cpu", [[PLAIN]]),
        (None, "Windows", True, "", [[PLAIN]]),
        ("2.13.0+cpu", "Linux", False, "", []),
        ("2.13.0+cpu", "Linux", True, "", []),
        ("2.13.0", "Linux", False, "", []),
        ("2.13.0+cu130", "Linux", True, "cuda", []),
        ("2.13.0+cpu", "Linux", False, "cpu", []),
        ("2.13.0", "Darwin", False, "cpu", []),
        ("2.12.1+cpu", "Linux", False, "", [[CPU], [CPU, "--extra-index-url", "INDEX"]]),
    ],
)
def test_the_build_of_torch(
    dev: ModuleType, installed: str | None, system: str, gpu: bool, wish: str, expected: list[list[str]]
) -> None:
    assert dev.torch_attempts(installed, system, gpu, wish, "INDEX") == expected


@pytest.mark.parametrize(("installed", "wish"), [("2.13.0+cpu", "cuda"), ("2.13.0", "cpu")])
def test_another_build_than_wished_is_refused(dev: ModuleType, installed: str, wish: str) -> None:
    with pytest.raises(dev.Stop, match=r"is in \.venv, not the c.* build: remove \.venv"):
        dev.torch_attempts(installed, "Linux", False, wish)


def test_an_unknown_wish_is_refused(dev: ModuleType) -> None:
    with pytest.raises(dev.Stop, match="DEV_TORCH=rocm: use cpu or cuda"):
        dev.torch_attempts(None, "Linux", False, "rocm")


def test_the_cuda_pin_excludes_the_cpu_build(dev: ModuleType) -> None:
    specifiers = pytest.importorskip("packaging.specifiers")
    cuda = specifiers.SpecifierSet(CUDA.removeprefix("torch"))
    assert list(cuda.filter(["2.13.0+cpu", "2.13.0", "2.13.0+cu130", "2.14.0"])) == ["2.13.0", "2.13.0+cu130"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (wanted,) = (line for line in project["dependencies"] if line.startswith("torch"))
    assert dev.TORCH in specifiers.SpecifierSet(wanted.removeprefix("torch"))
    assert f">={dev.OLDEST[0]}.{dev.OLDEST[1]}" == project["requires-python"]


def test_it_parses_under_python_3_8() -> None:
    ast.parse((ROOT / "dev").read_text(), feature_version=(3, 8))
    with pytest.raises(SyntaxError):
        ast.parse("match x:\n    case 1: pass", feature_version=(3, 8))


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10"])
def test_it_runs_under_an_older_python(version: str) -> None:
    python = shutil.which(f"python{version}")
    if not python or subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip(f"no Python {version} on this machine")
    done = subprocess.run([python, ROOT / "dev", "dance"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("./dev: there is no command 'dance'; known: demo, test, check, bench,")


def test_a_build_that_is_not_in_the_first_place_is_no_alarm(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tried = []
    monkeypatch.setattr(dev, "output", lambda *command: None)
    monkeypatch.setattr(dev, "torch_attempts", lambda *about: [["here"], ["there"]])
    monkeypatch.setattr(dev, "install", lambda attempt: tried.append(attempt) or attempt == ["there"])
    dev.install_torch()
    assert tried == [["here"], ["there"]]
    assert "not where pip looks by itself (an ERROR above says so); looking on" in capsys.readouterr().err
    monkeypatch.setattr(dev, "install", lambda attempt: False)
    with pytest.raises(dev.Stop, match="there could not be installed .* set DEV_TORCH_INDEX"):
        dev.install_torch()
    assert capsys.readouterr().err.count("looking on") == 1


def test_find_python_passes_over_what_is_too_old(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"/old": "False", "python3.11": None, "python3.12": "True"}
    monkeypatch.setattr(sys, "executable", "/old")
    monkeypatch.setattr(dev, "output", lambda name, *rest: answers.get(name))
    assert dev.find_python() == "python3.12"
    answers.clear()
    with pytest.raises(dev.Stop, match=r"no Python 3\.11 or newer .* Install one"):
        dev.find_python()


def test_children_keep_their_compiled_modules_and_uv_sees_the_wheels(dev: ModuleType) -> None:
    given = {"PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin", "PIP_FIND_LINKS": "/a  /b", "HOME": "/h"}
    env = dev.child_environment(given, Path("/v"), Path("/v/bin"))
    assert "PYTHONDONTWRITEBYTECODE" not in env
    assert env["PATH"] == os.pathsep.join(["/v/bin", "/usr/bin"])
    assert (env["UV_FIND_LINKS"], env["VIRTUAL_ENV"], env["HOME"]) == ("/a,/b", "/v", "/h")
    assert dev.child_environment({**given, "UV_FIND_LINKS": "/c"})["UV_FIND_LINKS"] == "/c"


def test_the_stamp_depends_on_requirements_versions_and_place(
    dev: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DEV_TORCH", raising=False)
    monkeypatch.setattr(dev, "PYTHON", sys.executable)
    digests = []
    for place, name in [("a", ""), ("a", "pyproject.toml"), ("a", "constraints.txt"), ("b", "")]:
        folder = tmp_path / place
        folder.mkdir(exist_ok=True)
        for file in ("pyproject.toml", "constraints.txt"):
            (folder / file).write_text("changed" if file == name else "same")
        monkeypatch.setattr(dev, "ROOT", folder)
        digests.append(dev.digest())
    monkeypatch.setenv("DEV_TORCH", "cpu")
    digests.append(dev.digest())
    assert len(set(digests)) == 5
    assert dev.digest() == digests[-1]


def test_the_demo_takes_a_free_folder(dev: ModuleType, tmp_path: Path) -> None:
    assert dev.free_folder(tmp_path / "demo") == tmp_path / "demo"
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo-2").mkdir()
    assert dev.free_folder(tmp_path / "demo") == tmp_path / "demo-3"


@pytest.mark.parametrize(("trained", "status"), [(True, 0), (False, 1)])
def test_the_demo_says_where_things_lie(
    dev: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    trained: bool,
    status: int,
) -> None:
    def run(*command: object) -> int:
        out = Path(str(command[command.index("--out") + 1]))
        out.mkdir(parents=True)
        for name in ("report.html", "samples.png", *(["model.safetensors"] if trained else [])):
            (out / name).touch()
        return 0

    monkeypatch.setattr(dev, "ROOT", tmp_path)
    monkeypatch.setattr(dev, "run", run)
    assert dev.demo([]) == status
    printed = capsys.readouterr().out
    assert f"report   {tmp_path / 'runs' / 'demo' / 'report.html'}" in printed
    assert ("model    was not written" in printed) != trained


def test_the_demo_leaves_the_budget_to_its_options(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(dev, "run", lambda *command: commands.append([str(part) for part in command]) or 3)
    monkeypatch.setattr(dev, "free_folder", lambda folder: folder.with_name("does-not-exist"))
    assert [dev.demo([]), dev.demo(["--steps=9"])] == [3, 3]
    assert ["--minutes" in command for command in commands] == [True, False]
    assert "--steps=9" in commands[1]


def test_check_and_test_report_what_failed(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands: list[list[str]] = []

    def run(*command: object) -> int:
        commands.append([str(part) for part in command])
        return int("mypy" in commands[-1] or "pytest" in commands[-1])

    monkeypatch.setattr(dev, "run", run)
    assert dev.test(["-k", "layers"]) == 1
    assert capsys.readouterr().out == "./dev: failed: types, tests\n"
    assert commands[-1][1:] == ["-m", "pytest", "-n", "2", "-k", "layers"]
    assert [command[2] for command in commands] == ["ruff", "ruff", "mypy", "pytest"]


def test_bench_lists_and_refuses(
    dev: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    (tmp_path / "benchmarks").mkdir()
    for name in ("speed.py", "_common.py", "results.json"):
        (tmp_path / "benchmarks" / name).touch()
    assert dev.bench([]) == 0
    assert capsys.readouterr().out == "speed\n"
    with pytest.raises(dev.Stop, match="there is no benchmark called 'sped'; known: speed"):
        dev.bench(["sped"])


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
def test_a_stop_signal_reaches_the_child_and_its_answer_comes_back(tmp_path: Path) -> None:
    child = (
        "import signal, sys, time, pathlib\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
        f"pathlib.Path({str(tmp_path / 'ready')!r}).touch()\n"
        "time.sleep(60)"
    )
    parent = (
        "import sys, types\n"
        f"dev = types.ModuleType('dev'); dev.__file__ = {str(ROOT / 'dev')!r}\n"
        "exec(compile(open(dev.__file__).read(), 'dev', 'exec'), dev.__dict__)\n"
        f"sys.exit(dev.run(sys.executable, '-c', {child!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", parent])
    deadline = time.monotonic() + 30
    while not (tmp_path / "ready").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 143


def test_a_command_that_cannot_start_is_one_line(dev: ModuleType) -> None:
    with pytest.raises(dev.Stop, match="no-such-command cannot be started"):
        dev.run("no-such-command")


def test_constraints_hold_versions_only() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]
    pins = dict(line.split("==") for line in lines)
    assert "torch" not in {name.lower() for name in pins}
    assert {"numpy", "pillow", "pydantic", "pytest", "ruff", "mypy", "datasets", "tensorboard"} <= set(pins)


def test_continuous_integration_runs_the_tests() -> None:
    run = ROOT / ".ci" / "run"
    assert os.access(run, os.X_OK)
    assert os.access(ROOT / "dev", os.X_OK)
    assert './dev test "$@"' in run.read_text()
