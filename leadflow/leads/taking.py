"""Taking leads in: who is meant, what changes, written set by set. Used by `intake` only.

One call of `settle` is one round; when another transaction made the same lead or company meanwhile it
raises Raced, the caller rolls back to its savepoint and starts the round again with fresh eyes.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import IntegrityError

from leadflow import clock
from leadflow.accounts.actors import Actor
from leadflow.leads import bulk, stages
from leadflow.leads.facts import COMPANY, FIRST_TOUCH, Fact, is_company_domain, old_words
from leadflow.leads.folding import domain_of, fold, words

REVIEW_AFTER = timedelta(days=90)
# One transaction at a time makes companies that have a name only: nothing unique stands behind a name.
NAMES_LOCK = 7_204_101

Key = tuple[str, str]


class Raced(Exception):
    """Another transaction made what this one was about to make."""


@dataclass(slots=True, eq=False)
class Person:
    """What a batch wants of one lead. `id` is set from the start for known leads."""

    id: int = 0
    new: bool = False
    email_key: str | None = None
    company_id: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    company: dict[str, Any] = field(default_factory=dict)
    plain: dict[str, Any] = field(default_factory=dict)
    keys: list[Key] = field(default_factory=list)
    # A person's explicit change: may empty a fact and replace the first touch.
    explicit: bool = False
    company_given: bool = False


@dataclass(slots=True, eq=False)
class Org:
    """What a batch wants of one company."""

    id: int = 0
    new: bool = False
    name: str = ""
    domain: str | None = None
    wish: dict[str, Any] = field(default_factory=dict)


@dataclass
class Clash(Exception):
    """One row names two different leads."""

    one: Person
    other: Person


@dataclass
class Settled:
    """What a round did: the instant of recording, the leads made, the leads whose facts changed."""

    at: datetime
    created: list[int]
    changed: list[int]


class Directory:
    """Whom the identities of a batch name: leads of the database and leads about to be made."""

    def __init__(self) -> None:
        self.by_id: dict[int, Person] = {}
        self.by_key: dict[Key, Person] = {}
        self.by_email: dict[str, Person] = {}

    def load(
        self,
        cursor: Any,
        ids: Iterable[int],
        keys: Iterable[Key] = (),
        emails: Iterable[str] = (),
        *,
        lock: bool = False,
    ) -> None:
        """Look up all identities of the batch, three statements. `lock`: and lock the leads, in id order."""
        keys, emails = list(keys), list(emails)
        named = self._named(cursor, keys) if keys else []
        if wanted := {*ids, *(lead_id for _, _, lead_id in named)}:
            self._load_ids(cursor, wanted, lock)
        for source, external_id, lead_id in named:
            if lead_id in self.by_id:
                self.by_key[source, external_id] = self.by_id[lead_id]
        if emails:
            cursor.execute(
                "SELECT id, email_key, company_id FROM leads_lead WHERE email_key = ANY(%s)", [emails]
            )
            for lead in cursor.fetchall():
                self.by_email[lead[1]] = self._known(lead)

    def _named(self, cursor: Any, keys: Sequence[Key]) -> list[tuple[str, str, int]]:
        rows, params = bulk.table(
            {"source": "text", "external_id": "text"},
            {"source": [k[0] for k in keys], "external_id": [k[1] for k in keys]},
        )
        cursor.execute(
            # One at most, and said so: else all keys are read through for a few hundred.
            f"SELECT r.source, r.external_id, k.lead_id FROM {rows}, LATERAL (SELECT lead_id"  # noqa: S608
            " FROM leads_leadkey WHERE source = r.source AND external_id = r.external_id LIMIT 1) k",
            params,
        )
        found: list[tuple[str, str, int]] = cursor.fetchall()
        return found

    def _load_ids(self, cursor: Any, ids: Iterable[int], lock: bool) -> None:
        """A merged lead answers by the one it went into. Few are: a join would read all leads for them."""
        cursor.execute(
            "SELECT id, email_key, company_id, merged_into_id, erased_at IS NOT NULL FROM leads_lead"  # noqa: S608
            " WHERE id = ANY(%s::bigint[] || ARRAY(SELECT merged_into_id FROM leads_lead"
            " WHERE id = ANY(%s::bigint[]) AND merged_into_id IS NOT NULL)) ORDER BY id"
            + (" FOR NO KEY UPDATE" if lock else ""),
            [bulk.numbers(ids), bulk.numbers(ids)],
        )
        found = {row[0]: row for row in cursor.fetchall()}
        for asked, row in found.items():
            lead_id, email_key, company_id, _, erased = found.get(row[3], row)
            if not erased:
                self.by_id[asked] = self._known((lead_id, email_key, company_id))

    def _known(self, row: Sequence[Any]) -> Person:
        lead_id, email_key, company_id = row
        if lead_id not in self.by_id:
            self.by_id[lead_id] = Person(id=lead_id, email_key=email_key, company_id=company_id)
        return self.by_id[lead_id]

    def find(self, lead_id: int | None, key: Key | None, email_key: str | None) -> Person | None:
        """The lead that all given identities agree on; None when none of them is known. Raises Clash."""
        found: Person | None = None
        for person in (
            self.by_id.get(lead_id) if lead_id else None,
            self.by_key.get(key) if key else None,
            self.by_email.get(email_key) if email_key else None,
        ):
            if person is not None:
                if found is not None and found is not person:
                    raise Clash(found, person)
                found = person
        return found

    def take(self, person: Person, key: Key | None, email_key: str | None) -> None:
        """Let this person answer by these identities from now on."""
        if key and key not in self.by_key:
            self.by_key[key] = person
            person.keys.append(key)
        if email_key and email_key != person.email_key:
            if person.email_key is not None and self.by_email.get(person.email_key) is person:
                del self.by_email[person.email_key]
            person.email_key = email_key
            self.by_email[email_key] = person


def settle(
    cursor: Any,
    people: Sequence[Person],
    *,
    actor: Actor,
    cause: str,
    at: datetime | None,
    known: Mapping[str, Fact],
) -> Settled:
    """Write one round. Locks companies, then leads, each in id order; only then reads the clock.

    Raises Raced when another transaction was quicker with the same e-mail, key or company.
    """
    # Without the catalogue nobody is changed: acts of leads that are named by our own number tell no facts.
    orgs, target = _companies(cursor, people) if known else ([], {})
    old_orgs = _lock_companies(cursor, orgs)
    org_changes = _company_changes(orgs, old_orgs, known)
    touched = _lock_leads(cursor, people, [org.id for org in org_changes])
    stamp = at or clock.now()
    campaigns = _campaigns(cursor, people, stamp)
    _write_new_companies(cursor, orgs, stamp, known)
    _write_company_changes(cursor, org_changes, old_orgs, stamp, actor, cause, known)
    changed = _write_changes(cursor, people, target, campaigns, stamp, actor, cause, known)
    created = _write_new(cursor, people, target, campaigns, stamp, actor, cause, known)
    _write_keys(cursor, people)
    return Settled(stamp, created, sorted({*changed, *touched}))


# --- companies -------------------------------------------------------------------------------------


def _companies(cursor: Any, people: Sequence[Person]) -> tuple[list[Org], dict[Person, Org]]:
    """Which company each person's row means. Persons whose company stays are not in the answer."""
    wanted = [(p, *_company_named(p)) for p in people]
    wanted = [w for w in wanted if w[1] or w[2] or w[0].company]
    if not wanted:
        return [], {}
    domains = sorted({domain for _, _, domain, _ in wanted if domain})
    names = sorted({fold(name) for _, name, _, _ in wanted if name})
    found = _look_up(cursor, domains, names)
    orgs, target = _match(wanted, *found)
    if any(org.new and not org.domain for org in orgs):
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [NAMES_LOCK])
        orgs, target = _match(wanted, *_look_up(cursor, domains, names))
    for org, new_id in zip(
        [o for o in orgs if o.new],
        bulk.new_ids(cursor, "leads_company", sum(o.new for o in orgs)),
        strict=True,
    ):
        org.id = new_id
    return orgs, target


