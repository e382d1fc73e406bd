"""The words of a notice: a line for bell and subject, a few for the mail, and the links of both.

Pure: payload in, words out. A link to an act opens a page of that one act; nothing happens by opening it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.template.loader import render_to_string

from handoff.models import OPEN, Handoff, Notice, State
from leadflow.accounts.models import User
from scoring.signing import links

Payload = Mapping[str, Any]


Link = tuple[str, str]


@dataclass(frozen=True)
class Standing:
    """How a handoff stands when the mail is written: what was offered may be accepted by then."""

    state: str
    crm_url: str = ""


@dataclass(frozen=True)
class Words:
    """What a person reads: a line, where it leads, and what else the mail says, line by line."""

    text: str
    url: str
    lines: tuple[str, ...] = ()
    # (words, whole address): the acts that are still possible, and the CRM.
    links: tuple[Link, ...] = ()

    @property
    def whole_url(self) -> str:
        """The address as a mail needs it."""
        return f"{settings.BASE_URL}{self.url}"

    @property
    def body(self) -> str:
        """The mail as plain text."""
        acts = [f"{label}: {url}" for label, url in self.links]
        parts = [self.text, "\n".join(self.lines).strip("\n"), "\n".join(acts), self.whole_url]
        return "\n\n".join(part for part in parts if part)

    @property
    def html(self) -> str:
        """The mail as HTML."""
        return render_to_string("handoff/mail/notice.html", {"words": self})


def payload_of(handoff: Handoff, **more: Any) -> dict[str, Any]:
    """What the words are made of, as it stands now."""
    lead = handoff.lead
    made = payload(
        handoff=handoff.pk,
        lead=handoff.lead_id,
        name=str(lead),
        company=lead.company.name if lead.company else "",
        grade=handoff.grade,
        why=handoff.why_now,
        due=handoff.sla_due_at,
        promise=handoff.sla_promise,
    )
    return {**made, **more}


def payload(
    *,
    handoff: int,
    lead: int,
    name: str,
    company: str,
    grade: str,
    why: str,
    due: datetime | None,
    promise: str,
) -> dict[str, Any]:
    """The same from its parts."""
    said = due.isoformat() if due else ""
    return {
        "handoff": handoff, "lead": lead, "name": name, "company": company, "grade": grade, "why": why,
        "due": said, "promise": promise,
    }  # fmt: skip


def render(kind: str, payload: Payload, zone: str, standing: Standing | None = None) -> Words:
    """The words of a notice for a reader in `zone`; with `standing` also the links to what can be done."""
    lines = []
    if payload.get("why"):
        lines += [f"Why now: {payload['why']}"]
    if payload.get("due"):
        lines += [f"{PROMISED.get(payload.get('promise', ''), 'By')} {_clock(payload, zone)}"]
    if payload.get("reason"):
        lines += [f"Reason: {payload['reason']}"]
    lines += [str(more) for more in payload.get("lines", ())]
    if payload.get("more"):
        lines += [str(payload["more"])]
    url = str(payload.get("url") or _url(kind, payload))
    return Words(KINDS[kind](payload, zone), url, tuple(lines), tuple(_links(kind, payload, standing)))


def _links(kind: str, payload: Payload, standing: Standing | None) -> Iterable[Link]:
    if standing is None or not payload.get("handoff"):
        return
    if kind in MINE:
        yield from act_links(payload["handoff"], standing.state)
    if is_web(standing.crm_url):
        yield "Open in CRM", standing.crm_url


def act_links(handoff_id: int, state: str) -> list[Link]:
    """Call · Accept · Reject, as far as the state allows them; each opens the page of that one act."""
    return [(label, f"{settings.BASE_URL}{path}") for label, path in act_paths(handoff_id, state)]


def act_paths(handoff_id: int, state: str) -> list[Link]:
    """The same as paths, for a page of ours."""
    acts = [("Call", "call")] if state in OPEN and state != State.OPPORTUNITY else []
    if state == State.OFFERED:
        acts += [("Accept", "accept"), ("Reject", "reject")]
    return [(label, f"/queue/{handoff_id}/do/{act}/") for label, act in acts]


def is_web(url: str) -> bool:
    """Whether a link that came from outside may stand on a page or in a mail."""
    return url.startswith(("https://", "http://"))


def _url(kind: str, payload: Payload) -> str:
    """Where the reader goes: the handoff in the queue, or the lead when it is not (or no longer) theirs."""
    if kind == "to_sign":
        made_at = datetime.fromisoformat(payload["made_at"])
        return links.path(payload["agreement"], payload["user"], made_at)
    if kind in ELSEWHERE and payload.get("lead"):
        return f"/leads/{payload['lead']}/"
    return f"/queue/{payload['handoff']}/" if payload.get("handoff") else "/queue/"


def who(payload: Payload) -> str:
    """The lead with the company."""
    company = payload.get("company")
    return f"{payload.get('name', 'A lead')} ({company})" if company else str(payload.get("name", "A lead"))


# Of leads that the reader holds, or may take.
MINE = ("offered", "pooled", "moved_here", "warn", "late", "woke", "remind")
ELSEWHERE = ("answered", "withdrawn", "moved_away", "owner_away")
PROMISED = {
    "acceptance": "Answer by",
    "first_touch": "First contact by",
    "follow_up": "Next contact by",
}
LATE = {
    "acceptance": "is not answered",
    "first_touch": "has not been contacted",
    "follow_up": "waits for the next contact",
}


def _clock(payload: Payload, zone: str) -> str:
    due = datetime.fromisoformat(payload["due"]).astimezone(ZoneInfo(zone))
    return f"{due:%H:%M} on {due.day} {due:%b}"


def _graded(payload: Payload) -> str:
    return f"{payload['grade']}: " if payload.get("grade") else ""


def _offered(payload: Payload, zone: str) -> str:
    why = f", {payload['why'][0].lower()}{payload['why'][1:]}" if payload.get("why") else ""
    return f"{_graded(payload)}{who(payload)} is yours{why}"


def _pooled(payload: Payload, zone: str) -> str:
    return f"{_graded(payload)}{who(payload)} is there for your team: first come, first served"


def _moved_here(payload: Payload, zone: str) -> str:
    return f"{who(payload)} is yours now, {payload.get('by', 'LeadFlow')} gave it to you"


def _moved_away(payload: Payload, zone: str) -> str:
    return f"{who(payload)} went to {payload.get('to', 'a colleague')}"


def _warn(payload: Payload, zone: str) -> str:
    until = f" {_clock(payload, zone)}" if payload.get("due") else ""
    return f"{who(payload)}: {PROMISED[payload['promise']].lower()}{until or ' soon'}"


def _late(payload: Payload, zone: str) -> str:
    return f"Late: {who(payload)} {LATE[payload['promise']]}"


def _late_of(payload: Payload, zone: str) -> str:
    return f"Late: {who(payload)} {LATE[payload['promise']]} ({payload.get('owner') or 'nobody has it'})"


def _answered(payload: Payload, zone: str) -> str:
    return (
        f"{payload.get('by', 'Sales')} {payload.get('done', 'answered')} {who(payload)}, whom you handed over"
    )


KINDS: dict[str, Callable[[Payload, str], str]] = {
    "offered": _offered,
    "pooled": _pooled,
    "nobody": lambda p, z: f"Nobody was there for {who(p)}: it waits in the team's pool",
    "moved_here": _moved_here,
    "moved_away": _moved_away,
    "owner_away": lambda p, z: f"You are away: {who(p)} of your account went to {p.get('to', 'a colleague')}",
    "warn": _warn,
    "late": _late,
    "late_of": _late_of,
    "woke": lambda p, z: f"{who(p)} is awake again",
    "remind": lambda p, z: f"{who(p)}: the date you noted has come",
    "withdrawn": lambda p, z: f"{who(p)} was withdrawn: {p.get('reason', 'no longer a lead')}",
    "answered": _answered,
    # The room that wrote it chose the words (and the address).
    "said": lambda p, z: str(p["text"]),
    # The same for a mail whose address is a secret of its reader.
    "to_sign": lambda p, z: str(p["text"]),
}


def latest(user: User, limit: int = 30) -> Iterable[Notice]:
    """The newest notices of a person."""
    return Notice.objects.filter(user=user).order_by("-at", "-id")[:limit]


def mark_read(user: User, at: datetime, upto: int) -> int:
    """Note that the person has seen the notices up to this id; returns how many were new."""
    return Notice.objects.filter(user=user, read_at=None, pk__lte=upto).update(read_at=at)
