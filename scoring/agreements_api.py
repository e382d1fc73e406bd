"""The API of the agreement: list, show, draft, propose, sign, decline, withdraw, preview, backtest.

The same acts as in the browser, with the same refusals, which the audit trail keeps.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from leadflow.accounts.api import JSONBody, actor_of, idempotent
from leadflow.errors import BadInput, Fault, NotVisible
from scoring import agreements
from scoring.backtesting import runs
from scoring.models import Agreement
from scoring.signing import proof, refusals, when
from scoring.whatif import runs as looks

BIGGEST_ID, BIGGEST_NUMBER = 2**63 - 1, 2**31 - 1
_TEXT: dict[str, Any] = {"type": "string"}
_WHOLE: dict[str, Any] = {"type": "integer"}
_TIME: dict[str, Any] = {"type": "string", "format": "date-time", "nullable": True}
_ANY: dict[str, Any] = {"type": "object", "additionalProperties": True}
_SIGNATURE = {
    "type": "object",
    "properties": {"side": _TEXT, "by": _TEXT, "at": _TIME, "method": _TEXT, "void": {"type": "boolean"}},
}
_DECLINE = {
    "type": "object",
    "properties": {"side": _TEXT, "by": _TEXT, "at": _TIME, "comment": _TEXT},
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
        "declines": {"type": "array", "items": _DECLINE},
    },
    "required": ["id", "version", "state", "lock_version", "signatures", "declines"],
}
_SHOWN = {**_ROW, "properties": {**_ROW["properties"], "content": _ANY}}
_LIST = {
    "type": "object",
    "properties": {
        "results": {"type": "array", "items": _ROW},
        "next": {**_TEXT, "nullable": True, "description": "The next page; null: there is none"},
    },
    "required": ["results", "next"],
}
PAGE, PAGE_LIMIT = 100, 500
_PROBLEM = {"type": "object", "additionalProperties": True}
_READ: dict[Any, Any] = {
    (code, "application/problem+json"): _PROBLEM for code in (400, 401, 403, 404, 405, 406)
}
_REFUSED: dict[Any, Any] = {
    **_READ,
    **{(code, "application/problem+json"): _PROBLEM for code in (409, 413, 415)},
}
_JSON = "application/json"
_DRAFT_IN = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "content": {**_ANY, "description": "The whole content; without it a copy of the version in force"},
        "note": _TEXT,
    },
}
_SAVE_IN = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"content": _ANY, "lock_version": _WHOLE},
    "required": ["content", "lock_version"],
}
_PROPOSE_IN = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "note": _TEXT,
        "in_force_from": {
            **_TEXT,
            "nullable": True,
            "description": "An instant, or a day (its midnight) or local time in the agreement's zone. "
            "Without it: when both have signed",
        },
        "release": {**_TEXT, "enum": [str(r.value) for r in agreements.RELEASES]},
    },
}
_SIGN_IN = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "password": _TEXT,
        "side": {**_TEXT, "enum": ["marketing", "sales"], "description": "For whom; refused if not yours"},
    },
    "required": ["password"],
}
_DECLINE_IN = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"comment": {**_TEXT, "description": "Why: both sides read it"}},
    "required": ["comment"],
}
_WITHDRAW_IN = {"type": "object", "additionalProperties": False, "properties": {"reason": _TEXT}}
_GOALS = ["accepted", "customer"]
_BACKTEST_IN = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"goal": {**_TEXT, "enum": _GOALS}},
}
_BACKTEST = {
    "type": "object",
    "properties": {
        "goal": {**_TEXT, "enum": _GOALS},
        "state": {**_TEXT, "enum": ["running", "done", "cancelled", "failed"]},
        "at": _TIME,
        "finished_at": _TIME,
        "sha256": _TEXT,
        "job": {**_WHOLE, "nullable": True},
        "result": {**_ANY, "description": "Empty until it is done"},
    },
    "required": ["goal", "state", "result"],
}
_COUNTED = (
    "base",
    "looked",
    "open",
    "with_sales",
    "enter",
    "leave",
    "become_mql",
    "no_longer_mql",
    "excluded",
)
_PREVIEW = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("id", *_COUNTED, "up", "down"), _WHOLE),
        "state": {**_TEXT, "enum": ["running", "done", "cancelled", "failed"]},
        "exact": {"type": "boolean", "description": "Whether all leads were looked at yet"},
        "at": _TIME,
        "sha256": _TEXT,
        "against": {**_WHOLE, "nullable": True, "description": "The version it is compared with"},
        "job": {**_WHOLE, "nullable": True},
        "bar": {**_WHOLE, "nullable": True},
        "bars": {**_ANY, "description": "Per bar: how many enter the queue, how many leave it"},
        "grades": {**_ANY, "description": "From one grade to another: how many"},
        "a_week": {**_ANY, "description": "Leads a week, now and per bar"},
    },
    "required": ["state", "exact", *_COUNTED],
}
_PREVIEW_IN = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"again": {"type": "boolean", "description": "Look afresh"}},
}


Method = Callable[..., Response]


def noting(act: str) -> Callable[[Method], Method]:
    """Leave a refusal in the audit trail; outside of whatever is undone by it."""

    def wrap(method: Method) -> Method:
        def inner(view: APIView, request: Request, pk: int) -> Response:
            about = Agreement.objects.filter(pk=pk).first() if pk <= BIGGEST_ID else None
            with refusals.noted(actor_of(request), act, about):
                return method(view, request, pk)

        inner.__doc__, inner.__name__ = method.__doc__, method.__name__
        return inner

    return wrap


class AgreementList(APIView):
    """Every version, and a new draft."""

    scopes = {"GET": "agreements:read", "POST": "agreements:write"}
    parser_classes = [JSONBody]

    @extend_schema(
        operation_id="agreements",
        summary="Every version, newest first",
        parameters=[
            OpenApiParameter("limit", int, description=f"A page's versions: {PAGE}, {PAGE_LIMIT} at most"),
            OpenApiParameter("cursor", str, description="From `next` of the page before"),
        ],
        responses={(200, _JSON): _LIST, **_READ},
    )
    def get(self, request: Request) -> Response:
        """The versions without their content; follow `next` until it is null."""
        asked = request.query_params
        limit = _number(asked.get("limit") or str(PAGE), "limit", PAGE_LIMIT)
        found = Agreement.objects.defer("content").prefetch_related("signatures__user", "declines__user")
        if before := asked.get("cursor"):
            found = found.filter(number__lt=_number(before, "cursor", BIGGEST_NUMBER))
        rows = list(found.order_by("-number")[: limit + 1])
        following = None
        if len(rows) > limit:
            query = urlencode({**asked.dict(), "cursor": rows[limit - 1].number})
            following = request.build_absolute_uri(f"{request.path}?{query}")
        return Response({"results": [_row(row) for row in rows[:limit]], "next": following})

    @extend_schema(
        operation_id="agreement_draft",
        summary="Begin a draft",
        request={"application/json": _DRAFT_IN},
        responses={(201, _JSON): _SHOWN, **_REFUSED},
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


def _number(text: str, name: str, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 11 and 1 <= int(text) <= most):
        words = "Take it from `next` of the page before." if name == "cursor" else f"From 1 to {most}."
        raise BadInput(f"The {name} cannot be read.", [Fault(name, words)])
    return int(text)


class AgreementDetail(APIView):
    """One version."""

    scopes = {"GET": "agreements:read", "PUT": "agreements:write"}
    parser_classes = [JSONBody]

    @extend_schema(
        operation_id="agreement",
        summary="A version with its content",
        responses={(200, _JSON): _SHOWN, **_READ},
    )
    def get(self, request: Request, pk: int) -> Response:
        """The version and everything it says."""
        return Response(_row(_get(pk), content=True))

    @extend_schema(
        operation_id="agreement_save",
        summary="Replace a draft's content",
        request={"application/json": _SAVE_IN},
        responses={(200, _JSON): _SHOWN, **_REFUSED},
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
        responses={(200, _JSON): _SHOWN, **_REFUSED},
    )
    @noting("propose")
    @idempotent
    def post(self, request: Request, pk: int) -> Response:
        """From here on nothing in it changes."""
        body = _body(request, {"note", "in_force_from", "release"})
        agreement = _get(pk)
        made = agreements.propose(
            agreement,
            actor_of(request),
            note=_text(body, "note"),
            in_force_from=_instant(body, agreement.zone),
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
        responses={(200, _JSON): _SHOWN, **_REFUSED},
    )
    @noting("sign")
    @idempotent
    def post(self, request: Request, pk: int) -> Response:
        """With the second signature it comes into force, now or on its day."""
        body = _body(request, {"password", "side"})
        agreement, actor = _get(pk), actor_of(request)
        if actor.user is not None and agreements.side_of(actor.user) is not None:
            # The plain request: the throttle of wrong passwords counts by it.
            proof.check(request._request, actor.user, _text(body, "password"))
        return Response(_row(agreements.sign(agreement, actor, side=_text(body, "side")), content=True))


class AgreementDecline(APIView):
    """A person says no for their side; a key cannot."""

    scopes = {"POST": "agreements:write"}
    parser_classes = [JSONBody]

    @extend_schema(
        operation_id="agreement_decline",
        summary="Say no for one's side, with the reason",
        request={"application/json": _DECLINE_IN},
        responses={(200, _JSON): _SHOWN, **_REFUSED},
    )
    @noting("decline")
    @idempotent
    def post(self, request: Request, pk: int) -> Response:
        """The proposal is over and its signatures are void; both sides read the comment."""
        body = _body(request, {"comment"})
        agreement = _get(pk)
        return Response(
            _row(agreements.decline(agreement, actor_of(request), _text(body, "comment")), content=True)
        )


class AgreementWithdraw(APIView):
    """Take a proposal back."""

    scopes = {"POST": "agreements:write"}
    parser_classes = [JSONBody]

    @extend_schema(
        operation_id="agreement_withdraw",
        summary="Take a proposal back before it is in force",
        request={"application/json": _WITHDRAW_IN},
        responses={(200, _JSON): _SHOWN, **_REFUSED},
    )
    @noting("withdraw")
    @idempotent
    def post(self, request: Request, pk: int) -> Response:
        """Its signatures are void; a change is a new draft."""
        body = _body(request, {"reason"})
        made = agreements.withdraw(_get(pk), actor_of(request), _text(body, "reason")[:500])
        return Response(_row(made, content=True))


class AgreementPreview(APIView):
    """Who would move if this version took the place of the one in force."""

    scopes = {"GET": "agreements:read", "POST": "agreements:write"}
    parser_classes = [JSONBody]

    @extend_schema(
        operation_id="agreement_preview",
        summary="The latest look at who would move by this version",
        responses={(200, _JSON): _PREVIEW, **_READ},
    )
    def get(self, request: Request, pk: int) -> Response:
        """Counts over all leads once `exact`, over a sample before; 404 while nobody has looked."""
        agreement = _get(pk)
        found = looks.latest(agreement, _against(agreement))
        if found is None:
            raise NotVisible
        return Response(looks.as_json(found))

    @extend_schema(
        operation_id="agreement_preview_start",
        summary="Look at who would move by this version, against the one in force",
        request={"application/json": _PREVIEW_IN},
        responses={(202, _JSON): _PREVIEW, **_REFUSED},
    )
    @idempotent
    def post(self, request: Request, pk: int) -> Response:
        """Answers with the first look at once; the exact one follows by itself: ask again with GET."""
        body = _body(request, {"again"})
        again = body.get("again", False)
        if not isinstance(again, bool):
            raise BadInput("Some of it cannot be read.", [Fault("again", "Write true or false.")])
        agreement = _get(pk)
        made = looks.start(agreement, _against(agreement), actor_of(request), again=again)
        return Response(looks.as_json(made), status=202)


def _against(agreement: Agreement) -> Agreement | None:
    force = agreements.in_force()
    return force if force is not None and force.pk != agreement.pk else agreement.based_on


class AgreementBacktest(APIView):
    """A version tried on leads whose end is known."""

    scopes = {"GET": "agreements:read", "POST": "agreements:write"}
    parser_classes = [JSONBody]

    @extend_schema(
        operation_id="agreement_backtest",
        summary="The latest try of this version on the past",
        parameters=[OpenApiParameter("goal", str, enum=_GOALS, description="What counts as a good end")],
        responses={(200, _JSON): _BACKTEST, **_READ},
    )
    def get(self, request: Request, pk: int) -> Response:
        """404 while none was begun."""
        found = runs.latest(_get(pk), _goal(request.query_params.get("goal")))
        if found is None:
            raise NotVisible
        return Response(runs.as_json(found))

    @extend_schema(
        operation_id="agreement_backtest_start",
        summary="Try this version on the past",
        request={"application/json": _BACKTEST_IN},
        responses={(202, _JSON): _BACKTEST, **_REFUSED},
    )
    @idempotent
    def post(self, request: Request, pk: int) -> Response:
        """Long work: ask again with GET. One that runs already is given back."""
        body = _body(request, {"goal"})
        made = runs.start(_get(pk), _goal(body.get("goal")), actor_of(request))
        return Response(runs.as_json(made), status=202)


def _goal(raw: Any) -> str:
    if raw in (None, ""):
        return "customer"
    if raw not in _GOALS:
        raise BadInput("This is no goal.", [Fault("goal", f"Write one of {', '.join(_GOALS)}.")])
    return str(raw)


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


def _instant(body: Mapping[str, Any], zone: str) -> datetime | None:
    text = _text(body, "in_force_from")
    return when.instant(text, zone) if text else None


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
            {
                "side": s.side,
                "by": s.user.name,
                "at": s.at,
                "method": s.method,
                "void": s.voided_at is not None,
            }
            for s in row.signatures.all()
        ],
        "declines": [
            {"side": no.side, "by": no.user.name, "at": no.at, "comment": no.comment}
            for no in row.declines.all()
        ],
    }
    return {**found, "content": row.content} if content else found
