"""Settings: what leaves the house. Is mail on, which systems and chats hear what, what did not arrive."""

from typing import Any

from django.contrib import messages
from django.core.mail import EmailMultiAlternatives, get_connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from handoff import notices, outbox, overview
from handoff.endpoints import events, managing
from handoff.endpoints.sending import Reply
from handoff.models import Outbox, WebhookEndpoint
from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.accounts.models import Role, User
from leadflow.accounts.rights import roles
from leadflow.errors import BadInput
from leadflow.pages.forms import EndpointForm
from leadflow.pages.settings import admins, put_faults, settings_page
from leadflow.paging import page_of

STUCK_PAGE = 20
LOG_PAGE = 25
MAIL_SECONDS = 8
ALL_LIMIT = 1_000


@roles(Role.SALES_MANAGER)
def messages_out(request: HttpRequest) -> HttpResponse:
    """Everything at a glance: mail, endpoints, and what was tried and has not arrived. A sales manager sees
    of the last what concerns the own teams, and nothing else."""
    user = _user(request)
    admin = user.role == Role.ADMIN
    found = overview.undelivered(user)
    page = page_of(found, request.GET.get("page"), STUCK_PAGE)
    context = {
        "admin": admin,
        "rows": [_heard(row) for row in managing.listed()] if admin else [],
        "page": page,
        "given_up": found.filter(next_try_at=None).count(),
        "letters": [_stuck(row) for row in page],
    }
    return settings_page(request, "messages", context)


def _heard(row: WebhookEndpoint) -> dict[str, Any]:
    """An endpoint, with what it hears of in words."""
    return {"row": row, "hears": [events.words(name) for name in row.events]}


def _stuck(row: Outbox) -> dict[str, Any]:
    """A letter in words: to whom, about what."""
    if row.endpoint is not None:
        return {"row": row, "to": row.endpoint.name, "text": events.words(row.kind)}
    if row.user is None:
        return {"row": row, "to": row.recipient, "text": str(row.payload.get("subject", ""))}
    try:
        text = notices.render(row.kind, row.payload, "UTC").text
    except (KeyError, ValueError, TypeError):
        text = "cannot be read"
    return {"row": row, "to": row.user.email, "text": text}


@admins
@require_POST
def mail_test(request: HttpRequest) -> HttpResponse:
    """Send a mail to oneself, now, and say what the server said."""
    user = _user(request)
    words = notices.Words(
        "LeadFlow can send mail", "/settings/messages/", ("This is a test. Nothing waits for you.",)
    )
    mail = EmailMultiAlternatives(words.text, words.body, to=[user.email])
    mail.attach_alternative(words.html, "text/html")
    try:
        mail.connection = get_connection(timeout=MAIL_SECONDS)
        mail.send()
    except Exception as problem:  # whatever a mail server answers is for the admin to read
        messages.error(request, f"The mail did not leave: {problem}"[:400])
    else:
        if outbox.mail_is_off():
            messages.warning(request, "The mail went to the log: no mail server is set in EMAIL_URL.")
        else:
            messages.success(request, f"A mail is on its way to {user.email}.")
    return redirect("pages:messages")


@roles(Role.SALES_MANAGER)
@require_POST
def again(request: HttpRequest) -> HttpResponse:
    """Send once more: the letters named by `message`, or with `all` every one that was given up. A sales
    manager sends those that did not arrive and concern the own teams; an admin any."""
    user = _user(request)
    if request.POST.get("all"):
        lost = overview.undelivered(user).filter(next_try_at=None)
        ids = list(lost.values_list("pk", flat=True)[:ALL_LIMIT])
    else:
        ids = [
            int(pk)
            for pk in request.POST.getlist("message")
            if pk.isascii() and pk.isdigit() and len(pk) < 19
        ]
        if user.role != Role.ADMIN:
            ids = list(overview.undelivered(user).filter(pk__in=ids).values_list("pk", flat=True))
    done = managing.send_again(person(user), ids, clock.now())
    if done:
        messages.success(request, f"{done} {'message is' if done == 1 else 'messages are'} sent again now.")
    else:
        messages.error(request, "There is no such message any more.")
    back = request.POST.get("endpoint", "")
    if back.isascii() and back.isdigit() and len(back) < 19:
        return redirect("pages:endpoint_edit", int(back))
    return redirect("pages:messages")


