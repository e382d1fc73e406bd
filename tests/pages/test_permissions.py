"""One table: who may open which address. An address without a row fails the suite.

Roles: M marketer, K marketing manager, R rep, S sales manager, A admin. "all" is everybody signed in;
"public" also lets strangers in. Objects are asked for by an id that does not exist: who may come in gets
404 (or a page), who may not gets 403, whoever is not signed in is sent to the login or gets 401.
"""

import copy
from collections.abc import Iterator, Mapping

import pytest
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

ALL = "MKRSA"
MARKETING = "MKA"
SALES = "RSA"
MANAGERS = "KSA"
ADMIN = "A"
PUBLIC = "public"
STRANGER = "-"

# (address name, method, who)
TABLE: list[tuple[str, str, str]] = [
    # doors
    ("accounts:login", "get", PUBLIC),
    ("accounts:logout", "post", ALL),
    ("accounts:password", "get", ALL),
    ("accounts:forgotten", "get", PUBLIC),
    ("accounts:forgotten_sent", "get", PUBLIC),
    ("accounts:new_password", "get", PUBLIC),
    ("accounts:profile", "get", ALL),
    ("accounts:theme", "post", ALL),
    ("healthz", "get", PUBLIC),
    ("readyz", "get", PUBLIC),
    # everybody's pages
    ("pages:home", "get", ALL),
    ("pages:search", "get", ALL),
    ("handoff:notices", "get", ALL),
    ("handoff:notices_read", "post", ALL),
    ("handoff:notices_news", "get", ALL),
    ("pages:leads", "get", ALL),
    ("pages:leads_csv", "get", "MKSA"),
    ("pages:lead", "get", ALL),
    ("pages:lead_story", "get", ALL),
    ("pages:lead_score", "get", ALL),
    ("pages:lead_moves", "get", ALL),
    ("pages:lead_persona", "get", ALL),
    ("pages:profile_field", "get", ALL),
    ("pages:profile_field", "post", ALL),
    # settings
    ("pages:settings", "get", ALL),
    ("pages:people", "get", ADMIN),
    ("pages:person_new", "get", ADMIN),
    ("pages:person_new", "post", ADMIN),
    ("pages:person_edit", "get", ADMIN),
    ("pages:person_edit", "post", ADMIN),
    ("pages:person_invite", "post", ADMIN),
    ("pages:teams", "get", ADMIN),
    ("pages:team_new", "get", ADMIN),
    ("pages:team_new", "post", ADMIN),
    ("pages:team_edit", "get", ADMIN),
    ("pages:team_edit", "post", ADMIN),
    ("pages:hours", "get", MANAGERS),
    ("pages:hours_new", "get", MANAGERS),
    ("pages:hours_new", "post", MANAGERS),
    ("pages:hours_edit", "get", MANAGERS),
    ("pages:hours_edit", "post", MANAGERS),
    ("pages:hours_day", "post", MANAGERS),
    ("pages:hours_look", "post", MANAGERS),
    ("pages:hours_look_of", "post", MANAGERS),
    ("pages:hours_regions", "get", MANAGERS),
    ("pages:absence", "get", SALES),
    ("pages:absence", "post", SALES),
    ("pages:absence_drop", "post", SALES),
    ("pages:clocks", "get", ADMIN),
    ("pages:clock_again", "post", ADMIN),
    ("pages:company", "get", ADMIN),
    ("pages:company", "post", ADMIN),
    ("pages:keys", "get", ADMIN),
    ("pages:keys", "post", ADMIN),
    ("pages:key_revoke", "post", ADMIN),
    ("pages:fields", "get", MARKETING),
    ("pages:fields", "post", MARKETING),
    ("pages:field_edit", "get", MARKETING),
    ("pages:field_edit", "post", MARKETING),
    ("pages:field_retire", "post", MARKETING),
    ("pages:kinds", "get", MARKETING),
    ("pages:kind_new", "get", MARKETING),
    ("pages:kind_new", "post", MARKETING),
    ("pages:kind_edit", "get", MARKETING),
    ("pages:kind_edit", "post", MARKETING),
    ("pages:kind_do", "post", MARKETING),
    ("pages:lists", "get", MARKETING),
    ("pages:list_new", "get", MARKETING),
    ("pages:list_new", "post", MARKETING),
    ("pages:list_edit", "get", MARKETING),
    ("pages:list_edit", "post", MARKETING),
    ("pages:list_take", "post", MARKETING),
    ("pages:messages", "get", "SA"),
    ("pages:mail_test", "post", ADMIN),
    ("pages:messages_again", "post", "SA"),
    ("pages:endpoint_new", "get", ADMIN),
    ("pages:endpoint_new", "post", ADMIN),
    ("pages:endpoint_edit", "get", ADMIN),
    ("pages:endpoint_edit", "post", ADMIN),
    ("pages:endpoint_test", "post", ADMIN),
    ("pages:endpoint_secret", "post", ADMIN),
    ("pages:endpoint_remove", "post", ADMIN),
    ("pages:trail", "get", MANAGERS),
    # imports
    ("leads:imports", "get", MARKETING),
    ("leads:imports", "post", MARKETING),
    ("leads:import", "get", MARKETING),
    ("leads:import_start", "post", MARKETING),
    ("leads:import_rejects", "get", MARKETING),
    # long work: each job is for who started it, for marketing and for managers
    ("jobs:job", "get", ALL),
    ("jobs:stop", "post", ALL),
    ("jobs:left_out", "get", ALL),
    # sales' answers, the marketer's screens, reports
    ("feedback:one-act", "get", SALES),
    ("feedback:one-act", "post", SALES),
    ("feedback:reject", "post", SALES),
    ("feedback:return", "post", SALES),
    ("feedback:qualify", "post", SALES),
    ("feedback:win", "post", SALES),
    ("feedback:lose", "post", SALES),
    ("feedback:undo", "post", ALL),
    ("feedback:dispute", "post", MARKETING),
    ("feedback:settle", "post", "SA"),
    ("feedback:outcome", "post", "KRSA"),
    ("feedback:outcome-back", "post", "KRSA"),
    ("feedback:mqls", "get", "MKSA"),
    ("feedback:mql-form", "get", MARKETING),
    ("feedback:mql-do", "post", MARKETING),
    ("feedback:mql-form-many", "get", MARKETING),
    ("feedback:mql-do-many", "post", MARKETING),
    ("feedback:tasks", "get", "MKSA"),
    ("feedback:repairs", "get", "MKSA"),
    ("feedback:lead-nurture", "get", ALL),
    ("api:sales-is-talking", "get", ALL),
    ("api:audiences", "get", ALL),
    ("api:audience", "get", ALL),
    ("feedback:tracks", "get", "MKSA"),
    ("feedback:track-leads", "get", "MKSA"),
    ("feedback:audiences", "get", "MKSA"),
    ("feedback:audience-csv", "get", MARKETING),
    ("feedback:talking", "get", "MKSA"),
    ("feedback:task-done", "post", "MKSA"),
    ("feedback:feedback", "get", ALL),
    ("feedback:reply-form", "get", MARKETING),
    ("feedback:reply", "post", MARKETING),
    ("feedback:dispute-form", "get", MARKETING),
    ("feedback:put-away", "post", ALL),
    ("feedback:replies", "get", ALL),
    ("feedback:rule", "get", ALL),
    ("feedback:rule-draft", "post", "MKSA"),
    ("feedback:rule-tell", "get", MARKETING),
    ("feedback:rule-tell", "post", MARKETING),
    # questions, content, campaigns, customers
    ("feedback:questions", "get", ALL),
    ("feedback:questions-like", "get", ALL),
    ("feedback:question", "get", ALL),
    ("feedback:question-answer", "get", MARKETING),
    ("feedback:question-answer", "post", MARKETING),
    ("feedback:question-want", "post", MARKETING),
    ("feedback:question-join", "post", MARKETING),
    ("feedback:question-part", "post", MARKETING),
    ("feedback:lead-questions", "get", ALL),
    ("feedback:lead-questions", "post", ALL),
    ("feedback:lead-loop", "get", ALL),
    ("feedback:send", "post", SALES),
    ("feedback:pieces", "get", ALL),
    ("feedback:piece", "get", ALL),
    ("feedback:piece-leads", "get", ALL),
    ("feedback:piece-new", "get", MARKETING),
    ("feedback:piece-new", "post", MARKETING),
    ("feedback:piece-edit", "get", MARKETING),
    ("feedback:piece-edit", "post", MARKETING),
    ("feedback:piece-retire", "post", MARKETING),
    ("feedback:campaigns", "get", ALL),
    ("feedback:campaign", "get", ALL),
    ("feedback:campaign-leads", "get", ALL),
    ("feedback:campaign-new", "get", MARKETING),
    ("feedback:campaign-new", "post", MARKETING),
    ("feedback:campaign-edit", "get", MARKETING),
    ("feedback:campaign-edit", "post", MARKETING),
    ("feedback:customers", "get", ALL),
    ("feedback:customer", "get", ALL),
    ("feedback:customer-leads", "get", ALL),
    ("feedback:strays", "get", "MKSA"),
    ("feedback:strays-again", "post", "MKSA"),
    ("feedback:stray-match", "get", "MKSA"),
    ("feedback:stray-match", "post", "MKSA"),
    ("feedback:stray-drop", "post", "MKSA"),
    ("api:handoff-send", "post", ALL),
    ("api:questions", "get", ALL),
    ("api:questions", "post", ALL),
    ("api:question", "get", ALL),
    ("api:question-answer", "post", ALL),
    ("api:content", "get", ALL),
    ("api:content", "post", MARKETING),
    ("api:piece", "get", ALL),
    ("api:piece", "patch", MARKETING),
    ("api:campaigns", "get", ALL),
    ("api:campaigns", "post", MARKETING),
    ("api:campaign", "get", ALL),
    ("api:campaign", "patch", MARKETING),
    ("api:customers", "get", ALL),
    ("api:customer", "get", ALL),
    ("api:outcomes-unmatched", "get", ALL),
    ("api:outcomes-match", "post", "RSA"),
    ("api:outcomes", "get", ALL),
    ("feedback:stop", "get", PUBLIC),
    ("feedback:stop", "post", PUBLIC),
    ("feedback:reports", "get", ALL),
    ("feedback:report", "get", ALL),
    ("feedback:report-leads", "get", ALL),
    ("feedback:report-headline", "get", ALL),
    ("feedback:report-weekly", "post", ALL),
    ("api:handoff-reject", "post", ALL),
    ("api:handoff-return", "post", ALL),
    ("api:handoff-qualify", "post", ALL),
    ("api:handoff-win", "post", ALL),
    ("api:handoff-lose", "post", ALL),
    ("api:handoff-undo", "post", ALL),
    ("api:handoff-dispute", "post", ALL),
    ("api:handoff-settle", "post", ALL),
    ("api:report", "get", ALL),
    ("api:reports", "get", ALL),
    # the queue and the team board
    ("handoff:queue", "get", SALES),
    ("handoff:fresh", "get", SALES),
    ("handoff:poll", "get", SALES),
    ("handoff:filter", "get", SALES),
    ("handoff:accept_all", "post", SALES),
    ("handoff:waiting", "get", ALL),
    ("handoff:keep", "get", SALES),
    ("handoff:keep", "post", SALES),
    ("handoff:view", "get", SALES),
    ("handoff:view", "post", SALES),
    ("handoff:calls", "get", SALES),
    ("handoff:calls_done", "post", SALES),
    ("handoff:give", "get", "SA"),
    ("handoff:give", "post", "SA"),
    ("feedback:undo-all", "post", SALES),
    ("feedback:ask", "get", SALES),
    ("feedback:ask", "post", SALES),
    ("handoff:own", "get", SALES),
    ("handoff:own", "post", SALES),
    ("handoff:away", "post", SALES),
    ("handoff:board", "get", "SA"),
    ("handoff:board_called", "get", "SA"),
    ("handoff:board_give", "post", "SA"),
    ("handoff:board_away", "post", "SA"),
    ("handoff:routes", "get", ALL),
    ("handoff:routes_begin", "post", "SA"),
    ("handoff:routes_try", "get", ALL),
    ("handoff:route_try", "post", "SA"),
    ("handoff:route_counts", "get", ALL),
    ("handoff:route_order", "post", "SA"),
    ("handoff:route_room", "post", "SA"),
    ("handoff:route_edit", "get", "SA"),
    ("handoff:route_act", "post", "SA"),
    ("handoff:one", "get", SALES),
    ("handoff:panel", "get", SALES),
    ("handoff:accept", "post", SALES),
    ("handoff:claim", "post", SALES),
    ("handoff:contact", "post", SALES),
    ("handoff:snooze", "post", SALES),
    ("handoff:wake", "post", SALES),
    ("handoff:reassign", "post", "SA"),
    ("handoff:withdraw", "post", "SA"),
    # the agreement: everybody reads, these write; who signs for which side, `agreements` looks after
    ("scoring:agreement", "get", ALL),
    ("scoring:tab", "get", ALL),
    ("scoring:print", "get", ALL),
    ("scoring:pdf", "get", ALL),
    ("scoring:compare", "get", ALL),
    ("scoring:load", "get", ALL),
    ("scoring:restore", "post", "MKSA"),
    # whose link it is, the page itself looks after
    ("scoring:by_link", "get", ALL),
    ("scoring:by_link", "post", ALL),
    ("scoring:live", "get", ALL),
    ("scoring:left_out", "get", ALL),
    ("scoring:moves", "get", "MKSA"),
    ("scoring:moves_state", "get", "MKSA"),
    ("scoring:moves_leads", "get", "MKSA"),
    ("scoring:moves_table", "get", "MKSA"),
    ("scoring:moves_bar", "post", "MKSA"),
    ("scoring:try", "get", "MKSA"),
    ("scoring:backtest", "get", "MKSA"),
    ("scoring:backtest_start", "post", "MKSA"),
    ("scoring:backtest_leads", "get", "MKSA"),
    ("scoring:advice", "get", "MKSA"),
    ("scoring:advice_leads", "get", "MKSA"),
    ("scoring:advice_look", "post", "MKSA"),
    ("scoring:advice_take", "post", "MKSA"),
    ("scoring:advice_dismiss", "post", "MKSA"),
    ("scoring:edit", "get", "MKSA"),
    ("scoring:edit", "post", "MKSA"),
    ("scoring:act", "post", "MKSA"),
    ("scoring:order", "post", "MKSA"),
    ("scoring:undo", "post", "MKSA"),
    ("scoring:download", "get", ALL),
    ("scoring:file", "get", "MKSA"),
    ("scoring:file", "post", "MKSA"),
    ("scoring:file_take", "post", "MKSA"),
    ("scoring:values", "get", "MKSA"),
    ("scoring:check", "post", "MKSA"),
    ("scoring:here", "post", "MKSA"),
    ("scoring:matching", "get", "MKSA"),
    ("scoring:redo", "post", "MKSA"),
    ("scoring:start", "post", "MKSA"),
    ("scoring:discard", "post", "MKSA"),
    ("scoring:propose", "post", "MKSA"),
    ("scoring:withdraw", "post", "MKSA"),
    ("scoring:sign", "post", MANAGERS),
    ("scoring:decline", "post", MANAGERS),
    # workshops: who sorts and who has finished, `sorting` looks after
    ("scoring:workshops", "get", ALL),
    ("scoring:workshop_new", "get", MANAGERS),
    ("scoring:workshop_new", "post", MANAGERS),
    ("scoring:workshop_pool", "get", MANAGERS),
    ("scoring:workshop", "get", ALL),
    ("scoring:workshop_card", "get", ALL),
    ("scoring:workshop_card", "post", ALL),
    ("scoring:workshop_finish", "post", ALL),
    ("scoring:workshop_leave", "post", ALL),
    ("scoring:workshop_close", "post", MANAGERS),
    ("scoring:workshop_add", "post", MANAGERS),
    ("scoring:workshop_result", "get", ALL),
    ("scoring:workshop_suggest", "post", "MKSA"),
    ("api:lead_score", "get", ALL),
    ("api:agreements", "get", ALL),
    ("api:agreements", "post", "MKSA"),
    ("api:agreement", "get", ALL),
    ("api:agreement", "put", "MKSA"),
    ("api:agreement_propose", "post", "MKSA"),
    ("api:agreement_sign", "post", "MKSA"),
    ("api:agreement_decline", "post", "MKSA"),
    ("api:agreement_withdraw", "post", "MKSA"),
    ("api:agreement_preview", "get", ALL),
    ("api:agreement_preview", "post", "MKSA"),
    ("api:agreement_backtest", "get", ALL),
    ("api:agreement_backtest", "post", "MKSA"),
    # the monthly review
    ("feedback:reviews", "get", ALL),
    ("feedback:review", "get", ALL),
    ("feedback:review-note", "post", "MKSA"),
    ("feedback:review-decide", "post", "MKSA"),
    ("feedback:review-close", "post", "MKSA"),
    ("feedback:decision-done", "post", "MKSA"),
    ("feedback:decision-drop", "post", "MKSA"),
    ("feedback:decision-draft", "post", "MKSA"),
    ("feedback:pulse", "get", ALL),
    ("feedback:pulse-answer", "post", "RS"),
    ("feedback:goal", "get", ALL),
    ("feedback:goal-keep", "post", "MKSA"),
    # the rest of the API, as a signed-in person; keys have scopes of their own
    ("api:schema", "get", ALL),
    ("api:docs", "get", ALL),
    ("api:leads", "get", ALL),
    ("api:leads", "post", "MKSA"),
    ("api:leads_bulk", "post", "MKSA"),
    ("api:lead", "get", ALL),
    ("api:lead_timeline", "get", ALL),
    ("api:activities", "post", MARKETING),
    ("api:outcomes", "post", SALES),
    ("api:handoffs", "get", ALL),
    ("api:handoff", "get", ALL),
    ("api:handoff-act", "post", ALL),
]

