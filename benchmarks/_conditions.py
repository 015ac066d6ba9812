"""The table's rows about what is made under conditions."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator

from _figures import Row, grouped, minutes, percent, spread, values
from _record import Line


def asked(group: list[Line], family: object, chosen: object = "", halved: object = False) -> str:
    """The arguments that measure a row anew, as far as its key and its protocol tell."""
    options = [part.partition(" ")[::2] for part in str(chosen or "").split(", ") if part]
    words = ["", f"--families {family}"]
    if found := re.match(r"([\d.]+) minutes", group[0]["protocol"]):
        words.append(f"--minutes {found[1]}")
    words += ["--halved"] * bool(halved)
    words += [f"--batch {value}" for name, value in options if name == "batch"]
    if named := [f"{name}={value}" for name, value in options if name != "batch"]:
        words.append(f"--options {','.join(named)}")
    return " ".join(words)


def fill_rows(lines: list[Line]) -> Iterator[Row]:
    """Halves of digits filled, beside regressors that were fitted to that half."""
    for (data,), group in grouped(lines, "data").items():
        some = {
            n: statistics.median(values(group, n)) for n, v in group[0]["figures"].items() if v is not None
        }
        yield (
            f"lower half of {data} filled, RMSE of the mean of 50 fills, {len(group)} seed(s)",
            f"below kNN-5 {some['rmse_knn']:.4f} and ExtraTrees {some['rmse_trees']:.4f}",
            f"**{spread(values(group, 'rmse'), 4)}**; best of 10 {some['rmse_best_of_10']:.3f}, fills "
            f"{some['apart']:.3f} apart; a classifier is right on {100 * some['agreement_one']:.0f} % of "
            f"single fills (of the trees' {100 * some['agreement_trees']:.0f} %, of true pictures "
            f"{100 * some['agreement_true']:.0f} %); {some['train_cpu_seconds'] / 60:.1f} CPU-min",
        )


def label_rows(lines: list[Line]) -> Iterator[Row]:
    """Digits made of a label, as a classifier names them."""
    for (family, halved, chosen), group in grouped(lines, "family", "halved", "chosen").items():
        colder = [line["figures"]["cold"] for line in group if "cold" in line["figures"]]
        cold = (
            f" (at temperature {colder[0]['temperature']:g} {percent([c['agreement'] for c in colder])}, "
            f"diversity {spread([c['diversity'] for c in colder], 2)})"
            if colder
            else ""
        )
        told = f"{family}{f', {chosen}' if chosen else ''}{', half of the labels taken away' * bool(halved)}"
        yield (
            f"label → digit, MNIST, {told}, {len(group)} seed(s)",
            "≥ 97 % in ≤ 15 CPU-min",
            f"**{percent(values(group, 'agreement'))}** are what was asked for, of the worst class "
            f"{percent(values(group, 'least'))}; diversity {spread(values(group, 'diversity'), 2)} of real "
            f"digits'{cold}; the judge is right on {percent(values(group, 'judge'))} of the test digits; "
            + minutes(group),
            asked(group, family, chosen, halved),
        )


def _colder(group: list[Line]) -> str:
    """The same at the temperature at which most of what was seen is right, where that is another."""
    colder = [line["figures"]["cold"] for line in group if "cold" in line["figures"]]
    if not colder or all(cold["temperature"] == 1 for cold in colder):
        return ""
    at = ", ".join(sorted({f"{cold['temperature']:g}" for cold in colder}))
    return (
        f"; at temperature {at}, chosen on those that were seen, "
        f"**{percent([cold['all'] for cold in colder])}**, pictures of one caption then lie "
        f"{spread([cold['spread'] for cold in colder], 2)} times as far apart"
    )


def _diverse(group: list[Line]) -> str:
    """How far made pictures of one caption lie apart, where that was measured."""
    found = [line["figures"]["diversity"] for line in group if "diversity" in line["figures"]]
    return f"; diversity {spread(found, 2)} of real pictures' of one caption" if found else ""


def caption_rows(lines: list[Line]) -> Iterator[Row]:
    """Drawn shapes made of a caption, as the renderer finds them."""
    goals = {"vae": "≥ 95 %", "gan": "≥ 90 %"}
    for (family, unit, chosen), group in grouped(lines, "family", "unit", "chosen").items():
        how = f", {chosen}" if chosen else ""
        yield (
            f"captioned shapes, {family}, captions in {unit}{how}, {len(group)} seed(s): all words right",
            goals.get(str(family), "") + " on combinations never seen",
            f"**{percent(values(group, 'all'))}**; {percent(values(group, 'seen'))} of combinations "
            f"that were seen, {percent(values(group, 'real'))} of real pictures"
            f"{_diverse(group)}{_colder(group)}; {minutes(group)}",
            asked(group, family, chosen),
        )


def joint_rows(lines: list[Line]) -> Iterator[Row]:
    """Pictures and captions sampled together."""
    if lines:
        yield (
            f"shapes sampled with their captions, {len(lines)} seed(s): the picture agrees",
            "≥ 90 %",
            f"**{percent(values(lines, 'all'))}**, at temperature 0.6 {percent(values(lines, 'cold'))}; "
            f"pictures completed from captions "
            f"{percent(values(lines, 'from caption'))}, captions from pictures "
            f"{percent(values(lines, 'from picture'))}, real pairs {percent(values(lines, 'real'))}; "
            f"{minutes(lines)}",
            f" --seeds {len(lines)}" * (len(lines) > 1),
        )


def emoji_rows(lines: list[Line]) -> Iterator[Row]:
    """Emoji made of captions never seen, as a judge of words recognises them."""
    told = {"name": "names", "keywords": "names and keywords", "tags": "names and keywords as sets of words"}
    for (family, captions), group in grouped(lines, "family", "captions").items():
        yield (
            f"text → emoji, {family}, {told[str(captions)]}, {len(group)} seed(s): "
            "held-out caption found among 10",
            "≥ 30 % (chance 10 %)",
            f"**{percent(values(group, 'found'))}** ± {100 * max(values(group, 'error')):.1f}; of real "
            f"held-out pictures {percent(values(group, 'real'))}, of pictures of another caption "
            f"{percent(values(group, 'shuffled'))}; {minutes(group)}",
            asked(group, family) + f" --captions {captions}" * (captions != "tags"),
        )
