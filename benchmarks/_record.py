"""One JSON line per measurement in results/NAME.jsonl: what, when, where, which code, how, the figures.

A benchmark that is started again skips what its file already holds under the same key and protocol,
so an interrupted one goes on where it was; `--again` measures anew and the newest line counts.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).resolve().parent / "results"

Line = dict[str, Any]


def machine() -> dict[str, Any]:
    """The processor, its cores and the memory, in GB."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text(encoding="utf-8").splitlines()
        model = next((s.partition(":")[2].strip() for s in lines if s.startswith("model name")), model)
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {"cpu": model, "cores": os.cpu_count(), "memory": round(pages / 1e9), "system": platform.system()}


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python and of the packages that are installed."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """The commit measured, with "+" where the tree differs from it (results aside)."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True, check=False)  # noqa: S607
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--", ".", ":!benchmarks/results", ":!README.md")
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def lines(name: str) -> list[Line]:
    """All measurements of a benchmark, oldest first."""
    path = RESULTS / f"{name}.jsonl"
    if not path.is_file():
        return []
    return [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines() if text.strip()]


def newest(name: str) -> list[Line]:
    """The newest measurement of each key, in the order the keys first came up.

    Seeds whose newest measurement is by an older protocol than another seed's are left out: a mean over two
    protocols is nobody's.
    """
    protocols = {_named(line["key"], seedless=True): line["protocol"] for line in lines(name)}
    return [x for x in _each(name) if x["protocol"] == protocols[_named(x["key"], seedless=True)]]


def _each(name: str) -> list[Line]:
    return list({_named(line["key"]): line for line in lines(name)}.values())


def _named(key: dict[str, Any], *, seedless: bool = False) -> str:
    return json.dumps({k: v for k, v in key.items() if not (seedless and k == "seed")}, sort_keys=True)


def pairs(text: str) -> dict[str, Any]:
    """What was said as NAME=VALUE, with commas between; numbers are numbers."""

    def value(word: str) -> Any:
        try:
            return json.loads(word)
        except json.JSONDecodeError:
            return word

    return {name: value(word) for name, _, word in (pair.partition("=") for pair in text.split(",") if pair)}


def measure(
    name: str,
    key: Mapping[str, Any],
    protocol: str,
    work: Callable[[], Mapping[str, Any]],
    *,
    again: bool = False,
) -> Line:
    """The measurement under this key and protocol: from the file, or by `work` and then appended to it.

    Arguments:
        name: of the benchmark, and so of its file.
        key: what tells this measurement from the others: case, seed, round, side, threads.
        protocol: one sentence that says how it is measured; changing it makes old lines not count.
        work: measures; returns the figures. The key "versions" in them goes beside ours.
        again: measure even what is there.
    """
    wanted = dict(key)
    label = " ".join(f"{k}={v}" for k, v in wanted.items())
    known = [line for line in _each(name) if line["key"] == wanted and line["protocol"] == protocol]
    if known and not again:
        print(f"{name} {label}: kept {known[0]['figures']}", flush=True)
        return known[0]
    figures = dict(work())
    line: Line = {
        "key": wanted,
        "figures": figures,
        "protocol": protocol,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
        "versions": figures.pop("versions", None) or versions("ectype", "torch", "numpy"),
    }
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / f"{name}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    print(f"{name} {label}: {figures}", flush=True)
    return line


def options(doc: str | None, **defaults: int) -> argparse.Namespace:
    """The command line of a benchmark: `--again` and whole numbers with their defaults."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--again", action="store_true", help="measure what is already in the results too")
    for name, value in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=value, help=f"default {value}")
    return parser.parse_args()
