"""The comparison after a workshop: where the two sides agree, where they split, and what the score says.

Only the answers of people who finished count. A side's word on a card is its most frequent answer; a tie is
unsure. The sides agree on a card when their words are the same.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from leadflow.leads.folding import fold
from scoring import agreements, rows
from scoring import current as applied
from scoring.models import Agreement, Signature, Workshop, WorkshopCard, WorkshopMember, WorkshopVote
from scoring.program import SCORE_COLUMNS
from scoring.workshops import agreement_measures as measures
from scoring.workshops import sorting
from scoring.workshops.agreement_measures import Measure
from scoring.workshops.knowing import Known, Reader

Side = Signature.Side
Vote = WorkshopVote.Vote

# "What would you have wanted to know?" is answered with a list as often as with one word.
_BREAKS = ",;\n/"
# Good against not good first, then where one side was sure.
_ORDER = {frozenset({"good", "not_good"}): 0}


@dataclass(frozen=True)
class Said:
    """One person's answer to one card."""

    name: str
    side: str
    vote: str
    label: str
    reason: str
    wanted: str


@dataclass(frozen=True)
class Sorted:
    """A card with everybody's answers."""

    card: WorkshopCard
    known: Known
    said: Sequence[Said]

    def of(self, side: str) -> list[Said]:
        return [one for one in self.said if one.side == side]

    @cached_property
    def words(self) -> dict[str, str]:
        """Each side's word: its most frequent answer, unsure where two are as frequent; sides without an
        answer are not there."""
        found = {}
        for side in Side.values:
            counts = Counter(one.vote for one in self.of(side)).most_common(2)
            if counts:
                tied = len(counts) > 1 and counts[0][1] == counts[1][1]
                found[side] = str(Vote.UNSURE) if tied else counts[0][0]
        return found

    @property
    def both(self) -> bool:
        """Both sides have sorted it."""
        return len(self.words) == len(Side)

    @property
    def agreed(self) -> bool:
        return self.both and len(set(self.words.values())) == 1

    @property
    def consensus(self) -> str:
        """What both sides say, good or not good; empty where they split or are both unsure."""
        word = next(iter(self.words.values())) if self.agreed else ""
        return "" if word == Vote.UNSURE else word

    @property
    def sides(self) -> list[dict[str, Any]]:
        """For the page: each side's word and what its people said."""
        return [
            {
                "side": side.label,
                "word": Vote(self.words[side]).label if side in self.words else "",
                "look": LOOKS.get(self.words.get(side, ""), ""),
                "said": self.of(side),
            }
            for side in Side
        ]


LOOKS = {Vote.GOOD.value: "ok", Vote.BAD.value: "late", Vote.UNSURE.value: ""}


@dataclass(frozen=True)
class Score:
    """What one version says of one card. `ready`: it lets the lead through to sales."""

    total: int
    grade: str
    ready: bool


@dataclass(frozen=True)
class ByModel:
    """One version of the agreement against what both sides say."""

    agreement: Agreement
    scores: Mapping[int, Score]
    good: Sequence[Sorted]
    bad: Sequence[Sorted]

    def _those(self, cards: Sequence[Sorted], ready: bool) -> list[tuple[Sorted, Score]]:
        pairs = [(one, self.scores[one.card.pk]) for one in cards if one.card.pk in self.scores]
        return [(one, score) for one, score in pairs if score.ready == ready]

    @cached_property
    def wrongly_ready(self) -> list[tuple[Sorted, Score]]:
        """Ready by the score, not good for both sides; the highest first."""
        return sorted(self._those(self.bad, True), key=lambda pair: -pair[1].total)

    @cached_property
    def wrongly_held(self) -> list[tuple[Sorted, Score]]:
        """Good for both sides, not ready by the score; the lowest first."""
        return sorted(self._those(self.good, False), key=lambda pair: pair[1].total)

    @property
    def judged(self) -> int:
        return len(self.good) + len(self.bad)

    @property
    def right(self) -> int:
        """On how many of the judged cards it says the same."""
        return len(self._those(self.good, True)) + len(self._those(self.bad, False))

    @property
    def table(self) -> list[tuple[str, int, int]]:
        """Rows: what the score says, of how many good and not good ones."""
        return [
            (words, len(self._those(self.good, ready)), len(self._those(self.bad, ready)))
            for words, ready in (("ready for sales", True), ("not ready", False))
        ]

    @property
    def name(self) -> str:
        draft = self.agreement.state == Agreement.State.DRAFT
        return f"the draft of v{self.agreement.number}" if draft else f"v{self.agreement.number}"


@dataclass(frozen=True)
class Wanted:
    """An answer to "what would you have wanted to know?", with how often and by whom."""

    key: str
    text: str
    times: int
    people: int
    by_side: Mapping[str, int]

    @property
    def sides(self) -> str:
        return " · ".join(f"{Side(side).label} {n}" for side, n in sorted(self.by_side.items()))


