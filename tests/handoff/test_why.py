"""The one line in the queue: what made the lead ready, then its strongest behaviour, each thing once."""

from decimal import Decimal
from types import SimpleNamespace

from handoff import why
from scoring.models import Crossing


def line(text: str, points: int) -> SimpleNamespace:
    return SimpleNamespace(text=text, group="behaviour", points=Decimal(points))


def test_a_rule_that_counts_the_act_itself_does_not_repeat_it() -> None:
    found = SimpleNamespace(
        lines=[
            line("Downloaded buying content (comparison, case study, ROI)", 6),
            line("Talked to us at a trade show", 10),
        ],
        total=61,
        grade="A2",
    )
    ground = why.Ground(1, Crossing.Kind.BAR, 7, found)
    said = why._line(ground, "downloaded buying content")
    assert said == "Downloaded buying content · talked to us at a trade show"