WHO = {"M": "mia", "K": "noah", "R": "sam", "S": "rosa", "A": "admin"}
NOBODY_HAS_IT = {
    "pk": 999_999_999,
    "text": "2026-10",
    "uidb64": "x",
    "token": "y",
    "key": "title",
    "name": "sla",
    "action": "accept",
    "act": "track",
    "group": "fit",
    "kind": "criterion",
    "do": "off",
    "tab": "criteria",
}


def _addresses(patterns, names: str = "", route: str = "/") -> Iterator[tuple[str, str]]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            space = f"{pattern.namespace}:" if pattern.namespace else ""
            yield from _addresses(pattern.url_patterns, names + space, route + str(pattern.pattern))
        elif isinstance(pattern, URLPattern):
            yield (
                names + (pattern.name or f"unnamed {pattern.pattern}"),
                _fill(route + str(pattern.pattern), pattern),
            )


def _fill(route: str, pattern: URLPattern) -> str:
    """The address with every placeholder filled by something that does not exist."""
    filled = route
    for part in route.split("/"):
        if part.startswith("<") and part.endswith(">"):
            name = part.strip("<>").rpartition(":")[2]
            filled = filled.replace(part, str(NOBODY_HAS_IT.get(name, 999_999_999)))
    return filled


ADDRESSES = dict(_addresses(get_resolver().url_patterns))


