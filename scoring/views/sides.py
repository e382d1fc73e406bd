"""Who signs, and what the pages of signing and history need."""

from typing import Any

from leadflow.accounts.models import AuditEntry, Role, User
from scoring import agreements
from scoring.models import Agreement, Decline, Signature
from scoring.views.desk import STATE_WORDS, Desk, State


def signers(desk: Desk) -> list[dict[str, Any]]:
    """Per side: who signed, or who may."""
    agreement = desk.agreement
    signed = {s.side: s for s in agreement.signatures.filter(voided_at=None).select_related("user")}
    wanted = [Role.MARKETING_MANAGER, Role.SALES_MANAGER]
    may: dict[str, list[User]] = {}
    for user in User.objects.filter(is_active=True, role__in=wanted).order_by("name"):
        may.setdefault(agreements.SIGNERS[Role(user.role)], []).append(user)
    mine = agreements.side_of(desk.user)
    return [
        {
            "side": side,
            "label": side.label,
            "signature": signed.get(side),
            "who": may.get(side, []),
            "mine": mine == side,
            "may_sign": mine == side and agreement.state == State.PROPOSED and side not in signed,
        }
        for side in Signature.Side
    ]


def sign_context(desk: Desk) -> dict[str, Any]:
    agreement = desk.agreement
    faults = agreements.faults_of(agreement.content, complete=True) if agreement.state == State.DRAFT else []
    return {
        "faults": faults,
        "releases": [
            (key, words, key == desk.document.admission.on_release)
            for key, words in (
                ("trickle", "Trickle in: best first, as sales has room"),
                ("new_evidence", "Only on new evidence: they wait until they do something"),
            )
        ],
        "release_words": dict(Agreement.Release.choices).get(agreement.release, ""),
        "declined": Decline.objects.filter(agreement=agreement).select_related("user").first(),
        "other_proposal": agreements.proposal() if agreement.state == State.DRAFT else None,
        "previous": desk.base,
    }


def history_context(desk: Desk) -> dict[str, Any]:
    versions = list(
        Agreement.objects.defer("content")
        .select_related("created_by", "proposed_by", "based_on")
        .prefetch_related("signatures__user", "declines__user")
        .order_by("-number")[:200]
    )
    trail = (
        AuditEntry.objects.filter(object_type="scoring.agreement")
        .select_related("actor")
        .order_by("-at", "-id")[:60]
    )
    numbers = {str(v.pk): v.number for v in versions}
    return {
        "versions": [
            {
                "row": v,
                "words": STATE_WORDS[State(v.state)][0].format(v.number),
                "look": STATE_WORDS[State(v.state)][1],
            }
            for v in versions
        ],
        "trail": [
            {
                "row": row,
                "number": numbers.get(row.object_id),
                "verb": row.verb.removeprefix("agreement.").replace("_", " "),
                "what": str((row.after or {}).get("what") or row.reason or ""),
            }
            for row in trail
        ],
    }
