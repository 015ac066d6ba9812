"""`ectype list`: what there is, from the catalog and the first line of each docstring."""

from __future__ import annotations

from ectype import catalog
from ectype.errors import UsageError, did_you_mean


def listing(what: str | None = None) -> str:
    """What there is: models, networks, likelihoods, priors, kinds, data sets, metrics, jobs.

    Arguments:
        what: one table, such as models; default: all of them.

    Raises UsageError where there is no such table.
    """
    from ectype.jobs.signatures import summary

    if what is not None and what not in catalog.TABLES:
        raise UsageError(f"there is no list called '{what}'{did_you_mean(what, catalog.TABLES)}")
    blocks = []
    for table in [what] if what else catalog.TABLES:
        names = catalog.TABLES[table]
        width = max((len(name) for name in names), default=0)
        rows = [f"  {name:{width}}  {summary(*catalog.location(table, name))}" for name in sorted(names)]
        blocks.append("\n".join([table, *rows]))
    return "\n\n".join(blocks)
