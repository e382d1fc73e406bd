"""What a lead still needs to cross the bar for sales, and which of its own acts would do.

Nothing is guessed: an act "would do" when its points, with rounding and limits as the agreement has them,
reach the points and the grade that sales asks for, and it is one of the signs that sales asks for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from itertools import combinations

from leadflow.errors import BadInput
from scoring.conditions import nodes as n
from scoring.conditions.explain import Words, sentence
from scoring.conditions.parse import parse
from scoring.document import Criterion
from scoring.explanation import Explanation
from scoring.program import Program

SHOWN = 2


@dataclass(frozen=True)
class Needs:
    """What is missing to the bar. `points`: so many more by what the lead does; None: no act is enough."""

    points: int | None
    # "“Visited pricing” or “Webinar” would do"; empty where it is not a matter of acts.
    would_do: str = ""
    # What else is asked and missing, in words.
    also: tuple[str, ...] = ()
    # Nothing of the lead for longer than sales asks for.
    quiet: bool = False
    # The last of the points are for this grade: fewer are enough for the total.
    grade: str = ""


@dataclass(frozen=True)
class _Act:
    """One more act by a rule: its criterion and the points that it would add."""

    criterion: str
    text: str
    gives: Decimal


def needs(said: Explanation, program: Program) -> Needs:
    """What this lead needs by an agreement's program."""
    words = Words(program.document, program.catalogue, program.kinds.phrases)
    numbers = [node for node in program.sales_parts if isinstance(node, n.ScoreIs | n.GradeIn)]
    others = [node for node in program.sales_parts if not isinstance(node, n.ScoreIs | n.GradeIn)]
    told = set(said.thresholds.missing) if said.thresholds.mql and not said.thresholds.sql else set()
    lacking = [node for node in others if sentence(node, words) in told]
    signs = _signs(lacking)
    also = tuple(sentence(node, words) for node in lacking if not _by_an_act(node))
    quiet = any(isinstance(node, n.Active) for node in lacking)
    reckoning = _Reckoning(said, program, numbers)
    points = reckoning.points_needed()
    if points is None:
        return Needs(None, "", (reckoning.why_not(), *also), quiet)
    acts = [act for act in reckoning.acts() if not signs or act.criterion in signs]
    if points or signs:
        return Needs(points, _ways(acts, reckoning), also, quiet, reckoning.grade_needed(points))
    return Needs(0, "any visit would do" if quiet else "", also, quiet)


def _signs(lacking: Sequence[n.Node]) -> set[str]:
    """The criteria of which one is still asked for; empty: no such sign is missing."""
    return {
        leaf.id
        for node in lacking
        if isinstance(node, n.Some | n.CriterionHolds)
        for leaf in n.leaves(node)
        if isinstance(leaf, n.CriterionHolds)
    }


def _by_an_act(node: n.Node) -> bool:
    """Whether something that the lead does makes this part hold."""
    return isinstance(node, n.Active) or bool(_signs([node]))


def _ways(acts: Sequence[_Act], reckoning: "_Reckoning") -> str:
    """Single acts that would do, the smallest first; else two of them together."""
    single = [act for act in acts if reckoning.enough(act.gives)]
    if single:
        told = sorted(single, key=lambda act: (act.gives, act.criterion))[:SHOWN]
        return f"{' or '.join(f'“{act.text}”' for act in told)} would do"
    pairs = [
        (one.gives + other.gives, one, other)
        for one, other in combinations(sorted(acts, key=lambda act: (-act.gives, act.criterion)), 2)
        if reckoning.enough(one.gives + other.gives)
    ]
    if pairs:
        _, one, other = min(pairs, key=lambda pair: pair[0])
        return f"“{one.text}” and “{other.text}” together would do"
    return ""


