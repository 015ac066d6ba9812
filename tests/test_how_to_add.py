"""docs/how-to-add.md is followed to the letter on a copy of the package: one file, one line, and it works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def blocks(page: str) -> tuple[Path, str, str, str]:
    """From the page: the new file's path and text, the catalog's table and its new line."""
    file = re.search(r"<!-- file: (\S+) -->\n```python\n(.*?)```", page, re.S)
    line = re.search(r"<!-- line: (\w+) -->\n```text\n(.*?)```", page, re.S)
    assert file is not None
    assert line is not None
    return Path(file[1]), file[2], line[1], line[2]


def test_a_family_is_one_file_and_one_line(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    path, text, table, line = blocks((ROOT / "docs" / "how-to-add.md").read_text())
    assert not (ROOT / path).exists()
    (tmp_path / path).write_text(text)
    catalog = tmp_path / "src/ectype/catalog.py"
    catalog.write_text(catalog.read_text().replace(f"{table} = {{\n", f"{table} = {{\n{line}", 1))

    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "src"), "OMP_NUM_THREADS": "1"}

    def ectype(*words: str) -> str:
        command = [sys.executable, "-m", "ectype", *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    assert "sparse" in ectype("list", "models")
    assert "--sparsity" in ectype("train", "--help")
    ectype("train", "digits", "--model", "sparse", "--sparsity", "0.2", "--network", "mlp", "--hidden", "16",
           "--steps", "20", "--out", "new")  # fmt: skip
    ectype("sample", "new", "--count", "4", "--out", "four.png")
    assert (tmp_path / "four.png").stat().st_size > 0
