"""The one door for facts and activities.

Every call is one transaction. Locks are taken in one order: visitors (by key), companies, leads (each by
id); only after the lock is the clock read for `recorded_at`, so that for each lead the order of recording
is the order of visibility. Each lead that changed leaves a LeadChanged row for the engine.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import uuid4

from django.db import connection, transaction

from leadflow import clock, nudge
from leadflow.accounts.actors import Actor
from leadflow.accounts.models import User
from leadflow.errors import BadInput, Conflict, Fault, NotVisible
from leadflow.leads import acts, bulk, single
from leadflow.leads.checking import ActivityReader, ActivityRow, Bad, LeadReader, LeadRow
from leadflow.leads.facts import ALIASES, COMPANY, Unreadable, clean, is_company_domain, known_facts
from leadflow.leads.folding import domain_of, fold
from leadflow.leads.models import ActivityKind, Company, DuplicatePair
from leadflow.leads.results import Clashed, Rejected, Result
from leadflow.leads.taking import Clash, Directory, Org, Person, Raced, Settled, change_one_company, settle

OURS = "leadflow"
ROUNDS = 8
Found = TypeVar("Found")


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
) -> tuple[Result, list[Clashed]]:
    directory = Directory()
    directory.load(cursor, (), {r.key for r in read if r.key}, {r.email_key for r in read if r.email_key})
    result, clashes = Result(), []
    people: dict[int, Person] = {}
    by_row: list[tuple[int, Person]] = []
    for row in read:
        try:
            person = directory.find(None, row.key, row.email_key)
        except Clash as clash:
            clashes.append(Clashed(row.index, clash.one, clash.other))
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
    reader = ActivityReader(_kinds(rows), at or clock.now(), None if strict else lambda: (OURS, uuid4().hex))
    read, rejected = _read(rows, reader.read)
    named = reader.named()
    if "user_id" in named:
        rejected += _unknown_people(read, actor)
    if len(read) == 1 and single.fits(read[0]) and (one := _take_one(read[0], at, quiet)) is not None:
        _finish(one, rejected, (), at)
        return one
    batch = acts.Batch(read, named)
    known = known_facts() if batch.addresses else {}

    def one_round(cursor: Any) -> tuple[Result, list[Clashed]]:
        result, clashes, stamp = acts.take(cursor, batch, actor=actor, at=at, known=known, noted=noted)
        if result.changed:
            mark_changed(result.changed, "activity", at=stamp, quiet=quiet)
        return result, clashes

    result, clashes = _rounds(one_round, alone=batch.alone)
    _finish(result, rejected, clashes, at)
    return result


def _take_one(row: ActivityRow, at: datetime | None, quiet: bool) -> Result | None:
    """The short way of one simple row; None when it must go the long one."""
    taken = single.take(row, at, quiet, acts.DERIVED, acts.VISIT_GAP)
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
    said = [row.get("kind") for row in rows if type(row) is dict or isinstance(row, Mapping)]
    named = {kind for kind in said if isinstance(kind, str)}
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
        acts.join(cursor, [(visitor_id, lead_id)], stamp, by.pk if by else None)
        mark_changed([lead_id], "visitor", at=stamp)


# --- the frame of a batch --------------------------------------------------------------------------


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
    result: Result, rejected: Sequence[Rejected], clashes: Sequence[Clashed], at: datetime | None
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
