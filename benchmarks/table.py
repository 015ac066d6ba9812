"""The README's table of measured results, made from the files in results/.

    ./dev bench table            write it between the README's markers
    ./dev bench table --show     print it

Every row has what was measured, the number to reach, what was reached with its spread, and the
command that measures it again. A benchmark without results has no row.
"""

from __future__ import annotations

import re
import statistics
import sys
from collections.abc import Callable, Iterator

from _conditions import caption_rows, emoji_rows, fill_rows, joint_rows, label_rows
from _figures import Row, grouped, mean, spread, values
from _games import fashion_rows, game_rows, made_name_rows, mixture_rows, stacked_rows
from _record import ROOT, Line, newest

README = ROOT / "README.md"
BETWEEN = re.compile(r"(<!-- results -->\n).*?(<!-- /?results -->)", re.DOTALL)
HEAD = "| what | to reach | reached | again |\n|---|---|---|---|\n"
NETS = {"mlp": "784-400-40 MLP, ≥ 3 ×", "conv": "Pythae's MNIST conv nets, ≥ 1.5 ×"}


def nll_rows(what: str, target: str, lines: list[Line]) -> Iterator[Row]:
    """Bounds on -log p of static MNIST."""
    for (threads, prior), group in grouped(lines, "threads", "prior").items():
        kind = f"{what}, {prior} prior" if prior else what
        figures = [line["figures"] for line in group]
        some = figures[0]
        nll, error = spread(values(group, "nll"), 2), max(values(group, "error"))
        time = statistics.median(values(group, "train_seconds")) / 60
        cpu = [some["train_cpu_seconds"] / 60 for some in figures if "train_cpu_seconds" in some]
        yield (
            f"{kind}: IWAE K = {some['samples']:,}, {some['items']:,} test items, {len(group)} seed(s)",
            target,
            f"**{nll}** ± {error:.2f} nats; {time:.1f} min on {threads} thread(s)"
            + (f", {statistics.median(cpu):.1f} CPU-min" if cpu else ""),
        )


def throughput_rows(lines: list[Line]) -> Iterator[Row]:
    """Milliseconds per training step against the peer's."""
    for (case, threads), group in grouped(lines, "case", "threads").items():
        sides = {side: values(some, "ms_per_step") for (side,), some in grouped(group, "side").items()}
        peer = sides.pop("pythae", None)
        for side, ours in sides.items():
            if peer:
                ratio = statistics.median(peer) / statistics.median(ours)
                yield (
                    f"training step against Pythae 0.1.2, {threads} thread(s){side.removeprefix('ectype')}",
                    NETS[str(case)],
                    f"**{ratio:.2f} ×**: {spread(ours, 2)} against {spread(peer, 2)} ms",
                )


def sentence_rows(lines: list[Line]) -> Iterator[Row]:
    """Symbols per second of processor time in training a VAE of sentences, against the peer's."""
    speeds = {
        str(side): [
            1000 * line["figures"]["symbols_per_step"] / line["figures"]["cpu_ms_per_step"] for line in some
        ]
        for (side,), some in grouped(lines, "side").items()
    }
    peer = speeds.pop("Sentence-VAE", None)
    for side, ours in speeds.items():
        if peer:
            ratio = statistics.median(ours) / statistics.median(peer)
            yield (
                f"GRU-VAE of sentences against Sentence-VAE's published loop{side.removeprefix('ectype')}",
                "≥ 2 × symbols/s",
                f"**{ratio:.2f} ×**: {spread(ours, 0)} against {spread(peer, 0)} symbols per CPU-second",
            )


def scoring_rows(lines: list[Line]) -> Iterator[Row]:
    """Seconds for the bound of 10,000 items against the peer's."""
    for (threads,), group in grouped(lines, "threads").items():
        sides = {str(side): some for (side,), some in grouped(group, "side").items()}
        peer, exact = sides.pop("pythae", None), sides.get("ectype fp32")
        for side, some in sides.items():
            if peer and exact:
                ratio = statistics.median(values(peer, "seconds")) / statistics.median(
                    values(some, "seconds")
                )
                off = statistics.median(values(some, "nll")) - statistics.median(values(exact, "nll"))
                moved = "" if some is exact else f"; mean moved by {off:+.4f} nat"
                yield (
                    f"IWAE K = 1,000 of {some[0]['figures']['items']:,} items against `get_nll`, "
                    f"{side.removeprefix('ectype ')}, {threads} thread(s)",
                    "≥ 2.2 × (fp32)",
                    f"**{ratio:.2f} ×**: {spread(values(some, 'seconds'), 1)} against "
                    f"{spread(values(peer, 'seconds'), 1)} s{moved}",
                )


