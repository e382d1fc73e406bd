"""From counts and ends to findings: each with its numbers, and the one change of a draft that it suggests."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import log, sqrt
from typing import Any

from scoring.advising import solver
from scoring.advising.base import Base
from scoring.advising.candidates import LEADS, Candidate
from scoring.advising.solver import Fit
from scoring.backtesting.measures import Share, difference, enough
from scoring.document import Criterion, Document

Json = Any

# Findings about the base begin at so many leads; overlap and contradiction at so many matched.
BASE = 100
MATCHED = 20
# Of the leads that match either rule so many match both: nearly the same leads.
SAME = 0.9
# Of the smaller of two rules that work against each other so many have the other, too, and of the larger
# half: what nearly everybody has is not against anything.
AGAINST, OF_LARGER = 0.8, 0.5
# Points are suggested once so many leads are decided.
DECIDED = 200
# One of a hundred rules would be found at random with 2.58, one of a thousand with 3.29.
Z99, Z999 = 2.5758, 3.2905
# Two candidates that go together so much (by their correlation) are one.
ALIKE = 0.7
NEW = 8
# A suggestion must move a rule by so many points, and stays within this many times its points.
MOVED = 2
MOST_TIMES, LEAST_TIMES = 3.0, 0.15
CAP = 30
KINDS = {
    "loser": "Rewards the wrong leads",
    "contradict": "Work against each other",
    "overlap": "Count nearly the same leads twice",
    "nothing": "Do nothing",
    "points": "Worth more or fewer points",
    "candidate": "Not used yet",
}


@dataclass(frozen=True)
class Finding:
    """Something to look at. `key` is the same as long as the rules that it is about stay the same."""

    kind: str
    key: str
    criterion: str
    figures: dict[str, Json]
    proposal: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Past:
    """The decided leads: their ends, and per rule whether it matched then and what it gave.

    `held[k][i]`: rule i on lead k, as (matched, points).
    """

    goal: str
    good: Sequence[bool]
    held: Sequence[Sequence[tuple[bool, float]]]

    @property
    def all(self) -> Share:
        return Share(sum(self.good), len(self.good))

    @property
    def enough(self) -> bool:
        """Whether anything is said from ends."""
        return enough(self.all.good, self.all.of - self.all.good)

    @property
    def points_ready(self) -> bool:
        """Whether points are suggested."""
        return self.enough and self.all.of >= DECIDED

    def split(self, i: int) -> tuple[Share, Share]:
        """The good ends with and without a rule."""
        return split([row[i][0] for row in self.held], self.good)

    def given(self, i: int) -> float:
        """The mean points of a rule where it matched."""
        points = [row[i][1] for row in self.held if row[i][0]]
        return sum(points) / len(points) if points else 0.0


def split(has: Sequence[bool], good: Sequence[bool]) -> tuple[Share, Share]:
    """The good ends of those that have something, and of the others."""
    with_it = sum(has)
    good_with = sum(a and b for a, b in zip(has, good, strict=True))
    return Share(good_with, with_it), Share(sum(good) - good_with, len(good) - with_it)


def key_of(kind: str, *parts: Json) -> str:
    """A key that stays while the rules it is about stay: a dismissed finding stays dismissed."""
    raw = json.dumps(parts, sort_keys=True, default=str)
    return f"{kind}:{hashlib.sha256(raw.encode()).hexdigest()[:24]}"


def raw_of(document: Document) -> dict[str, Mapping[str, Json]]:
    """The rules as they are written, by id."""
    listed = document.content.get("criteria") or []
    return {str(raw.get("id")): raw for raw in listed if isinstance(raw, Mapping)}


# On the base as it is


def on_base(document: Document, base: Base) -> Iterator[Finding]:
    """Rules that do nothing, count twice, or work against each other."""
    criteria, raws = document.active_criteria, raw_of(document)
    looked = base.look.looked
    if looked < BASE:
        return
    matched = [base.matched(i) for i in range(len(criteria))]
    shown = {"leads": looked, "base": base.look.base}
    for i, criterion in enumerate(criteria):
        if matched[i] in (0, looked):
            yield Finding(
                "nothing",
                key_of("nothing", raws.get(criterion.id), matched[i] > 0),
                criterion.id,
                {**shown, "matched": matched[i]},
                {"op": "off", "criterion": criterion.id},
            )
    live = [i for i in range(len(criteria)) if MATCHED <= matched[i] < looked]
    for place, i in enumerate(live):
        for j in live[place + 1 :]:
            both = base.both(i, j)
            found = _pair(criteria[i], criteria[j], matched[i], matched[j], both)
            if found:
                weaker, stronger = sorted((criteria[i], criteria[j]), key=lambda c: abs(c.highest))
                yield Finding(
                    found,
                    key_of(found, raws.get(criteria[i].id), raws.get(criteria[j].id)),
                    weaker.id,
                    {
                        **shown,
                        "both": both,
                        "either": matched[i] + matched[j] - both,
                        "smaller": min(matched[i], matched[j]),
                        "other": stronger.id,
                        "points": weaker.highest,
                        "other_points": stronger.highest,
                    },
                    {"op": "off", "criterion": weaker.id},
                )


def _pair(one: Criterion, other: Criterion, n: int, m: int, both: int) -> str:
    if not one.highest or not other.highest:
        return ""
    if (one.highest > 0) == (other.highest > 0):
        return "overlap" if both >= SAME * (n + m - both) else ""
    return "contradict" if both >= AGAINST * min(n, m) and both >= OF_LARGER * max(n, m) else ""


# On the ends


def on_ends(document: Document, past: Past, *, points: bool = True) -> Iterator[Finding]:
    """Rules that reward the wrong leads and, with `points`, those whose points the ends do not bear out."""
    if not past.enough:
        return
    raws = raw_of(document)
    scale = Scale.of(document, past) if points and past.points_ready else None
    for i, criterion in enumerate(document.active_criteria):
        with_it, without = past.split(i)
        if with_it.of < LEADS or without.of < LEADS or not criterion.highest:
            continue
        _, low, high = difference(with_it, without, Z99)
        wrong = (criterion.highest > 0 and high < 0) or (criterion.highest < 0 and low > 0)
        advice = scale.advice(i) if scale else None
        if not wrong and not (advice and advice.moves):
            continue
        figures = {
            "goal": past.goal,
            "decided": past.all.of,
            "with": with_it.as_json(),
            "without": without.as_json(),
            "all": past.all.as_json(),
            "low": round(low, 4),
            "high": round(high, 4),
            "points": criterion.highest,
        }
        if advice:
            figures |= advice.as_json()
        change = advice.change(raws[criterion.id]) if advice else {}
        proposal = {"op": "off", "criterion": criterion.id} if wrong and not change else change
        if not wrong and not proposal:
            continue
        kind = "loser" if wrong else "points"
        yield Finding(kind, key_of(kind, raws.get(criterion.id)), criterion.id, figures, proposal)


@dataclass(frozen=True)
class Advice:
    """What the ends say one rule is worth: points in the agreement's own measure, with the interval."""

    given: float
    worth: float
    low: float
    high: float
    decide: int
    double: float

    @property
    def moves(self) -> bool:
        """Whether the present points lie outside the interval, by enough to matter."""
        outside = self.given < self.low or self.given > self.high
        return outside and abs(self.worth - self.given) >= MOVED

    @property
    def times(self) -> float:
        """What the present points are to be multiplied with, within bounds; 0 where the rule should go."""
        if not self.given:
            return 0.0
        found = self.worth / self.given
        return 0.0 if found < LEAST_TIMES else min(MOST_TIMES, found)

    def change(self, raw: Mapping[str, Json]) -> dict[str, Json]:
        """The change of the rule as it is written; empty where rounding leaves it as it is."""
        if not self.moves or not self.given:
            return {}
        times = self.times
        if raw.get("mode") == "bands":
            bands = [[start, round(points * times)] for start, points in raw.get("bands") or []]
            if not any(points for _, points in bands):
                return {"op": "off", "criterion": raw["id"]}
            return (
                {"op": "set", "criterion": raw["id"], "set": {"bands": bands}}
                if bands != raw["bands"]
                else {}
            )
        points = round(raw["points"] * times)
        if not points:
            return {"op": "off", "criterion": raw["id"]}
        if points == raw["points"]:
            return {}
        changed: dict[str, Json] = {"points": points}
        if raw.get("max_points") is not None:
            changed["max_points"] = max(abs(points), round(raw["max_points"] * times))
        return {"op": "set", "criterion": raw["id"], "set": changed}

    def as_json(self) -> dict[str, Json]:
        return {
            "given": round(self.given, 1),
            "worth": round(self.worth),
            "worth_low": round(self.low),
            "worth_high": round(self.high),
            "decide": self.decide,
            "double": round(self.double, 1),
        }


