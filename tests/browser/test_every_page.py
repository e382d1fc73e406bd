"""Every page, for who may open it, wide in light and dark, narrow in light: no finding of axe, no violation
of the content security policy, no script error, no sideways scrolling."""

import pytest

from leadflow.leads.models import ActivityKind
from tests.browser.conftest import NARROW, WIDE
from tests.browser.world import build

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
    "/reports/",
    "/reports/sla/",
    "/reports/conversion/",
    "/leads/import/",
    "/agreement/",
    "/agreement/moves/",
    "/agreement/try/?lead={lead}",
    "/agreement/try/?imaginary=1&f.title=VP+Operations&a0.kind=demo_requested",
    "/agreement/definitions/",
    "/agreement/file/",
    "/agreement/left-out/",
]
SETTINGS = [
    "/settings/people/",
    "/settings/people/new/",
    "/settings/people/{person}/",
    "/settings/teams/",
    "/settings/teams/{team}/",
    "/settings/hours/",
    "/settings/hours/new/",
    "/settings/company/",
    "/settings/keys/",
    "/settings/fields/",
    "/settings/kinds/",
    "/settings/kinds/new/",
    "/settings/kinds/{kind}/",
    "/settings/lists/",
    "/settings/lists/new/",
    "/settings/trail/",
]
PAGES = {
    "mia": [*EVERYBODY, *MARKETING, "/mqls/tasks/"],
    "sam": [
        *EVERYBODY,
        "/queue/",
        "/queue/?tab=team",
        "/queue/?grade=D&late=1",
        "/queue/own/",
        "/queue/waiting/",
        "/notices/",
        "/feedback/",
        "/reports/",
    ],
    "rosa": [
        "/",
        "/queue/",
        "/queue/board/",
        "/mqls/",
        "/feedback/",
        "/reports/cracks/",
        "/settings/hours/",
        "/agreement/",
        "/agreement/sign/",
        "/agreement/workshops/",
        "/agreement/workshops/new/",
    ],
    "admin": ["/", *SETTINGS],
}
LOOKS = [
    pytest.param(WIDE, "light", id="wide-light"),
    pytest.param(WIDE, "dark", id="wide-dark"),
    pytest.param(NARROW, "light", id="narrow-light"),
]


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_clean(
    people, agreement_in_force, open_as, axe, fits, watch, name, size, scheme
) -> None:
    made = build(people)
    user = getattr(people, name)
    parts = {"lead": made.ready[0], "person": people.ben.pk, "team": people.north.pk}
    parts["kind"] = ActivityKind.objects.get(key="form").pk
    page = open_as(user, "/", size=size, scheme=scheme)
    wrong = []
    for path in PAGES[name]:
        page.goto(path.format(**parts))
        # What a page asks for by itself (counts, notices) belongs to it.
        page.locator(".htmx-request").first.wait_for(state="detached")
        wrong += [f"{path}: {finding}" for finding in axe(page)]
        if not fits(page):
            wrong.append(f"{path}: wider than the screen")
        wrong += [f"{path}: {seen}" for seen in watch.wrong]
        watch.mend()
    assert wrong == []
