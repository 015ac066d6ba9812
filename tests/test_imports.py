"""What is light stays light, proven in a fresh process; and what is imported is declared."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {"torch", "sklearn", "scipy", "datasets", "huggingface_hub", "tokenizers", "transformers"}
HELP = """
import runpy, sys
sys.argv = ["ectype", *{arguments}]
try:
    runpy.run_module("ectype", run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
"""
JOBS = """
from importlib import import_module
from ectype.catalog import JOBS, location
for name in JOBS:
    import_module(location("jobs", name)[0])
"""
# The import name of a distribution, where it is another.
IMPORTED_AS = {"pillow": "PIL", "scikit-learn": "sklearn"}


def loaded(code: str) -> set[str]:
    """The top-level modules that a fresh process has loaded after running `code`."""
    report = "\nimport sys\nprint('\\n@', *sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("@")[2].split())


@pytest.mark.parametrize(
    "code",
    [
        "import ectype",
        "import ectype; dir(ectype); ectype.__version__; ectype.EctypeError",
        "import ectype.catalog",
        "import ectype.shapes",
        HELP.format(arguments=["--help"]),
        HELP.format(arguments=["train", "--help"]),
        HELP.format(arguments=["sample", "--help"]),
        HELP.format(arguments=["list", "models"]),
        JOBS,
    ],
    ids=["ectype", "dir", "catalog", "shapes", "help", "train-help", "sample-help", "list", "jobs"],
)
def test_light_imports_load_nothing_heavy(code: str) -> None:
    assert loaded(code) & HEAVY == set()


def test_the_check_can_fail() -> None:
    assert "torch" in loaded("import ectype\nectype.Batch")
    assert "sklearn" in loaded("import sklearn")


def third_party(source: str) -> set[str]:
    """Top-level names a file imports that are neither ours nor Python's."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"ectype"}


def declared(requirements: list[str]) -> set[str]:
    """Import names of requirement lines."""
    names = [re.split(r"[^A-Za-z0-9_-]", line)[0] for line in requirements]
    return {IMPORTED_AS.get(name, name.replace("-", "_")) for name in names}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    core, extras = declared(project["dependencies"]), project["optional-dependencies"]
    optional = declared(extras["hub"] + extras["encoders"] + extras["bpe"] + extras["tensorboard"])
    found = set().union(*(third_party(path.read_text()) for path in (ROOT / "src").rglob("*.py")))
    assert found - core - optional == set(), "imported but not declared in pyproject.toml"
    assert core - found == set(), "required but imported nowhere"


def test_undeclared_imports_would_be_seen() -> None:
    assert third_party("import os, yaml.nodes\ndef f():\n    from PIL import Image") == {"yaml", "PIL"}
    assert declared(["pillow>=11,<14", "huggingface_hub>=1", "scikit-learn"]) == {
        "PIL",
        "huggingface_hub",
        "sklearn",
    }
