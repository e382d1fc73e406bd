"""How the API knows who calls, what they may do, and how it says no."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder

from leadflow import clock
from leadflow.accounts.actors import Actor
from leadflow.accounts.keys import find_key
from leadflow.accounts.models import ApiKey, IdempotencyRecord, Role, User
from leadflow.errors import BadInput, Conflict, Fault, Forbidden, NotVisible

# REST framework reads this module while it builds its own views.
if TYPE_CHECKING:
    from rest_framework.views import APIView

ROWS_LIMIT = 10_000
NDJSON = "application/x-ndjson"
KEY_USED_EVERY = timedelta(minutes=1)
IDEMPOTENCY_KEPT = timedelta(hours=24)

_LOOP = {"questions:write", "content:write", "campaigns:write"}
# What a signed-in person may do through the API, by role; "read" scopes are for everybody.
ROLE_SCOPES: dict[str, set[str]] = {
    Role.REP: {"handoffs:write", "outcomes:write", "questions:write"},
    Role.SALES_MANAGER: {
        "handoffs:write",
        "outcomes:write",
        "agreements:write",
        "leads:write",
        "questions:write",
    },
    Role.MARKETER: {"leads:write", "activities:write", "agreements:write", "handoffs:write", *_LOOP},
    Role.MARKETING_MANAGER: {
        "leads:write",
        "activities:write",
        "agreements:write",
        "handoffs:write",
        *_LOOP,
    },
}


class TooLarge(exceptions.APIException):
    """More than one request may bring. HTTP 413."""

    status_code = 413


@dataclass(frozen=True)
class Broken:
    """A line of NDJSON that is no JSON; stands in the place of its row."""

    message: str


class JSONBody(BaseParser):
    """A JSON body of limited size; says where it is broken."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """The data of the body. Raises ParseError, TooLarge."""
        text = _body(stream)
        try:
            return _loads(text)
        except ValueError as error:
            raise exceptions.ParseError(_json_words(error)) from None


class NDJSONBody(BaseParser):
    """One JSON object per line; a broken line is one rejected row, the others are taken."""

    media_type = NDJSON

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """One entry per line that is not blank. Raises ParseError, TooLarge."""
        rows: list[Any] = []
        for line in _body(stream).split("\n"):
            if not line.strip():
                continue
            try:
                rows.append(_loads(line))
            except ValueError as error:
                rows.append(Broken(_json_words(error)))
        return rows


def _body(stream: Any) -> str:
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    raw = stream.read(limit + 1)
    if len(raw) > limit:
        raise TooLarge(f"The body is larger than {limit // 1024 // 1024} MB. Send it in several parts.")
    try:
        return str(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise exceptions.ParseError(
            f"The body is not UTF-8 (byte {error.start}). Send it as UTF-8."
        ) from None


def _loads(text: str) -> Any:
    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is not JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _json_words(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"This is not JSON: {error.msg} (line {error.lineno}, column {error.colno})."
    return f"This is not JSON: {error}."


def rows_of(request: Request) -> list[Any]:
    """The rows of a body that is one object, an array, or NDJSON. Raises ParseError, TooLarge."""
    data = request.data
    rows = data if isinstance(data, list) else [data]
    if not isinstance(data, list | dict):
        raise exceptions.ParseError("Send one object, an array of objects, or NDJSON.")
    if not rows:
        raise exceptions.ParseError("There is no row in the body.")
    if len(rows) > ROWS_LIMIT:
        raise TooLarge(f"{len(rows)} rows; {ROWS_LIMIT} are the most. Send them in several parts.")
    return rows


def storable(text: str) -> str:
    """A text that was sent to us, fit to be sent back and stored: no NUL, no half of a pair."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def told(faults: Iterable[Fault]) -> list[dict[str, str]]:
    """Faults as the API tells them."""
    return [{"path": storable(f.path), "message": storable(f.message)} for f in faults]


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer KEY`."""

    def authenticate(self, request: Request) -> tuple[None, ApiKey] | None:
        parts = get_authorization_header(request).split()
        if not parts or parts[0].lower() != b"bearer":
            return None
        key = find_key(parts[1].decode("latin-1")) if len(parts) == 2 else None
        if key is None:
            raise exceptions.AuthenticationFailed("This key is unknown or was revoked.")
        now = clock.now()
        if key.last_used_at is None or now - key.last_used_at > KEY_USED_EVERY:
            ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
        return None, key

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Tells the OpenAPI document about the keys."""

    target_class = "leadflow.accounts.api.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


class HasScope(BasePermission):
    """Closed by default: a view names the scope of each method in `scopes`, or nobody gets in."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        if not hasattr(view, str(request.method).lower()):
            return True  # nothing to open: the answer is 405
        needed = getattr(view, "scopes", {}).get(request.method)
        if isinstance(request.auth, ApiKey):
            return needed == "any" or needed in request.auth.scopes
        user = request.user
        if not isinstance(user, User) or needed is None:
            return False
        return (
            needed == "any"
            or user.role == Role.ADMIN
            or needed.endswith(":read")
            or needed in ROLE_SCOPES.get(user.role, set())
        )


def actor_of(request: Request) -> Actor:
    """Who calls."""
    if isinstance(request.auth, ApiKey):
        return Actor(api_key=request.auth)
    return Actor(user=request.user if isinstance(request.user, User) else None)


def problem(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Every error as application/problem+json with `errors: [{path, message}]`."""
    status, title, faults = _describe(exc)
    if status is None:
        return None
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": storable(title),
        "status": status,
        "errors": told(faults),
    }
    if isinstance(exc, Conflict):
        body["current"] = exc.current
    headers = {}
    if header := getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = header
    return Response(body, status=status, headers=headers, content_type="application/problem+json")


def _describe(exc: Exception) -> tuple[int | None, str, list[Fault]]:
    if isinstance(exc, BadInput):
        return 400, exc.message, exc.faults
    if isinstance(exc, Conflict):
        return 409, exc.message, []
    if isinstance(exc, Forbidden | PermissionDenied):
        return 403, str(exc) or "You may not do this.", []
    if isinstance(exc, NotVisible | Http404):
        return 404, "There is nothing here by that name.", []
    if isinstance(exc, exceptions.ValidationError):
        return 400, "Some of it could not be read.", list(_flatten(exc.detail))
    if isinstance(exc, exceptions.APIException):
        return exc.status_code, str(exc.detail), [Fault("", str(exc.detail))]
    return None, "", []


def _flatten(detail: Any, path: str = "") -> list[Fault]:
    if isinstance(detail, dict):
        return [f for k, v in detail.items() for f in _flatten(v, f"{path}.{k}" if path else str(k))]
    if isinstance(detail, list):
        return [f for v in detail for f in _flatten(v, path)]
    return [Fault(path, str(detail))]


def idempotent(method: Callable[..., Response]) -> Callable[..., Response]:
    """For a view method: with an `Idempotency-Key`, the same request is carried out once and answered alike.

    The answer is stored in the act's own transaction. The same key with another body is a Conflict.
    """

    def inner(view: "APIView", request: Request, *args: Any, **kwargs: Any) -> Response:
        key = request.headers.get("Idempotency-Key", "")
        if not key:
            return method(view, request, *args, **kwargs)
        if len(key) > 200:
            raise BadInput("The Idempotency-Key is longer than 200 characters.")
        body = json.dumps(request.data, sort_keys=True, default=str)
        digest = hashlib.sha256(f"{request.method} {request.path}\n{body}".encode()).hexdigest()
        actor = actor_of(request)
        with transaction.atomic():
            record = _claim(actor, key, digest)
            if record.status:
                return Response(record.response, status=record.status)
            response = method(view, request, *args, **kwargs)
            record.status, record.response = (
                response.status_code,
                json.loads(json.dumps(response.data, cls=JSONEncoder)),
            )
            record.save(update_fields=["status", "response"])
            return response

    inner.__doc__ = method.__doc__
    inner.__name__ = method.__name__
    return inner


def forget_requests(at: datetime) -> int:
    """Drop the answers that are kept no longer; returns how many."""
    return IdempotencyRecord.objects.filter(at__lt=at - IDEMPOTENCY_KEPT).delete()[0]


def _claim(actor: Actor, key: str, digest: str) -> IdempotencyRecord:
    # The unique key makes a second request wait here until the first has committed.
    now = clock.now()
    who = {"api_key": actor.api_key, "user": actor.user, "key": key}
    IdempotencyRecord.objects.filter(**who, at__lt=now - IDEMPOTENCY_KEPT).delete()
    record, made = IdempotencyRecord.objects.get_or_create(
        **who, defaults={"request_hash": digest, "status": 0, "response": {}, "at": now}
    )
    if not made and record.request_hash != digest:
        raise Conflict("This Idempotency-Key was used for another request.")
    return record
