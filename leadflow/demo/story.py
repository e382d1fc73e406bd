"""The demo company before its first lead: people, teams, hours, campaigns, content."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.contrib.auth.hashers import make_password

from handoff import calendars, routing
from leadflow.accounts.models import Organisation, Role, Team, User
from leadflow.demo.world import BUYING, GUIDES, PIECES, SOURCES, WEBINARS
from leadflow.leads.models import Campaign, Content

PASSWORD = "leadflow-demo"  # noqa: S105 (shown on the login page of the demo company, on purpose)
DOMAIN = "fleetsong.example"
ZONE = "Europe/Berlin"

# handle, name, role, team
PEOPLE = (
    ("mia", "Mia Lindqvist", Role.MARKETER, "Marketing"),
    ("noah", "Noah Becker", Role.MARKETING_MANAGER, "Marketing"),
    ("sam", "Sam Okafor", Role.REP, "North"),
    ("ben", "Ben Haddad", Role.REP, "North"),
    ("yuki", "Yuki Tanaka", Role.REP, "North"),
    ("clara", "Clara Novák", Role.REP, "Berlin"),
    ("tomasz", "Tomasz Zieliński", Role.REP, "Berlin"),
    ("rosa", "Rosa Martínez", Role.SALES_MANAGER, "North"),
    ("admin", "Admin", Role.ADMIN, None),
)

CAMPAIGNS = {
    "always-on": ("Website, always on", "People come by themselves; ask what made them look today."),
    "webinar-series": (
        "Webinar series “Two depots”",
        "They heard: fewer empty runs within eight weeks. Mention it first.",
    ),
    "logistik-forum": ("Logistik Forum Hamburg", "We promised a free analysis of their ten longest routes."),
    "partner-desk": ("Partner desk", "Their software house sent them; name the partner."),
    "search-ads": ("Search ads “route planner”", "The ad promises a price within a day: have one ready."),
    "syndication": ("Guide on trade portals", "They asked for a guide on a portal and may not know us."),
}


@dataclass(frozen=True)
class Cast:
    """The people of the demo company by handle."""

    mia: User
    noah: User
    sam: User
    ben: User
    yuki: User
    clara: User
    tomasz: User
    rosa: User
    admin: User

    @property
    def reps(self) -> list[User]:
        return [self.sam, self.ben, self.yuki, self.clara, self.tomasz]


def set_up(start: datetime, end: datetime, leads: int) -> Cast:
    """Write the company as it was at `start`. The database must hold no company yet."""
    Organisation.objects.update_or_create(
        pk=1, defaults={"name": "Fleetsong", "currency": "EUR", "tz": ZONE, "country": "DE", "demo": True}
    )
    teams = {
        name: Team.objects.create(name=name, kind=kind, tz=ZONE)
        for name, kind in (
            ("Marketing", Team.Kind.MARKETING),
            ("North", Team.Kind.SALES),
            ("Berlin", Team.Kind.SALES),
        )
    }
    # One hash for all: Argon2 is slow on purpose, and they share the password.
    password = make_password(PASSWORD)
    cast = {
        handle: User.objects.create(
            email=f"{handle}@{DOMAIN}",
            name=name,
            role=role,
            team=teams[team] if team else None,
            tz=ZONE,
            password=password,
            created_at=start,
        )
        for handle, name, role, team in PEOPLE
    }
    teams["Marketing"].manager = cast["noah"]
    teams["North"].manager = teams["Berlin"].manager = cast["rosa"]
    for team in teams.values():
        team.save()
        calendars.ensure_calendar(team)
    routing.ensure_rules()
    _campaigns(start, end, leads)
    _content()
    return Cast(**cast)


def _campaigns(start: datetime, end: datetime, leads: int) -> None:
    for source in SOURCES:
        name, message = CAMPAIGNS[source.campaign]
        Campaign.objects.create(
            name=name,
            code=source.campaign,
            source=source.name,
            cost=Decimal(round(source.share * leads * source.cost_per_lead, -2)),
            starts_on=start.date(),
            ends_on=date(end.year, 12, 18),
            message_for_sales=message,
            created_at=start,
        )


def _content() -> None:
    pieces = [(title, "prospect") for title in GUIDES] + [(title, "mql") for title in BUYING]
    pieces += [(title, "prospect") for title in WEBINARS]
    Content.objects.bulk_create(
        Content(key=PIECES[title], title=title, stage=stage, url=f"https://{DOMAIN}/library/{PIECES[title]}")
        for title, stage in pieces
    )