def _company_named(person: Person) -> tuple[str, str, bool]:
    """The name, the domain and whether the row itself said the domain."""
    name = person.company.get("company_name") or ""
    said = person.company.get("company_domain") or ""
    if said and is_company_domain(said):
        return name, said, True
    # The address tells the company only of somebody who has none yet, or whose row names one anyway.
    if (name or person.company_id is None) and not person.company_given:
        domain = domain_of(person.email_key or "")
        if is_company_domain(domain):
            return name, domain, False
    return name, "", False


def _look_up(cursor: Any, domains: list[str], names: list[str]) -> tuple[dict[str, Org], dict[str, Org]]:
    cursor.execute(
        "SELECT id, name, name_key, domain FROM leads_company WHERE domain = ANY(%s) OR name_key = ANY(%s)"
        " ORDER BY (domain IS NULL), id",
        [domains, names],
    )
    by_domain: dict[str, Org] = {}
    by_name: dict[str, Org] = {}
    for company_id, name, name_key, domain in cursor.fetchall():
        org = Org(company_id, False, name, domain)
        if domain:
            by_domain[domain] = org
        by_name.setdefault(name_key, org)
    return by_domain, by_name


def _match(
    wanted: Sequence[tuple[Person, str, str, bool]], by_domain: dict[str, Org], by_name: dict[str, Org]
) -> tuple[list[Org], dict[Person, Org]]:
    orgs: dict[int, Org] = {}
    target: dict[Person, Org] = {}
    mine: dict[int, Org] = {}
    for person, name, domain, said in wanted:
        if not name and not domain:
            if person.company_id is None:
                continue
            # Facts of the company the lead has already.
            org = mine.setdefault(person.company_id, _same(person.company_id, by_domain, by_name))
        else:
            org = _org(name, domain, said, by_domain, by_name)
            target[person] = org
        orgs[id(org)] = org
        more = {k: v for k, v in person.company.items() if k not in ("company_name", "company_domain")}
        org.wish.update(more)
    return list(orgs.values()), target