def test_every_address_has_a_row() -> None:
    """A new page is closed to this suite until somebody has said who may open it."""
    told = {name for name, _, _ in TABLE}
    assert sorted(set(ADDRESSES) - told) == [], "addresses without a row in TABLE"
    assert sorted(told - set(ADDRESSES)) == [], "rows without an address"


def _came_in(response) -> bool:
    sent_to_login = response.status_code == 302 and response["Location"].startswith("/login/?next=")
    return response.status_code not in (401, 403, 405) and not sent_to_login


SPACES = sorted({name.partition(":")[0] for name, _, _ in TABLE})


@pytest.mark.parametrize("space", SPACES)
def test_only_these_may_open_it(space, people, as_user) -> None:
    """Each role is let in or refused as the table says; what a request changes is taken back at once."""
    clients = {letter: as_user(getattr(people, person)) for letter, person in WHO.items()}
    clients[STRANGER] = Client()
    wrong = [
        f"{name} {method}: {fault}"
        for name, method, who in TABLE
        if name.partition(":")[0] == space and name in ADDRESSES
        for fault in _faults(clients, method, ADDRESSES[name], who)
    ]
    assert wrong == []


def _faults(clients: Mapping[str, Client], method: str, address: str, who: str) -> Iterator[str]:
    for letter, client in clients.items():
        allowed = who == PUBLIC or letter in who
        response = _asked(client, method, address)
        came_in = _came_in(response)
        refused = allowed or letter == STRANGER or response.status_code == 403
        if came_in is not allowed or not refused:
            person = WHO.get(letter, "stranger")
            yield f"{person}: {response.status_code}, expected {'in' if allowed else 'out'}"


def _asked(client: Client, method: str, address: str):
    cookies = copy.deepcopy(client.cookies)
    with transaction.atomic():
        response = getattr(client, method)(address)
        transaction.set_rollback(True)
    client.cookies = cookies
    return response
