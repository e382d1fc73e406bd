"""Every page, for who may open it, wide and narrow, light and dark: no finding of axe, no violation of the
content security policy, no script error, no sideways scrolling."""

import pytest

from handoff.calendars import ensure_calendar
from leadflow import clock
from leadflow.leads.models import ActivityKind
from tests.browser.world import build
from tests.feedback.histories import write_histories, write_promises

EVERYBODY = [
    "/",
    "/leads/",
    "/leads/?sort=-score",
    "/leads/?q=nobody-has-it",
    "/leads/{lead}/",
    "/profile/",
    "/password/",
]
MARKETING = [
    "/mqls/",
    "/feedback/",
    "/feedback/?by=criterion",
    "/feedback/questions/",
    "/feedback/content/",
    "/feedback/content/new/",
    "/feedback/campaigns/",
    "/feedback/campaigns/new/",
    "/feedback/customers/",
    "/feedback/customers/{lead}/",
    "/feedback/outcomes/",
    "/reports/",
    "/reports/sla/",
    "/reports/conversion/",
    "/reports/criteria/",
    "/reports/change/",
    "/reports/speed/",
    "/leads/import/",
    "/agreement/",
    "/agreement/moves/",
    "/agreement/try/?lead={lead}",
    "/agreement/try/?imaginary=1&f.title=VP+Operations&a0.kind=demo_requested",
    "/agreement/definitions/",
    "/agreement/file/",
    "/agreement/left-out/",
    "/agreement/matching/behaviour/?of=floor",
]
NURTURE = [
    "/mqls/?view=all&sort=-days",
    "/mqls/tasks/",
    "/mqls/repairs/",
    "/mqls/tracks/",
    "/mqls/tracks/early/",
    "/mqls/audiences/",
    "/mqls/talking/",
]
SETTINGS = [
    "/settings/people/",
    "/settings/people/new/",
    "/settings/people/{person}/",
    "/settings/teams/",
    "/settings/teams/{team}/",
    "/settings/hours/",
    "/settings/hours/new/",
    "/settings/hours/{hours}/",
    "/settings/absence/",
    "/settings/clocks/",
    "/settings/company/",
    "/settings/keys/",
    "/settings/fields/",
    "/settings/kinds/",
    "/settings/kinds/new/",
    "/settings/kinds/{kind}/",
    "/settings/lists/",
    "/settings/lists/new/",
    "/settings/messages/",
    "/settings/messages/new/",
    "/settings/trail/",
]
PAGES = {
    "mia": [*EVERYBODY, *MARKETING, *NURTURE],
    "sam": [
        *EVERYBODY,
        "/queue/",
        "/queue/?tab=team",
        "/queue/?grade=D&late=1",
        "/queue/own/",
        "/queue/calls/",
        "/queue/views/?tab=mine&grade=A",
        "/queue/waiting/",
        "/notices/",
        "/queue/{handoff}/do/accept/",
        "/queue/{handoff}/do/call/",
        "/queue/{handoff}/do/reject/",
        "/feedback/",
        "/reports/",
        "/settings/absence/",
    ],
    "rosa": [
        "/",
        "/review/2026-10/",
        "/review/2026-10/?print=1",
        "/review/pulse/",
        "/review/goal/",
        "/reports/mutual/",
        "/queue/",
        "/queue/board/",
        "/queue/routing/",
        "/queue/routing/try/",
        "/mqls/",
        "/feedback/",
        "/reports/cracks/",
        "/settings/hours/",
        "/settings/absence/",
        "/agreement/",
        "/agreement/sign/",
        "/agreement/workshops/",
        "/agreement/workshops/new/",
    ],
    "admin": ["/", *SETTINGS],
}


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_clean(people, agreement_in_force, open_as, looks, watch, name) -> None:
    made = build(people)
    # Four months of it, so that reports have something to show.
    write_histories(people, clock.now(), 40, days=100)
    write_promises(clock.now())
    user = getattr(people, name)
    parts = {"lead": made.ready[0], "person": people.ben.pk, "team": people.north.pk}
    parts["handoff"] = made.handoffs[0].pk
    parts["hours"] = ensure_calendar(people.north).pk
    parts["kind"] = ActivityKind.objects.get(key="form").pk
    page = open_as(user, "/")
    wrong = []
    for path in PAGES[name]:
        page.goto(path.format(**parts))
        wrong += [f"{path}: {finding}" for finding in [*looks(page), *watch.wrong]]
        watch.mend()
    assert wrong == [], "\n".join(wrong)