def _same(company_id: int, by_domain: dict[str, Org], by_name: dict[str, Org]) -> Org:
    for org in (*by_domain.values(), *by_name.values()):
        if org.id == company_id:
            return org
    return Org(company_id)


def _org(name: str, domain: str, said: bool, by_domain: dict[str, Org], by_name: dict[str, Org]) -> Org:
    org = by_domain.get(domain) if domain else None
    if org is None and name:
        org = by_name.get(fold(name))
        if org is not None and domain and org.domain and said and org.domain != domain:
            org = None  # another company of the same name
    if org is None:
        org = Org(0, True, name or domain, domain or None)
        by_name.setdefault(fold(org.name), org)
    elif domain and not org.domain:
        org.domain = domain
        org.wish["company_domain"] = domain
    if domain and org.domain == domain:
        by_domain[domain] = org
    if name and org.name == org.domain and fold(name) != org.name:
        # A better name than the domain that stood in for it.
        org.name = name
        by_name.setdefault(fold(name), org)
        if not org.new:
            org.wish["company_name"] = name
    return org


_COMPANY_TYPES = {
    "id": "bigint", "name": "text", "name_key": "text", "name_words": "text", "domain": "text",
    "industry": "text", "industry_key": "text", "industry_words": "text", "employees": "integer",
    "revenue": "numeric", "country": "text", "country_key": "text", "is_target": "boolean",
    "is_competitor": "boolean", "is_partner": "boolean", "is_own": "boolean", "customer_since": "timestamptz",
    "custom": "jsonb", "custom_keys": "jsonb", "custom_words": "jsonb",
}  # fmt: skip
_COMPANY_EMPTY: dict[str, Any] = {
    name: {}
    if kind == "jsonb"
    else False
    if kind == "boolean"
    else ""
    if kind == "text" and name != "domain"
    else None
    for name, kind in _COMPANY_TYPES.items()
}