def startup_rows(lines: list[Line]) -> Iterator[Row]:
    """The command line's start."""
    for line in lines:
        some = line["figures"]
        torch = "torch imported" if some["torch"] else "torch not imported"
        yield "`ectype --help`", "≤ 0.15 s, without torch", f"**{some['seconds']:.3f} s**, {torch}"


def resume_rows(lines: list[Line]) -> Iterator[Row]:
    """Whether a killed run ends as one that was not."""
    for line in lines:
        some = line["figures"]
        verdict = "identical, bit for bit" if some["identical"] else "**different**"
        yield f"resumed after SIGKILL at {len(some['killed_after'])} random steps", "identical", verdict


def name_rows(lines: list[Line]) -> Iterator[Row]:
    """Texts of one name each: likelihoods of a language model and a VAE, and exact reconstruction."""
    found = {line["key"]["case"]: line["figures"] for line in lines}
    rows = {
        "lm": ("language model", "≤ 1.98 nats/char", lambda f: f"**{f['per character']:.3f}** nats/char"),
        "vae": (
            "VAE, IWAE K = 500",
            "language model + 0.15 nat/name, KL ≥ 4",
            lambda f: (
                f"**{f['nll']:.2f}** nats/name (language model {found['lm']['nll']:.2f}), KL {f['kl']:.1f}"
            ),
        ),
        "ae": ("autoencoder, names that come back", "≥ 99 %", lambda f: f"**{100 * f['exact']:.1f} %**"),
        "vanilla": (
            "VAE without free bits and warm-up",
            "collapses, and is noticed",
            lambda f: f"KL **{f['kl']:.2f}** nats, {'noticed' if f['noticed'] else 'not noticed'}",
        ),
    }
    for case, (what, goal, told) in rows.items():
        if case in found:
            some = found[case]
            time = f"{some['cpu'] / 60:.1f} CPU-min"
            yield f"names, unique split, 1,000 test: {what}", goal, f"{told(some)}; {time}"


def play_rows(lines: list[Line]) -> Iterator[Row]:
    """Tiny Shakespeare in nanoGPT's setting for a CPU."""
    for line in lines:
        some = line["figures"]
        yield (
            f"tiny Shakespeare, {some['parameters']:,} parameters, {some['steps']:,} steps",
            "≤ 1.88 nats/char",
            f"**{some['after the first']:.3f}** as nanoGPT counts, which predicts no window's first "
            f"character; {some['per character']:.3f} with those; "
            f"{some['cpu'] / 60:.1f} CPU-min",
        )


def poem_rows(lines: list[Line]) -> Iterator[Row]:
    """Chinese quatrains: their form, what is copied, nats."""
    names = {
        "lm": "recurrent language model",
        "lm transformer": "transformer language model",
    }
    for line in lines:
        some = line["figures"]
        made, held, family = some["made"], some["held out"], names[line["key"]["case"]]
        yield (
            f"quatrains of five characters, {family}, {some['steps']:,} steps: 1,000 made",
            "≥ 95 % well-formed, no more whole poems copied than held-out ones",
            f"**{100 * some['well-formed']:.1f} %**; copied **{100 * made['whole']:.1f} %** (held-out poems "
            f"{100 * held['whole']:.1f} %), longest stretch {made['longest']} symbols ({held['longest']}); "
            f"{some['per symbol']:.3f} nats/symbol; {some['cpu'] / 60:.1f} CPU-min",
        )


def caption_scores(sides: dict[str, list[float]]) -> str:
    """BLEU-2..5 and self-BLEU-2..5 as .745/.498/.294/.180."""
    told = ("/".join(f"{value:.3f}".removeprefix("0") for value in sides[side]) for side in ("bleu", "self"))
    return " at ".join(told)


def coco_rows(lines: list[Line]) -> Iterator[Row]:
    """COCO captions in Texygen's way."""
    for line in lines:
        some = line["figures"]
        chosen = some["temperature"]
        yield (
            f"COCO captions, VAE by words, {some['steps']:,} steps, temperature {chosen:g} chosen on train: "
            "test BLEU-2..5 at self-BLEU-2..5, 10,000 made",
            "> .745/.498/.294/.180 at ≤ .950/.840/.670/.489",
            f"**{caption_scores(some['at'][f'{chosen:g}'])}** (real: {caption_scores(some['real'])}); "
            f"{some['cpu'] / 60:.1f} CPU-min",
        )


