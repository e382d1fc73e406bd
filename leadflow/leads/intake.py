"""The one door for facts and activities.

Every call is one transaction. Locks are taken in one order: visitors (by key), companies, leads (each by
id); only after the lock is the clock read for `recorded_at`, so that for each lead the order of recording
is the order of visibility. Each lead that changed leaves a LeadChanged row for the engine.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, TypeVar
from uuid import uuid4

from django.db import connection, transaction

from leadflow import clock, nudge
from leadflow.accounts.actors import Actor
from leadflow.accounts.models import User
from leadflow.errors import BadInput, Conflict, Fault, NotVisible
from leadflow.leads import bulk, single
from leadflow.leads.checking import ActivityReader, ActivityRow, Bad, LeadReader, LeadRow
from leadflow.leads.facts import ALIASES, COMPANY, Unreadable, clean, is_company_domain, known_facts
from leadflow.leads.folding import domain_of, fold
from leadflow.leads.models import ActivityKind, Company, DuplicatePair
from leadflow.leads.taking import (
    REVIEW_AFTER,
    Clash,
    Directory,
    Org,
    Person,
    Raced,
    Settled,
    campaigns,
    change_one_company,
    contents,
    settle,
)

OURS = "leadflow"
DERIVED = "derived"
BOUNCE = "email_bounced"
VISIT_GAP = timedelta(minutes=30)
ROUNDS = 8
Found = TypeVar("Found")


@dataclass(frozen=True)
class Rejected:
    """A row that was not taken: its place in the input and everything that is wrong with it."""

    index: int
    errors: list[Fault]


@dataclass
class Result:
    """What became of a batch.

    `accepted`: upsert: the lead of each good row, in input order; activities: the ids of the new rows.
    `lead_of`: the lead of each good row by its index (activities that wait on a visitor have none).
    `duplicate`: indexes of activities that were known already.
    `early`: indexes of outcomes dated before their lead was known.
    """

    accepted: list[int] = field(default_factory=list)
    created: list[int] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)
    duplicate: list[int] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    lead_of: dict[int, int] = field(default_factory=dict)
    early: list[int] = field(default_factory=list)


# --- leads -----------------------------------------------------------------------------------------


def upsert_leads(
    rows: Sequence[Mapping[str, Any]],
    *,
    source: str,
    actor: Actor,
    quiet: bool = False,
    at: datetime | None = None,
) -> Result:
    """Make or change leads. `source` names the system whose external ids the rows carry.

    A row holds keys of the catalogue of facts (or company, source, campaign), `external_id`, and custom
    fields by their key or under `custom`. What a row leaves out or leaves empty stays as it is. Later
    rows of one batch win. First source and first campaign are never replaced.
    """
    source = _source(source)
    known = known_facts()
    reader = LeadReader(known, source)
    read, rejected = _read(rows, reader.read)
    result, clashes = _rounds(
        lambda cursor: _take_leads(cursor, read, actor=actor, at=at, known=known, source=source, quiet=quiet)
    )
    _finish(result, rejected, clashes, at)
    return result


def _take_leads(
    cursor: Any,
    read: Sequence[LeadRow],
    *,
    actor: Actor,
    at: datetime | None,
    known: Mapping[str, Any],
    source: str,
    quiet: bool,
) -> tuple[Result, list["_Clashed"]]:
    directory = Directory()
    directory.load(cursor, (), {r.key for r in read if r.key}, {r.email_key for r in read if r.email_key})
    result, clashes = Result(), []
    people: dict[int, Person] = {}
    by_row: list[tuple[int, Person]] = []
    for row in read:
        try:
            person = directory.find(None, row.key, row.email_key)
        except Clash as clash:
            clashes.append(_Clashed(row.index, clash.one, clash.other))
            continue
        fault = _homeless(row, person)
        if fault:
            result.rejected.append(Rejected(row.index, [fault]))
            continue
        if person is None:
            person = Person(new=True, facts={"first_source": source[:80]})
        directory.take(person, row.key, row.email_key)
        person.facts.update(row.facts)
        person.company.update(row.company)
        person.plain.update(row.plain)
        people[id(person)] = person
        by_row.append((row.index, person))
    done = settle(
        cursor, list(people.values()), actor=actor, cause=f"intake: {source}"[:120], at=at, known=known
    )
    result.lead_of = {index: person.id for index, person in by_row}
    result.accepted = [person.id for _, person in by_row]
    _announce(result, done, quiet)
    return result, clashes


def _homeless(row: LeadRow, person: Person | None) -> Fault | None:
    """Facts of a company, and nothing that tells which."""
    facts = [key for key in row.company if key not in ("company_name", "company_domain")]
    if not facts or row.company.get("company_name") or row.company.get("company_domain"):
        return None
    if person is not None and (person.company_id is not None or person.company):
        return None
    if is_company_domain(domain_of(row.email_key or "")):
        return None
    return Fault(
        facts[0], "This is a fact of the company, and the row names none. Add company or company_domain."
    )


def change_lead(
    lead_id: int, fields: Mapping[str, Any], *, actor: Actor, cause: str, at: datetime | None = None
) -> bool:
    """Change facts of one lead by hand; an empty value empties the fact. Returns whether anything changed.

    Besides the lead's facts: `company` (a company's id or None), `owner` (a user's id or None),
    `sales_sourced`, `crm_url`, `external_owner`. Raises BadInput, NotVisible, and
    Conflict when the e-mail is another lead's.
    """
    known = known_facts()
    values, plain, faults = {}, {}, []
    for name, raw in fields.items():
        try:
            if name in _BY_HAND:
                plain[_BY_HAND[name]] = _plain(name, raw)
                continue
            key = name if name == COMPANY else ALIASES.get(name, name)
            fact = known.get(key)
            if key != COMPANY and (fact is None or fact.subject != "lead" or fact.derived):
                raise Unreadable("There is no such fact of a lead.")
            values[key] = raw if fact is None else fact.read(raw)
            if fact is not None and fact.type == "boolean" and not fact.custom:
                values[key] = bool(values[key])
        except Unreadable as wrong:
            faults.append(Fault(name, str(wrong)))
    company_given = COMPANY in values
    company_id = values.pop(COMPANY, None)
    if company_given and company_id is not None and not Company.objects.filter(pk=company_id).exists():
        faults.append(Fault(COMPANY, "There is no such company."))
    if faults:
        raise BadInput("The lead could not be changed.", faults)

    def one(cursor: Any) -> bool:
        directory = Directory()
        email_key = fold(values["email"]) if values.get("email") else None
        directory.load(cursor, [lead_id], (), [email_key] if email_key else ())
        person = directory.by_id.get(lead_id)
        if person is None:
            raise NotVisible
        other = directory.by_email.get(email_key) if email_key else None
        if other is not None and other is not person:
            raise Conflict("Another lead has this e-mail address.", {"lead": other.id})
        person.facts, person.plain, person.explicit = values, plain, True
        person.company_given = company_given
        if company_given:
            cursor.execute("SELECT 1 FROM leads_company WHERE id = %s FOR NO KEY UPDATE", [company_id])
            person.company_id = company_id
        done = settle(cursor, [person], actor=actor, cause=cause, at=at, known=known)
        if done.changed:
            mark_changed(done.changed, cause, at=done.at)
        return bool(done.changed)

    return _rounds(one)


_BY_HAND = {
    "owner": "owner_id",
    "sales_sourced": "sales_sourced",
    "crm_url": "crm_url",
    "external_owner": "external_owner",
}


def _plain(name: str, raw: Any) -> Any:
    if name == "owner":
        if raw is not None and not User.objects.filter(pk=raw, is_active=True).exists():
            raise Unreadable("There is no such active person.")
        return raw
    if name == "sales_sourced":
        return bool(raw)
    text = clean(raw or "", 500 if name == "crm_url" else 120)
    if name == "crm_url" and text and not text.startswith(("https://", "http://")):
        raise Unreadable("A link to the CRM begins with https://.")
    return text


def change_company(
    company_id: int, fields: Mapping[str, Any], *, actor: Actor, cause: str, at: datetime | None = None
) -> bool:
    """Change facts of a company by hand. Locks it, then its leads, and marks each of them changed.

    Raises BadInput, NotVisible, Conflict (the domain is another company's). Returns whether anything changed.
    """
    known = known_facts()
    values, faults = {}, []
    for name, raw in fields.items():
        key = ALIASES.get(name, name)
        fact = known.get(key)
        try:
            if fact is None or fact.subject != "company":
                raise Unreadable("There is no such fact of a company.")
            values[key] = fact.read(raw)
            if fact.type == "boolean" and not fact.custom:
                values[key] = bool(values[key])
            if key == "company_name" and not values[key]:
                raise Unreadable("A company needs a name.")
        except Unreadable as wrong:
            faults.append(Fault(name, str(wrong)))
    if faults:
        raise BadInput("The company could not be changed.", faults)
    domain = values.get("company_domain")

    def one(cursor: Any) -> bool:
        if domain:
            other = Company.objects.filter(domain=domain).exclude(pk=company_id).first()
            if other is not None:
                raise Conflict(f"{other.name} has this domain already.", {"company": other.pk})
        done = change_one_company(
            cursor, Org(id=company_id, wish=values), actor=actor, cause=cause, at=at, known=known
        )
        if done is None:
            raise NotVisible
        if done.changed:
            mark_changed(done.changed, cause, at=done.at)
        return bool(done.created or done.changed)

    return _rounds(one)


def mark_changed(lead_ids: Iterable[int], cause: str, *, at: datetime, quiet: bool = False) -> None:
    """Tell the engine that these leads' scores are out of date; in the transaction of the change."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO leads_leadchanged (lead_id, cause, quiet, recorded_at)"
            " SELECT id, %s, %s, %s FROM unnest(%s::bigint[]) AS id",
            [cause[:80], quiet, at, bulk.numbers(sorted(set(lead_ids)))],
        )
        if cursor.rowcount:
            nudge.wake("flow.score")


# --- activities ------------------------------------------------------------------------------------


def record_activities(
    rows: Sequence[Mapping[str, Any]],
    *,
    actor: Actor,
    at: datetime | None = None,
    quiet: bool = False,
    strict: bool = False,
    noted: bool = False,
) -> Result:
    """Record what leads did; a row known by (source, external_id) counts once.

    A row: source, external_id, kind, occurred_at (with its zone), one or more of email, lead_id,
    external_lead_id (of lead_source, else source), visitor_id; besides properties, path, campaign,
    content, message_key, user_id, channel, result, handoff_id. Without `strict` a row without source and
    external_id is our own and gets both. An unknown e-mail makes the lead; a row with only a visitor_id
    waits on the visitor; up to five minutes ahead counts as now. `noted`: whoever calls knows of our
    contacts among them already, so that no ContactSeen waits for handoff.
    """
    kinds = _kinds(rows)
    reader = ActivityReader(kinds, at or clock.now(), None if strict else lambda: (OURS, uuid4().hex))
    read, rejected = _read(rows, reader.read)
    rejected += _unknown_people(read, actor)
    # Only a row with an address can change what a lead is.
    known = known_facts() if any(row.email_key for row in read) else {}
    # Who is named by our own number is there already: nothing is made that another could make meanwhile.
    alone = all(row.lead_id and not (row.email_key or row.visitor or row.key) for row in read)
    if len(read) == 1 and single.fits(read[0]) and (one := _take_one(read[0], at, quiet)) is not None:
        _finish(one, rejected, (), at)
        return one
    result, clashes = _rounds(
        lambda cursor: _take_activities(cursor, read, actor, at, known, quiet, noted, alone), alone=alone
    )
    _finish(result, rejected, clashes, at)
    return result


def _take_one(row: ActivityRow, at: datetime | None, quiet: bool) -> Result | None:
    """The short way of one simple row; None when it must go the long one."""
    taken = single.take(row, at, quiet, DERIVED, VISIT_GAP)
    if taken is None or row.lead_id is None:
        return None
    result = Result(lead_of={row.index: row.lead_id})
    if taken.id is None:
        result.duplicate.append(row.index)
    else:
        result.accepted, result.changed = [taken.id], [row.lead_id]
    return result


def _kinds(rows: Sequence[Any]) -> dict[str, ActivityKind]:
    """The kinds that the rows name; all of them when one is named that there is none of."""
    named = {row["kind"] for row in rows if isinstance(row, Mapping) and isinstance(row.get("kind"), str)}
    # Asked for by name only what could be one: a key is a slug.
    if named and all(name.isascii() and name.isprintable() for name in named):
        found = _active_kinds(" AND key = ANY(%s)", [list(named)])
        if found.keys() == named:
            return found
    return _active_kinds()


def _active_kinds(which: str = "", args: Sequence[Any] = ()) -> dict[str, ActivityKind]:
    """The catalogue, or some of it. Asked in SQL: this stands before every single act."""
    asked = f"SELECT * FROM leads_activitykind WHERE active{which}"  # noqa: S608 - two words of our own
    return {kind.key: kind for kind in ActivityKind.objects.raw(asked, args)}


def _unknown_people(read: list[ActivityRow], actor: Actor) -> list[Rejected]:
    """Rows whose user_id names nobody are taken out of `read`."""
    there = {actor.user_id}
    wanted = {row.user_id for row in read if row.user_id} - there
    if not wanted:
        return []
    there |= set(User.objects.filter(pk__in=wanted).values_list("pk", flat=True))
    bad = [row for row in read if row.user_id and row.user_id not in there]
    read[:] = [row for row in read if not row.user_id or row.user_id in there]
    return [Rejected(row.index, [Fault("user_id", "There is no such person in LeadFlow.")]) for row in bad]


@dataclass(slots=True)
class _Browser:
    id: int
    lead_id: int | None
    person: Person | None = None


def _take_activities(
    cursor: Any,
    read: Sequence[ActivityRow],
    actor: Actor,
    at: datetime | None,
    known: Mapping[str, Any],
    quiet: bool,
    noted: bool,
    alone: bool,
) -> tuple[Result, list["_Clashed"]]:
    result, clashes = Result(), []
    # Where a known row makes nothing but itself, the writing of it is soon enough to find out.
    fresh = _once(read, result, set()) if alone else _only_new(cursor, read, result)
    browsers = _browsers(cursor, fresh)
    directory = Directory()
    directory.load(
        cursor,
        {r.lead_id for r in fresh if r.lead_id} | {b.lead_id for b in browsers.values() if b.lead_id},
        {r.key for r in fresh if r.key},
        {r.email_key for r in fresh if r.email_key},
        lock=alone,
    )
    for browser in browsers.values():
        browser.person = directory.by_id.get(browser.lead_id) if browser.lead_id else None
    joins: dict[int, Person] = {}
    good: list[ActivityRow] = []
    faults: dict[int, Fault] = {}
    for row in fresh:
        try:
            fault = _whose(row, directory, browsers, joins)
        except Clash as clash:
            clashes.append(_Clashed(row.index, clash.one, clash.other))
            continue
        if fault:
            faults[row.index] = fault
        else:
            good.append(row)
    if faults:
        nobodys = [row for row in fresh if row.index in faults]
        if alone:
            nobodys = _only_new(cursor, nobodys, result)
        result.rejected += [Rejected(row.index, [faults[row.index]]) for row in nobodys]
    if alone:
        # Locked already, and nothing about them changes.
        done = Settled(at or clock.now(), [], [])
    else:
        people = list({id(r.person): r.person for r in good if r.person}.values())
        done = settle(cursor, people, actor=actor, cause="activity", at=at, known=known)
    kept = _write_activities(cursor, good, browsers, done.at, result)
    _derive_visits(cursor, kept)
    _note(cursor, kept, done.at, noted)
    _join(cursor, [(visitor, person.id) for visitor, person in joins.items()], done.at, actor.user_id)
    result.accepted = [row.id for row in kept]
    result.lead_of = {r.index: r.person.id for r in good if r.person}
    touched = {r.person.id for r in kept if r.person} | {p.id for p in joins.values()} | set(done.created)
    result.created = done.created
    result.changed = sorted(touched)
    if touched:
        mark_changed(touched, "activity", at=done.at, quiet=quiet)
    return result, clashes


def _only_new(cursor: Any, read: Sequence[ActivityRow], result: Result) -> list[ActivityRow]:
    """The rows that are neither recorded already nor twice in the batch."""
    if all(row.ours for row in read):
        return list(read)
    rows, params = bulk.table(
        {"source": "text", "external_id": "text"},
        {"source": [r.source for r in read], "external_id": [r.external_id for r in read]},
    )
    cursor.execute(
        # One at most, and said so: else a table of millions may be read through for a batch.
        f"SELECT r.source, r.external_id FROM {rows}, LATERAL (SELECT 1 FROM leads_activity a"  # noqa: S608
        " WHERE a.source = r.source AND a.external_id = r.external_id LIMIT 1) a",
        params,
    )
    return _once(read, result, set(cursor.fetchall()))


def _once(read: Sequence[ActivityRow], result: Result, seen: set[tuple[str, str]]) -> list[ActivityRow]:
    """The rows whose names are not among those seen, each name once."""
    fresh = []
    for row in read:
        name = (row.source, row.external_id)
        if name in seen:
            result.duplicate.append(row.index)
        else:
            seen.add(name)
            fresh.append(row)
    return fresh


def _browsers(cursor: Any, read: Sequence[ActivityRow]) -> dict[str, _Browser]:
    """The visitors of the batch, made where unknown. They stay locked: a join waits until we are done."""
    seen: dict[str, tuple[datetime, datetime]] = {}
    for row in read:
        if row.visitor:
            first, last = seen.get(row.visitor, (row.occurred_at, row.occurred_at))
            seen[row.visitor] = (min(first, row.occurred_at), max(last, row.occurred_at))
    types = {
        "key": "text",
        "first_source": "text",
        "referrer": "text",
        "first_seen_at": "timestamptz",
        "last_seen_at": "timestamptz",
    }
    bulk.insert(
        cursor,
        "leads_visitor AS v",
        types,
        [
            {"key": key, "first_source": "", "referrer": "", "first_seen_at": first, "last_seen_at": last}
            for key, (first, last) in seen.items()
        ],
        "ON CONFLICT (key) DO UPDATE SET first_seen_at = least(v.first_seen_at, excluded.first_seen_at),"
        " last_seen_at = greatest(v.last_seen_at, excluded.last_seen_at) RETURNING key, id, lead_id",
        order="key",
    )
    return {key: _Browser(pk, lead_id) for key, pk, lead_id in cursor.fetchall()} if seen else {}


def _whose(
    row: ActivityRow, directory: Directory, browsers: Mapping[str, _Browser], joins: dict[int, Person]
) -> Fault | None:
    """Set the row's person; a fault when it names a lead that nobody knows. Raises Clash."""
    person = directory.find(row.lead_id, row.key, row.email_key)
    if row.lead_id and row.lead_id not in directory.by_id:
        return Fault("lead_id", f"There is no lead {row.lead_id}. Leave it out and send the email instead.")
    if person is None and row.key and not row.email_key:
        source, external_id = row.key
        return Fault(
            "external_lead_id",
            f"No lead is known as “{external_id[:60]}” of “{source}”. Send the lead first, or its email.",
        )
    if person is None and row.email_key:
        person = Person(new=True, facts={"email": row.email, "first_source": row.source})
        if row.campaign:
            person.facts["first_campaign"] = row.campaign
    if person is not None:
        # An activity tells an address that is missing; it never replaces one.
        if row.email_key and person.email_key is None:
            person.facts["email"] = row.email
            directory.take(person, row.key, row.email_key)
        else:
            directory.take(person, row.key, None)
    browser = browsers[row.visitor] if row.visitor else None
    if browser is not None:
        if person is None:
            person = browser.person
        elif browser.person is None:
            browser.person = person
            joins[browser.id] = person
    row.person = person
    return None


_ACTIVITY_TYPES = {
    "source": "text", "external_id": "text", "kind_id": "smallint", "lead_id": "bigint",
    "first_lead_id": "bigint", "visitor_id": "bigint", "occurred_at": "timestamptz",
    "recorded_at": "timestamptz", "path": "text", "campaign_id": "bigint", "content_id": "bigint",
    "message_key": "text", "user_id": "bigint", "channel": "text", "result": "text",
    "handoff_id": "bigint", "properties": "jsonb",
}  # fmt: skip


def _write_activities(
    cursor: Any,
    good: Sequence[ActivityRow],
    browsers: Mapping[str, _Browser],
    stamp: datetime,
    result: Result,
) -> list[ActivityRow]:
    """The rows that are new, each with its id; what another transaction recorded meanwhile is known."""
    if not good:
        return []
    campaign_ids = campaigns(cursor, {r.campaign for r in good if r.campaign}, stamp)
    content_ids = contents(cursor, {r.content for r in good if r.content})
    # In one order for all: two batches that bring the same rows wait for each other, never crosswise.
    rows = sorted(good, key=_name)
    for row in rows:
        if row.occurred_at > stamp:
            row.occurred_at = stamp
    leads = [row.person.id if row.person else None for row in rows]
    columns: dict[str, list[Any]] = {
        "source": [row.source for row in rows],
        "external_id": [row.external_id for row in rows],
        "kind_id": [row.kind.pk for row in rows],
        "lead_id": leads,
        "first_lead_id": leads,
        "visitor_id": [browsers[row.visitor].id if row.visitor else None for row in rows],
        "occurred_at": [row.occurred_at for row in rows],
        "recorded_at": [stamp] * len(rows),
        "path": [row.path for row in rows],
        "campaign_id": [campaign_ids.get(row.campaign) for row in rows],
        "content_id": [content_ids.get(row.content) for row in rows],
        "message_key": [row.message_key for row in rows],
        "user_id": [row.user_id for row in rows],
        "channel": [row.channel for row in rows],
        "result": [row.result for row in rows],
        "handoff_id": [row.handoff_id for row in rows],
        "properties": [row.properties for row in rows],
    }
    bulk.insert_columns(
        cursor,
        "leads_activity",
        _ACTIVITY_TYPES,
        columns,
        "ON CONFLICT (source, external_id) DO NOTHING RETURNING source, external_id, id",
    )
    ids = {(source, external_id): pk for source, external_id, pk in cursor.fetchall()}
    kept = []
    for row in good:
        if pk := ids.get((row.source, row.external_id)):
            row.id = pk
            kept.append(row)
        else:
            result.duplicate.append(row.index)
    return kept


_name = attrgetter("source", "external_id")


def _derive_visits(cursor: Any, kept: Sequence[ActivityRow]) -> None:
    """A page view with none of the same person in the 30 minutes before is also a visit."""
    views: dict[bool, list[tuple[Any, datetime, int]]] = {True: [], False: []}
    for row in kept:
        if row.kind.key == "page_view":
            whose = row.person.id if row.person else row.visitor
            views[row.person is not None].append((whose, row.occurred_at, row.id))
    for known_person, seen in views.items():
        if seen:
            _write_visits(cursor, _first_views(seen), known_person)


def _first_views(views: list[tuple[Any, datetime, int]]) -> list[int]:
    """The views (whose, when, id) before which the batch itself has none for so long."""
    views.sort()
    first: list[int] = []
    before: dict[Any, datetime] = {}
    for whose, at, pk in views:
        if whose not in before or before[whose] <= at - VISIT_GAP:
            first.append(pk)
        before[whose] = at
    return first


def _write_visits(cursor: Any, page_views: Sequence[int], known_person: bool) -> None:
    person = "a.lead_id = b.lead_id" if known_person else "b.lead_id IS NULL AND a.visitor_id = b.visitor_id"
    cursor.execute(
        f"""
        INSERT INTO leads_activity
            (source, external_id, kind_id, lead_id, first_lead_id, visitor_id, occurred_at, recorded_at,
             path, campaign_id, message_key, channel, result, properties)
        SELECT %s, 'visit-' || a.id, v.id, a.lead_id, a.lead_id, a.visitor_id, a.occurred_at,
            a.recorded_at,
            a.path, a.campaign_id, '', '', '', '{{}}'::jsonb
        FROM leads_activity a JOIN leads_activitykind v ON v.key = 'visit'
        WHERE a.id = ANY(%s::bigint[]) AND NOT EXISTS (
            SELECT 1 FROM leads_activity b WHERE {person} AND b.kind_id = a.kind_id
            AND b.occurred_at > a.occurred_at - %s::interval
            AND (b.occurred_at, b.id) < (a.occurred_at, a.id))
        ON CONFLICT (source, external_id) DO NOTHING
        """,  # noqa: S608 - two fixed conditions of our own
        [DERIVED, bulk.numbers(page_views), VISIT_GAP],
    )


def _note(cursor: Any, kept: Sequence[ActivityRow], stamp: datetime, noted: bool) -> None:
    """What handoff, nurture and the lead itself must know of new activities."""
    mine = [row for row in kept if row.person is not None]
    contacts = [row for row in mine if row.kind.contact] if not noted else []
    signals = [row for row in mine if row.kind.reply or row.kind.stop]
    types = {"lead_id": "bigint", "activity_id": "bigint", "recorded_at": "timestamptz"}
    if contacts:
        bulk.insert_columns(cursor, "leads_contactseen", types, _seen(contacts, stamp))
        nudge.wake("flow.open")
    if signals:
        kinds = ["stop" if row.kind.stop else "reply" for row in signals]
        columns = {**_seen(signals, stamp), "kind": kinds}
        bulk.insert_columns(cursor, "leads_tracksignal", {**types, "kind": "text"}, columns)
        nudge.wake("clock.tick")
    _mark(cursor, mine)


def _seen(rows: Sequence[ActivityRow], stamp: datetime) -> dict[str, list[Any]]:
    return {
        "lead_id": [row.person.id for row in rows],
        "activity_id": [row.id for row in rows],
        "recorded_at": [stamp] * len(rows),
    }


_MARKS = """
    UPDATE leads_lead l SET
        last_own_act_at = greatest(l.last_own_act_at, n.own),
        bounced_at = greatest(l.bounced_at, n.bounced),
        unsubscribed_at = greatest(l.unsubscribed_at, n.stopped),
        review_at = greatest(l.review_at, n.own + %s)
    FROM {newest} WHERE l.id = n.lead_id
"""


def _mark(cursor: Any, rows: Sequence[ActivityRow]) -> None:
    """Keep the newest own act, hard bounce and stop on the lead. A bounce is hard unless it says no."""
    own: dict[int, datetime] = {}
    bounced: dict[int, datetime] = {}
    stopped: dict[int, datetime] = {}
    for row in rows:
        kind, lead_id = row.kind, row.person.id
        for newest, counts in (
            (own, kind.own_act),
            (stopped, kind.stop),
            (bounced, kind.key == BOUNCE and row.properties.get("hard") not in (False, "false")),
        ):
            if counts and (lead_id not in newest or newest[lead_id] < row.occurred_at):
                newest[lead_id] = row.occurred_at
    ids = sorted({*own, *bounced, *stopped})
    if not ids:
        return
    types = {"lead_id": "bigint", "own": "timestamptz", "bounced": "timestamptz", "stopped": "timestamptz"}
    columns: dict[str, list[Any]] = {
        "lead_id": ids,
        "own": [own.get(n) for n in ids],
        "bounced": [bounced.get(n) for n in ids],
        "stopped": [stopped.get(n) for n in ids],
    }
    source, params = bulk.table(types, columns)
    # Named twice, so that a big table is not read through for a few of its leads.
    cursor.execute(
        _MARKS.format(newest=f"(SELECT * FROM {source}) n") + " AND l.id = ANY(%s::bigint[])",  # noqa: S608
        [REVIEW_AFTER, *params, bulk.numbers(ids)],
    )


def _mark_again(cursor: Any, activity_ids: Sequence[int]) -> None:
    """The same from acts that are recorded already and came to another lead."""
    if not activity_ids:
        return
    newest = """(
        SELECT a.lead_id,
            max(a.occurred_at) FILTER (WHERE k.own_act) AS own,
            max(a.occurred_at) FILTER (WHERE k.key = %s
                AND coalesce(a.properties->>'hard', 'true') <> 'false') AS bounced,
            max(a.occurred_at) FILTER (WHERE k.stop) AS stopped
        FROM leads_activity a JOIN leads_activitykind k ON k.id = a.kind_id
        WHERE a.id = ANY(%s::bigint[]) AND (k.own_act OR k.stop OR k.key = %s)
        GROUP BY a.lead_id
    ) n"""
    cursor.execute(_MARKS.format(newest=newest), [REVIEW_AFTER, BOUNCE, bulk.numbers(activity_ids), BOUNCE])


# --- visitors --------------------------------------------------------------------------------------


def join_visitor(
    visitor_key: str, lead_id: int, *, at: datetime | None = None, by: User | None = None
) -> None:
    """Say that a browser is this lead's: all it did so far becomes the lead's, from now on.

    Doing it twice changes nothing. Raises NotVisible, and Conflict when the browser is another lead's.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, lead_id FROM leads_visitor WHERE key = %s FOR NO KEY UPDATE", [visitor_key]
        )
        found = cursor.fetchone()
        cursor.execute("SELECT id FROM leads_lead WHERE id = %s FOR NO KEY UPDATE", [lead_id])
        if found is None or cursor.fetchone() is None:
            raise NotVisible
        visitor_id, present = found
        if present == lead_id:
            return
        if present is not None:
            raise Conflict("This browser belongs to another lead already.", {"lead": present})
        stamp = at or clock.now()
        _join(cursor, [(visitor_id, lead_id)], stamp, by.pk if by else None)
        mark_changed([lead_id], "visitor", at=stamp)


def _join(cursor: Any, pairs: Sequence[tuple[int, int]], stamp: datetime, by: int | None) -> None:
    """Give browsers and what they did to leads. Visitors and leads are locked."""
    if not pairs:
        return
    visitors, leads = [v for v, _ in pairs], [lead for _, lead in pairs]
    pair = "unnest(%s::bigint[], %s::bigint[]) AS p(visitor_id, lead_id)"
    cursor.execute(
        f"UPDATE leads_visitor v SET lead_id = p.lead_id FROM {pair} WHERE v.id = p.visitor_id",  # noqa: S608
        [visitors, leads],
    )
    cursor.execute(
        "INSERT INTO leads_visitorjoin (visitor_id, lead_id, at, confirmed_by_id)"  # noqa: S608
        f" SELECT p.visitor_id, p.lead_id, %s, %s FROM {pair}",
        [stamp, by, visitors, leads],
    )
    cursor.execute(
        f"UPDATE leads_activity a SET lead_id = p.lead_id, moved_at = %s FROM {pair}"  # noqa: S608
        " WHERE a.visitor_id = p.visitor_id AND a.lead_id IS NULL RETURNING a.id",
        [stamp, visitors, leads],
    )
    _mark_again(cursor, [row[0] for row in cursor.fetchall()])


# --- the frame of a batch --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Clashed:
    index: int
    one: Person
    other: Person


def _read(
    rows: Sequence[Mapping[str, Any]], reader: Callable[[int, Mapping[str, Any]], Found]
) -> tuple[list[Found], list[Rejected]]:
    good, rejected = [], []
    for index, row in enumerate(rows):
        try:
            good.append(reader(index, row))
        except Bad as bad:
            rejected.append(Rejected(index, bad.faults))
    return good, rejected


def _rounds(step: Callable[[Any], Found], alone: bool = False) -> Found:
    """Carry out a step; when another transaction was quicker, roll it back and look again.

    `alone`: the step cannot meet another one, so there is nothing to come back to.
    """
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        if alone:
            return step(cursor)
        for _ in range(ROUNDS):
            try:
                with transaction.atomic():
                    return step(cursor)
            except Raced:
                continue
    raise Conflict("Others are writing the same leads at this moment. Send it again.")


def _finish(
    result: Result, rejected: Sequence[Rejected], clashes: Sequence[_Clashed], at: datetime | None
) -> None:
    words = "The row names two different leads ({one} and {other}). It was not taken; look at the pair."
    pairs = {}
    for clash in clashes:
        low, high = sorted((clash.one.id, clash.other.id))
        result.rejected.append(Rejected(clash.index, [Fault("", words.format(one=low, other=high))]))
        pairs[low, high] = DuplicatePair(
            lead_id=low, other_id=high, why="One row named both of them.", at=at or clock.now()
        )
    if pairs:
        DuplicatePair.objects.bulk_create(pairs.values(), ignore_conflicts=True)
    result.rejected.extend(rejected)
    result.rejected.sort(key=lambda r: r.index)
    result.duplicate.sort()


def _announce(result: Result, done: Settled, quiet: bool) -> None:
    result.created, result.changed = done.created, done.changed
    if done.created:
        mark_changed(done.created, "created", at=done.at, quiet=quiet)
    if done.changed:
        mark_changed(done.changed, "facts", at=done.at, quiet=quiet)


def _source(source: str) -> str:
    try:
        text = clean(source, 80)
    except Unreadable as wrong:
        raise BadInput("The source cannot be read.", [Fault("source", str(wrong))]) from None
    if not text:
        raise BadInput("The source is missing.", [Fault("source", "Name the system the rows come from.")])
    return text
