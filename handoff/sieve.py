"""What the queue is narrowed to: grade, source, campaign, kind, rep, late. It stands in the address."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.http import QueryDict

from handoff.models import Handoff
from leadflow.accounts.models import User
from leadflow.leads.models import Campaign

LETTERS = ("A", "B", "C", "D")
SOURCE_LIMIT = 100
CHOICES = 50


@dataclass(frozen=True)
class Sieve:
    """Only these handoffs are shown; empty means all. `grades` are letters, `campaign` a campaign's id."""

    grades: tuple[str, ...] = ()
    source: str = ""
    campaign: int | None = None
    kind: str = ""
    late: bool = False
    rep: int | None = None

    def __bool__(self) -> bool:
        return bool(self.pairs())

    def pairs(self) -> list[tuple[str, str]]:
        """The filter as it stands in an address."""
        found = [("grade", letter) for letter in self.grades]
        found += [("source", self.source)] if self.source else []
        found += [("campaign", str(self.campaign))] if self.campaign else []
        found += [("kind", self.kind)] if self.kind else []
        found += [("rep", str(self.rep))] if self.rep else []
        return found + ([("late", "1")] if self.late else [])

    def condition(self, late: Q) -> Q:
        """As a condition on handoffs; `late` is what counts as late."""
        found = Q()
        if self.grades:
            letters = Q()
            for letter in self.grades:
                letters |= Q(grade__startswith=letter)
            found &= letters
        if self.source:
            found &= Q(lead__first_source=self.source)
        if self.campaign:
            found &= Q(lead__first_campaign=self.campaign)
        if self.kind:
            found &= Q(kind=self.kind)
        if self.rep:
            found &= Q(owner=self.rep)
        return found & late if self.late else found

    def words(self) -> list[str]:
        """What is shown only, in words; a query each for the names of a campaign and of a rep."""
        found = [f"grade {' or '.join(self.grades)}"] if self.grades else []
        if self.kind:
            found.append(str(Handoff.Kind(self.kind).label).lower())
        if self.source:
            found.append(f"from {self.source}")
        if self.campaign:
            name = Campaign.objects.filter(pk=self.campaign).values_list("name", flat=True).first()
            found.append(f"campaign “{name}”" if name else "an unknown campaign")
        if self.rep:
            name = User.objects.filter(pk=self.rep).values_list("name", flat=True).first()
            found.append(f"with {name}" if name else "with nobody we know")
        return found + (["late"] if self.late else [])


def read(query: QueryDict) -> Sieve:
    """The filter of an address; what is no filter is left out."""
    kind = query.get("kind", "")
    wanted = set(query.getlist("grade"))
    return Sieve(
        grades=tuple(letter for letter in LETTERS if letter in wanted),
        source=query.get("source", "").strip()[:SOURCE_LIMIT],
        campaign=_id(query.get("campaign", "")),
        kind=kind if kind in Handoff.Kind.values else "",
        late=query.get("late") == "1",
        rep=_id(query.get("rep", "")),
    )


def _id(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def choices(rows: QuerySet[Any]) -> dict[str, list[tuple[Any, str, int]]]:
    """What these handoffs could be narrowed to: (value, words, how many), the most first. Four queries, two
    of which go through all of the rows."""
    sources: Counter[str] = Counter()
    campaigns: Counter[int] = Counter()
    kinds: Counter[str] = Counter()
    reps: Counter[int] = Counter()
    for source, campaign, n in _sums(rows, "lead__first_source", "lead__first_campaign"):
        sources[source] += n
        campaigns[campaign] += n
    for kind, rep, n in _sums(rows, "kind", "owner"):
        kinds[kind] += n
        reps[rep] += n
    named = dict(Campaign.objects.filter(pk__in=_known(campaigns)).values_list("pk", "name"))
    people = dict(User.objects.filter(pk__in=_known(reps)).values_list("pk", "name"))
    return {
        "sources": _most((value, value, sources[value]) for value in _known(sources)),
        "campaigns": _most((pk, name, campaigns[pk]) for pk, name in named.items()),
        "kinds": _most((kind, str(Handoff.Kind(kind).label), kinds[kind]) for kind in _known(kinds)),
        "reps": sorted(((pk, name, reps[pk]) for pk, name in people.items()), key=itemgetter(1))[:CHOICES],
    }


def _sums(rows: QuerySet[Any], *by: str) -> Iterable[tuple[Any, Any, int]]:
    yield from rows.order_by().values_list(*by).annotate(n=Count("pk"))


def _known(counted: Counter[Any]) -> list[Any]:
    return [value for value in counted if value]


def _most(found: Iterable[tuple[Any, str, int]]) -> list[tuple[Any, str, int]]:
    return sorted(found, key=lambda one: (-one[2], one[1]))[:CHOICES]