def _rows(
    cursor: Any, table: str, types: Mapping[str, str], ids: Sequence[int], lock: bool
) -> dict[int, dict[str, Any]]:
    if not ids:
        return {}
    names = ", ".join(f'"{name}"' for name in types)
    tail = " FOR NO KEY UPDATE" if lock else ""
    cursor.execute(f"SELECT {names} FROM {table} WHERE id = ANY(%s) ORDER BY id{tail}", [sorted(ids)])  # noqa: S608
    return {row[0]: _row(types, row) for row in cursor.fetchall()}


def _row(types: Mapping[str, str], row: Sequence[Any]) -> dict[str, Any]:
    values = dict(zip(types, row, strict=True))
    for name, kind in types.items():
        if kind == "jsonb" and isinstance(values[name], str):
            values[name] = json.loads(values[name])
    return values


def _lock_companies(cursor: Any, orgs: Sequence[Org]) -> dict[int, dict[str, Any]]:
    # Also of those that only get another lead: a company's change must not miss a lead just arriving.
    return _rows(cursor, "leads_company", _COMPANY_TYPES, [org.id for org in orgs if not org.new], lock=True)


def _company_changes(
    orgs: Sequence[Org], old: Mapping[int, dict[str, Any]], known: Mapping[str, Fact]
) -> dict[Org, dict[str, Any]]:
    """What really differs, by company."""
    found = {}
    for org in orgs:
        if not org.new and org.id in old:
            diff = {key: v for key, v in org.wish.items() if _value(known[key], old[org.id]) != v}
            if diff:
                found[org] = diff
    return found


def _write_new_companies(
    cursor: Any, orgs: Sequence[Org], stamp: datetime, known: Mapping[str, Fact]
) -> None:
    rows = []
    for org in orgs:
        if org.new:
            row = {
                **_COMPANY_EMPTY,
                "custom": {},
                "custom_keys": {},
                "custom_words": {},
                "id": org.id,
                "created_at": stamp,
            }
            facts = {**org.wish, "company_name": org.name, "company_domain": org.domain}
            for key, value in facts.items():
                put(row, known[key], value, stamp)
            row["name"] = org.name
            rows.append(row)
    made = bulk.insert(
        cursor,
        "leads_company",
        {**_COMPANY_TYPES, "created_at": "timestamptz", "city": "text"},
        [{**row, "city": ""} for row in rows],
        "ON CONFLICT (domain) DO NOTHING",
        order="domain, id",
    )
    if made != len(rows):
        raise Raced


def _write_company_changes(
    cursor: Any,
    changes: Mapping[Org, dict[str, Any]],
    old: Mapping[int, dict[str, Any]],
    stamp: datetime,
    actor: Actor,
    cause: str,
    known: Mapping[str, Fact],
) -> None:
    log: list[dict[str, Any]] = []
    rows = []
    for org, diff in changes.items():
        row = old[org.id]
        for key, value in diff.items():
            log.append({"company_id": org.id, **_was(known[key], _value(known[key], row), key)})
            put(row, known[key], value, stamp)
        rows.append(row)
    try:
        bulk.update(cursor, "leads_company", _COMPANY_TYPES, rows)
    except IntegrityError:
        raise Raced from None
    write_changes(cursor, log, stamp, actor, cause)


def change_one_company(
    cursor: Any, org: Org, *, actor: Actor, cause: str, at: datetime | None, known: Mapping[str, Fact]
) -> Settled | None:
    """Change one company's facts: locks it, then its leads. None: there is no such company.

    In the answer `created` holds the company's id when something changed, `changed` its leads.
    """
    old = _lock_companies(cursor, [org])
    if not old:
        return None
    changes = _company_changes([org], old, known)
    leads = _lock_leads(cursor, [], [o.id for o in changes])
    stamp = at or clock.now()
    _write_company_changes(cursor, changes, old, stamp, actor, cause, known)
    return Settled(stamp, [o.id for o in changes], leads)


# --- leads -----------------------------------------------------------------------------------------