@admins
def endpoint_new(request: HttpRequest) -> HttpResponse:
    """Add a webhook or a chat's channel; a secret is shown this once."""
    shape = request.GET.get("shape", "")
    chat = shape in (WebhookEndpoint.Shape.SLACK, WebhookEndpoint.Shape.TEAMS)
    initial = {
        "shape": shape if chat else WebhookEndpoint.Shape.SIGNED,
        "events": events.FOR_CHAT if chat else events.ALL,
        "active": True,
    }
    form = EndpointForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        saved = _save(request, None, form)
        if saved is not None:
            endpoint, secret = saved
            if not secret:
                return redirect("pages:endpoint_edit", endpoint.pk)
            return _endpoint(request, endpoint, _form_of(endpoint), secret)
    return settings_page(request, "endpoint", {"row": None}, form)


@admins
def endpoint_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Change an endpoint; its log below."""
    row = get_object_or_404(WebhookEndpoint.objects.select_related("team"), pk=pk)
    form = EndpointForm(request.POST) if request.method == "POST" else _form_of(row)
    if request.method == "POST" and form.is_valid():
        saved = _save(request, WebhookEndpoint.objects.get(pk=pk), form)
        if saved is not None:
            if saved[1]:
                return _endpoint(request, saved[0], _form_of(saved[0]), saved[1])
            return redirect("pages:endpoint_edit", pk)
    return _endpoint(request, row, form)


@admins
@require_POST
def endpoint_test(request: HttpRequest, pk: int) -> HttpResponse:
    """Send a test message now and say how it went."""
    row = get_object_or_404(WebhookEndpoint, pk=pk)
    _tell(request, row, managing.test(person(_user(request)), row))
    return redirect("pages:endpoint_edit", pk)


@admins
@require_POST
def endpoint_secret(request: HttpRequest, pk: int) -> HttpResponse:
    """A new secret, shown this once; the old one ends at once."""
    row = get_object_or_404(WebhookEndpoint, pk=pk, shape=WebhookEndpoint.Shape.SIGNED)
    secret = managing.renew_secret(person(_user(request)), row)
    return _endpoint(request, row, _form_of(row), secret)


@admins
@require_POST
def endpoint_remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete it with its log."""
    row = get_object_or_404(WebhookEndpoint, pk=pk)
    managing.remove(person(_user(request)), row)
    messages.success(request, f"“{row.name}” hears nothing any more.")
    return redirect("pages:messages")


def _endpoint(
    request: HttpRequest, row: WebhookEndpoint, form: EndpointForm, secret: str = ""
) -> HttpResponse:
    page = page_of(managing.log_of(row), request.GET.get("page"), LOG_PAGE)
    waiting = row.messages.filter(next_try_at__isnull=False).count()
    context = {"row": row, "secret": secret, "page": page, "waiting": waiting}
    context["sent"] = [{"log": one, "words": events.words(one.message.kind)} for one in page]
    response = settings_page(request, "endpoint", context, form)
    if secret:
        response["Cache-Control"] = "no-store"
    return response


def _form_of(row: WebhookEndpoint) -> EndpointForm:
    values = {name: getattr(row, name) for name in ("name", "shape", "url", "team", "events", "active")}
    return EndpointForm(initial=values)


def _save(
    request: HttpRequest, row: WebhookEndpoint | None, form: EndpointForm
) -> tuple[WebhookEndpoint, str] | None:
    try:
        saved = managing.save(person(_user(request)), row, form.cleaned_data)
    except BadInput as error:
        put_faults(form, error)
        return None
    messages.success(request, f"“{saved[0].name}” is saved. Send a test to see that it arrives.")
    return saved


def _tell(request: HttpRequest, row: WebhookEndpoint, reply: Reply) -> None:
    if reply.ok:
        messages.success(request, f"“{row.name}” got it: {reply.words}, after {reply.took_ms} ms.")
    else:
        messages.error(request, f"“{row.name}” did not get it: {reply.words}")


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user
