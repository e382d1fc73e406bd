"""What the market is like, in truth: who the leads are, what they do, and whether they would buy.

Pure: no database, no clock. The same seed gives the same world. The planted truth:

- Buyers are senior people in firms of 50 to 1,000 of four industries; they look at prices and compare.
- Educational downloads say nothing about buying: the agreement's rule for them is the wrong one.
- Who asks for a demo means it, and asks early, often before anything else speaks for them.
- Content syndication brings readers, not buyers: the poor source. Paid search brings tiny firms.
"""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any

from leadflow.demo import names

TARGET_INDUSTRIES = ("Transport and logistics", "Food and beverages", "Retail", "Manufacturing")
SOLD_TO = tuple(c for c in names.CITIES if c not in ("Brazil", "India", "Japan", "United States"))


@dataclass(frozen=True)
class Source:
    """A source of leads: its share of all, how it mixes kinds of people, what a lead costs in €."""

    name: str
    campaign: str
    share: float
    cost_per_lead: int
    # Shares of buyer, evaluator, reader; the rest never comes back.
    mix: tuple[float, float, float]
    tiny: float
    first: str


SOURCES = (
    Source("Website", "always-on", 0.29, 25, (0.065, 0.14, 0.55), 0.12, "form"),
    Source("Webinars", "webinar-series", 0.19, 30, (0.035, 0.14, 0.60), 0.10, "webinar_registered"),
    Source("Trade shows", "logistik-forum", 0.12, 115, (0.045, 0.14, 0.50), 0.08, "show_scan"),
    Source("Partners and referrals", "partner-desk", 0.07, 25, (0.095, 0.20, 0.45), 0.06, "form"),
    Source("Paid search", "search-ads", 0.20, 83, (0.028, 0.12, 0.53), 0.42, "form"),
    Source("Content syndication", "syndication", 0.13, 64, (0.005, 0.04, 0.75), 0.22, "download_educational"),
)


@dataclass
class Event:
    """Something a lead does at an instant."""

    at: datetime
    kind: str
    more: dict[str, Any] = field(default_factory=dict)


@dataclass
class Person:
    """A lead as it really is: buyer, evaluator, reader or gone. From `ready_at` on it may buy."""

    n: int
    facts: dict[str, Any]
    source: Source
    type: str
    tiny: bool
    seniority: str
    created_at: datetime
    ready_at: datetime
    bad_phone: bool
    events: list[Event] = field(default_factory=list)

    @property
    def good_fit(self) -> bool:
        return not self.tiny and self.seniority in ("senior", "budget")


@dataclass
class Firm:
    """A made-up company."""

    name: str
    domain: str
    industry: str
    country: str
    city: str
    employees: int
    # Most tiny firms never say how small they are: sales finds out on the phone.
    silent: bool


PAGES = (
    "/",
    "/product",
    "/customers",
    "/how-it-works",
    "/integrations",
    "/blog/empty-runs",
    "/blog/two-depots",
)
PRICING = ("/pricing", "/pricing", "/pricing/plans")
GUIDES = ("Route planning from scratch", "Ten ways to fewer empty runs", "The dispatcher's year")
BUYING = ("Nordfrakt: 18% fewer empty runs", "Route planners compared", "ROI sheet", "Two depots, one plan")
WEBINARS = ("Planning with two depots", "Driver shortage, calmly", "Costs per stop")
# The key by which activities name a piece of the library.
PIECES = {title: f"piece-{n}" for n, title in enumerate((*GUIDES, *BUYING, *WEBINARS), start=1)}
QUESTIONS = (
    "Does it work with our ERP?",
    "How long until the first plan runs?",
    "Who hosts the data?",
    "Can drivers change the order of stops?",
    "What does a pilot cost?",
)
WISHES = (
    "We re-plan 40 tours a day by hand. Can you show us how this works with two depots?",
    "Our contract with the present planner ends in spring; we compare three vendors.",
    "Please show us cold-chain tours with time windows.",
    "We want to start with one depot and ten trucks.",
)


