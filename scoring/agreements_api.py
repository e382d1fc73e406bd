"""The API of the agreement: list, show, draft, propose, sign, preview. The same acts as in the browser."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib.auth import authenticate
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from leadflow import clock
from leadflow.accounts.api import JSONBody, actor_of, idempotent
from leadflow.errors import BadInput, Fault, NotVisible
from scoring import agreements, preview
from scoring.models import Agreement

BIGGEST_ID = 2**63 - 1
_TEXT: dict[str, Any] = {"type": "string"}
_WHOLE: dict[str, Any] = {"type": "integer"}
_TIME: dict[str, Any] = {"type": "string", "format": "date-time", "nullable": True}
_ANY: dict[str, Any] = {"type": "object", "additionalProperties": True}
_SIGNATURE = {
    "type": "object",
    "properties": {"side": _TEXT, "by": _TEXT, "at": _TIME, "void": {"type": "boolean"}},
}
_ROW: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": _WHOLE,
        "version": _WHOLE,
        "state": {**_TEXT, "enum": [str(s) for s in Agreement.State.values]},
        "sha256": _TEXT,
        "note": _TEXT,
        "based_on": {**_WHOLE, "nullable": True},
        "created_at": _TIME,
        "changed_at": _TIME,
        "proposed_at": _TIME,
        "in_force_from": _TIME,
        "in_force_at": _TIME,
        "superseded_at": _TIME,
        "release": _TEXT,
        "lock_version": _WHOLE,
        "signatures": {"type": "array", "items": _SIGNATURE},
    },
    "required": ["id", "version", "state", "lock_version", "signatures"],
}
_SHOWN = {**_ROW, "properties": {**_ROW["properties"], "content": _ANY}}
_LIST = {
    "type": "object",
    "properties": {"results": {"type": "array", "items": _ROW}},
    "required": ["results"],
}
_PROBLEM = {"type": "object", "additionalProperties": True}
_REFUSED = {400: _PROBLEM, 403: _PROBLEM, 409: _PROBLEM}
_DRAFT_IN = {
    "type": "object",
    "properties": {
        "content": {**_ANY, "description": "The whole content; without it a copy of the version in force"},
        "note": _TEXT,
    },
}
_SAVE_IN = {
    "type": "object",
    "properties": {"content": _ANY, "lock_version": _WHOLE},
    "required": ["content", "lock_version"],
}
_PROPOSE_IN = {
    "type": "object",
    "properties": {
        "note": _TEXT,
        "in_force_from": {**_TEXT, "format": "date-time", "description": "Without it: when both have signed"},
        "release": {**_TEXT, "enum": [str(r.value) for r in agreements.RELEASES]},
    },
}
_SIGN_IN = {"type": "object", "properties": {"password": _TEXT}, "required": ["password"]}
_FIGURES = ("looked", "base", "enter", "leave", "become_mql", "no_longer_mql", "excluded")
_COUNTS = {
    "type": "object",
    "properties": dict.fromkeys(_FIGURES, _WHOLE),
    "required": ["looked", "base"],
}


class AgreementList(APIView):
    """Every version, and a new draft."""

    scopes = {"GET": "agreements:read", "POST": "agreements:write"}
    parser_classes = [JSONBody]

    @extend_schema(operation_id="agreements", summary="Every version, newest first", responses={200: _LIST})
    def get(self, request: Request) -> Response:
        """The versions without their content."""
        rows = Agreement.objects.defer("content").prefetch_related("signatures__user").order_by("-number")
        return Response({"results": [_row(row) for row in rows[:500]]})

    @extend_schema(
        operation_id="agreement_draft",
        summary="Begin a draft",
        request={"application/json": _DRAFT_IN},
        responses={201: _SHOWN, **_REFUSED},
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """A draft of `content`, or a copy of the version in force."""
        body = _body(request, {"content", "note"})
        content = body.get("content")
        if content is not None and not isinstance(content, Mapping):
            raise BadInput("The content is not an object.", [Fault("content", "Send a JSON object.")])
        made = agreements.create_draft(actor_of(request), content=content, note=_text(body, "note"))
        return Response(_row(made, content=True), status=201)


class AgreementDetail(APIView):
    """One version."""

    scopes = {"GET": "agreements:read", "PUT": "agreements:write"}
    parser_classes = [JSONBody]

    @extend_schema(operation_id="agreement", summary="A version with its content", responses={200: _SHOWN})
    def get(self, request: Request, pk: int) -> Response:
        """The version and everything it says."""
        return Response(_row(_get(pk), content=True))

    @extend_schema(
        operation_id="agreement_save",
        summary="Replace a draft's content",
        request={"application/json": _SAVE_IN},
        responses={200: _SHOWN, **_REFUSED},
    )
    def put(self, request: Request, pk: int) -> Response:
        """Save the whole content; each fault comes with its place. 409 when somebody saved in between."""
        body = _body(request, {"content", "lock_version"})
        lock = body.get("lock_version")
        if isinstance(lock, bool) or not isinstance(lock, int):
            raise BadInput(
                "Say on which save you build.",
                [Fault("lock_version", "Send the lock_version that you read.")],
            )
        saved = agreements.save_draft(
            _get(pk), body.get("content") or {}, actor_of(request), lock, what="by API"
        )
        return Response(_row(saved, content=True))


class AgreementPropose(APIView):
    """Ask both sides to sign."""

    scopes = {"POST": "agreements:write"}
    parser_classes = [JSONBody]

    @extend_schema(
        operation_id="agreement_propose",
        summary="Freeze a draft and ask both sides to sign",
        request={"application/json": _PROPOSE_IN},
        responses={200: _SHOWN, **_REFUSED},
    )
    @idempotent
    def post(self, request: Request, pk: int) -> Response:
        """From here on nothing in it changes."""
        body = _body(request, {"note", "in_force_from", "release"})
        made = agreements.propose(
            _get(pk),
            actor_of(request),
            note=_text(body, "note"),
            in_force_from=_instant(body.get("in_force_from")),
            release_choice=_text(body, "release") or Agreement.Release.TRICKLE,
        )
        return Response(_row(made, content=True))


class AgreementSign(APIView):
    """A person signs for their side; a key cannot."""

    scopes = {"POST": "agreements:write"}
    parser_classes = [JSONBody]

    @extend_schema(
        operation_id="agreement_sign",
        summary="Sign for one's side, with the password once more",
        request={"application/json": _SIGN_IN},
        responses={200: _SHOWN, **_REFUSED},
    )
    def post(self, request: Request, pk: int) -> Response:
        """With the second signature it comes into force, now or on its day."""
        body = _body(request, {"password"})
        agreement, actor = _get(pk), actor_of(request)
        if actor.user is not None and agreements.side_of(actor.user) is not None:
            # The plain request: the throttle of wrong passwords counts by it.
            found = authenticate(
                request._request, username=actor.user.email, password=_text(body, "password")
            )
            if found != actor.user:
                raise BadInput("Not signed.", [Fault("password", "This is not your password.")])
        return Response(_row(agreements.sign(agreement, actor), content=True))


class AgreementPreview(APIView):
    """Who would move if this version were in force now."""

    scopes = {"GET": "agreements:read"}

    @extend_schema(
        operation_id="agreement_preview",
        summary="How many leads would move by this version, against the one in force",
        responses={200: _COUNTS},
    )
    def get(self, request: Request, pk: int) -> Response:
        """Counts over all leads, or over a sample of them (`looked` of `base`)."""
        agreement, force = _get(pk), agreements.in_force()
        against = force if force is not None and force.pk != agreement.pk else agreement.based_on
        found = preview.who_moves(agreement, clock.now(), against)
        return Response(
            {
                "looked": found.look.looked,
                "base": found.look.base,
                "enter": found.enter.count,
                "leave": found.leave.count,
                "become_mql": found.become.count,
                "no_longer_mql": found.fall.count,
                "excluded": found.out.count,
            }
        )


def _get(pk: int) -> Agreement:
    if pk > BIGGEST_ID:
        raise NotVisible
    return agreements.get(pk)


def _body(request: Request, known: set[str]) -> dict[str, Any]:
    data = request.data
    if not isinstance(data, dict):
        raise BadInput("Send one JSON object.", [Fault("", "Send one JSON object.")])
    unknown = [Fault(str(key), "There is no such part here.") for key in data if key not in known]
    if unknown:
        raise BadInput("Some of it is not known here.", unknown)
    return data


def _text(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key) or ""
    if not isinstance(value, str) or "\x00" in value:
        raise BadInput("Some of it cannot be read.", [Fault(key, "A text is expected here.")])
    return value


def _instant(raw: Any) -> datetime | None:
    if raw in (None, ""):
        return None
    try:
        found = parse_datetime(raw) if isinstance(raw, str) else None
    except ValueError:
        found = None
    if found is None or timezone.is_naive(found):
        raise BadInput(
            "The day cannot be read.",
            [Fault("in_force_from", "Write it with its zone: 2026-12-01T09:00:00+01:00.")],
        )
    return found


def _row(row: Agreement, *, content: bool = False) -> dict[str, Any]:
    found = {
        "id": row.pk,
        "version": row.number,
        "state": row.state,
        "sha256": row.sha256,
        "note": row.note,
        "based_on": row.based_on_id,
        "created_at": row.created_at,
        "changed_at": row.changed_at,
        "proposed_at": row.proposed_at,
        "in_force_from": row.in_force_from,
        "in_force_at": row.in_force_at,
        "superseded_at": row.superseded_at,
        "release": row.release,
        "lock_version": row.lock_version,
        "signatures": [
            {"side": s.side, "by": s.user.name, "at": s.at, "void": s.voided_at is not None}
            for s in row.signatures.all()
        ],
    }
    return {**found, "content": row.content} if content else found
