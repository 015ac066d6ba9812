"""One self-contained HTML page about a run: what it was, what it makes, how good it is.

Read from the run's folder; every key may be missing and its row is then left out:

    record.json     {"command": str, "created": str, "warnings": [str],
                     "data": Data.source: {"path": str, "options": {…}, "counts": {split: N}, …},
                     "training": {"steps": int, "planned": int, "seconds": s, "stopped": bool,
                                  "skipped": int, and anything else worth a line},
                     "scores": [Score.state()],
                     "inversion": {"steps": int, "seconds": s, "scores": [Score.state()]},
                     "sorted": {"seed": int, "made": int, "first": {class: [item number]}},
                     "machine": {…}, "versions": {name: version}}
    metrics.jsonl   {"step": int, "seconds": s, "split": "train" or "select", "loss": nats,
                     "parts": {name: nats}}, one per line; lines without "split", such as the
                    supervisor's events, are in the record too
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ectype.errors import UsageError
from ectype.jobs.outputs import refuse, write

if TYPE_CHECKING:
    from ectype.jobs.pictures import Pictures
    from ectype.metrics import Score
    from ectype.runs import Run

FEW = 100
FAR = 0.5
"""Of what real items get: below it the report warns."""
UNEVEN = 0.3
"""Total variation distance beyond that of real items, from which on the report warns."""
NAME = "report.html"


def report(run: Run | str | Path, *, out: Path | None = None, overwrite: bool = False) -> Path:
    """Write one HTML page about a run that can be opened or sent as it is.

    Arguments:
        run: a run's folder.
        out: the page to write; report.html in the run's folder when not given, which is renewed.
        overwrite: replace `out` where it exists.

    Raises ModelFileError where there is no run, UsageError for one that was never saved, OutputError
    where the page cannot be written.
    """
    from ectype.jobs.inputs import opened
    from ectype.jobs.pictures import draw

    loaded = opened(run)
    if loaded.folder is None:
        raise UsageError("this run lies in no folder, so it has no curves to report: save it first")
    target = loaded.folder / NAME if out is None else Path(out)
    refuse(target, overwrite or out is None)
    record = {"model": loaded.spec, "kind": loaded.kind.name, **loaded.record}
    lines = read_metrics(loaded.folder)
    text = compose(loaded.folder.resolve().name, record, lines, draw(loaded))
    return write(target, lambda path: path.write_text(text, "utf-8"), overwrite=overwrite or out is None)


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl; a line torn by a kill is passed over. No file: no lines."""
    path = folder / "metrics.jsonl"
    if not path.exists():
        return []
    lines = []
    for text in path.read_text("utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and {"step", "split"} <= line.keys():
            lines.append(line)
    return lines


def compose(
    title: str, record: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], pictures: Pictures
) -> str:
    """The page's text from plain data.

    Arguments:
        title: the run's name.
        record: what record.json holds.
        lines: what metrics.jsonl holds.
        pictures: what was drawn.
    """
    from ectype.jobs import page, sections
    from ectype.metrics import Score

    scores = [Score.restore(state) for state in record.get("scores", [])]
    known = {s.name for s in scores}
    scores += [s for s in pictures.scores if s.name not in known]
    trip = [Score.restore(state) for state in record.get("inversion", {}).get("scores", [])]
    body = [
        page.heading(title, sections.summary(record)),
        page.warning_box(warnings_of(record, [*scores, *trip], pictures)),
        sections.samples(pictures, scores),
        sections.reconstructions(pictures),
        sections.round_trip(record, trip),
        page.section("Numbers", page.score_table(scores)),
        sections.latents(pictures, scores),
        sections.training_curves(lines, adversarial=pictures.adversarial),
        sections.data(record, pictures),
        sections.facts_of_training(record),
    ]
    return page.page(f"{title} · ectype report", body)


def warnings_of(record: Mapping[str, Any], scores: Sequence[Score], pictures: Pictures) -> list[str]:
    """What a reader must know first, in plain words."""
    from ectype.jobs import events, sections

    found = [str(w) for w in record.get("warnings", [])]
    training = record.get("training", {})
    if training.get("stopped"):
        planned = f" of {training['planned']:,}" if "planned" in training else ""
        found.append(
            f"training was stopped before its end, after {training.get('steps', 0):,}{planned} steps"
        )
    if training.get("skipped"):
        found.append(f"{training['skipped']:,} training steps had no finite gradient and were passed over")
    found += events.warnings(training.get("events", ()))
    counts = sections.counts_of(record)
    if counts:
        test = counts.get("test", 0)
        if test == 0:
            found.append("no held-out data: nothing here says how the model does on items it has not seen")
        elif test < FEW:
            found.append(f"only {test} test item{'s' if test > 1 else ''}: every number below is rough")
    for score in scores:
        found += _judged(score)
    if not record.get("scores"):
        found.append("not evaluated yet: `ectype evaluate` on this run adds the numbers")
    return found + list(pictures.problems)


def _judged(score: Score) -> list[str]:
    """What is wrong with one number, if anything."""
    from ectype.metrics import REAL
    from ectype.metrics.conditions import GUIDED, warning

    said = warning(score)
    if said or GUIDED in score.name:  # what guidance does is a trade that was asked for
        return [said] if said else []
    if score.name == "active units":
        total = int(score.unit.removeprefix("of ") or 0)
        if score.value < 0.1 * total or score.value == 0:
            return [
                f"posterior collapse: {score.value:.0f} of {total} latent dimensions are active; "
                "try a smaller beta, a longer warmup or free_bits"
            ]
        return []
    if score.floor_name == REAL:
        return _beside_real(score)
    if not score.above_floor:
        return [f"{score.name} is no better than the {score.floor_name or 'floor'}: {score}"]
    return []


def _beside_real(score: Score) -> list[str]:
    """What is wrong with a number that stands beside the one real items get."""
    floor = score.floor or 0.0
    if score.name == "classes made" and score.value < floor:
        return [f"classes are missing: made items are of {score.value:.0f} {score.unit}; {score.note}"]
    if score.name == "novelty" and score.enough and score.value < FAR * floor:
        return [f"most made texts are training texts, to the symbol: {score}"]
    if score.name == "class shares" and score.value > floor + UNEVEN:
        return [f"some classes are made far too often and others too rarely: {score}"]
    high = score.value + (0.0 if score.enough else 2 * (score.error or math.inf))
    if score.name in ("coverage", "precision") and high < FAR * floor:
        what = {
            "coverage": "large parts of the data are never made",
            "precision": "most made items lie where no real ones do",
        }[score.name]
        return [f"{what}: {score.name} is {score.value:.2f}, and {floor:.2f} for real items"]
    return []
