"""The trail of changes in words: what was done, to what, and what it was before and after.

The trail itself keeps keys, as the code and the API know them; here each gets the word of the screens.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.apps import apps
from django.db.models import CharField, F, QuerySet, Value
from django.db.models.functions import Cast

from handoff.endpoints import events
from handoff.models import Calendar, RouteRule, WebhookEndpoint
from leadflow.accounts.keys import SCOPES
from leadflow.accounts.models import ApiKey, AuditEntry, Role, Team, User
from leadflow.accounts.templatetags.lf import day_text, full_text, stage_name
from leadflow.leads.models import ActivityKind, Campaign, Content, CustomField, WordList
from leadflow.numbers import whole
from scoring import agreements
from scoring.document import Document
from scoring.models import Agreement

LONGEST = 48
MOST_ENTRIES = 12
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
A_DAY = re.compile(r"\d{4}-\d\d-\d\d")
AN_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")
FINGERPRINT = 12

# What was done, by the verb that the trail keeps.
ACTS = {
    "agreement.changed": "Agreement: changed",
    "agreement.decline_refused": "Agreement: could not be declined",
    "agreement.declined": "Agreement: declined",
    "agreement.discarded": "Agreement: draft put aside",
    "agreement.downloaded": "Agreement: taken out as a file",
    "agreement.drafted": "Agreement: draft begun",
    "agreement.in_force": "Agreement: came into force",
    "agreement.propose_refused": "Agreement: could not be proposed",
    "agreement.proposed": "Agreement: proposed",
    "agreement.sign_refused": "Agreement: could not be signed",
    "agreement.signed": "Agreement: signed",
    "agreement.withdraw_refused": "Agreement: could not be taken back",
    "agreement.withdrawn": "Agreement: taken back",
    "api_key.created": "API key: made",
    "api_key.revoked": "API key: ended",
    "campaign.added": "Campaign: added",
    "campaign.changed": "Campaign: changed",
    "clock.again": "Stuck clock: set going again",
    "company.changed": "Company: changed",
    "content.added": "Content: added",
    "content.changed": "Content: changed",
    "content.restored": "Content: in use again",
    "content.retired": "Content: out of use",
    "endpoint.changed": "Webhook or chat: changed",
    "endpoint.created": "Webhook or chat: added",
    "endpoint.removed": "Webhook or chat: removed",
    "endpoint.secret_renewed": "Webhook: new secret",
    "field.brought_back": "Own field: in use again",
    "field.changed": "Own field: changed",
    "field.made": "Own field: added",
    "field.retired": "Own field: out of use",
    "finding.dismissed": "Advice: put away",
    "finding.taken_back": "Advice: shown again",
    "goal.kept": "Goal: kept",
    "hours.changed": "Working hours: changed",
    "hours.day": "Working hours: a day of their own",
    "hours.day_dropped": "Working hours: a day as every week again",
    "hours.made": "Working hours: added",
    "kind.brought_back": "Kind of activity: in use again",
    "kind.changed": "Kind of activity: changed",
    "kind.deleted": "Kind of activity: deleted",
    "kind.made": "Kind of activity: added",
    "kind.retired": "Kind of activity: out of use",
    "lead.asked": "Lead: sales asked for it",
    "lead.parked": "Lead: parked",
    "lead.unparked": "Lead: no longer parked",
    "list.saved": "Word list: saved",
    "message.sent_again": "Message: sent again",
    "outcome.corrected": "Outcome: corrected by another system",
    "outcome.dropped": "Outcome: not ours",
    "outcome.matched": "Outcome: matched by hand",
    "outcome.taken_back": "Outcome: taken back",
    "person.away": "Person: away",
    "person.away_planned": "Person: absence planned",
    "person.back": "Person: there after all",
    "person.changed": "Person: changed",
    "person.invited": "Person: invited",
    "person.profile": "Person: own profile changed",
    "person.room": "Person: room for leads changed",
    "question.answered": "Question: answered",
    "question.joined": "Question: put beside one like it",
    "question.parted": "Question: stands by itself again",
    "question.wanted": "Question: a piece is being written",
    "review.closed": "Review: ended",
    "review.decided": "Review: decided",
    "review.done": "Decision: done",
    "review.dropped": "Decision: taken off",
    "review.reopened": "Review: opened again",
    "route.changed": "Who gets which lead: changed",
    "route.made": "Who gets which lead: sentence added",
    "route.ordered": "Who gets which lead: order changed",
    "route.removed": "Who gets which lead: sentence removed",
    "route.switched": "Who gets which lead: switched on or off",
    "task.done": "To do: done",
    "team.changed": "Team: changed",
    "team.hours": "Team: other working hours",
    "team.made": "Team: added",
    "track.started": "Track: started",
    "track.stopped": "Track: ended",
    "workshop.closed": "Sorting together: ended",
    "workshop.drawn": "Sorting together: leads drawn",
    "workshop.finished": "Sorting together: done sorting",
    "workshop.left": "Sorting together: left",
    "workshop.people_added": "Sorting together: people added",
}
# What the trail can be narrowed to, by the beginning of the verb.
FAMILIES = {
    "agreement": "Agreement",
    "route": "Who gets which lead",
    "person": "People",
    "team": "Teams",
    "hours": "Working hours",
    "company": "Company",
    "api_key": "API keys",
    "endpoint": "Webhooks and chats",
    "field": "Own fields",
    "kind": "Kinds of activity",
    "list": "Word lists",
    "lead": "Leads",
    "track": "Tracks",
    "outcome": "Outcomes",
    "content": "Content",
    "campaign": "Campaigns",
    "question": "Questions",
    "review": "Reviews",
    "workshop": "Sorting together",
}
# The word for the name of a value; what is not here says itself.
NAMES = {
    "after_contact": "known only after contact",
    "asked": "leads asked for",
    "at": "on",
    "capacity_open": "open leads at most",
    "contact": "by our people",
    "content": "piece",
    "criterion": "rule",
    "date_order": "order of a date",
    "days": "days looked back",
    "ends_on": "until",
    "events": "hears of",
    "external_id": "number in the other system",
    "external_lead_id": "lead in the other system",
    "found": "leads found",
    "group": "beside",
    "into": "beside",
    "is_active": "may sign in",
    "label": "name",
    "lead_id": "lead",
    "message_for_sales": "what sales should know",
    "method": "signed with",
    "number": "version",
    "options": "values to choose from",
    "own_act": "the lead did it",
    "persona_key": "persona",
    "reply": "a reply",
    "scopes": "may",
    "sha256": "fingerprint",
    "shape": "kind",
    "shortcuts": "keys on the keyboard",
    "side": "for",
    "spans": "hours",
    "stage": "for the stage",
    "starts_on": "from",
    "stop": "a wish not to be written to",
    "subject": "of the",
    "team_id": "team",
    "theme": "colours",
    "tz": "time zone",
    "undated": "without a date",
    "url": "address",
    "week": "hours",
    "weight": "share of the round",
    "went_well": "went well this time",
}
# These say themselves, without a word in front.
BARE = ("what",)
# What a thing is called where its name in the code is none for people.
THINGS = {
    "accounts.apikey": "API key",
    "accounts.user": "",
    "leads.unmatchedoutcome": "outcome without a lead",
    "handoff.calendar": "",
    "handoff.routerule": "sentence",
    "handoff.webhookendpoint": "",
    "leads.activitykind": "",
    "leads.customfield": "",
    "leads.wordlist": "",
    "scoring.advisorfinding": "advice",
    "scoring.workshop": "meeting",
}
# Which parts of an agreement a change touched is for the margin of its page; its words are told already.
UNTOLD = ("slot", "slots")
EMPTY = "nothing"


@dataclass(frozen=True)
class Told:
    """An entry as people read it."""

    row: AuditEntry
    act: str
    thing: str
    was: str
    is_now: str


def told(rows: Iterable[AuditEntry]) -> list[Told]:
    """Entries in words. One query for the names of what they are about, one for the agreement and one for the
    library where an entry names something by its key."""
    rows = list(rows)
    named = _names(rows) | _keyed(rows)
    return [
        Told(row, act_words(row.verb), _thing(row, named), _part(row.before, named), _part(row.after, named))
        for row in rows
    ]


def act_words(verb: str) -> str:
    """What was done: "Webhook or chat: added"."""
    return ACTS.get(verb) or verb.replace(".", ": ").replace("_", " ").capitalize()


Named = Mapping[tuple[str, str], str]

# Where the name of a thing stands. Leads are not named here: not everybody who reads the trail sees them.
_NAMED: dict[str, tuple[QuerySet[Any], str]] = {
    model._meta.label_lower: (model._default_manager.all(), name)
    for model, name in (
        (User, "name"), (Team, "name"), (ApiKey, "name"), (Calendar, "name"), (WebhookEndpoint, "name"),
        (RouteRule, "text"), (Campaign, "name"), (Content, "title"), (CustomField, "label"),
        (ActivityKind, "label"), (WordList, "label"), (Agreement, "number"),
    )
}  # fmt: skip


def _names(rows: Iterable[AuditEntry]) -> dict[tuple[str, str], str]:
    """The names of the things that entries are about or name by number."""
    wanted: dict[str, set[int]] = {}
    for row in rows:
        if row.object_type in _NAMED and (pk := whole(row.object_id)) is not None:
            wanted.setdefault(row.object_type, set()).add(pk)
        for part in (row.before, row.after):
            if isinstance(part, dict):
                for label, pk in _numbers(part):
                    wanted.setdefault(label, set()).add(pk)
    parts = [
        query.order_by()
        .filter(pk__in=wanted[label])
        .annotate(
            trail_of=Value(label, CharField()),
            trail_key=Cast("pk", CharField()),
            trail_word=Cast(F(name), CharField()),
        )
        .values_list("trail_of", "trail_key", "trail_word")
        for label, (query, name) in _NAMED.items()
        if label in wanted
    ]
    if not parts:
        return {}
    found = parts[0].union(*parts[1:], all=True) if len(parts) > 1 else parts[0]
    return {(of, key): word for of, key, word in found}


def _keyed(rows: Iterable[AuditEntry]) -> dict[tuple[str, str], str]:
    """The words of today for personas, rules, tracks and pieces that entries name by key."""
    parts = [part for row in rows for part in (row.before, row.after) if isinstance(part, dict)]
    found: dict[tuple[str, str], str] = {}
    if any(name in part for part in parts for name in ("persona_key", "criterion", "track")):
        now = agreements.current()
        document = Document(now.content if now else {})
        found |= {("persona_key", one.key): one.name for one in document.personas}
        found |= {("criterion", one.id): one.text for one in document.criteria if one.text}
        found |= {("track", one.key): one.name for one in document.tracks}
    pieces = [str(part["content"]) for part in parts if part.get("content")]
    if pieces:
        titles = Content.objects.filter(key__in=pieces).values_list("key", "title")
        found |= {("content", key): title for key, title in titles}
    return found


def _numbers(part: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Teams and people that a value names by number."""
    found = [("accounts.team", part["team_id"])] if isinstance(part.get("team_id"), int) else []
    people = part.get("people")
    if isinstance(people, list):
        found += [("accounts.user", pk) for pk in people if isinstance(pk, int)]
    return found


