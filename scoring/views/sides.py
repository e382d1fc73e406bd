"""Who signs, and what the pages of signing and history need."""

from typing import Any

from django.http import HttpRequest

from leadflow.accounts.models import AuditEntry, Role, User
from scoring import agreements
from scoring.models import Agreement, Decline, Signature
from scoring.signing import proof
from scoring.views.desk import STATE_WORDS, Desk, State

VERBS = {
    "agreement.propose_refused": "could not propose",
    "agreement.sign_refused": "could not sign",
    "agreement.decline_refused": "could not decline",
    "agreement.withdraw_refused": "could not take back",
}


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


def sign_context(request: HttpRequest, desk: Desk) -> dict[str, Any]:
    """What the sign-off page shows beside the version itself."""
    agreement = desk.agreement
    is_draft = agreement.state == State.DRAFT
    return {
        "faults": agreements.faults_of(agreement.content, complete=True) if is_draft else [],
        "zone": desk.document.zone,
        "releases": [
            (choice.value, choice.label, choice == desk.document.admission.on_release)
            for choice in Agreement.Release
        ],
        "release_words": Agreement.Release(agreement.release).label,
        "declined": Decline.objects.filter(agreement=agreement).select_related("user").first(),
        "last_no": _last_no(desk) if is_draft else None,
        "other_proposal": agreements.proposal() if is_draft else None,
        "previous": desk.base,
        "needs_password": proof.needs_password(request),
        "proofs": proof.WORDS,
    }


def _last_no(desk: Desk) -> Decline | None:
    """The newest no since the version in force: whoever drafts the next version should have read it."""
    noes = Decline.objects.select_related("user", "agreement")
    if desk.in_force is not None:
        noes = noes.filter(agreement__number__gt=desk.in_force.number)
    return noes.order_by("-at").first()


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
                "waits": v.state in agreements.OPEN,
            }
            for v in versions
        ],
        "trail": [
            {
                "row": row,
                "number": numbers.get(row.object_id),
                "verb": VERBS.get(row.verb, row.verb.removeprefix("agreement.").replace("_", " ")),
                "what": str((row.after or {}).get("what") or row.reason or ""),
            }
            for row in trail
        ],
    }
