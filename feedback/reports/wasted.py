"""Points wasted: what each rule gave to leads that sales rejected for who they are, timing or person."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from feedback.reports import said
from feedback.reports.base import Filters
from feedback.reports.counted import FEW, Answers
from feedback.reports.lines import gave
from feedback.reports.told import JUDGED

# From this share on a criterion is nearly everybody's; up to this ratio it is as frequent on both sides.
NEARLY_ALL = 0.85
AS_OFTEN = 1.1
# From this share on it is worth saying which reason a rule's points went to.
OFTEN = 0.35


@dataclass(frozen=True)
class Wasted:
    """What a criterion gave to rejected leads, against how often the accepted had it."""

    criterion: str
    text: str
    points: Decimal
    rejected: int
    accepted: int
    hint: str


@dataclass(frozen=True)
class OfRule:
    """What one rule gave to leads rejected for who they are, timing or person (`rejected`); how many with its
    points were accepted, and how many rejected whatever the reason (`refused`)."""

    points: Decimal
    rejected: int
    accepted: int
    refused: int
    by_reason: Mapping[str, int]


def of_rule(given: said.Points, criterion: str) -> OfRule:
    """The points of one rule, of what all rules gave (`said.points`)."""
    judged = {reason: one for (_, reason, judged), one in given.items() if judged and one.gave.get(criterion)}
    by_reason = {reason: one.gave[criterion] for reason, one in judged.items()}

    def those(kind: str) -> int:
        return sum(one.gave.get(criterion, 0) for (said, *_), one in given.items() if said == kind)

    points = sum((one.points[criterion] for one in judged.values()), Decimal(0))
    return OfRule(points, sum(by_reason.values()), those("accepted"), those("rejected"), by_reason)


def points_wasted(
    filters: Filters, answers: Answers, texts: Mapping[str, str], given: said.Points
) -> list[Wasted]:
    """Criteria by the points that they gave to leads rejected for fit, timing or person, most first."""
    judged, taken = answers.judged, answers.acceptance.accepted
    rules = sorted({rule for (*_, judged), one in given.items() if judged for rule in one.gave})
    words = answers.names if answers.shared else said.words(filters, rules)
    found = []
    for rule in rules:
        one = of_rule(given, rule)
        here = one.rejected / judged if judged else 0.0
        there = one.accepted / taken if taken else 0.0
        hint = _compared(here, there) or _hint(given, rule, one, answers, texts)
        found.append(Wasted(rule, words[rule], one.points, one.rejected, one.accepted, hint))
    return sorted(found, key=lambda w: (-w.points, w.criterion))


def rejections_by_rep(filters: Filters, criterion: str) -> list[tuple[int, int]]:
    """(rep, number) of rejections for who the lead is, timing or person, with points from the rule."""
    statement = f"""SELECT g.rep_id, count(*) FROM told g
        WHERE {JUDGED} AND g.rep_id IS NOT NULL AND {gave("rule", "g")} GROUP BY 1 ORDER BY 2 DESC, 1"""  # noqa: S608
    return [(rep, n) for rep, n in said.ask(statement, filters, rule=criterion)]


def _compared(here: float, there: float) -> str:
    """What the share among the rejected says beside that among the accepted; empty where it says a lot."""
    if here >= NEARLY_ALL and there >= NEARLY_ALL:
        return "nearly everybody has it: it decides nothing"
    if there and here <= there * AS_OFTEN:
        return "as often among the accepted: leave it"
    return ""


def _hint(given: said.Points, rule: str, one: OfRule, answers: Answers, texts: Mapping[str, str]) -> str:
    reason, n = max(one.by_reason.items(), key=lambda item: (item[1], item[0]))
    whole = answers.sum(kind="rejected", reason=reason)
    if n < 3 or not whole or n / whole < OFTEN:
        return ""
    mean = (given["rejected", reason, True].points[rule] / n).quantize(Decimal(1))
    part = f"{100 * n / whole:.0f}% of the" if whole >= FEW else f"{n} of {whole}"
    return f"{part} “{texts.get(reason, reason).lower()}” noes got +{mean} here"
