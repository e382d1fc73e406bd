"""Writing the sentences of routing. Outside the agreement: a change holds at once, with an audit entry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.http import QueryDict

from handoff import routing
from handoff.models import RouteRule
from leadflow import clock
from leadflow.accounts import audit
from leadflow.accounts.actors import Actor
from leadflow.accounts.models import SALES, Role, Team, User
from leadflow.errors import BadInput, Conflict, Fault, Forbidden, NotVisible
from leadflow.numbers import whole
from scoring.conditions.check import check_condition
from scoring.conditions.explain import Words, sentence
from scoring.document import Document
from scoring.editing import tree

Json = Any
TARGETS = {
    "team": "a rep of a team",
    "user": "one person",
    "pool": "the pool of a team",
    "company_owner": "the owner of the company",
}
STRATEGIES = {"round_robin": "in turn, by weight", "fewest_open": "whoever has the fewest open leads"}
LONGEST = 200
MOST = 60


@dataclass(frozen=True)
class World:
    """Who can be sent leads: the sales teams, and the people of sales who are active."""

    teams: dict[int, str]
    people: dict[int, str]

    @classmethod
    def now(cls) -> "World":
        """Two queries."""
        teams = Team.objects.filter(kind=Team.Kind.SALES).order_by("name", "pk")
        people = User.objects.filter(is_active=True, role__in=SALES).order_by("name", "pk")
        return cls(dict(teams.values_list("pk", "name")), dict(people.values_list("pk", "name")))


@dataclass
class Typed:
    """A sentence as somebody typed it, with what is wrong with it."""

    text: str = ""
    condition: Json = None
    target: dict[str, Json] = field(default_factory=lambda: {"to": "team", "strategy": "round_robin"})
    faults: list[Fault] = field(default_factory=list)

    @classmethod
    def of(cls, rule: RouteRule) -> "Typed":
        """A sentence as it stands."""
        return cls(rule.text, rule.condition, dict(rule.target))

    def as_rule(self, like: RouteRule | None = None) -> RouteRule:
        """A sentence that is only tried."""
        made = RouteRule(text=self.text or "this sentence", condition=self.condition, target=self.target)
        made.pk, made.position = (like.pk, like.position) if like else (None, 0)
        return made


def read(data: QueryDict, choices: tree.Choices) -> Typed:
    """The sentence that a form holds."""
    typed = Typed(data.get("text", "").strip()[: LONGEST + 1])
    if data.get("c.none") != "1":
        typed.condition = tree.read(data, "c", choices)
    to = data.get("to", "")
    typed.target = {"to": to if to in TARGETS else "team"}
    if typed.target["to"] in ("team", "pool"):
        typed.target["team"] = whole(data.get("team"))
    if typed.target["to"] == "team":
        strategy = data.get("strategy", "")
        typed.target["strategy"] = strategy if strategy in STRATEGIES else "round_robin"
    if typed.target["to"] == "user":
        typed.target["user"] = whole(data.get("user"))
    return typed


def faults_of(typed: Typed, world: World, document: Document) -> list[Fault]:
    """What keeps a sentence from being used, each with its place in the form."""
    found: list[Fault] = []
    if len(typed.text) > LONGEST:
        found.append(Fault("text", f"Keep it under {LONGEST} characters."))
    if typed.condition is not None:
        found += check_condition(typed.condition, document, path="c", scope="handoff")
    to, team = typed.target.get("to"), typed.target.get("team")
    if to == "pool" and team is None:
        found.append(Fault("team", "Choose the team whose pool it is."))
    if team is not None and team not in world.teams:
        found.append(Fault("team", "This team does not sell."))
    if to == "user" and typed.target.get("user") not in world.people:
        found.append(Fault("user", "Choose somebody of sales."))
    return found


def save(
    typed: Typed,
    pk: int | None,
    actor: Actor,
    words: Words,
    *,
    base: str = "",
    world: World,
    document: Document,
) -> RouteRule:
    """Write a new sentence (above the last one that is for everybody) or change one.

    `base`: the version that the form showed. Raises BadInput, Conflict when somebody changed it meanwhile.
    """
    faults = faults_of(typed, world, document)
    if faults:
        raise BadInput("This sentence cannot be used yet.", faults)
    typed.text = typed.text or named(typed, words, world)
    with transaction.atomic():
        rules = _locked(actor)
        if pk is None:
            return _add(typed, rules, actor, words, world)
        rule = _one(rules, pk)
        if base and base != mark(rule):
            who = rule.changed_by.name if rule.changed_by else "Somebody"
            raise Conflict(f"{who} changed this sentence meanwhile. Open it again.")
        before = plain(rule, words, world)
        rule.text, rule.condition, rule.target = typed.text, typed.condition, typed.target
        return _kept(rule, "route.changed", actor, before, words, world)


def act(do: str, pk: int, actor: Actor, words: Words, world: World) -> None:
    """Switch a sentence on or off, move it up or down, copy or remove it. Raises NotVisible, Conflict."""
    with transaction.atomic():
        rules = _locked(actor)
        rule = _one(rules, pk)
        before = plain(rule, words, world)
        if do == "switch":
            if rule.active and sum(1 for other in rules if other.active) == 1:
                raise Conflict("One sentence must stay on, or every lead waits.")
            rule.active = not rule.active
            _kept(rule, "route.switched", actor, before, words, world)
        elif do == "remove":
            if len(rules) == 1:
                raise Conflict("One sentence must stay, or every lead waits.")
            audit.record(actor, "route.removed", rule, before=before)
            rule.delete()
            _number_anew([other for other in rules if other is not rule])
        elif do == "copy":
            made = RouteRule(text=rule.text, condition=rule.condition, target=rule.target, active=False)
            at = rules.index(rule) + 1
            _kept(made, "route.made", actor, None, words, world)
            _number_anew([*rules[:at], made, *rules[at:]])
        elif do in ("up", "down"):
            at = rules.index(rule)
            to = max(0, min(len(rules) - 1, at + (1 if do == "down" else -1)))
            rules.insert(to, rules.pop(at))
            _ordered(rules, actor)
        else:
            raise NotVisible


def order(keys: Sequence[int], actor: Actor) -> None:
    """Put the sentences into this order; those that are not named keep theirs, at the end."""
    with transaction.atomic():
        rules = _locked(actor)
        place = {key: n for n, key in enumerate(keys)}
        _ordered(sorted(rules, key=lambda rule: place.get(rule.pk, len(place) + rule.position)), actor)


def mark(rule: RouteRule) -> str:
    """The version of a sentence."""
    return rule.changed_at.isoformat() if rule.pk else ""


def plain(rule: RouteRule, words: Words, world: World) -> dict[str, Json]:
    """A sentence as the trail keeps it."""
    return {
        "sentence": rule.text,
        "when": when_words(rule.condition, words),
        "to": target_words(rule.target, world),
        "on": rule.active,
    }


def when_words(condition: Json, words: Words) -> str:
    """For whom a sentence is."""
    if not condition:
        return "everybody"
    try:
        return sentence(condition, words)
    except BadInput:
        return "not finished yet"


def target_words(target: Mapping[str, Json], world: World) -> str:
    """Where a sentence sends a lead."""
    to, team = target.get("to"), target.get("team")
    named_team = world.teams.get(int(team), "a team that is gone") if team is not None else ""
    if to == "company_owner":
        return "the owner of the company, else the rep who has its open leads or won its deal"
    if to == "user":
        return world.people.get(int(target.get("user") or 0), "somebody who is not with sales any more")
    if to == "pool":
        return f"the pool of {named_team}" if named_team else "the pool"
    how = STRATEGIES[str(target.get("strategy") or "round_robin")]
    return f"{f'team {named_team}' if named_team else 'all teams'}, {how}"


def named(typed: Typed, words: Words, world: World) -> str:
    """A name for a sentence that has none: for whom it is, else where it leads."""
    text = when_words(typed.condition, words) if typed.condition else "Everybody else"
    return text[:1].upper() + text[1:LONGEST]


def _may(actor: Actor) -> None:
    if not (actor.is_system or actor.has_role(Role.SALES_MANAGER, Role.ADMIN)):
        raise Forbidden("Sales managers write who gets which lead.")


def _locked(actor: Actor) -> list[RouteRule]:
    _may(actor)
    routing.ensure_rules()
    return list(RouteRule.objects.select_related("changed_by").select_for_update(of=("self",)))


def _one(rules: Sequence[RouteRule], pk: int) -> RouteRule:
    found = next((rule for rule in rules if rule.pk == pk), None)
    if found is None:
        raise NotVisible("This sentence is not there any more.")
    return found


def _add(typed: Typed, rules: list[RouteRule], actor: Actor, words: Words, world: World) -> RouteRule:
    if len(rules) >= MOST:
        raise Conflict(f"{MOST} sentences are enough: nobody reads more. Remove one first.")
    rule = RouteRule(text=typed.text, condition=typed.condition, target=typed.target)
    # What is for everybody would leave nothing to a sentence below it.
    last = rules[-1] if rules and not rules[-1].condition and typed.condition else None
    place = rules.index(last) if last else len(rules)
    _kept(rule, "route.made", actor, None, words, world)
    _number_anew([*rules[:place], rule, *rules[place:]])
    return rule


def _kept(
    rule: RouteRule,
    verb: str,
    actor: Actor,
    before: Json,
    words: Words,
    world: World,
    at: datetime | None = None,
) -> RouteRule:
    rule.changed_at, rule.changed_by = at or clock.now(), actor.user
    if rule.pk is None:
        rule.position = 0
    rule.save()
    audit.record(actor, verb, rule, before=before, after=plain(rule, words, world))
    return rule


def _ordered(rules: Sequence[RouteRule], actor: Actor) -> None:
    before = [rule.text for rule in sorted(rules, key=lambda rule: (rule.position, rule.pk))]
    after = [rule.text for rule in rules]
    if before == after:
        return
    _number_anew(rules)
    audit.record(actor, "route.ordered", rules[0], before=before, after=after)


def _number_anew(rules: Sequence[RouteRule]) -> None:
    for n, rule in enumerate(rules, start=1):
        rule.position = n
    RouteRule.objects.bulk_update(rules, ["position"])