_LEAD_TYPES = {
    "id": "bigint", "company_id": "bigint", "name": "text", "name_key": "text", "email": "text",
    "email_key": "text", "email_domain": "text", "phone": "text", "phone_key": "text", "title": "text",
    "title_key": "text", "title_words": "text", "country": "text", "country_key": "text", "city": "text",
    "city_key": "text", "first_source": "text", "first_source_key": "text", "first_campaign_id": "bigint",
    "do_not_contact": "boolean", "bounced_at": "timestamptz", "custom": "jsonb", "custom_keys": "jsonb",
    "custom_words": "jsonb", "owner_id": "bigint", "sales_sourced": "boolean", "crm_url": "text",
    "external_owner": "text",
}  # fmt: skip
_LEAD_EMPTY: dict[str, Any] = {
    name: {}
    if kind == "jsonb"
    else False
    if kind == "boolean"
    else ""
    if kind == "text" and name != "email_key"
    else None
    for name, kind in _LEAD_TYPES.items()
}


def _lock_leads(cursor: Any, people: Sequence[Person], companies: Sequence[int]) -> list[int]:
    """Lock the leads of the batch and those of changed companies; returns the latter."""
    ids = sorted({p.id for p in people if not p.new})
    if not companies:
        if ids:
            cursor.execute(
                "SELECT id FROM leads_lead WHERE id = ANY(%s::bigint[]) ORDER BY id FOR NO KEY UPDATE",
                [bulk.numbers(ids)],
            )
        return []
    cursor.execute(
        "SELECT id, company_id = ANY(%s) FROM leads_lead WHERE id = ANY(%s) OR company_id = ANY(%s)"
        " ORDER BY id FOR NO KEY UPDATE",
        [list(companies), ids, list(companies)],
    )
    return [lead_id for lead_id, touched in cursor.fetchall() if touched]


def _campaigns(cursor: Any, people: Sequence[Person], stamp: datetime) -> dict[str, int]:
    return campaigns(
        cursor, {p.facts["first_campaign"] for p in people if p.facts.get("first_campaign")}, stamp
    )


_CAMPAIGN = {
    "name": "text", "code": "text", "source": "text", "currency": "text", "message_for_sales": "text",
    "created_at": "timestamptz",
}  # fmt: skip
_CONTENT = {
    "key": "text", "title": "text", "url": "text", "stage": "text", "persona_key": "text", "question": "text",
    "active": "boolean",
}  # fmt: skip


def campaigns(cursor: Any, codes: Iterable[str], stamp: datetime) -> dict[str, int]:
    """The ids of campaigns by code; those that nobody set up yet are made under their code."""

    def row(code: str) -> dict[str, Any]:
        return {
            **dict.fromkeys(_CAMPAIGN, ""),
            "name": code,
            "code": code,
            "currency": "EUR",
            "created_at": stamp,
        }

    return _by_code(cursor, "leads_campaign", "code", _CAMPAIGN, codes, row)


def contents(cursor: Any, keys: Iterable[str]) -> dict[str, int]:
    """The ids of contents by key; those that nobody set up yet are made under their key."""

    def row(key: str) -> dict[str, Any]:
        return {**dict.fromkeys(_CONTENT, ""), "key": key, "title": key, "active": True}

    return _by_code(cursor, "leads_content", "key", _CONTENT, keys, row)


def _by_code(
    cursor: Any, table: str, column: str, types: Mapping[str, str], wanted: Iterable[str], row: Any
) -> dict[str, int]:
    codes = sorted(set(wanted))
    if not codes:
        return {}
    select = f'SELECT "{column}", id FROM {table} WHERE "{column}" = ANY(%s)'  # noqa: S608
    cursor.execute(select, [codes])
    found = dict(cursor.fetchall())
    missing = [code for code in codes if code not in found]
    if missing:
        bulk.insert(
            cursor, table, types, [row(code) for code in missing], f'ON CONFLICT ("{column}") DO NOTHING'
        )
        cursor.execute(select, [codes])
        found = dict(cursor.fetchall())
    return found


