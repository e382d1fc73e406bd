"""Small made-up worlds for the oracle: people, firms and acts as plain objects, and their rows."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

from leadflow.leads.folding import fold, phone_key, words
from leadflow.leads.models import (
    Activity,
    ActivityKind,
    Campaign,
    Company,
    Content,
    FactChange,
    Lead,
    LeadMerge,
    StageChange,
    Visitor,
    VisitorJoin,
)

BERLIN = ZoneInfo("Europe/Berlin")
# The day after the clocks went forward; in UTC, for Python reckons local times by the wall clock.
AT = datetime(2026, 3, 30, 9, 12, tzinfo=BERLIN).astimezone(UTC)
TEXTS = {
    "title": [
        None,
        "CTO",
        "Director of IT",
        "Vice President",
        "Präsident (VP), Sales",
        "student",
        "Straße-CEO",
    ],
    "country": [None, "Germany", "de", "FRANCE", "Österreich"],
    "industry": [None, "Software", "Food & Drink", "Manufacturing"],
    "city": [None, "Köln", "san  josé"],
    "first_source": [None, "Web", "Trade show"],
    "first_campaign": [None, "Spring-26", "fair"],
    "company_country": [None, "Austria", "DE"],
    "custom.branch": [None, "Cold chain", "road", 3],
    "custom.tier": [None, "Gold", "silver tier", 7],
    "phone": [None, "+49 30 1", "0301"],
    "email": [
        None,
        "a@gmail.com",
        "b@mailinator.com",
        "c@firm0.example",
        "d@firm1.example",
        "e@else.example",
    ],
}
OTHERS = {
    "employees": [None, 0, 9, 10, 50, 320, 1000],
    "revenue": [None, Decimal("0.50"), Decimal("1200000.00"), Decimal("99.99")],
    "is_target": [False, True],
    "is_competitor": [False, True],
    "is_partner": [False, True],
    "is_own": [False, True],
    "custom.seats": [None, 0, 9, 10, 50, 50.5, 200, "many", True],
    "custom.since": [None, "2026-03-29", "2026-03-30", "2026-03-16", "2027-01-01", "soon", 5],
    "custom.happy": [None, True, False, "yes"],
    "custom.fleet": [None, 0, 12, -3, "12", [12]],
    "do_not_contact": [False, False, True],
}
VALUES = TEXTS | OTHERS
OF_FIRM = (
    "industry",
    "company_country",
    "employees",
    "revenue",
    "is_target",
    "is_competitor",
    "is_partner",
    "is_own",
    "custom.branch",
    "custom.fleet",
)
KINDS = (
    "page_view",
    "visit",
    "webinar_attended",
    "webinar_registered",
    "trial_started",
    "email_sent",
    "email_clicked",
    "email_unsubscribed",
    "demo_requested",
    "question",
)
OWN = frozenset(KINDS) - {"email_sent", "email_unsubscribed"}
# By then everything has been recorded, joined and merged: the present.
END = AT + timedelta(days=12)
CAMPAIGNS = ("Spring-26", "fair")
CONTENTS = ("guide", "Case-Study")
STAGES = ("conversion", "prospect", "mql", "sql", "customer")
FIELDS = [
    {"key": "tier", "subject": "lead", "type": "text", "label": "Tier"},
    {"key": "seats", "subject": "lead", "type": "number", "label": "Seats"},
    {"key": "since", "subject": "lead", "type": "date", "label": "Since"},
    {"key": "happy", "subject": "lead", "type": "boolean", "label": "Happy"},
    {"key": "branch", "subject": "company", "type": "text", "label": "Branch"},
    {"key": "fleet", "subject": "company", "type": "number", "label": "Fleet"},
]


@dataclass
class Timeline:
    """The values of a fact: the first one from creation on, then each from its instant."""

    steps: list[tuple[datetime, object]]

    def at(self, instant: datetime) -> object:
        value = self.steps[0][1]
        for moment, new in self.steps[1:]:
            if moment <= instant:
                value = new
        return value

    @property
    def last(self) -> object:
        return self.steps[-1][1]


@dataclass
class Firm:
    id: int
    domain: str
    created_at: datetime
    customer_since: datetime | None
    facts: dict[str, Timeline]


@dataclass
class Person:
    id: int
    created_at: datetime
    firm: Timeline
    facts: dict[str, Timeline]
    stages: list[tuple[datetime, datetime, str]]
    bounced_at: datetime | None


@dataclass
class Merge:
    """One person became part of another; for a while, when it was undone."""

    source: int
    into: int
    at: datetime
    undone_at: datetime | None

    def holds(self, known_at: datetime) -> bool:
        return self.at <= known_at and (self.undone_at is None or self.undone_at > known_at)


@dataclass
class Browser:
    """A visitor, and as whom it was known from when on."""

    id: int
    joined_at: datetime | None
    lead: int | None


@dataclass
class Act:
    id: int
    kind: str
    # Whose it was when it was recorded; None: only a browser's.
    first_lead: int | None
    browser: Browser | None
    occurred_at: datetime
    recorded_at: datetime
    path: str
    message_key: str
    properties: dict
    channel: str = ""
    result: str = ""
    campaign: str | None = None
    content: str | None = None


@dataclass
class World:
    firms: list[Firm] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)
    browsers: list[Browser] = field(default_factory=list)
    merges: list[Merge] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)

    def part_of(self, lead: int | None, known_at: datetime) -> int | None:
        """Into whom a lead was merged by then, at the end of the chain; itself when into nobody."""
        found = next((m for m in self.merges if m.source == lead and m.holds(known_at)), None)
        return lead if found is None else self.part_of(found.into, known_at)

    def owner(self, act: Act, known_at: datetime) -> int | None:
        """Whose an act was, as known at an instant."""
        who = act.first_lead
        if who is None and act.browser and act.browser.joined_at and act.browser.joined_at <= known_at:
            who = act.browser.lead
        return self.part_of(who, known_at)

    def moved_at(self, act: Act) -> datetime | None:
        """When it came to the one whose it is in the end; None when it was his from the beginning."""
        turns = [m.at for m in self.merges] + [m.undone_at for m in self.merges if m.undone_at]
        turns += [act.browser.joined_at] if act.browser and act.browser.joined_at else []
        turns = sorted(t for t in turns if t > act.recorded_at)
        owners = [self.owner(act, t) for t in (act.recorded_at, *turns)]
        moved = [t for t, (old, new) in zip(turns, pairwise(owners), strict=True) if old != new]
        return moved[-1] if moved else None


def moment(dice: Random) -> datetime:
    """Instants around AT, fond of edges: whole days before, midnights in Berlin, seconds beside both."""
    days = dice.choice([0, 0, 1, 2, 3, 7, 7, 13, 14, 14, 28, 29, 30, 30, 44, 60, 90, 90, 179, 180, -1])
    base = AT - timedelta(days=days)
    if dice.random() < 0.3:
        base = base.astimezone(BERLIN).replace(hour=0, minute=0, second=0).astimezone(UTC)
    elif dice.random() < 0.3:
        base -= timedelta(minutes=dice.randrange(1440))
    return base + timedelta(seconds=dice.choice([0, 0, 0, -1, 1]))


# Whose midnights acts crowd around in a dense world.
ZONES = ("Europe/Berlin", "UTC", "America/New_York", "Pacific/Auckland")


def midnight(dice: Random) -> datetime:
    """Instants of a few days, seconds and hours beside the midnights of four zones."""
    zone = ZoneInfo(dice.choice(ZONES))
    day = (AT - timedelta(days=dice.choice([0, 0, 1, 2]))).astimezone(zone)
    start = day.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
    return start + timedelta(seconds=dice.choice([0, -1, 1, 3600, -3600]))


def dense(seed: int) -> World:
    """Two people who do two things again and again around midnights."""
    dice, world, links = Random(seed), World(), _write_links()
    for _ in range(2):
        world.people.append(_person(dice, world, AT - timedelta(days=400)))
    kinds = dict(ActivityKind.objects.values_list("key", "id"))
    for _ in range(40):
        at, kind = midnight(dice), dice.choice(["question", "webinar_attended"])
        world.acts.append(Act(0, kind, dice.choice(world.people).id, None, at, at, "", "", {}))
    _write_acts(world, kinds, links)
    return world


def timeline(dice: Random, key: str, born: datetime) -> Timeline:
    steps: list[tuple[datetime, object]] = [(born, dice.choice(VALUES[key]))]
    later = sorted(m for m in (moment(dice) for _ in range(dice.choice([0, 0, 1, 2]))) if m >= born)
    steps += [(m, dice.choice(VALUES[key])) for m in later]
    return Timeline(steps)


def make(seed: int, people: int = 12, acts: int = 90) -> World:
    """A world of this seed, written to the database."""
    dice, world, links = Random(seed), World(), _write_links()
    for i in range(3):
        born = AT - timedelta(days=dice.choice([10, 200]))
        firm = Firm(0, f"firm{i}.example", born, dice.choice([None, moment(dice)]), {})
        firm.facts = {key: timeline(dice, key, born) for key in OF_FIRM}
        firm.id = _write_firm(firm)
        world.firms.append(firm)
    for _ in range(people):
        world.people.append(_person(dice, world))
    _merge_some(dice, world)
    world.browsers = [_browser(dice, world, f"{seed}-{i}") for i in range(4)]
    kinds = dict(ActivityKind.objects.values_list("key", "id"))
    for _ in range(acts):
        world.acts.append(_act(dice, world))
    _write_acts(world, kinds, links)
    return world


def _write_acts(world: World, kinds: dict[str, int], links: dict[str, int]) -> None:
    rows = Activity.objects.bulk_create(
        [_act_row(world, act, i, kinds, links) for i, act in enumerate(world.acts)]
    )
    for act, row in zip(world.acts, rows, strict=True):
        act.id = row.pk


def _person(dice: Random, world: World, born: datetime | None = None) -> Person:
    born = born or dice.choice([AT - timedelta(days=400), moment(dice), moment(dice)])
    ids = [None, *(f.id for f in world.firms)]
    homes: list[tuple[datetime, object]] = [(born, dice.choice(ids))]
    if dice.random() < 0.3:
        homes.append((max(born, moment(dice)), dice.choice(ids)))
    stages = [(born, born, "conversion")]
    for _ in range(dice.choice([0, 1])):
        at = max(born, moment(dice))
        stages.append((at, max(at, moment(dice)), dice.choice(STAGES)))
    keys = [k for k in VALUES if k not in OF_FIRM]
    person = Person(
        0,
        born,
        Timeline(homes),
        {key: timeline(dice, key, born) for key in keys},
        stages,
        dice.choice([None, None, moment(dice)]),
    )
    # An address is one person's only.
    mails = person.facts["email"].steps
    person.facts["email"].steps = [(at, mail and f"p{len(world.people)}.{mail}") for at, mail in mails]
    person.id = _write_person(person)
    return person


def _merge_some(dice: Random, world: World) -> None:
    """Somebody twice in the base, found out; perhaps of two of them, perhaps wrongly."""
    one, other, third = dice.sample([p.id for p in world.people], 3)
    at = moment(dice)
    world.merges.append(_merge(one, other, at, dice.choice([None, None, at + timedelta(days=5)])))
    if dice.random() < 0.6:
        # The one that holds the first is merged itself.
        later = at + timedelta(days=dice.choice([0, 1, 8]), seconds=1)
        world.merges.append(_merge(other, third, later, dice.choice([None, later + timedelta(days=2)])))
    elif world.merges[0].undone_at is not None:
        world.merges.append(_merge(one, third, world.merges[0].undone_at + timedelta(days=1), None))


def _merge(source: int, into: int, at: datetime, undone_at: datetime | None) -> Merge:
    LeadMerge.objects.create(from_lead_id=source, into_id=into, at=at, undone_at=undone_at)
    if undone_at is None:
        Lead.objects.filter(pk=source).update(merged_into=into)
    return Merge(source, into, at, undone_at)


def _browser(dice: Random, world: World, key: str) -> Browser:
    joined = dice.choice([None, moment(dice), moment(dice), moment(dice)])
    # Nobody joins a browser with a lead that is another's by then.
    lead = world.part_of(dice.choice([p.id for p in world.people]), joined) if joined else None
    row = Visitor.objects.create(key=key, lead_id=lead, first_seen_at=AT, last_seen_at=AT)
    if joined and lead:
        VisitorJoin.objects.create(visitor=row, lead_id=lead, at=joined)
    return Browser(row.pk, joined, lead)


def _act(dice: Random, world: World) -> Act:
    occurred = moment(dice)
    recorded = max(occurred, moment(dice)) if dice.random() < 0.3 else occurred
    first = world.part_of(dice.choice([p.id for p in world.people]), recorded)
    browser = None
    if dice.random() < 0.3:
        browser = dice.choice(world.browsers)
        known = browser.joined_at is not None and browser.joined_at <= recorded
        first = world.part_of(browser.lead, recorded) if known else None
    seats = dice.choice(
        [
            {},
            {"seats": 5},
            {"seats": 50.5},
            {"seats": "lots"},
            {"title": "Big GUIDE", "day": "2026-03-29"},
            {"title": 7, "day": "soon", "seats": None},
        ]
    )
    return Act(
        0,
        dice.choice(KINDS),
        first,
        browser,
        occurred,
        recorded,
        dice.choice(["", "/pricing", "/pricing/x", "/blog"]),
        dice.choice(["", "m1", "m2", "m3", "m4", "m5", "m6"]),
        seats,
        dice.choice(["", "phone", "email"]),
        dice.choice(["", "talked", "no_answer"]),
        dice.choice([None, None, *CAMPAIGNS]),
        dice.choice([None, None, *CONTENTS]),
    )


def _write_links() -> dict[str, int]:
    """Campaigns and pieces by code and key."""
    for code in CAMPAIGNS:
        Campaign.objects.get_or_create(code=code, defaults={"name": code})
    for key in CONTENTS:
        Content.objects.get_or_create(key=key, defaults={"title": key})
    return dict(Campaign.objects.values_list("code", "id")) | dict(Content.objects.values_list("key", "id"))


def _act_row(world: World, act: Act, i: int, kinds: dict[str, int], links: dict[str, int]) -> Activity:
    """The row as it stands in the end, after every join and merge."""
    return Activity(
        source="world",
        external_id=str(i),
        kind_id=kinds[act.kind],
        lead_id=world.owner(act, END),
        first_lead_id=act.first_lead,
        moved_at=world.moved_at(act),
        visitor_id=act.browser.id if act.browser else None,
        occurred_at=act.occurred_at,
        recorded_at=act.recorded_at,
        path=act.path,
        message_key=act.message_key,
        properties=act.properties,
        channel=act.channel,
        result=act.result,
        campaign_id=links[act.campaign] if act.campaign else None,
        content_id=links[act.content] if act.content else None,
    )


def _text(value: object, key: str = "") -> str:
    if not isinstance(value, str):
        return ""
    return phone_key(value) if key == "phone" else fold(value)


def _custom(now: dict[str, object]) -> dict[str, dict[str, object]]:
    """The three columns of a row's custom fields."""
    found = {
        k.removeprefix("custom."): v for k, v in now.items() if k.startswith("custom.") and v is not None
    }
    texts = {k: v for k, v in found.items() if f"custom.{k}" in TEXTS and isinstance(v, str)}
    return {
        "custom": found,
        "custom_keys": {k: fold(v) for k, v in texts.items()},
        "custom_words": {k: words(v) for k, v in texts.items()},
    }


