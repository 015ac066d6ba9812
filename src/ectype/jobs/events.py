"""What happened in a training, in words: what its supervisor noticed and did, and how long it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ectype.training.state import Progress

_SIGNS = {
    "non-finite": "there was no finite gradient",
    "gradient": "the gradient grew suddenly",
    "penalty": "the critic grew steep suddenly",
    "loss": "the loss rose again",
    "critic": "the critic won",
    "collapse": "all made items became alike",
    "coverage": "parts of the data were made no more",
    "quality": "made items moved away from real ones",
    "posterior": "the latent said nothing about the item",
}


def told(event: Mapping[str, Any]) -> str:
    """One event as a sentence; what is unknown in it is left out."""
    signs = [_SIGNS.get(str(s), str(s)) for s in event.get("signs", ())]
    where = f"step {int(event.get('step', 0)):,}"
    if event.get("kind") == "skipped":
        return f"{where}: {int(event.get('steps', 0)):,} steps had no finite gradient and moved nothing"
    if event.get("kind") == "collapse":
        found = (
            f"{where}: the KL is {float(event.get('kl', 0)):.3f} nats per item, so the latent says nothing "
            "about it (posterior collapse)"
        )
        if "to" in event:
            again = " and is not pressed below 0.25 nats of a dimension" if event.get("begun") == 2 else ""
            return f"{found}; begun anew with a KL that weighs nothing at first{again}"
        return f"{found}; try a smaller beta, a longer warmup or free_bits"
    said = f"{where}: {' and '.join(signs)}"
    if "to" in event:
        rate = f"with {float(event['rate']):g} times the rate that was asked for"
        bound = " and a critic whose weights are kept short" if event.get("restrained") else ""
        return f"{said}; put back to step {int(event['to']):,}, {rate}{bound}"
    return f"{said}; {event['action']}" if "action" in event else f"{said}; watched, nothing was done"


def measured(progress: Progress) -> dict[str, Any]:
    """How far a training came, for the record; the best step and its loss are those of the model itself.

    What the prior learned by itself counts in steps and seconds, and stands by itself under "codes".
    """
    parts = [
        {
            "steps": part.step,
            "planned": part.decisions["total"],
            "seconds": round(part.seconds, 1),
            "skipped": part.skipped,
            "resumed": part.resumed,
        }
        for part in progress.parts
    ]
    found: dict[str, Any] = {k: sum(part[k] for part in parts) for k in parts[0]}
    found["planned"] += progress.rest.get("steps") or 0
    model = progress.parts[0]
    found |= {"best_step": model.best_step, "best_select": model.best}
    return found | ({"codes": {**parts[1], "best_select": progress.best}} if parts[1:] else {})


def spent(done: Mapping[str, Any], minutes: float | None) -> str:
    """How long a training took, and why not as long as was asked for.

    Arguments:
        done: what the record says of the training.
        minutes: what was asked for, if it was a time.
    """
    said = f"trained {done['steps']:,} steps in {done['seconds']:.0f} s"
    if done["early"]:
        return f"{said}, not {done['planned']:,}: the select loss fell no more (--patience)"
    if minutes is not None and not 0.75 < done["seconds"] / (60 * minutes) < 1.33:
        return (
            f"{said} instead of {minutes:g} min: the machine was more or less busy than in the trial at the "
            "start that the steps were counted by; --steps chooses them"
        )
    return said


def warnings(events: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a reader of the report must know: a run that was put back is not one that was not."""
    back = [e for e in events if "to" in e and e.get("kind") != "collapse"]
    found = []
    if back:
        times = "once" if len(back) == 1 else f"{len(back)} times"
        found.append(
            f"training went wrong and was put back {times}: the numbers are those of a run that was repaired"
        )
    if any("action" in e and "to" not in e for e in events):
        found.append(
            "training went wrong again and again and was stopped: this is the best that was left of it"
        )
    return found + [told(e) for e in events if e.get("kind") != "skipped"]