def _write_changes(
    cursor: Any, people: Sequence[Person], target: Mapping[Person, Org], campaign_ids: Mapping[str, int],
    stamp: datetime, actor: Actor, cause: str, known: Mapping[str, Fact],
) -> list[int]:  # fmt: skip
    """Change the facts of known leads; returns those that really changed."""
    mine = [p for p in people if not p.new and (p.facts or p.plain or p.company_given or p in target)]
    old = _rows(cursor, "leads_lead", _LEAD_TYPES, [p.id for p in mine], lock=False)
    codes = _codes(cursor, old.values())
    log: list[dict[str, Any]] = []
    rows: dict[int, dict[str, Any]] = {}
    changed: set[int] = set()
    for person in mine:
        row = old[person.id]
        differs = _differs(person, row, target, known, codes)
        log += [
            {"lead_id": person.id, **_was(known.get(key), _old(known, key, row, codes), key)}
            for key in differs
        ]
        for key, value in differs.items():
            put_lead(row, key, value, stamp, known, campaign_ids)
        if differs:
            rows[person.id] = row
            changed.add(person.id)
        for column, value in person.plain.items():
            if row[column] != value:
                row[column] = value
                rows[person.id] = row
    try:
        types = {**_LEAD_TYPES, "changed_at": "timestamptz"}
        bulk.update(cursor, "leads_lead", types, [{**row, "changed_at": stamp} for row in rows.values()])
    except IntegrityError:
        raise Raced from None
    write_changes(cursor, log, stamp, actor, cause)
    return sorted(changed)


def _differs(
    person: Person,
    row: Mapping[str, Any],
    target: Mapping[Person, Org],
    known: Mapping[str, Fact],
    codes: Mapping[int, str],
) -> dict[str, Any]:
    diff: dict[str, Any] = {}
    for key, value in person.facts.items():
        now = _old(known, key, row, codes)
        if now == value or (not person.explicit and key in FIRST_TOUCH and now is not None):
            continue
        diff[key] = value
        if key == "email" and (domain_of(value or "") or None) != (row["email_domain"] or None):
            diff["email_domain"] = domain_of(value or "") or None
    company_id = target[person].id if person in target else person.company_id
    if (person in target or person.company_given) and company_id != row["company_id"]:
        diff[COMPANY] = company_id
    return diff


def _old(known: Mapping[str, Fact], key: str, row: Mapping[str, Any], codes: Mapping[int, str]) -> Any:
    if key == COMPANY:
        return row["company_id"]
    if key == "first_campaign":
        return codes.get(row["first_campaign_id"])
    return _value(known[key], row)


def _codes(cursor: Any, rows: Iterable[Mapping[str, Any]]) -> dict[int, str]:
    ids = {row["first_campaign_id"] for row in rows if row["first_campaign_id"]}
    if not ids:
        return {}
    cursor.execute("SELECT id, code FROM leads_campaign WHERE id = ANY(%s)", [sorted(ids)])
    return dict(cursor.fetchall())


def put_lead(
    row: dict[str, Any],
    key: str,
    value: Any,
    stamp: datetime,
    known: Mapping[str, Fact],
    campaign_ids: Mapping[str, int],
) -> None:
    """Write one fact into the columns of a lead."""
    if key == COMPANY:
        row["company_id"] = value
    elif key == "first_campaign":
        row["first_campaign_id"] = campaign_ids[value] if value else None
    else:
        put(row, known[key], value, stamp)
        if key == "email":
            row["email_key"] = fold(value) if value else None
            row["email_domain"] = domain_of(value or "")
            row["bounced_at"] = None