def _thing(row: AuditEntry, named: Named) -> str:
    """What an entry is about: "campaign “Spring”", "lead 7"; the bare label where the code has it no more."""
    try:
        kind = str(apps.get_model(row.object_type)._meta.verbose_name)
    except LookupError:
        kind = row.object_type.rpartition(".")[2]
    kind = THINGS.get(row.object_type, kind)
    name = named.get((row.object_type, row.object_id))
    if row.object_type == "scoring.agreement" and name:
        return f"{kind} v{name}"
    if row.object_type == "accounts.organisation":
        return ""
    return f"{kind} “{_cut(name)}”".strip() if name else f"{kind} {row.object_id}".strip()


def _part(part: Any, named: Named) -> str:
    """One side of a change; nothing at all needs no word."""
    return _value("", part, named) if part else ""


def _value(name: str, value: Any, named: Named) -> str:
    if value is None or value == "":
        return EMPTY
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "week" and isinstance(value, dict):
        return _week(value)
    if isinstance(value, dict):
        return ", ".join(
            f"{_label(key)}{_value(key, part, named)}" for key, part in value.items() if key not in UNTOLD
        ) or (EMPTY if not value else "")
    if isinstance(value, list):
        return _many(name, value, named)
    return _one(name, value, named)


def _label(name: str) -> str:
    return "" if name in BARE else f"{NAMES.get(name, name.replace('_', ' '))}: "