def series_rows(lines: list[Line]) -> Iterator[Row]:
    """The published scores of made time series."""
    goals = {"sines": "≤ .02 / .094", "stocks": "≤ .10 / .038"}
    for (name, family), group in grouped(lines, "set", "family").items():
        some = group[-1]["figures"]
        yield (
            f"{name}, {family}: discriminative / predictive score, {len(group)} seed(s)",
            f"{goals[str(name)]} in ≤ 10 min",
            f"**{mean(values(group, 'discriminative'), 3)} / {mean(values(group, 'predictive'), 4)}** (real: "
            f"{some['real_discriminative']:.3f} / {some['real_predictive']:.4f}); "
            f"{statistics.median(values(group, 'seconds')) / 60:.1f} min on one thread",
        )


def injection_rows(lines: list[Line]) -> Iterator[Row]:
    """Failures put in on purpose: noticed, recovered, false alarms."""
    clean = {line["key"]["seed"]: line["figures"] for line in lines if line["key"]["kind"] == "none"}
    alarms = sum(bool(some["events"]) for some in clean.values())
    for (kind,), group in grouped(lines, "kind").items():
        if kind == "none":
            yield (
                f"false alarms in {len(group)} undisturbed runs of a GAN",
                "0",
                f"**{alarms}**",
            )
            continue
        noticed = [some["noticed"] for line in group if (some := line["figures"])["noticed"] is not None]
        well = sum(
            line["figures"]["energy"]
            <= 1.5 * clean[line["key"]["seed"]]["energy"] + 2 * clean[line["key"]["seed"]]["chance"]
            for line in group
            if line["key"]["seed"] in clean
        )
        soon = sum(n <= 200 for n in noticed)
        latest = f", at the latest after {max(noticed)} steps" if noticed else ""
        yield (
            f"failure put into a GAN's training: {kind}",
            "noticed in ≤ 200 steps, recovered",
            f"noticed **{soon}/{len(group)}**{latest}; recovered **{well}/{len(group)}**",
        )


ROWS: dict[str, Callable[[list[Line]], Iterator[Row]]] = {
    "mnist_mlp": lambda lines: nll_rows("static MNIST, VAE 784-400-40", "≤ 89.9 in ≤ 6 min", lines),
    "mnist_conv": lambda lines: nll_rows("static MNIST, conv VAE, flow prior", "≤ 85.0 in 30 CPU-min", lines),
    "throughput": throughput_rows,
    "sentence_throughput": sentence_rows,
    "scoring": scoring_rows,
    "series": series_rows,
    "names": name_rows,
    "text_gan": made_name_rows,
    "shakespeare": play_rows,
    "quatrains": poem_rows,
    "coco": coco_rows,
    "startup": startup_rows,
    "resume": resume_rows,
    "gan_throughput": game_rows,
    "ring_grid": mixture_rows,
    "stacked_mnist": stacked_rows,
    "fashion_gan": fashion_rows,
    "injection": injection_rows,
    "dynamic_mnist": lambda lines: nll_rows(
        "dynamic MNIST under its labels, 784-200-200-50", "≤ 82.6 (K = 1), shortened schedule", lines
    ),
    "label_mnist": label_rows,
    "caption_shapes": caption_rows,
    "joint_shapes": joint_rows,
    "text_emoji": emoji_rows,
    "inpainting": fill_rows,
}


def measured_on(lines: list[Line]) -> str:
    """One sentence with every machine and version the lines come from."""
    found = set()
    for line in lines:
        m, torch = line["machine"], line["versions"].get("torch")
        found.add(f"{m['cpu']}, {m['cores']} cores, {m['memory']} GB" + (f", torch {torch}" if torch else ""))
    return "Measured on: " + "; ".join(sorted(found)) + "." if found else ""


def table() -> str:
    """The table in Markdown, with the machine under it; empty where there are no results."""
    rows, used = [], []
    for name, make in ROWS.items():
        lines = newest(name)
        used += lines
        for row in make(lines):  # whose fourth column, where there is one, are the command's arguments
            rows.append(f"| {' | '.join(row[:3])} | `./dev bench {name}{''.join(row[3:])}` |\n")
    return f"{HEAD}{''.join(rows)}\n{measured_on(used)}\n" if rows else ""


def filled(page: str) -> str:
    """The page with the table between its markers; raises ValueError where there are none."""
    if not BETWEEN.search(page):
        raise ValueError(
            "the page has no <!-- results --> and <!-- /results --> lines to put the table between"
        )
    return BETWEEN.sub(lambda found: found[1] + table() + found[2], page)


def main() -> None:
    """Write the README's table, or print it."""
    if "--show" in sys.argv[1:]:
        print(table())
        return
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote the table into {README}")


if __name__ == "__main__":
    main()