def _write_new(
    cursor: Any, people: Sequence[Person], target: Mapping[Person, Org], campaign_ids: Mapping[str, int],
    stamp: datetime, actor: Actor, cause: str, known: Mapping[str, Fact],
) -> list[int]:  # fmt: skip
    new = [p for p in people if p.new]
    rows = []
    born = {
        **_LEAD_EMPTY,
        **_BIRTH,
        **dict.fromkeys(("stage_since", "created_at", "changed_at"), stamp),
        "review_at": stamp + REVIEW_AFTER,
    }
    for person, lead_id in zip(new, bulk.new_ids(cursor, "leads_lead", len(new)), strict=True):
        person.id = lead_id
        row = {**born, "custom": {}, "custom_keys": {}, "custom_words": {}, **person.plain, "id": person.id}
        for key, value in person.facts.items():
            put_lead(row, key, value, stamp, known, campaign_ids)
        if person in target:
            row["company_id"] = target[person].id
        rows.append(row)
    types = {
        **_LEAD_TYPES,
        **dict.fromkeys(_BIRTH, "text"),
        **dict.fromkeys(("stage_since", "created_at", "changed_at", "review_at"), "timestamptz"),
    }
    # Sorted: two batches that make the same addresses wait for each other in one order only.
    made = bulk.insert(
        cursor, "leads_lead", types, rows, "ON CONFLICT (email_key) DO NOTHING", order="email_key, id"
    )
    if made != len(rows):
        raise Raced
    ids = [p.id for p in new]
    stages.created(ids, stamp, actor=actor)
    return ids


# The words in which a lead begins; only `stages` changes them later.
_BIRTH = {"stage": "conversion", "level": "", "time_zone_country": ""}


def _write_keys(cursor: Any, people: Sequence[Person]) -> None:
    rows = [{"lead_id": p.id, "source": s, "external_id": e} for p in people for s, e in p.keys]
    made = bulk.insert(
        cursor, "leads_leadkey", {"lead_id": "bigint", "source": "text", "external_id": "text"}, rows,
        "ON CONFLICT (source, external_id) DO NOTHING", order="source, external_id",
    )  # fmt: skip
    if made != len(rows):
        raise Raced


# --- values ----------------------------------------------------------------------------------------


def _value(fact: Fact, row: Mapping[str, Any]) -> Any:
    """The present value of a fact in the form in which a row brings it; None for nothing."""
    if fact.custom:
        return row["custom"].get(fact.custom)
    if fact.key == "is_customer":
        return row["customer_since"] is not None
    value = row[fact.column]
    if isinstance(value, Decimal):
        return float(value)
    return None if value == "" else value


def put(row: dict[str, Any], fact: Fact, value: Any, stamp: datetime) -> None:
    """Write a fact's value, its folded key and its words into the columns of its row.

    The row's JSON columns are changed in place: they belong to this row alone.
    """
    if fact.custom:
        text = fact.is_text and value is not None
        for column, part in (
            ("custom", value),
            ("custom_keys", fact.folded(value) if text else None),
            ("custom_words", words(value) if text else None),
        ):
            if part is None:
                row[column].pop(fact.custom, None)
            else:
                row[column][fact.custom] = part
        return
    if fact.key == "is_customer":
        row["customer_since"] = (row["customer_since"] or stamp) if value else None
        return
    if fact.type == "boolean":
        value = bool(value)
    nullable = not fact.is_text or fact.key == "company_domain"
    row[fact.column] = value if value is not None or nullable else ""
    if fact.key_column and fact.key_column != fact.column:
        row[fact.key_column] = fact.folded(value) or ""
    if fact.words_column:
        row[fact.words_column] = words(value) if value else ""


def _was(fact: Fact | None, old: Any, key: str) -> dict[str, Any]:
    text = fact is not None and fact.is_text
    return {
        "field": key,
        "old": old,
        "old_key": fact.folded(old) if fact is not None else None,
        "old_words": old_words(fact, old) if fact is not None and text else None,
    }


def write_changes(
    cursor: Any, log: Sequence[Mapping[str, Any]], stamp: datetime, actor: Actor, cause: str
) -> None:
    """Append FactChange rows: {lead_id or company_id, field, old, old_key, old_words}."""
    more = {"recorded_at": stamp, "cause": cause[:120], "actor_id": actor.user_id}
    types = {
        "lead_id": "bigint", "company_id": "bigint", "field": "text", "old": "jsonb", "old_key": "text",
        "old_words": "text", "recorded_at": "timestamptz", "cause": "text", "actor_id": "bigint",
    }  # fmt: skip
    bulk.insert(cursor, "leads_factchange", types, [{**row, **more} for row in log])