class _Reckoning:
    """The sums of one lead: what more points by what it does would change."""

    def __init__(self, said: Explanation, program: Program, asked: Sequence[n.Node]) -> None:
        self.said, self.program, self.asked = said, program, asked
        self.document = program.document
        self.now = {line.criterion: Decimal(0) for line in said.lines if line.group == "behaviour"}
        for line in said.lines:
            if line.group == "behaviour" and line.criterion:
                self.now[line.criterion] += line.points
        self.exact = sum(self.now.values(), Decimal(0))

    def behaviour_with(self, more: Decimal) -> int:
        """The group's whole points after so many more."""
        limits = self.document.groups["behaviour"]
        exact = min(max(self.exact + more, Decimal(limits.floor)), Decimal(limits.cap))
        return int(exact.quantize(Decimal(1), ROUND_HALF_UP))

    def enough(self, more: Decimal) -> bool:
        """Whether so many points more reach all points and the grade that sales asks for."""
        behaviour = self.behaviour_with(more)
        total = self._total(behaviour)
        return all(self._holds(node, total, behaviour) for node in self.asked)

    def points_needed(self) -> int | None:
        """The fewest points more by what the lead does that are enough; None: not even the most."""
        room = self.document.groups["behaviour"].cap - self.said.groups["behaviour"]
        return next((more for more in range(room + 1) if self._enough_whole(more)), None)

    def _enough_whole(self, more: int) -> bool:
        behaviour = self.said.groups["behaviour"] + more
        total = self._total(behaviour)
        return all(self._holds(node, total, behaviour) for node in self.asked)

    def _total(self, behaviour: int) -> int:
        limits = self.document.total
        total = self.said.groups["fit"] + behaviour + self.said.groups["value"]
        return min(max(total, limits.floor), limits.cap)

    def _holds(self, node: n.Node, total: int, behaviour: int) -> bool:
        if isinstance(node, n.GradeIn):
            return self._grade(behaviour) in node.grades
        if isinstance(node, n.ScoreIs):
            have = {**self.said.groups, "behaviour": behaviour, "total": total}[node.group]
            return {
                "gte": have >= node.value,
                "gt": have > node.value,
                "lte": have <= node.value,
                "lt": have < node.value,
            }.get(node.op, True)
        return True

    def _grade(self, behaviour: int) -> str:
        grades = self.document.grades
        fit = self.said.groups["fit"] + self.said.groups["value"]
        letter = next((name for name, start in grades.letters if fit >= start), grades.last_letter)
        number = next((n_ for n_, start in grades.numbers if behaviour >= start), grades.last_number)
        return f"{letter}{number}"

    def grade_needed(self, points: int) -> str:
        """The grade for which so many points are needed where fewer would be enough for the total."""
        totals = [node for node in self.asked if isinstance(node, n.ScoreIs)]
        there = self.said.groups["behaviour"] + points
        if not points or not all(self._holds(node, self._total(there - 1), there - 1) for node in totals):
            return ""
        return self._grade(there)

    def why_not(self) -> str:
        """Why no act is enough: who they are does not reach, or the points would not."""
        best = self.said.groups["behaviour"] + max(
            0, self.document.groups["behaviour"].cap - self.said.groups["behaviour"]
        )
        letters = {g for node in self.asked if isinstance(node, n.GradeIn) for g in node.grades}
        if letters and self._grade(best) not in letters:
            return f"grade {self._grade(best)[:1]} is not for sales, whatever they do: who they are decides"
        return "not enough points by what they do alone: who they are decides"

    def acts(self) -> Iterator[_Act]:
        """What one more act would add, by each rule that one act of the lead fulfils."""
        for criterion in self.document.active_criteria:
            if criterion.group != "behaviour" or criterion.points <= 0 or not _one_act(criterion):
                continue
            had = self.now.get(criterion.id, Decimal(0))
            most = Decimal(criterion.points)
            if criterion.mode == "each":
                most = min(most, Decimal(criterion.max_points or 10_000) - had)
            else:
                most -= had
            if most > 0 and criterion.text:
                yield _Act(criterion.id, _short(criterion.text), most)


def _one_act(criterion: Criterion) -> bool:
    """Whether a single own act makes the rule hold."""
    if criterion.mode == "bands" or not criterion.condition:
        return False
    try:
        node = parse(criterion.condition)
    except BadInput:
        return False
    once = isinstance(node, n.Behaviour) and node.agg == "count" and node.op in ("gte", "gt")
    return bool(once and isinstance(node, n.Behaviour) and node.value + (node.op == "gt") <= 1)


def _short(text: str) -> str:
    """A rule's text without what stands in brackets."""
    return text.partition(" (")[0]