@dataclass(frozen=True)
class Scale:
    """A fit of the ends, and how many points its log-odds are in this agreement.

    The size of the whole is kept: the absolute points that the rules give on average where they match sum
    up to the same. `double`: so many points double the odds (points to double the odds, as in credit
    scoring: factor · ln 2).
    """

    past: Past
    features: tuple[int, ...]
    fit: Fit
    factor: float

    @property
    def double(self) -> float:
        return self.factor * log(2)

    @classmethod
    def of(cls, document: Document, past: Past, extra: Sequence[Sequence[bool]] = ()) -> "Scale | None":
        """The fit over the rules that some decided leads have and some lack; `extra` are more features,
        the last ones. None where nothing can be fitted."""
        kept = []
        for i in range(len(document.active_criteria)):
            with_it, without = past.split(i)
            if with_it.of >= LEADS // 2 and without.of >= LEADS // 2:
                kept.append(i)
        size = len(kept) + len(extra)
        if not size:
            return None
        rows = []
        for k, held in enumerate(past.held):
            row = [place for place, i in enumerate(kept) if held[i][0]]
            row += [len(kept) + place for place, column in enumerate(extra) if column[k]]
            rows.append(row)
        found = solver.fit(rows, past.good, size)
        if found is None:
            return None
        points = sum(abs(past.given(i)) for i in kept)
        odds = sum(abs(found.weights[place]) for place in range(len(kept)))
        if not points or not odds:
            return None
        return cls(past, tuple(kept), found, points / odds)

    def advice(self, i: int) -> Advice | None:
        """What a rule is worth; None when it was not in the fit."""
        if i not in self.features:
            return None
        place = self.features.index(i)
        low, high = self.fit.interval(place)
        return Advice(
            given=self.past.given(i),
            worth=self.fit.weights[place] * self.factor,
            low=low * self.factor,
            high=high * self.factor,
            decide=self.past.split(i)[0].of,
            double=self.double,
        )


