"""The agreement read by a second pair of eyes: plain Python over plain objects, straight from the JSON.

It knows nothing of the compiler. Points are exact: fractions and whole numbers, no floating point.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from tests.scoring.world import OF_FIRM, OWN, TEXTS, Act, Firm, Person, World

GROUPS = ("fit", "behaviour", "value")
ORDER = ("eq", "ne", "lt", "lte", "gt", "gte")
# Properties of an act that have a place of their own.
COLUMNS = ("path", "channel", "result", "message_key", "campaign", "content")
OF_COMPANY = {*OF_FIRM, "company_name", "company_domain", "is_customer"}
FREE, GONE = {"gmail.com"}, {"mailinator.com"}


@dataclass
class Scored:
    holds: list[bool]
    cents: list[int]
    fit: int
    behaviour: int
    value: int
    total: int
    grade: str
    excluded: int = 0
    mql: bool = False
    sales: bool = False
    track: int = 0
    leave: bool = False
    level: int = 0
    fresh: bool = False


def fold(text: str) -> str:
    return " ".join(text.casefold().split())


def digits(phone: str) -> str:
    found = re.sub(r"\D", "", phone)
    return f"+{found}" if phone.strip().startswith("+") else found


def tokens(text: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in fold(text)).split()


def compare(op: str, left, right) -> bool:
    return {
        "eq": left == right,
        "ne": left != right,
        "lt": left < right,
        "lte": left <= right,
        "gt": left > right,
        "gte": left >= right,
    }[op]


def exact(number) -> Fraction:
    return Fraction(str(number))


def half_away(value: Fraction) -> int:
    """Rounded to a whole number, halves away from zero."""
    whole = abs(value) + Fraction(1, 2)
    return (1 if value >= 0 else -1) * (whole.numerator // whole.denominator)


def faded(points: int, decay: dict | None, age: int) -> int:
    """Hundredths of a point after so many days."""
    if decay is None:
        return points * 100
    days = decay["days"]
    if decay["kind"] == "expiry":
        return points * 100 if age < days else 0
    if decay["kind"] == "linear":
        return half_away(Fraction(points * 100) * max(0, days - age) / days)
    # The c with (c − ½)^days · 2^age ≤ (100·points)^days < (c + ½)^days · 2^age, in whole numbers.
    target = (200 * abs(points)) ** days
    low, high = 0, 100 * abs(points)
    while low < high:
        middle = (low + high + 1) // 2
        if (2 * middle - 1) ** days * 2**age <= target:
            low = middle
        else:
            high = middle - 1
    return low if points >= 0 else -low


class Oracle:
    """Scores one person at one instant by what was known at another."""

    def __init__(self, content: dict, world: World, person: Person, at: datetime, known_at: datetime) -> None:
        self.content, self.world, self.person = content, world, person
        self.at, self.known_at = at, known_at
        self.instant = min(at, known_at)
        self.zone = ZoneInfo(content["zone"])
        self.acts = [
            a
            for a in world.acts
            if world.owner(a, known_at) == person.id and a.occurred_at <= at and a.recorded_at <= known_at
        ]
        self.criteria = {c["id"]: c for c in content["criteria"]}
        self.scored: Scored | None = None

    # Facts

    def firm(self) -> Firm | None:
        key = self.person.firm.at(self.instant)
        return next((f for f in self.world.firms if f.id == key), None)

    def raw(self, key: str):
        if key == "email_domain":
            email = self.raw("email")
            return email.rpartition("@")[2] if email else None
        if key in ("company_name", "company_domain"):
            firm = self.firm()
            return firm.domain if firm else None
        if key in OF_FIRM:
            firm = self.firm()
            return firm.facts[key].at(self.instant) if firm else None
        if key == "is_customer":
            firm = self.firm()
            return None if firm is None else self.is_customer(firm)
        return self.person.facts[key].at(self.instant)

    def is_customer(self, firm: Firm) -> bool:
        return firm.customer_since is not None and firm.customer_since <= self.instant

    def fact(self, key: str):
        """The value in its type; None when unknown or of another type."""
        value = self.raw(key)
        if key in ("company_name", "company_domain"):
            firm = self.firm()
            return firm.domain if firm else None
        if key == "phone":
            return digits(value) if value else None
        if key in TEXTS or key == "email_domain":
            return fold(value) if isinstance(value, str) and value else None
        if key in ("employees", "revenue", "custom.seats", "custom.fleet"):
            return exact(value) if isinstance(value, int | float | Decimal) and value is not True else None
        if key == "custom.since":
            return value if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value) else None
        return value if isinstance(value, bool) else None

    def fact_leaf(self, leaf: dict) -> bool:
        key, op, value = leaf["fact"], leaf["op"], leaf.get("value")
        found = self.fact(key)
        if op in ("known", "unknown"):
            return (found is not None) == (op == "known")
        if found is None:
            return False
        if op == "is_true" or op == "is_false":
            return found is (op == "is_true")
        if op == "domain_kind":
            return any(self.domain_is(found, kind) for kind in ([value] if isinstance(value, str) else value))
        if op == "in_last_days":
            today = self.at.astimezone(self.zone).date()
            return (today - timedelta(days=value)).isoformat() < found <= today.isoformat()
        return self.compared(op, found, value, self.raw(key), digits if key == "phone" else fold)

    def compared(self, op: str, found, value, raw, reads=None) -> bool:
        if op == "between":
            low, high = value
            return (low <= found <= high) if isinstance(found, str) else exact(low) <= found <= exact(high)
        if op in ORDER:
            return compare(op, found, value if isinstance(found, str) else exact(value))
        reads = reads or fold
        if op == "in_list":
            return found in {reads(e) for e in self.content["lists"].get(value, {}).get("entries", [])}
        given = [value] if isinstance(value, str) else value
        if op == "has_word":
            mine = tokens(raw)
            return any(
                mine[i : i + len(wanted)] == wanted
                for wanted in map(tokens, given)
                if wanted
                for i in range(len(mine))
            )
        texts = [text for text in map(reads, given) if text]
        return {
            "is": found in texts,
            "is_not": found not in texts,
            "contains": any(t in found for t in texts),
            "starts_with": any(found.startswith(t) for t in texts),
        }[op]

    def domain_is(self, domain: str, kind: str) -> bool:
        if kind == "free_mail":
            return domain in FREE
        if kind == "throwaway":
            return domain in GONE
        if kind == "work":
            return domain not in FREE | GONE
        firm = next(
            (f for f in self.world.firms if f.domain == domain and f.created_at <= self.instant), None
        )
        if firm is None:
            return False
        if kind == "customer":
            return self.is_customer(firm)
        return bool(firm.facts[f"is_{kind}"].at(self.instant))

    def changed(self, leaf: dict) -> bool:
        key, start = leaf["changed"], self.at - timedelta(days=leaf["days"])

        def within(moment: datetime) -> bool:
            return start < moment <= self.instant

        if key in OF_COMPANY:
            firm = self.firm()
            moved = any(within(m) for m, _ in self.person.firm.steps[1:])
            if firm is None:
                return moved
            told = key in firm.facts and any(within(m) for m, _ in firm.facts[key].steps[1:])
            return moved or told or (within(firm.created_at) and self.fact(key) is not None)
        told = any(
            within(m) for m, _ in self.person.facts["email" if key == "email_domain" else key].steps[1:]
        )
        return told or (within(self.person.created_at) and self.fact(key) is not None)

    # Behaviour

    def matching(self, did: dict, own_days: int | None) -> list[Act]:
        days = [d for d in (did.get("days"), own_days) if d is not None]
        start = self.at - timedelta(days=min(days)) if days else None
        found = [
            a
            for a in self.acts
            if a.kind in did["kinds"]
            and (start is None or a.occurred_at > start)
            and (own_days is None or a.kind in OWN)
            and all(self.where(a, w) for w in did.get("where") or [])
        ]
        return sorted(found, key=lambda a: (a.occurred_at, a.id), reverse=True)

    def where(self, act: Act, where: dict) -> bool:
        name, op, value = where["property"], where["op"], where.get("value")
        raw = getattr(act, name) if name in COLUMNS else act.properties.get(name)
        if op in ("known", "unknown"):
            return (raw is not None and raw != "") == (op == "known")
        if raw is None or raw == "":
            return False
        text = str(raw).lower()
        if op in (*ORDER, "between"):
            of_days = isinstance(value[0] if op == "between" else value, str)
            if not of_days and (isinstance(raw, str | bool) or name in COLUMNS):
                return False
            return self.compared(op, text if of_days else exact(raw), value, text)
        return self.compared(op, text, value, text)

    def figure(self, leaf: dict, own_days: int | None = None):
        acts = self.matching(leaf["did"], own_days)
        match leaf.get("agg") or "count":
            case "count":
                return len(acts)
            case "days":
                return len({a.occurred_at.astimezone(self.zone).date() for a in acts})
            case "sum":
                values = [a.properties.get(leaf["property"]) for a in acts]
                return sum((exact(v) for v in values if isinstance(v, int | float)), Fraction(0))
            case "recency":
                return self.age(acts[0]) if acts else None

    def age(self, act: Act) -> int:
        return (self.at - act.occurred_at) // timedelta(days=1)

    def ratio(self, leaf: dict, own_days: int | None) -> bool:
        inner = leaf["ratio"]

        def messages(kind: str) -> int:
            acts = self.matching({"kinds": [kind], "days": inner["days"]}, None)
            return len({a.message_key for a in acts if a.message_key})

        of, to = messages(inner["of"]), messages(inner["to"])
        holds = to >= inner["min"] and compare(leaf["op"], Fraction(of), exact(leaf["value"]) * to)
        if own_days is None:
            return holds
        return holds and bool(self.matching({"kinds": [inner["of"]], "days": inner["days"]}, own_days))

    def active(self, days: int) -> bool:
        return any(a.kind in OWN and a.occurred_at > self.at - timedelta(days=days) for a in self.acts)

    # Conditions

    def holds(self, raw: dict, own_days: int | None = None) -> bool:
        if "all" in raw:
            return all(self.holds(r, own_days) for r in raw["all"])
        if "any" in raw:
            return any(self.holds(r, own_days) for r in raw["any"])
        if "not" in raw:
            return not self.holds(raw["not"])
        if "fact" in raw:
            return self.fact_leaf(raw)
        if "changed" in raw:
            return self.changed(raw)
        if "did" in raw:
            found = self.figure(raw, own_days)
            return found is not None and compare(
                raw.get("op") or "gte", Fraction(found), exact(raw.get("value", 1))
            )
        if "ratio" in raw:
            return self.ratio(raw, own_days)
        if "criterion" in raw:
            return self.criterion_holds(raw, own_days)
        if "active_days" in raw:
            return self.active(raw["active_days"])
        if "contactable" in raw:
            return self.contactable() == raw["contactable"]
        if "stage" in raw:
            return self.stage() in raw["stage"]
        if "persona" in raw:
            persona = next(p for p in self.content["personas"] if p["key"] == raw["persona"])
            return self.holds(persona["condition"], own_days)
        if "score" in raw:
            return compare(raw["op"], getattr(self.scored, raw["score"]), exact(raw["value"]))
        return self.scored.grade in raw["grade"]

    def criterion_holds(self, raw: dict, own_days: int | None) -> bool:
        criterion = self.criteria[raw["criterion"]]
        days = raw.get("own_act_days") or own_days
        if criterion["mode"] == "bands":
            value = self.measured(criterion, days)
            held = value is not None and value >= exact(min(b[0] for b in criterion["bands"]))
            acts = "did" in criterion["of"]
        else:
            held = self.holds(criterion["condition"], days)
            acts = self.mentions(criterion["condition"], ("did", "ratio", "changed"))
        return held and (days is None or acts or self.active(days))

    def mentions(self, raw: dict, kinds: tuple[str, ...]) -> bool:
        parts = raw.get("all") or raw.get("any") or ([raw["not"]] if "not" in raw else [])
        return any(k in raw for k in kinds) or any(self.mentions(p, kinds) for p in parts)

    def contactable(self) -> bool:
        bounced = self.person.bounced_at is not None and self.person.bounced_at <= self.at
        by_mail = self.fact("email") is not None and not bounced
        return (self.fact("phone") is not None or by_mail) and not self.fact("do_not_contact")

    def stage(self) -> str | None:
        seen = [s for s in enumerate(self.person.stages) if s[1][0] <= self.at and s[1][1] <= self.known_at]
        return max(seen, key=lambda s: (s[1][0], s[0]))[1][2] if seen else None

    # Points

    def measured(self, criterion: dict, own_days: int | None = None):
        of = criterion["of"]
        if "fact" in of:
            return self.fact(of["fact"])
        return Fraction(self.figure(of, own_days))

    def driving(self, raw: dict) -> dict | None:
        if "did" in raw:
            return raw["did"]
        for part in raw.get("all") or raw.get("any") or []:
            found = self.driving(part)
            if found:
                return found
        return None

    def points(self, criterion: dict) -> tuple[bool, int]:
        if criterion["mode"] == "bands":
            value = self.measured(criterion)
            reached = [p for start, p in criterion["bands"] if value is not None and value >= exact(start)]
            return bool(reached), (reached[-1] if reached else 0) * 100
        if not self.holds(criterion["condition"]):
            return False, 0
        decay, points = criterion.get("decay"), criterion["points"]
        if criterion["mode"] == "once":
            if decay is None:
                return True, points * 100
            acts = self.matching(self.driving(criterion["condition"]), None)
            return True, faded(points, decay, self.age(acts[0])) if acts else 0
        return True, self.each(criterion, points, decay)

    def each(self, criterion: dict, points: int, decay: dict | None) -> int:
        per_day: dict[date, int] = {}
        total = 0
        for act in self.matching(self.driving(criterion["condition"]), None):
            day = act.occurred_at.astimezone(self.zone).date()
            per_day[day] = per_day.get(day, 0) + 1
            if criterion.get("max_per_day") is None or per_day[day] <= criterion["max_per_day"]:
                total += faded(points, decay, self.age(act))
        limit = criterion.get("max_points")
        return total if limit is None else max(-limit * 100, min(limit * 100, total))

    def evaluate(self) -> Scored | None:
        """Everything about this person then; None before it was a lead."""
        if self.person.created_at > self.instant:
            return None
        active = [c for c in self.content["criteria"] if c.get("on", True)]
        results = [self.points(c) for c in active]
        sums = {}
        for group in GROUPS:
            limits = self.content["groups"][group]
            raw = sum(cents for c, (_, cents) in zip(active, results, strict=True) if c["group"] == group)
            sums[group] = half_away(Fraction(max(limits["floor"] * 100, min(limits["cap"] * 100, raw)), 100))
        limits = self.content["total"]
        total = max(limits["floor"], min(limits["cap"], sum(sums.values())))
        self.scored = Scored(
            holds=[h for h, _ in results],
            cents=[c for _, c in results],
            **sums,
            total=total,
            grade=self.grade(sums),
        )
        self.bars(self.scored)
        return self.scored

    def grade(self, sums: dict[str, int]) -> str:
        grade = self.content["grade"]
        letter = next((n for n, start in grade["letters"] if sums["fit"] + sums["value"] >= start), "D")
        number = next((n for n, start in grade["numbers"] if sums["behaviour"] >= start), 4)
        return f"{letter}{number}"

    def bars(self, scored: Scored) -> None:
        bars = self.content["thresholds"]
        for i, rule in enumerate(self.content["exclusions"], 1):
            if rule["on"] and not scored.excluded and self.holds(rule["condition"]):
                scored.excluded = i
        scored.mql = self.holds(bars["mql_when"])
        scored.sales = self.holds(bars["sql_when"])
        scored.leave = self.holds(bars["mql_leave_when"])
        scored.track = next((t["n"] for t in bars["fast_tracks"] if self.holds(t["condition"])), 0)
        scored.fresh = bool(scored.sales or scored.track) and self.fresh()
        levels = [s for s in self.content["stages"] if s["stage"] == "prospect"]
        for i, row in enumerate(levels, 1):
            if row["condition"] is None or self.holds(row["condition"]):
                scored.level = i

    def fresh(self) -> bool:
        """An own act of the last days, or a change, after creation, of a fact that the rules read."""
        days = self.content["thresholds"]["fresh_days"]
        return self.active(days) or any(self.told_anew(key, days) for key in self.facts_read())

    def told_anew(self, key: str, days: int) -> bool:
        steps = []
        if key in OF_COMPANY:
            firm = self.firm()
            steps = self.person.firm.steps[1:]
            steps = steps + (firm.facts[key].steps[1:] if firm and key in firm.facts else [])
        elif key in self.person.facts:
            steps = self.person.facts[key].steps[1:]
        elif key == "email_domain":
            steps = self.person.facts["email"].steps[1:]
        return any(self.at - timedelta(days=days) < at <= self.instant for at, _ in steps)

    def facts_read(self) -> set[str]:
        bars = self.content["thresholds"]
        rules = [c.get("condition") or c["of"] for c in self.content["criteria"] if c.get("on", True)]
        rules += [x["condition"] for x in self.content["exclusions"] if x["on"]]
        rules += [bars[k] for k in ("mql_when", "sql_when", "mql_leave_when")]
        rules += [t["condition"] for t in bars["fast_tracks"]]
        rules += [s["condition"] for s in self.content["stages"] if s["condition"] is not None]
        return {key for rule in rules for key in self.keys_of(rule)}

    def keys_of(self, raw: dict) -> set[str]:
        if "persona" in raw:
            return self.keys_of(next(p["condition"] for p in self.content["personas"]))
        if "contactable" in raw:
            return {"phone", "email", "do_not_contact"}
        parts = raw.get("all") or raw.get("any") or ([raw["not"]] if "not" in raw else [])
        found = {raw[name] for name in ("fact", "changed") if name in raw}
        return found.union(*map(self.keys_of, parts))