@dataclass
class Comparison:
    """Everything that the comparison page says."""

    workshop: Workshop
    people: Sequence[sorting.Person]
    cards: Sequence[Sorted]
    gone: int
    reader: Reader
    models: list[ByModel] = field(default_factory=list)

    @property
    def finished(self) -> list[sorting.Person]:
        return [one for one in self.people if one.finished_at]

    @property
    def late(self) -> list[sorting.Person]:
        return [one for one in self.people if one.late]

    @property
    def missing(self) -> list[sorting.Person]:
        """Who never finished; what they sorted does not count."""
        return [one for one in self.people if not one.finished_at]

    @property
    def silent_sides(self) -> list[str]:
        """The sides of which nobody finished: without both there is nothing to compare."""
        there = {one.side for one in self.finished}
        return [side.label.lower() for side in Side if side not in there]

    @cached_property
    def compared(self) -> list[Sorted]:
        return [one for one in self.cards if one.both]

    @cached_property
    def agreed(self) -> list[Sorted]:
        return [one for one in self.compared if one.agreed]

    @cached_property
    def split(self) -> list[Sorted]:
        """Where the sides say different things; good against not good first."""
        apart = [one for one in self.compared if not one.agreed]
        return sorted(apart, key=lambda one: (_ORDER.get(frozenset(one.words.values()), 1), one.card.n))

    @cached_property
    def good(self) -> list[Sorted]:
        return [one for one in self.cards if one.consensus == Vote.GOOD]

    @cached_property
    def bad(self) -> list[Sorted]:
        return [one for one in self.cards if one.consensus == Vote.BAD]

    @cached_property
    def between_sides(self) -> Measure:
        """Cohen's kappa of the two sides' words."""
        return measures.cohen([(one.words[Side.MARKETING], one.words[Side.SALES]) for one in self.compared])

    @cached_property
    def between_people(self) -> Measure:
        """Fleiss' kappa of everybody who finished, over the cards that all of them sorted."""
        every = len(self.finished)
        full = [[said.vote for said in one.said] for one in self.cards if len(one.said) == every and every]
        return measures.fleiss(full)

    @cached_property
    def wanted(self) -> list[Wanted]:
        """The answers to "what would you have wanted to know?", the most frequent first."""
        forms: dict[str, Counter[str]] = defaultdict(Counter)
        times: Counter[str] = Counter()
        by_side: dict[str, Counter[str]] = defaultdict(Counter)
        by_name: dict[str, set[str]] = defaultdict(set)
        for one in self.cards:
            for said in one.said:
                for text in pieces(said.wanted):
                    key = fold(text)
                    forms[key][text] += 1
                    times[key] += 1
                    by_side[key][said.side] += 1
                    by_name[key].add(said.name)
        return [
            Wanted(key, forms[key].most_common(1)[0][0], n, len(by_name[key]), by_side[key])
            for key, n in sorted(times.items(), key=lambda item: (-item[1], item[0]))
        ]


def pieces(text: str) -> list[str]:
    """The single answers in one text: split at commas and the like, without the closing mark."""
    for mark in _BREAKS:
        text = text.replace(mark, "\n")
    found = [piece.strip().rstrip(".!?").strip() for piece in text.split("\n")]
    return list({fold(piece): piece for piece in found if piece}.values())


def compare(workshop: Workshop) -> Comparison:
    """The comparison of a workshop; whether somebody may see it is `sorting.may_compare`'s business.

    A fixed number of queries, whatever the number of cards and people.
    """
    reader = Reader()
    people = sorting.people(workshop)
    every = list(WorkshopCard.objects.filter(workshop=workshop).select_related("lead").order_by("n"))
    cards = [one for one in every if not sorting.gone(one)]
    known = reader.facts(cards)
    said = _said(workshop)
    found = [
        Sorted(card, known.get(card.pk) or Known({}, reader.catalogue), said.get(card.pk, []))
        for card in cards
    ]
    made = Comparison(workshop, people, found, len(every) - len(cards), reader)
    made.models = [ByModel(one, scores(one, cards), made.good, made.bad) for one in _versions()]
    return made


def _versions() -> list[Agreement]:
    """The version in force, and the draft where it says something else."""
    force, draft = agreements.in_force(), agreements.draft()
    found = [force] if force else []
    if draft and (force is None or draft.content != force.content):
        found.append(draft)
    return found


def _said(workshop: Workshop) -> dict[int, list[Said]]:
    """By card id the answers of those who finished, by side and name."""
    done = WorkshopMember.objects.filter(workshop=workshop, finished_at__isnull=False)
    votes = (
        WorkshopVote.objects.filter(card__workshop=workshop, user__in=done.values("user"))
        .select_related("user")
        .order_by("side", "user__name", "user_id")
    )
    found: dict[int, list[Said]] = defaultdict(list)
    for vote in votes:
        found[vote.card_id].append(
            Said(
                vote.user.name,
                vote.side,
                vote.vote,
                vote.get_vote_display(),
                vote.reason,
                vote.wanted_to_know,
            )
        )
    return found


def subjects(cards: Sequence[WorkshopCard]) -> list[list[Any]]:
    """The cards as the engine's statements want them: key, lead, at, known_at."""
    every = [(card.pk, card.lead_id, card.at, card.known_at) for card in cards]
    return [list(column) for column in zip(*every, strict=True)]


def scores(agreement: Agreement, cards: Sequence[WorkshopCard]) -> dict[int, Score]:
    """What a version says of the cards, by card id, each at the card's own instant. One query."""
    if not cards:
        return {}
    program = applied.of(agreement).program
    found = {}
    for row in rows.run(program.score("subjects", present=False), subjects(cards)):
        one = dict(zip(SCORE_COLUMNS, row, strict=False))
        ready = not one["excluded"] and bool(one["sales"] or one["track"])
        found[one["key"]] = Score(one["total"], one["grade"], ready)
    return found
