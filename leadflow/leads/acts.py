"""Taking acts in: what is new, whose it is, written set by set. Used by `intake` only.

Locks are taken as in `taking`: visitors first (by key), then companies and leads; then the clock is read.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from operator import attrgetter
from typing import Any

from leadflow import clock, nudge
from leadflow.accounts.actors import Actor
from leadflow.errors import Fault
from leadflow.leads import bulk
from leadflow.leads.checking import ActivityRow
from leadflow.leads.results import Clashed, Rejected, Result
from leadflow.leads.taking import REVIEW_AFTER, Clash, Directory, Person, Settled, campaigns, contents, settle

DERIVED = "derived"
BOUNCE = "email_bounced"
VISIT_GAP = timedelta(minutes=30)


@dataclass(frozen=True)
class Batch:
    """Rows that could be read. `named`: what any of them may have filled in."""

    rows: list[ActivityRow]
    named: set[Any]

    @cached_property
    def alone(self) -> bool:
        """Whether every row names its lead by our own number, and nobody else: who is named so is there
        already, and nothing is made that another transaction could make meanwhile."""
        if self.named.isdisjoint(_OTHERS):
            return True
        return all(row.lead_id and not (row.email_key or row.visitor or row.key) for row in self.rows)

    @property
    def addresses(self) -> bool:
        """Whether a row brings an address: only these can change what a lead is."""
        return "email_key" in self.named and any(row.email_key for row in self.rows)


_OTHERS = frozenset({"email_key", "visitor", "key"})


@dataclass(slots=True)
class _Browser:
    id: int
    lead_id: int | None
    person: Person | None = None


@dataclass
class _Whose:
    """The new rows and whose they are. `joins`: the browsers, by number, that turned out to be a lead's."""

    good: list[ActivityRow]
    done: Settled
    browsers: dict[str, _Browser] = field(default_factory=dict)
    joins: dict[int, Person] = field(default_factory=dict)
    clashes: list[Clashed] = field(default_factory=list)


def take(
    cursor: Any, batch: Batch, *, actor: Actor, at: datetime | None, known: Mapping[str, Any], noted: bool
) -> tuple[Result, list[Clashed], datetime]:
    """Record the rows; also the instant at which they are. Raises Raced. See `intake.record_activities`."""
    result = Result()
    if batch.alone:
        whose = _numbered(cursor, batch.rows, at, result)
    else:
        whose = _named(cursor, batch.rows, actor, at, known, result)
    good, done = whose.good, whose.done
    kept = _write_activities(cursor, good, batch.named, whose.browsers, done.at, result)
    mine = [row for row in kept if row.person is not None]
    _derive_visits(cursor, kept)
    _note(cursor, mine, done.at, noted)
    join(cursor, [(visitor, p.id) for visitor, p in whose.joins.items()], done.at, actor.user_id)
    result.accepted = [row.id for row in kept]
    result.lead_of = {row.index: row.person.id for row in good if row.person is not None}
    result.created = done.created
    joined = {person.id for person in whose.joins.values()}
    result.changed = sorted({row.person.id for row in mine} | joined | set(done.created))
    return result, whose.clashes, done.at


def _numbered(cursor: Any, read: Sequence[ActivityRow], at: datetime | None, result: Result) -> _Whose:
    """Acts of leads that are named by our own number: these are locked, nothing else about them changes."""
    # A known row makes nothing but itself: the writing of it is soon enough to find out.
    fresh = _once(read, result, set())
    directory = Directory()
    directory.load(cursor, {row.lead_id for row in fresh if row.lead_id}, lock=True)
    for row in fresh:
        row.person = directory.by_id.get(row.lead_id or 0)
    good = [row for row in fresh if row.person is not None]
    if len(good) < len(fresh):
        nobodys = _only_new(cursor, [row for row in fresh if row.person is None], result)
        result.rejected += [Rejected(row.index, [_nobody(row)]) for row in nobodys]
    return _Whose(good, Settled(at or clock.now(), [], []))


