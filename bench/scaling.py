"""How the cost of a full rescore grows: `make bench-sizes [LEADS=…]`, three sizes of each.

With more leads, with more acts for each lead, with more criteria in the agreement; everything else stays. The
table says seconds, and microseconds for each lead.
"""

import argparse
import json
from dataclasses import dataclass, replace

from bench.run import ROOT, house, say, seconds

ACTS = 10
# The criteria in an order in which each third is like the whole.
SHARES = (1 / 4, 1 / 2, 1)


HEAD = (
    f"{'grows':10}{'leads':>10}{'acts each':>11}{'criteria':>10}{'first':>9}{'again':>9}{'1,000':>9}  µs/lead"
)


@dataclass(frozen=True)
class Size:
    """One row of the table."""

    grows: str
    leads: int
    acts: int
    criteria: int
    first: float
    again: float
    changed: float


def main() -> None:
    """Make the house, measure, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leads", type=int, default=100_000)
    leads = max(4_000, parser.parse_args().leads)
    found: list[Size] = []
    with house():
        # What is read for the first time costs more: that belongs to no row.
        _measured("", 2_000, ACTS, _all())
        # The smallest base is a row of each of the three.
        known: dict[tuple[int, int, int], Size] = {}
        say(HEAD)
        for grows, *plan in _plans(leads):
            size = (plan[0], plan[1], plan[2])
            if size not in known:
                known[size] = _measured(grows, *size)
            found.append(replace(known[size], grows=grows))
            say(_line(found[-1]))
    (ROOT / "bench" / "sizes.json").write_text(json.dumps([vars(size) for size in found], indent=1) + "\n")


def _all() -> int:
    from bench import agreement

    return len(agreement.criteria())


def _plans(leads: int) -> list[tuple[str, int, int, int]]:
    """Three sizes each of leads, of acts for each lead, of criteria; what does not grow stays."""
    base, every = int(leads * SHARES[0]), _all()
    plans = [("leads", int(leads * share), ACTS, every) for share in SHARES]
    plans += [("acts", base, acts, every) for acts in (ACTS // 2, ACTS, ACTS * 2)]
    return plans + [("criteria", base, ACTS, int(every * share)) for share in SHARES]


def _times(leads: int) -> int:
    """How often a step is measured: a short one is disturbed more by whatever else runs."""
    return 7 if leads <= 15_000 else 5 if leads <= 60_000 else 3


def _line(size: Size) -> str:
    return (
        f"{size.grows:10}{size.leads:>10,}{size.acts:>11}{size.criteria:>10}{size.first:>8.2f}s{size.again:>8.2f}s"
        f"{size.changed:>8.3f}s{size.again / size.leads * 1e6:>9.1f}"
    )


def _measured(grows: str, leads: int, acts: int, criteria: int) -> Size:
    from bench import agreement, loading, measures
    from leadflow import clock

    loading.empty()
    loading.load(leads, acts)
    loading.agreement(agreement.part(criteria))
    at, times = clock.now(), _times(leads)
    # The first of all also moves every lead to its stage.
    measures.score_all(at)

    def nothing() -> None:
        loading.execute("TRUNCATE scoring_leadscore, scoring_scorechange, scoring_crossing")

    def version() -> None:
        loading.execute("UPDATE scoring_leadscore SET agreement_id = 0")
        loading.execute("VACUUM scoring_leadscore")

    first = seconds(lambda: measures.score_all(at), times, before=nothing)
    again = seconds(lambda: measures.score_all(at), times, before=version)
    some = measures.changed(leads)
    return Size(grows, leads, acts, criteria, round(first, 3), round(again, 3), some.value)


if __name__ == "__main__":
    main()
