"""README and docs name everything there is, and nothing that is not."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

import ectype
from ectype.catalog import DATASETS, JOBS, TABLES

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Options whose value is a name of a catalog table.
NAMED = {
    "--model": "models",
    "--network": "networks",
    "--likelihood": "likelihoods",
    "--prior": "priors",
    "--kind": "kinds",
}


def fences(text: str, *languages: str) -> list[str]:
    """The fenced blocks of a page in one of the languages."""
    return [body for language, body in FENCE.findall(text) if language in languages]


def code_words(text: str) -> set[str]:
    """Every word that stands in a fenced block or in backticks."""
    code = [body for _, body in FENCE.findall(text)] + re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
    return set(re.findall(r"[\w-]+", " ".join(code)))


def commands(text: str) -> Iterator[list[str]]:
    """Every call of `ectype` in a page's shell blocks, as words; one line may hold several."""
    for block in fences(text, "", "bash", "sh", "console"):
        for line in block.replace("\\\n", " ").splitlines():
            for call in re.split(
                r"\s{2,}(?=ectype )", line.strip().removeprefix("$ ").removeprefix("./dev shell ")
            ):
                if call.startswith("ectype "):
                    yield shlex.split(call, comments=True)[1:]


def mistakes(words: list[str]) -> list[str]:
    """What a documented call names that the catalog does not have."""
    found = []
    job, *rest = words
    if job not in JOBS and not job.startswith("-"):
        found.append(f"no job '{job}'")
    for option, value in zip(rest, rest[1:], strict=False):
        table = NAMED.get(option)
        if table and value not in TABLES[table] and value.isidentifier() and not value.isupper():
            found.append(f"no {option} {value}")
    is_name = job == "train" and bool(rest) and re.fullmatch(r"[a-z]+", rest[0])
    if is_name and rest[0] not in DATASETS:
        found.append(f"'{rest[0]}' is no built-in data set; a folder is written with a slash")
    return found


def text_of(pages: list[Path]) -> str:
    return "\n".join(page.read_text() for page in pages)


@pytest.mark.parametrize("table", sorted(TABLES))
def test_every_name_of_the_catalog_is_documented(table: str) -> None:
    missing = set(TABLES[table]) - code_words(text_of(PAGES))
    assert missing == set(), f"these {table} stand in no code of README.md or docs/"


def test_the_tree_names_every_entry_of_the_package() -> None:
    entries = {
        path.name + ("/" if path.is_dir() else "")
        for path in (ROOT / "src" / "ectype").iterdir()
        if path.name[0] not in "._"
    }
    tree = " ".join(body for _, body in FENCE.findall(README.read_text()))
    missing = {
        entry for entry in entries - {"py.typed"} if not re.search(rf"(?<![\w/]){re.escape(entry)}", tree)
    }
    assert missing == set(), "README's tree leaves these out"


def test_the_two_commands_come_first() -> None:
    blocks = fences(README.read_text(), "", "bash", "sh", "console")
    assert "./dev demo" in blocks[0]
    assert "./dev test" in blocks[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_documented_commands_exist(page: Path) -> None:
    found = [f"{' '.join(words)}: {text}" for words in commands(page.read_text()) for text in mistakes(words)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_and_pictures_that_are_linked_are_there_and_small(page: Path) -> None:
    text = FENCE.sub("", page.read_text())
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing, f"links to nothing: {missing}"
    large = [link for link in links if link.endswith(".png") and (page.parent / link).stat().st_size > 60_000]
    assert not large, f"pictures of more than 60 kB: {large}"


def test_readme_shows_commands() -> None:
    jobs = {words[0] for words in commands(README.read_text())}
    assert {"train", "sample"} <= jobs


@pytest.mark.parametrize("page", [README, ROOT / "docs" / "how-to-add.md"], ids=lambda page: page.name)
def test_python_snippets_parse_and_use_public_names(page: Path) -> None:
    for block in fences(page.read_text(), "python"):
        tree = ast.parse(block)
        used = {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ec"
        }
        assert used <= set(ectype.__all__), block


def test_the_checks_can_fail() -> None:
    page = "normal `vae`\n```bash\n$ ectype trian digits  # a comment\nectype train moons --model vea\n```\n"
    assert {"vae", "moons"} <= code_words(page)
    assert "normal" not in code_words(page)
    assert [mistakes(words) for words in commands(page)] == [
        ["no job 'trian'"],
        ["no --model vea", "'moons' is no built-in data set; a folder is written with a slash"],
    ]
    assert mistakes(["train", "photos/", "--model", "vae"]) == []
