"""The sections of a report: from a run's record, metrics and pictures to HTML, in reading order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ectype.jobs import charts, page
from ectype.jobs.events import told
from ectype.jobs.pictures import CLASSES, COUNT, Pictures
from ectype.metrics import Score

MOST = 400
"""Points of a curve at most: more than a screen has, and the page stays small."""


def summary(record: Mapping[str, Any]) -> str:
    """The run in one sentence."""
    model = record.get("model", {})
    parts = [f"{model[k]} {k}" for k in ("network", "likelihood", "prior") if model.get(k)]
    if model.get("latent"):
        parts.append(f"{model['latent']} latent numbers")
    text = str(model.get("model", "model")).upper()
    text += f" ({', '.join(parts)})" if parts else ""
    return f"{text}, trained on {source(record)}."


def samples(pictures: Pictures, scores: Sequence[Score] = ()) -> str:
    """The first samples, uncurated; then some of each class; then what they come to in words."""
    pieces = []
    if pictures.samples is not None:
        caption = f"Uncurated: the first {COUNT} seeds, 0 to {COUNT - 1}, in order, none left out."
        pieces.append(page.figure(page.embed(pictures.samples, "samples", wide=640), caption))
    if pictures.by_label:
        rows = "".join(page.labelled_row(name, picture) for name, picture in pictures.by_label.items())
        more = f" The first {CLASSES} classes." if len(pictures.by_label) >= CLASSES else ""
        pieces.append(page.figure(rows, f"{pictures.by_whom}{more}"))
    if pictures.by_item:
        rows = "".join(page.labelled_row(words, picture) for words, picture in pictures.by_item)
        caption = (
            "Under the conditions of held-out items, the first in order: the item itself (after "
            "conditions that are pictures), then what is made, seeds 0 to 6."
        )
        pieces.append(page.figure(rows, caption))
    pieces += [page.paragraph(line) for line in in_words(scores)]
    return page.section("Samples", *pieces)


def in_words(scores: Sequence[Score]) -> list[str]:
    """What the numbers about made items say, as sentences; nothing where there are none."""
    found = {score.name: score for score in scores}  # the last of each name
    said = []
    if made := found.get("classes made"):
        said.append(f"made items are of {made.value:.0f} {made.unit} classes")
    if agreement := found.get("agreement"):
        said.append(f"{agreement.value:.0%} of them show the class they were asked for")
    if coverage := found.get("coverage"):
        said.append(f"they reach {coverage.value:.0%} of the real items' neighbourhoods{_rival(coverage)}")
    if precision := found.get("precision"):
        said.append(f"{precision.value:.0%} of them lie where real items do{_rival(precision)}")
    if not said:
        return []
    text = "; ".join(said)
    lines = [f"{text[0].upper()}{text[1:]}."]
    if right := found.get("judge right"):
        lines.append(
            "Classes are named by a small classifier fitted to the train split; it is right on "
            f"{right.value:.1%} of {right.n:,} held-out real items."
        )
    few = next((found[n] for n in ("coverage", "classes made") if n in found and not found[n].enough), None)
    if few is not None:
        lines.append(f"There were too few items to trust these numbers: {few.n:,} of {few.least:,}.")
    return lines


def _rival(score: Score) -> str:
    """What real items get, in brackets."""
    return f" ({score.floor_name}: {score.floor:.0%})" if score.floor is not None else ""


def reconstructions(pictures: Pictures) -> str:
    """Items and what the model makes of them after reading them."""
    pieces = [
        page.figure(page.embed(picture, caption, wide=640), f"{caption[0].upper()}{caption[1:]}.")
        for caption, picture in pictures.pairs
    ]
    if pieces:
        seen = " These were trained on." if pictures.split == "train" else ""
        pieces.append(
            page.paragraph(f"The first items of the {pictures.split} split, in order.{seen}", soft=True)
        )
    return page.section("Reconstructions", *pieces)


def round_trip(record: Mapping[str, Any], scores: Sequence[Score]) -> str:
    """How near items and codes come back through an encoder that `ectype invert` trained; or nothing."""
    if not scores:
        return ""
    steps = int(record.get("inversion", {}).get("steps", 0))
    how = f"This model only makes. An encoder trained for it afterwards, {steps:,} steps, lets it read."
    return page.section("Round trip", page.paragraph(how), page.score_table(scores))


def latents(pictures: Pictures, scores: Sequence[Score]) -> str:
    """Where items lie in the latent space, and how much each dimension carries."""
    charts_made = []
    if pictures.codes is not None and len(pictures.codes) > 1:
        points, names = charts.plane(pictures.codes)
        drawn = charts.scatter(points, pictures.labels, "codes of items", names)
        how = "the two latent numbers" if pictures.codes.shape[1] == 2 else "their principal components"
        colour = ", coloured by label" if pictures.labels else ""
        n = len(pictures.codes)
        caption = f"Codes of {n:,} {pictures.split} items{colour}: {how}."
        charts_made.append(page.figure(drawn, caption))
    for score in scores:
        if score.name == "kl" and score.parts:
            drawn = charts.bars(
                score.parts, "KL per latent dimension", ("latent dimension, sorted", "KL, nats")
            )
            caption = f"What each dimension carries ({score.split}, N={score.n:,}). KL {score.figures}"
            caption += f": {score.note}." if score.note else ", the sum of the bars."
            charts_made.append(page.figure(drawn, caption))
    return page.section("Latent space", grid(charts_made))


def grid(figures: Sequence[str]) -> str:
    """Figures side by side where the screen is wide enough."""
    return f'<div class="charts">{"".join(figures)}</div>' if figures else ""


def training_curves(lines: Sequence[Mapping[str, Any]], *, adversarial: bool = False) -> str:
    """One chart per quantity that was watched, train and select together.

    Arguments:
        lines: what metrics.jsonl holds.
        adversarial: whether the select split was judged by the distance of made items instead of a loss.
    """
    made = []
    outside = False
    found = quantities(lines)
    if adversarial and "select" in found.get("loss", {}):
        found = {"distance of made items": {"select": found["loss"].pop("select")}, **found}
    for name, series in found.items():
        unit = "" if adversarial or name.startswith("codes.") else "nats per item"
        drawn, cut = charts.curves(series, f"{name} over training", unit)
        if drawn:
            outside = outside or cut
            made.append(page.figure(drawn, name))
    note = "The loss is what training makes small; the select split is not trained on."
    if adversarial:
        note = (
            "The losses are how the players stand against each other and say nothing about quality; the "
            "distance, energy distance to the select split, does: lower is better, 0 is a perfect match."
        )
    if any(name.startswith("codes.") for name in found):
        note += " What begins with codes is the game in which the prior was learned, on the codes."
    if any(name.startswith("prior.") for name in found):
        note += " What begins with prior was learned by the prior alone, the rest of the model held still."
    note = note if made else ""
    note += " The first steps lie outside the frames." if outside else ""
    return page.section("Training curves", grid(made), page.paragraph(note, soft=True))


def quantities(lines: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Lines of metrics.jsonl as quantity → split → (step, nats) points, thinned to what a screen shows."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for line in lines:
        values = {"loss": line.get("loss"), **(line.get("parts") or {})}
        for name, value in values.items():
            if isinstance(value, int | float):
                points = found.setdefault(name, {}).setdefault(str(line["split"]), [])
                points.append((float(line["step"]), float(value)))
    for series in found.values():
        for split, points in series.items():
            stride = -(-len(points) // MOST)
            series[split] = points[::-stride][::-1]
    return found


def source(record: Mapping[str, Any]) -> str:
    """What the data is called."""
    told = record.get("data") or {}
    if not told:
        return "data that was not recorded"
    return str(told.get("path") or "data given from Python")


def counts_of(record: Mapping[str, Any]) -> dict[str, int]:
    """Items by split, where they were recorded."""
    return dict((record.get("data") or {}).get("counts") or {})


def data(record: Mapping[str, Any], pictures: Pictures) -> str:
    """What it was trained on, and what was left out."""
    counts = " · ".join(f"{split} {n:,}" for split, n in counts_of(record).items() if split != "all")
    options = (record.get("data") or {}).get("options") or {}
    read = {k: v for k, v in options.items() if v is not None and v is not False}
    pairs = {"Source": source(record), "Kind": said(record.get("kind", "")), "Items": counts}
    pairs["Read with"] = said(read)
    return page.section("Data", page.facts(pairs), page.bullets([str(n) for n in pictures.notes]))


def facts_of_training(record: Mapping[str, Any]) -> str:
    """How it was trained, on what, and how to do it again."""
    pairs = {"Command": said(record.get("command", "")), "Date": said(record.get("created", ""))}
    for name, value in record.get("training", {}).items():
        if name == "events":
            pairs["Events"] = said([told(event) for event in value]) or "none"
        elif name == "seconds":
            pairs["Wall time"] = spoken_time(float(value))
        else:
            pairs[name.replace("_", " ").capitalize()] = said(value)
    pairs |= {"Model": said(record.get("model", "")), "Machine": said(record.get("machine", ""))}
    pairs |= {"Versions": said(record.get("versions", "")), "Commit": said(record.get("commit", ""))}
    return page.section("How it was made", page.facts(pairs))


def said(value: Any) -> str:
    """Anything JSON holds as a line of plain text; what is empty says nothing."""
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {said(v)}" for k, v in value.items() if said(v))
    if isinstance(value, list | tuple):
        return ", ".join(said(v) for v in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else str(value)


def spoken_time(seconds: float) -> str:
    """A duration as a person says it: 123 → "2 min 3 s"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