def _many(name: str, values: list[Any], named: Named) -> str:
    if not values:
        return "closed" if name == "spans" else EMPTY
    if name == "spans":
        return _spans(values)
    if name == "people":
        return ", ".join(named.get(("accounts.user", str(pk)), "somebody") for pk in values)
    words = ", ".join(_value(name, one, named) for one in values[:MOST_ENTRIES])
    return f"{words} and {len(values) - MOST_ENTRIES} more" if len(values) > MOST_ENTRIES else words


def _one(name: str, value: Any, named: Named) -> str:
    text = str(value)
    if name == "team_id":
        return named.get(("accounts.team", text), "a team that is gone")
    if name == "sha256":
        return text[:FINGERPRINT]
    if name == "number":
        return f"v{text}"
    if (name, text) in named:
        return _cut(named[name, text])
    words: Mapping[str, str] = _CHOSEN.get(name, {})
    if text in words:
        return words[text]
    if name == "stage":
        return stage_name(text)
    if name != "text" and AN_INSTANT.match(text):
        return _read(text, datetime.fromisoformat, full_text)
    if name != "text" and A_DAY.fullmatch(text):
        return _read(text, date.fromisoformat, day_text)
    return _cut(text)


# Values that are keys, and their words.
_CHOSEN: dict[str, Mapping[str, str]] = {
    "role": dict(Role.choices),
    "theme": dict(User.Theme.choices),
    "events": events.NAMES,
    "shape": dict(WebhookEndpoint.Shape.choices),
    "scopes": SCOPES,
    "date_order": {"DMY": "day first", "MDY": "month first", "YMD": "year first"},
    "type": dict(CustomField.Type.choices),
    "subject": dict(CustomField.Subject.choices),
    "method": {"password": "the password", "link": "the mailed link"},
}


def _read(text: str, reader: Any, words: Any) -> str:
    try:
        return str(words(reader(text)))
    except ValueError:
        return _cut(text)


def _week(week: Mapping[str, Any]) -> str:
    """Hours by day of the week: "Mon 09:00–17:00; Tue …"."""
    days = [
        f"{WEEKDAYS[int(day)]} {_spans(week[day])}"
        for day in sorted(week)
        if day in {"0", "1", "2", "3", "4", "5", "6"} and week[day]
    ]
    return "; ".join(days) or EMPTY


def _spans(spans: Iterable[Any]) -> str:
    return ", ".join("–".join(str(end) for end in span) for span in spans)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