def _named(
    cursor: Any,
    read: Sequence[ActivityRow],
    actor: Actor,
    at: datetime | None,
    known: Mapping[str, Any],
    result: Result,
) -> _Whose:
    """Acts of leads under whatever name; an unknown address makes the lead."""
    fresh = _only_new(cursor, read, result)
    browsers = _browsers(cursor, fresh)
    directory = Directory()
    directory.load(
        cursor,
        {r.lead_id for r in fresh if r.lead_id} | {b.lead_id for b in browsers.values() if b.lead_id},
        {r.key for r in fresh if r.key},
        {r.email_key for r in fresh if r.email_key},
    )
    for browser in browsers.values():
        browser.person = directory.by_id.get(browser.lead_id) if browser.lead_id else None
    joins: dict[int, Person] = {}
    good: list[ActivityRow] = []
    clashes: list[Clashed] = []
    for row in fresh:
        try:
            fault = _whose(row, directory, browsers, joins)
        except Clash as clash:
            clashes.append(Clashed(row.index, clash.one, clash.other))
            continue
        if fault:
            result.rejected.append(Rejected(row.index, [fault]))
        else:
            good.append(row)
    people = list({id(r.person): r.person for r in good if r.person}.values())
    done = settle(cursor, people, actor=actor, cause="activity", at=at, known=known)
    return _Whose(good, done, browsers, joins, clashes)


def _nobody(row: ActivityRow) -> Fault:
    return Fault("lead_id", f"There is no lead {row.lead_id}. Leave it out and send the email instead.")


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
    names = [(row.source, row.external_id) for row in read]
    if seen.isdisjoint(names) and len(set(names)) == len(names):
        return list(read)
    fresh = []
    for row, name in zip(read, names, strict=True):
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
        return _nobody(row)
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
    named: Container[str],
    browsers: Mapping[str, _Browser],
    stamp: datetime,
    result: Result,
) -> list[ActivityRow]:
    """The rows that are new, each with its id; what another transaction recorded meanwhile is known."""
    if not good:
        return []
    # In one order for all: two batches that bring the same rows wait for each other, never crosswise.
    rows = sorted(good, key=_name)
    for row in rows:
        if row.occurred_at > stamp:
            row.occurred_at = stamp

    def said(name: str) -> list[Any]:
        # What no row says stands in the class.
        return (
            list(map(attrgetter(name), rows)) if name in named else [getattr(ActivityRow, name)] * len(rows)
        )

    leads = [row.person.id if row.person is not None else None for row in rows]
    campaign, content, visitor = said("campaign"), said("content"), said("visitor")
    campaign_ids = campaigns(cursor, {code for code in set(campaign) if code}, stamp)
    content_ids = contents(cursor, {key for key in set(content) if key})
    columns: dict[str, list[Any]] = {
        "source": said("source"),
        "external_id": said("external_id"),
        "kind_id": [row.kind.id for row in rows],
        "lead_id": leads,
        "first_lead_id": leads,
        "visitor_id": [browsers[key].id if key else None for key in visitor],
        "occurred_at": [row.occurred_at for row in rows],
        "recorded_at": [stamp] * len(rows),
        "path": said("path"),
        "campaign_id": list(map(campaign_ids.get, campaign)),
        "content_id": list(map(content_ids.get, content)),
        "message_key": said("message_key"),
        "user_id": said("user_id"),
        "channel": said("channel"),
        "result": said("result"),
        "handoff_id": said("handoff_id"),
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
    for row in good:
        row.id = ids.get((row.source, row.external_id), 0)
    if len(ids) == len(good):
        return list(good)
    result.duplicate += [row.index for row in good if not row.id]
    return [row for row in good if row.id]


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


def _note(cursor: Any, mine: Sequence[ActivityRow], stamp: datetime, noted: bool) -> None:
    """What handoff, nurture and the lead itself must know of new activities of leads."""
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
    own = _newest(row for row in rows if row.kind.own_act)
    stopped = _newest(row for row in rows if row.kind.stop)
    bounced = _newest(
        row for row in rows if row.kind.key == BOUNCE and row.properties.get("hard") not in (False, "false")
    )
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


def _newest(rows: Iterable[ActivityRow]) -> dict[int, datetime]:
    found: dict[int, datetime] = {}
    for row in rows:
        lead_id, at = row.person.id, row.occurred_at
        if lead_id not in found or found[lead_id] < at:
            found[lead_id] = at
    return found


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


def join(cursor: Any, pairs: Sequence[tuple[int, int]], stamp: datetime, by: int | None) -> None:
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
