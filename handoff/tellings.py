"""News of the agreement on their way to people: from scoring's rows into the outbox, for bell and mail."""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from handoff import outbox
from handoff.models import Outbox
from handoff.outbox import Letter
from scoring.models import Agreement, Signature, Telling

BATCH = 200
Kind = Telling.Kind
# Older than this it is history, not news. A request to sign stands as long as the proposal does.
NEWS_FOR = timedelta(days=7)


def pull(at: datetime, limit: int = BATCH) -> int:
    """Turn what people are to hear into letters; returns how many rows were taken.

    Rows and letters in one transaction: a kill leaves the rows as they were, and a letter's key is unique.
    """
    with transaction.atomic():
        rows = list(
            Telling.objects.filter(taken_at=None)
            .select_related("agreement", "by", "user", "link")
            .order_by("id")
            .select_for_update(skip_locked=True, of=("self",))[:limit]
        )
        letters = [letter for row in rows if _is_news(row, at) for letter in _letters(row)]
        outbox.put(letters, at)
        Telling.objects.filter(pk__in=[row.pk for row in rows]).update(taken_at=at)
    return len(rows)


def _is_news(row: Telling, at: datetime) -> bool:
    if not row.user.is_active:
        return False
    if row.kind == Kind.ASKED:
        return row.agreement.state == Agreement.State.PROPOSED
    return row.at > at - NEWS_FOR


def _letters(row: Telling) -> list[Letter]:
    key = f"agreement:{row.agreement_id}:telling:{row.pk}"
    words: dict[str, Any] = {
        "text": _said(row),
        "url": f"/agreement/sign/?v={row.agreement.number}",
        "lines": _lines(row),
    }
    letters = [Letter(f"{key}:bell", "said", Outbox.Channel.BELL, row.user_id, words)]
    if row.mail:
        mail, kind = words, "said"
        if row.link is not None:
            # The mail's address is made when it is written: no table holds the secret part.
            made_at = row.link.created_at.isoformat()
            mail = {k: v for k, v in words.items() if k != "url"}
            mail |= {"agreement": row.agreement_id, "user": row.user_id, "made_at": made_at}
            kind = "to_sign"
        letters.append(Letter(f"{key}:email", kind, Outbox.Channel.EMAIL, row.user_id, mail))
    return letters


def _said(row: Telling) -> str:
    who, version = row.by.name if row.by else "LeadFlow", f"agreement v{row.agreement.number}"
    if row.kind == Kind.ASKED:
        side = Signature.Side(row.link.side).label.lower() if row.link else "your side"
        return f"{who} asks you to sign {version} for {side}"
    if row.kind == Kind.SIGNED:
        return f"{who} has signed {version}: the other side is asked now"
    if row.kind == Kind.DECLINED:
        return f"{who} declined {version}: “{row.comment}”"
    if row.kind == Kind.WITHDRAWN:
        return f"{version[0].upper()}{version[1:]} was taken back{f': {row.comment}' if row.comment else ''}"
    return f"{version[0].upper()}{version[1:]} is in force: every lead is scored by it"


def _lines(row: Telling) -> list[str]:
    if row.kind == Kind.DECLINED:
        return [f"The reason: {row.comment}"]
    if row.kind == Kind.WITHDRAWN and row.mail:
        return ["Your signature on it is void. What comes next is a new version, with signatures of its own."]
    if row.kind != Kind.ASKED or row.link is None:
        return []
    note = [f"What changes: {row.agreement.note}", ""] if row.agreement.note else []
    return [
        *note,
        "The link shows what you sign. Nothing is signed by opening it. It is for you alone, works once, "
        f"until {row.link.expires_at:%d %B %Y}; log in first.",
    ]