def build(seed: int, leads: int, start: datetime, end: datetime) -> list[Person]:
    """Make the people of the world, oldest first, with all they do between `start` and `end`."""
    rng = random.Random(seed)
    firms = [_firm(rng, i) for i in range(max(10, int(leads * 0.62)))]
    guests = min(FAIR_GUESTS, leads // 20)
    people = [_person(rng, n, firms, start, end) for n in range(leads - guests)]
    people += [_fair_guest(rng, leads - guests + i, firms, end) for i in range(guests)]
    people.sort(key=lambda p: (p.created_at, p.n))
    return people


def _firm(rng: random.Random, n: int) -> Firm:
    industry = rng.choices(list(names.FIRM_TAIL), weights=[24, 18, 14, 20, 5, 6, 4, 5, 4])[0]
    head, tail = rng.choice(names.FIRM_HEAD), rng.choice(names.FIRM_TAIL[industry])
    country = rng.choices(list(names.CITIES), weights=[24, 8, 6, 7, 5, 9, 7, 7, 8, 5, 6, 2, 2, 2, 2])[0]
    employees = rng.choices(
        [_size(rng, 2, 9), _size(rng, 10, 49), _size(rng, 50, 1000), _size(rng, 1001, 6000)],
        weights=[14, 22, 52, 12],
    )[0]
    slug = f"{head}-{tail}".lower().translate(str.maketrans("äöüåøôéè", "aouaooee"))
    return Firm(
        name=f"{head} {tail}" if n % 3 else f"{head} {rng.choice(names.LAST)} {tail}",
        domain=f"{slug}-{n}.example",
        industry=industry,
        country=country,
        city=rng.choice(names.CITIES[country]),
        employees=employees,
        silent=employees < 10 and rng.random() < 0.65,
    )


def _size(rng: random.Random, low: int, high: int) -> int:
    size = int(low * (high / low) ** rng.random())
    return size if size < 100 else round(size, -1)


def _person(rng: random.Random, n: int, firms: list[Firm], start: datetime, end: datetime) -> Person:
    source = rng.choices(SOURCES, weights=[s.share for s in SOURCES])[0]
    kind = rng.choices(
        ["buyer", "evaluator", "reader", "gone"], weights=[*source.mix, max(0.05, 1 - sum(source.mix))]
    )[0]
    wants_tiny = rng.random() < source.tiny
    firm = _pick_firm(rng, firms, wants_tiny, kind)
    seniority = _seniority(rng, kind, wants_tiny)
    created = _moment(rng, start, end)
    delay = timedelta(days=rng.choice([0, 2, 5, 9, 15, 30, 60]) if kind == "buyer" else rng.uniform(0, 45))
    person = Person(
        n=n,
        facts=_facts(rng, n, firm, seniority, source),
        source=source,
        type=kind,
        tiny=firm.employees < 10,
        seniority=seniority,
        created_at=created,
        ready_at=created + delay,
        bad_phone=rng.random() < 0.03,
    )
    person.events = sorted(_events(rng, person, end), key=lambda e: e.at)
    return person


# A trade show in the last days: the queue is full, and some wait for room.
FAIR_GUESTS = 48
FAIR = timedelta(hours=74)


def _fair_guest(rng: random.Random, n: int, firms: list[Firm], end: datetime) -> Person:
    """Somebody who talked to us at the show these days and then looked at prices."""
    kind = rng.choices(["buyer", "evaluator"], weights=[35, 65])[0]
    seniority = rng.choice(["senior", "senior", "budget", "middle"])
    created = _moment(rng, end - FAIR, end)
    show = {"properties": {"show": "Logistik Forum"}}
    person = Person(
        n=n,
        facts=_facts(rng, n, _pick_firm(rng, firms, False, "buyer"), seniority, SOURCES[2]),
        source=SOURCES[2],
        type=kind,
        tiny=False,
        seniority=seniority,
        created_at=created,
        ready_at=created,
        bad_phone=False,
    )
    later = created + timedelta(hours=rng.uniform(1, 5))
    events = [
        Event(created, "show_scan", {"campaign": SOURCES[2].campaign, **show}),
        Event(created + timedelta(minutes=8), "show_talk", show),
        *_visit(rng, later, 1.0),
        *_visit(rng, later + timedelta(hours=16), 0.8),
        _titled(rng, later + timedelta(minutes=12), "download_buying", BUYING),
    ]
    if rng.random() < 0.3:
        events.append(
            Event(
                later + timedelta(hours=1),
                "question",
                {"properties": {"text": rng.choice(QUESTIONS), "channel": "chat"}},
            )
        )
    if rng.random() < 0.15:
        wish = {"properties": {"form": "Book a demo", "text": rng.choice(WISHES)}}
        events.append(Event(later + timedelta(hours=2), "demo_requested", wish))
    person.events = sorted((e for e in events if e.at < end), key=lambda e: e.at)
    return person


def _pick_firm(rng: random.Random, firms: list[Firm], tiny: bool, kind: str) -> Firm:
    for _ in range(12):
        firm = rng.choice(firms)
        small = firm.employees < 10
        on_target = (
            firm.industry in TARGET_INDUSTRIES and firm.country in SOLD_TO and 50 <= firm.employees <= 1000
        )
        if small == tiny and (kind != "buyer" or on_target or tiny):
            return firm
    return firm


def _seniority(rng: random.Random, kind: str, tiny: bool) -> str:
    if tiny:
        return rng.choices(["founder", "middle", "junior"], weights=[55, 25, 20])[0]
    weights = {
        "buyer": [44, 36, 16, 4, 0],
        "evaluator": [16, 26, 38, 20, 0],
        "reader": [6, 10, 34, 42, 8],
        "gone": [6, 10, 32, 47, 5],
    }[kind]
    return rng.choices(["senior", "budget", "middle", "junior", "nobody"], weights=weights)[0]


TITLES = {
    "senior": names.SENIOR[:7],
    "budget": names.BUDGET,
    "middle": names.MIDDLE,
    "junior": names.JUNIOR,
    "nobody": names.NOBODY,
    "founder": ("Founder", "Owner", "Managing Director and Founder"),
}


def _facts(rng: random.Random, n: int, firm: Firm, seniority: str, source: Source) -> dict[str, Any]:
    first, last = rng.choice(names.FIRST), rng.choice(names.LAST)
    plain = f"{first}.{last}".lower().encode("ascii", "ignore").decode() or "lead"
    private = rng.random() < (0.30 if seniority in ("nobody", "founder") else 0.07)
    facts: dict[str, Any] = {
        # The suffix keeps a made-up private address from being anybody's.
        "email": f"{plain}.lfdemo{n}@gmail.com" if private else f"{plain}.{n}@{firm.domain}",
        "name": f"{first} {last}",
        "country": firm.country,
        "city": firm.city,
        "company": firm.name,
        "company_domain": firm.domain,
        "industry": firm.industry,
        "company_country": firm.country,
        "source": source.name,
        "campaign": source.campaign,
    }
    if rng.random() < 0.93:
        facts["title"] = rng.choice(TITLES[seniority])
    if not firm.silent and rng.random() < 0.93:
        facts["employees"] = firm.employees
    if rng.random() < 0.72:
        facts["phone"] = f"+49 40 5550 {n % 10000:04d}"
    return facts


def _moment(rng: random.Random, start: datetime, end: datetime) -> datetime:
    """An instant with more of it by day, on weekdays, and a little more towards the end."""
    span = (end - start).days
    for _ in range(20):
        day = start.date() + timedelta(days=int(span * rng.random() ** 0.88))
        if day.weekday() < 5 or rng.random() < 0.22:
            break
    hour = min(22.9, max(6.0, rng.gauss(13.0, 3.2)))
    moment = datetime.combine(day, time(tzinfo=UTC)) + timedelta(hours=hour)
    return min(max(moment, start), end - timedelta(minutes=5))


def _events(rng: random.Random, p: Person, end: datetime) -> list[Event]:
    made = [_first_event(rng, p)]
    if p.type in _BUSY:
        made += _BUSY[p.type](rng, p)
    made += _mailings(rng, p, end)
    return [e for e in made if p.created_at <= e.at < end]


def _first_event(rng: random.Random, p: Person) -> Event:
    more: dict[str, Any] = {"campaign": p.source.campaign}
    kind = p.source.first
    if kind == "download_educational":
        more |= _piece(rng.choice(GUIDES))
    elif kind == "webinar_registered":
        more |= _piece(rng.choice(WEBINARS))
    elif kind == "show_scan":
        more["properties"] = {"show": "Logistik Forum"}
    else:
        more["properties"] = {"form": "Newsletter" if rng.random() < 0.6 else "Contact"}
    return Event(p.created_at, kind, more)


def _page(rng: random.Random, at: datetime, path: str) -> Event:
    return Event(at, "page_view", {"path": path})


def _visit(rng: random.Random, at: datetime, pricing: float) -> list[Event]:
    paths = [rng.choice(PAGES) for _ in range(rng.choice([1, 1, 2, 3]))]
    if rng.random() < pricing:
        paths.append(rng.choice(PRICING))
    return [_page(rng, at + timedelta(minutes=2 * i), path) for i, path in enumerate(paths)]


def _around(rng: random.Random, at: datetime, days: float) -> datetime:
    day = (at + timedelta(days=max(0.02, rng.expovariate(1 / days)))).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    moment = day + timedelta(hours=min(21.5, max(6.5, rng.gauss(12.5, 3))), seconds=rng.randrange(3600))
    return moment if moment > at else at + timedelta(hours=rng.uniform(0.5, 5))


def _titled(rng: random.Random, at: datetime, kind: str, titles: tuple[str, ...]) -> Event:
    return Event(at, kind, _piece(rng.choice(titles)))


def _piece(title: str) -> dict[str, Any]:
    return {"properties": {"title": title}, "content": PIECES[title]}


def _buyer(rng: random.Random, p: Person) -> list[Event]:
    made: list[Event] = []
    at, asks = p.ready_at, rng.random()
    for visit in range(rng.randint(3, 6)):
        at = _around(rng, at, 3.0)
        made += _visit(rng, at, 0.6)
        if rng.random() < 0.4:
            made.append(_titled(rng, at + timedelta(minutes=9), "download_buying", BUYING))
        if visit == 0 and asks < 0.30:
            wish = {"properties": {"form": "Book a demo", "text": rng.choice(WISHES)}}
            made.append(Event(at + timedelta(minutes=15), "demo_requested", wish))
    if rng.random() < 0.35:
        made.append(_titled(rng, _around(rng, p.ready_at, 6), "webinar_attended", WEBINARS))
    if 0.30 <= asks < 0.40:
        seats = {"properties": {"seats": rng.choice([5, 10, 25, 60])}}
        made.append(Event(at + timedelta(minutes=15), "trial_started", seats))
    if rng.random() < 0.35:
        made.append(
            Event(
                _around(rng, at, 2),
                "question",
                {"properties": {"text": rng.choice(QUESTIONS), "channel": "chat"}},
            )
        )
    if rng.random() < 0.25:
        made.append(_titled(rng, _around(rng, p.created_at, 8), "download_educational", GUIDES))
    if p.source.first == "show_scan" and rng.random() < 0.7:
        made.append(
            Event(
                p.created_at + timedelta(minutes=10), "show_talk", {"properties": {"show": "Logistik Forum"}}
            )
        )
    # Some come back weeks later, whatever sales said the first time.
    if rng.random() < 0.35:
        again = _around(rng, at + timedelta(days=35), 12)
        made += _visit(rng, again, 0.9) + _visit(rng, _around(rng, again, 2), 0.7)
        if rng.random() < 0.4:
            made.append(
                Event(
                    again + timedelta(hours=1),
                    "demo_requested",
                    {"properties": {"form": "Book a demo", "text": rng.choice(WISHES)}},
                )
            )
    return made


def _evaluator(rng: random.Random, p: Person) -> list[Event]:
    made: list[Event] = []
    at = p.created_at
    for _ in range(rng.randint(2, 5)):
        at = _around(rng, at, 7.0)
        made += _visit(rng, at, 0.2)
    if rng.random() < 0.30:
        made.append(_titled(rng, _around(rng, p.created_at, 10), "webinar_attended", WEBINARS))
    if rng.random() < 0.22:
        made.append(_titled(rng, _around(rng, p.created_at, 12), "download_buying", BUYING))
    if rng.random() < 0.45:
        made.append(_titled(rng, _around(rng, p.created_at, 10), "download_educational", GUIDES))
    # Owners of tiny firms ask at once; nobody knows yet how small they are.
    if rng.random() < (0.08 if p.tiny else 0.02):
        made.append(
            Event(
                _around(rng, at, 3),
                "demo_requested",
                {"properties": {"form": "Book a demo", "text": rng.choice(WISHES)}},
            )
        )
    if rng.random() < 0.12:
        made.append(
            Event(
                _around(rng, at, 3),
                "question",
                {"properties": {"text": rng.choice(QUESTIONS), "channel": "chat"}},
            )
        )
    return made


def _reader(rng: random.Random, p: Person) -> list[Event]:
    made: list[Event] = []
    at = p.created_at
    for _ in range(rng.randint(1, 4)):
        at = _around(rng, at, 9.0)
        made.append(_titled(rng, at, "download_educational", GUIDES))
        if rng.random() < 0.5:
            made += _visit(rng, at + timedelta(minutes=4), 0.06)
    if rng.random() < 0.12:
        made.append(_titled(rng, _around(rng, p.created_at, 12), "webinar_attended", WEBINARS))
    if rng.random() < 0.08:
        made.append(Event(_around(rng, at, 5), "social_follow", {"properties": {"network": "LinkedIn"}}))
    if rng.random() < 0.04:
        made.append(Event(_around(rng, at, 20), "email_unsubscribed", {}))
    return made


_BUSY = {"buyer": _buyer, "evaluator": _evaluator, "reader": _reader}


# When the newsletters of a month go out: each one a message of its own.
def _mailings(rng: random.Random, p: Person, end: datetime) -> list[Event]:
    interest = {"buyer": 0.45, "evaluator": 0.22, "reader": 0.14, "gone": 0.0}[p.type]
    made: list[Event] = []
    # Half of them take the newsletter, which began ten weeks ago.
    if rng.random() < 0.5:
        return made
    first = max(p.created_at, end - timedelta(days=70))
    at = first.replace(day=1, hour=8, minute=30, second=0, microsecond=0)
    while at < end:
        at = (at + timedelta(days=32)).replace(day=1)
        message = f"newsletter-{at:%Y-%m}"
        if p.type == "gone" and rng.random() < 0.5:
            continue
        made.append(
            Event(
                at, "email_sent", {"message_key": message, "properties": {"subject": "What moved this month"}}
            )
        )
        if rng.random() < interest:
            clicked = at + timedelta(hours=rng.uniform(0.3, 30))
            made.append(
                Event(
                    clicked,
                    "email_clicked",
                    {"message_key": message, "properties": {"subject": "What moved this month"}},
                )
            )
    return made