def _write_firm(firm: Firm) -> int:
    now = {key: line.last for key, line in firm.facts.items()}
    row = Company.objects.create(
        name=firm.domain,
        name_key=firm.domain,
        name_words=words(firm.domain),
        domain=firm.domain,
        industry=now["industry"] or "",
        industry_key=_text(now["industry"]),
        industry_words=words(str(now["industry"] or "")),
        country=now["company_country"] or "",
        country_key=_text(now["company_country"]),
        employees=now["employees"],
        revenue=now["revenue"],
        is_target=now["is_target"],
        is_competitor=now["is_competitor"],
        is_partner=now["is_partner"],
        is_own=now["is_own"],
        customer_since=firm.customer_since,
        created_at=firm.created_at,
        **_custom(now),
    )
    _write_changes({"company_id": row.pk}, firm.facts)
    return row.pk


def _write_person(person: Person) -> int:
    now = {key: line.last for key, line in person.facts.items()}
    email = now["email"] or ""
    row = Lead.objects.create(
        name="Somebody",
        email=email,
        email_key=email or None,
        email_domain=email.rpartition("@")[2],
        phone=now["phone"] or "",
        phone_key=_text(now["phone"], "phone"),
        title=now["title"] or "",
        title_key=_text(now["title"]),
        title_words=words(str(now["title"] or "")),
        country=now["country"] or "",
        country_key=_text(now["country"]),
        city=now["city"] or "",
        city_key=_text(now["city"]),
        first_campaign=Campaign.objects.get(code=now["first_campaign"]) if now["first_campaign"] else None,
        first_source=now["first_source"] or "",
        first_source_key=_text(now["first_source"]),
        do_not_contact=now["do_not_contact"],
        company_id=person.firm.last,
        stage=person.stages[-1][2] if len(person.stages) == 1 else _latest_stage(person),
        stage_since=person.created_at,
        bounced_at=person.bounced_at,
        created_at=person.created_at,
        changed_at=person.created_at,
        **_custom(now),
    )
    _write_changes({"lead_id": row.pk}, person.facts | {"company": person.firm})
    StageChange.objects.bulk_create(
        [
            StageChange(lead_id=row.pk, to_stage=stage, at=at, known_at=known)
            for at, known, stage in person.stages
        ]
    )
    return row.pk


def _latest_stage(person: Person) -> str:
    return max(enumerate(person.stages), key=lambda s: (s[1][0], s[0]))[1][2]


def _write_changes(owner: dict[str, int], facts: dict[str, Timeline]) -> None:
    rows = []
    for key, line in facts.items():
        for (_, old), (at, _new) in zip(line.steps, line.steps[1:], strict=False):
            rows.append(_change(owner, key, old, at))
            if key == "email":
                domain = old.rpartition("@")[2] if old else None
                rows.append(_change(owner, "email_domain", domain, at))
    FactChange.objects.bulk_create(rows)


def _change(owner: dict[str, int], key: str, old: object, at: datetime) -> FactChange:
    is_text = isinstance(old, str) and (key in TEXTS or key == "email_domain")
    return FactChange(
        **owner,
        field=key,
        old=float(old) if isinstance(old, Decimal) else old,
        old_key=_text(old, key) if is_text else None,
        old_words=words(str(old)) if is_text else None,
        recorded_at=at,
    )