# What is no rule yet


def unused(
    document: Document, past: Past, candidates: Sequence[Candidate], has: Sequence[Sequence[bool]]
) -> Iterator[Finding]:
    """Candidates that separate the ends although every rule has had its say.

    `has[k][c]`: whether lead k had candidate c. First alone, at one in a thousand, for many are looked at;
    then beside all rules in one fit.
    """
    if not past.enough:
        return
    strong: list[tuple[float, int, list[bool]]] = []
    for c in range(len(candidates)):
        column = [row[c] for row in has]
        with_it, without = split(column, past.good)
        if with_it.of < LEADS or without.of < LEADS:
            continue
        d, low, high = difference(with_it, without, Z999)
        if low > 0 or high < 0:
            strong.append((abs(d), c, column))
    chosen: list[list[bool]] = []
    for _, c, column in sorted(strong, key=lambda row: (-row[0], row[1])):
        if len(chosen) >= NEW:
            return
        if any(_alike(column, other) for other in chosen) or _used(column, past, document):
            continue
        found = _worth(document, past, candidates[c], [*chosen, column])
        if found:
            chosen.append(column)
            yield found


def _worth(
    document: Document, past: Past, candidate: Candidate, columns: Sequence[Sequence[bool]]
) -> Finding | None:
    """The finding, unless the rules and the candidates before it say it all; its column is the last."""
    scale = Scale.of(document, past, columns)
    if scale is None:
        return None
    column, place = columns[-1], len(scale.features) + len(columns) - 1
    low, high = scale.fit.interval(place)
    if low <= 0 <= high:
        return None
    with_it, without = split(column, past.good)
    worth = scale.fit.weights[place] * scale.factor
    points = max(-CAP, min(CAP, round(worth)))
    figures = {
        "goal": past.goal,
        "decided": past.all.of,
        "with": with_it.as_json(),
        "without": without.as_json(),
        "all": past.all.as_json(),
        "text": candidate.text,
        "group": candidate.group,
        "condition": candidate.condition,
    }
    proposal: dict[str, Json] = {}
    if past.points_ready and abs(points) >= MOVED:
        figures |= {
            "worth": points,
            "worth_low": round(low * scale.factor),
            "worth_high": round(high * scale.factor),
            "decide": with_it.of,
            "double": round(scale.double, 1),
        }
        proposal = {
            "op": "add",
            "group": candidate.group,
            "points": points,
            "condition": candidate.condition,
            "text": candidate.text,
        }
    return Finding("candidate", key_of("candidate", candidate.condition), "", figures, proposal)


def _alike(one: Sequence[bool], other: Sequence[bool]) -> bool:
    """Whether two are had by nearly the same leads, or one by nearly those that lack the other.

    By the correlation of the two (phi): what everybody has is like nothing.
    """
    n, a, b = len(one), sum(one), sum(other)
    spread = a * (n - a) * b * (n - b)
    if not spread:
        return False
    both = sum(x and y for x, y in zip(one, other, strict=True))
    return bool(abs(n * both - a * b) >= ALIKE * sqrt(spread))


def _used(column: Sequence[bool], past: Past, document: Document) -> bool:
    return any(_alike(column, [row[i][0] for row in past.held]) for i in range(len(document.active_criteria)))
