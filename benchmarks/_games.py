"""The table's rows about generator against critic."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from _figures import Row, grouped, mean, minutes, spread, values
from _record import Line


def game_rows(lines: list[Line]) -> Iterator[Row]:
    """Milliseconds per step of both players against the peer's."""
    for (threads,), group in grouped(lines, "threads").items():
        sides = {side: values(some, "ms_per_step") for (side,), some in grouped(group, "side").items()}
        if {"torchgan", "ectype"} <= sides.keys():
            peer, ours = sides["torchgan"], sides["ectype"]
            yield (
                f"critic and generator step against torchgan 0.1.0, DCGAN 32 × 32, {threads} thread(s)",
                "≥ 2 ×",
                f"**{statistics.median(peer) / statistics.median(ours):.2f} ×**: {spread(ours, 0)} against "
                f"{spread(peer, 0)} ms",
            )


def mixture_rows(lines: list[Line]) -> Iterator[Row]:
    """Modes, quality and evenness of the GAN on ring and grid."""
    goals = {"ring": "8/8", "grid": "25/25"}
    yield from sweep_rows([line for line in lines if "steps" in line["key"]])
    whole = [line for line in lines if "steps" not in line["key"]]
    for (name, gamma), group in grouped(whole, "set", "gamma").items():
        quality, kl = values(group, "quality"), values(group, "kl")
        took = statistics.median(values(group, "seconds")) / 60
        told = "automatic γ" if gamma is None else f"γ = {gamma:g}"
        yield (
            f"GAN on {name}, {told}, {len(group)} seed(s)",
            f"{goals[str(name)]}, 98–99 %, KL ≤ 0.01",
            f"modes at N = 2,500 {spread(values(group, 'modes'), 0)}; at N = 100,000 of high quality "
            f"**{mean([100 * q for q in quality], 1)} %**, reverse KL **{mean(kl, 4)}**; "
            f"{took:.1f} min a seed on one thread (a perfect sampler: 98.89 %)",
        )


def sweep_rows(lines: list[Line]) -> Iterator[Row]:
    """Automatic γ beside the best of the fixed ones, in short runs."""
    for (name, steps), group in grouped(lines, "set", "steps").items():
        by = {gamma: values(some, "quality") for (gamma,), some in grouped(group, "gamma").items()}
        own = by.pop(None, [])
        if not own or not by:
            continue
        best = max(by, key=lambda gamma: statistics.mean(by[gamma]))
        shares = {gamma: mean([100 * q for q in found], 1) for gamma, found in {**by, None: own}.items()}
        yield (
            f"GAN on {name}, {steps:,} steps, automatic γ against {len(by)} fixed ones, {len(own)} seed(s)",
            "as good as the best",
            f"of high quality **{shares[None]} %**; best of the fixed γ, {best:g}: {shares[best]} %; "
            + ", ".join(f"{gamma:g}: {shares[gamma]}" for gamma in sorted(by) if gamma != best),
        )


def stacked_rows(lines: list[Line]) -> Iterator[Row]:
    """Modes of stacked MNIST."""
    if lines:
        some = lines[-1]["figures"]
        took = statistics.median(values(lines, "seconds")) / 60
        yield (
            f"stacked MNIST, {some['parameters']:,} parameters, 26,000 made, {len(lines)} seed(s)",
            "≥ 990 modes",
            f"**{spread(values(lines, 'modes'), 0)}** modes, KL {spread(values(lines, 'kl'), 3)} (real "
            f"pictures: {some['floor_modes']}, {some['floor_kl']:.3f}; judge right "
            f"{100 * some['judge']:.1f} %); {took:.0f} min",
        )


def fashion_rows(lines: list[Line]) -> Iterator[Row]:
    """GAN and VAE-GAN of Fashion-MNIST, and automatic γ beside fixed ones."""
    for (family, steps, width), group in grouped(lines, "family", "steps", "width").items():
        by = {gamma: some for (gamma,), some in grouped(group, "gamma").items()}
        own = by.pop(None, [])
        if not own:
            continue
        some = own[0]["figures"]
        scores = ("frechet", "precision", "recall", "coverage", "spectrum")
        cell = {name: mean(values(own, name), 2) for name in scores}
        fixed = ", ".join(f"{gamma:.3g}: {mean(values(by[gamma], 'frechet'), 2)}" for gamma in by)
        yield (
            f"{family} of Fashion-MNIST, {steps:,} steps{f', width {width}' if width else ''}, "
            f"{len(own)} seed(s)",
            "every class; automatic γ as good as the best of 3" if by else "every class",
            f"**{spread(values(own, 'classes'), 0)}** of 10 classes, Fréchet {cell['frechet']} (real items "
            f"{some['floors']['frechet']:.2f}){f'; fixed γ {fixed}' if by else ''}; precision "
            f"{cell['precision']}, recall {cell['recall']}, coverage {cell['coverage']} "
            f"({some['floors']['coverage']:.2f}), spectrum {cell['spectrum']} "
            f"({some['floors']['spectrum']:.2f}); {minutes(own)}",
        )


def made_name_rows(lines: list[Line]) -> Iterator[Row]:
    """Names made by games and by what they have to stand beside."""
    found = {line["key"]["case"]: line["figures"] for line in lines}
    told = {
        ("gan", "at 1.0"): "GAN, straight-through choices",
        ("ae", "gan"): "latent GAN (autoencoder, prior gan)",
        ("ae", "fitted"): "mixture fitted to the same codes",
        **{("lm", f"at {t}"): f"language model at temperature {t}" for t in (0.5, 0.7, 1.0)},
    }
    for (case, side), what in told.items():
        if {case, "real"} <= found.keys():
            some, cpu = found[case][side], found[case]["cpu"]
            spent = cpu["model"] if side == "fitted" else max(cpu.values())
            yield (
                f"names made, {what}",
                "real ones: 0 % novel, all distinct, 5-gram "
                f"{found['real']['forward']:.1f} / {found['real']['reverse']:.1f} nats",
                f"novel {100 * some['novel']:.0f} %, distinct {100 * some['distinct']:.0f} %, 5-gram "
                f"**{some['forward']:.1f} / {some['reverse']:.1f}** nats (of made / of test names); "
                f"{spent / 60:.1f} CPU-min",
            )
