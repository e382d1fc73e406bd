"""A message in the form that its reader takes: our own JSON, or what Slack and Teams take by a webhook.

Pure: what the outbox holds in, the body out. A chat's message says who, why now and until when, and links to
the page of one act each; the address does nothing by itself.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings

from handoff import notices
from handoff.endpoints import events
from handoff.models import WebhookEndpoint
from leadflow.leads.models import Stage

Message = Mapping[str, Any]
Link = tuple[str, str]
SLACK_LIMIT = 2_900


def body(endpoint: WebhookEndpoint, message: Message, zone: str) -> bytes:
    """What is sent. Times of a chat are told in `zone`."""
    make = {
        WebhookEndpoint.Shape.SIGNED: _signed,
        WebhookEndpoint.Shape.SLACK: _slack,
        WebhookEndpoint.Shape.TEAMS: _teams,
    }[WebhookEndpoint.Shape(endpoint.shape)]
    return json.dumps(make(message, zone), ensure_ascii=False, separators=(",", ":")).encode()


def _signed(message: Message, zone: str) -> dict[str, Any]:
    data = dict(message["data"])
    links = {label.lower().replace(" ", "_"): url for label, url in links_of(message)}
    return {"id": message["id"], "event": message["event"], "at": message["at"], "data": data, "links": links}


def _slack(message: Message, zone: str) -> dict[str, Any]:
    headline = headline_of(message)
    lines = [f"*{_escaped(headline)}*", *(_escaped(line) for line in lines_of(message, zone))]
    links = [f"<{_escaped(url)}|{_escaped(label)}>" for label, url in links_of(message)]
    text = "\n".join(lines)[:SLACK_LIMIT]
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": text}}]
    if links:
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": " · ".join(links)}})
    return {"text": _escaped(headline), "blocks": blocks}


def _teams(message: Message, zone: str) -> dict[str, Any]:
    title = {
        "type": "TextBlock",
        "text": headline_of(message),
        "weight": "Bolder",
        "size": "Medium",
        "wrap": True,
    }
    lines = [{"type": "TextBlock", "text": line, "wrap": True} for line in lines_of(message, zone)]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [title, *lines],
        "actions": [
            {"type": "Action.OpenUrl", "title": label, "url": url} for label, url in links_of(message)
        ],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
    return {"type": "message", "attachments": [attachment]}


def _escaped(text: str) -> str:
    """Slack takes these three for its own."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def headline_of(message: Message) -> str:
    """One line: who, and what happened."""
    event, data = str(message["event"]), message["data"]
    if event == events.TEST:
        return "LeadFlow can reach this channel"
    lead = data["lead"] if isinstance(data.get("lead"), Mapping) else None
    if lead is None:  # another room's: its data are its own
        return events.NAMES.get(event, event)
    who = f"{lead['name']} ({lead['company']})" if lead["company"] else str(lead["name"])
    if event == "score.changed":
        was = f", was {data['score']['from']}" if data["score"]["from"] else ""
        return f"{who} is {data['score']['to']} now{was}"
    if event == "stage.changed":
        return f"{who}: {Stage(data['stage']['to']).label}, was {Stage(data['stage']['from']).label}"
    if event == "customer.won":
        return f"Won: {who}"
    return (
        _about_handoff(event, data, who) if "handoff" in data else f"{events.NAMES.get(event, event)}: {who}"
    )


def _about_handoff(event: str, data: Mapping[str, Any], who: str) -> str:
    handoff = data["handoff"]
    grade = f"{handoff['grade']}: " if handoff["grade"] else ""
    owner, team = handoff["owner"]["name"] if handoff["owner"] else "", handoff["team"] or "sales"
    if event == "handoff.offered":
        return f"{grade}{who} is for {owner}" if owner else f"{grade}{who} is there for {team}"
    if event == "handoff.late":
        return f"Late: {who} {notices.LATE[data['late']['promise']]} ({owner or 'nobody has it'})"
    return f"{grade}{who}: {events.NAMES[event][0].lower()}{events.NAMES[event][1:]}"


def lines_of(message: Message, zone: str) -> list[str]:
    """Why now, until when, who did it and why."""
    data = message["data"]
    if message["event"] == events.TEST:
        return ["This is a test: nothing has happened to a lead."]
    found: list[str] = []
    handoff, act = data.get("handoff") or {}, data.get("act") or {}
    if handoff.get("why_now"):
        found.append(f"Why now: {handoff['why_now']}")
    if handoff.get("due_at") and message["event"] not in _OVER:
        found.append(f"{notices.PROMISED.get(handoff['promise'], 'By')} {_clock(handoff['due_at'], zone)}")
    if act.get("by"):
        found.append(f"By {act['by']}")
    if act.get("note"):
        found.append(f"“{act['note']}”")
    if data.get("outcome", {}).get("amount"):
        found.append(f"Amount: {data['outcome']['amount']}")
    return found


_OVER = ("handoff.rejected", "handoff.returned", "handoff.won", "handoff.lost", "handoff.withdrawn")


def links_of(message: Message) -> list[Link]:
    """Call · Accept · Reject as far as they are still possible, then the lead and the CRM."""
    data = message["data"]
    if message["event"] == events.TEST:
        return []
    found: list[Link] = []
    handoff = data.get("handoff")
    if handoff:
        found += notices.act_links(handoff["id"], handoff["state"])
    lead = data.get("lead")
    if isinstance(lead, Mapping):
        found.append(("Open", f"{settings.BASE_URL}/leads/{lead['id']}/"))
        if notices.is_web(str(lead.get("crm_url", ""))):
            found.append(("Open in CRM", lead["crm_url"]))
    return found


def _clock(text: str, zone: str) -> str:
    due = datetime.fromisoformat(text).astimezone(ZoneInfo(zone))
    return f"{due:%H:%M} on {due.day} {due:%b}"
