"""Settings: people, teams, hours, keys, the company, own fields, word lists, the trail of changes."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.tokens import default_token_generator
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from django.views.decorators.http import require_POST

from handoff.models import OPEN
from leadflow.accounts import audit, keys, people
from leadflow.accounts.actors import person
from leadflow.accounts.models import MARKETING, SALES, ApiKey, AuditEntry, Organisation, Role, Team, User
from leadflow.accounts.rights import roles
from leadflow.errors import BadInput
from leadflow.leads.folding import fold
from leadflow.leads.models import WordList
from leadflow.numbers import whole
from leadflow.pages import hours, leaving, wordlists
from leadflow.pages import trail as trails
from leadflow.pages.forms import (
    CompanyForm,
    KeyForm,
    ListForm,
    PersonForm,
    TeamForm,
    list_initial,
)
from leadflow.paging import page_of

admins = roles(Role.ADMIN)
managers = roles(Role.SALES_MANAGER, Role.MARKETING_MANAGER)
marketing = roles(*MARKETING)

# The part of the settings: (address, words, icon, who may open it besides admins).
PARTS: tuple[tuple[str, str, str, tuple[Role, ...]], ...] = (
    ("people", "People", "users", ()),
    ("teams", "Teams", "users-group", ()),
    ("hours", "Working hours", "clock", (Role.SALES_MANAGER, Role.MARKETING_MANAGER)),
    ("absence", "Absence", "calendar-off", SALES),
    ("clocks", "Clocks", "alarm", ()),
    ("company", "Company", "building", ()),
    ("fields", "Own fields", "forms", MARKETING),
    ("kinds", "Kinds of activity", "activity", MARKETING),
    ("lists", "Word lists", "list-details", MARKETING),
    ("keys", "API keys", "key", ()),
    ("messages", "Messages out", "send", (Role.SALES_MANAGER,)),
    ("trail", "Trail of changes", "history", (Role.SALES_MANAGER, Role.MARKETING_MANAGER)),
)


def settings_page(request: HttpRequest, name: str, context: dict[str, Any], form: Any = None) -> HttpResponse:
    """A page of the settings with its side list; 422 when a form came back with errors."""
    user = request.user
    assert isinstance(user, User)
    parts = [
        {"key": key, "label": label, "icon": icon, "here": request.path.startswith(f"/settings/{key}/")}
        for key, label, icon, allowed in PARTS
        if user.role == Role.ADMIN or user.role in allowed
    ]
    status = 422 if form is not None and form.is_bound and form.errors else 200
    return render(
        request, f"pages/settings/{name}.html", {"parts": parts, "form": form, **context}, status=status
    )


def put_faults(form: Any, error: BadInput) -> None:
    """Put what a service found wrong where it belongs in the form."""
    for fault in error.faults:
        form.add_error(fault.path if fault.path in form.fields else None, fault.message)
    if not error.faults:
        form.add_error(None, error.message)


def settings(request: HttpRequest) -> HttpResponse:
    """To the first part that this person may open; everybody has a profile."""
    user = request.user
    assert isinstance(user, User)
    for key, _, _, allowed in PARTS:
        if user.role == Role.ADMIN or user.role in allowed:
            return redirect(f"/settings/{key}/")
    return redirect("accounts:profile")


# People -----------------------------------------------------------------------------------


@admins
def people_list(request: HttpRequest) -> HttpResponse:
    """Everybody, with what they hold."""
    held = Count("handoffs", filter=Q(handoffs__state__in=OPEN))
    rows = User.objects.select_related("team").annotate(open=held).order_by("-is_active", "name")
    return settings_page(request, "people", {"rows": rows})


@admins
def person_new(request: HttpRequest) -> HttpResponse:
    """Invite somebody; the password is set by a mailed link."""
    form = PersonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        assert isinstance(request.user, User)
        try:
            user = people.invite(person(request.user), form.cleaned_data)
        except BadInput as error:
            put_faults(form, error)
        else:
            _invite_by_mail(request, user)
            return redirect("pages:people")
    return settings_page(request, "person", {"row": None}, form)


@admins
def person_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Change somebody's role, team, room; switch somebody off who has left."""
    row = get_object_or_404(User, pk=pk)
    form = PersonForm(request.POST or None, instance=User.objects.get(pk=pk))
    if request.method == "POST" and form.is_valid():
        assert isinstance(request.user, User)
        try:
            moved = leaving.change_person(person(request.user), row, form.cleaned_data)
        except BadInput as error:
            put_faults(form, error)
        else:
            messages.success(request, f"{row.name} is saved.{_dealt_out(moved)}")
            return redirect("pages:people")
    return settings_page(request, "person", {"row": row}, form)


@admins
@require_POST
def person_invite(request: HttpRequest, pk: int) -> HttpResponse:
    """Send the link once more."""
    _invite_by_mail(request, get_object_or_404(User, pk=pk, is_active=True))
    return redirect("pages:people")


def _dealt_out(moved: int) -> str:
    if not moved:
        return ""
    return f" {moved} open lead{'s go' if moved != 1 else ' goes'} to colleagues."


def _invite_by_mail(request: HttpRequest, user: User) -> None:
    """Mail the link that sets the first password; when mail is down, say so instead of failing."""
    context = {
        "user": user,
        "inviter": request.user,
        "role": user.get_role_display(),
        "protocol": "https" if request.is_secure() else "http",
        "domain": request.get_host(),
        "uid": urlsafe_base64_encode(force_bytes(user.pk)),
        "token": default_token_generator.make_token(user),
    }
    subject = render_to_string("accounts/mail/invite_subject.txt", context).strip()
    try:
        send_mail(subject, render_to_string("accounts/mail/invite.txt", context), None, [user.email])
    except OSError:
        messages.error(
            request, f"{user.name} is here, but the mail did not leave. Try “Send the link” again later."
        )
    else:
        messages.success(request, f"{user.name} gets a link to set a password.")


# Teams ------------------------------------------------------------------------------------


@admins
def teams(request: HttpRequest) -> HttpResponse:
    """All teams."""
    members = Count("members", filter=Q(members__is_active=True), distinct=True)
    rows = Team.objects.select_related("manager", "team_calendar__calendar").annotate(people=members)
    return settings_page(request, "teams", {"rows": rows})


@admins
def team_edit(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """Make or change a team."""
    row = get_object_or_404(Team.objects.select_related("team_calendar"), pk=pk) if pk else None
    present = getattr(row, "team_calendar", None)
    initial = {"calendar": present.calendar_id if present else None}
    copy = Team.objects.get(pk=pk) if pk else None
    form = TeamForm(request.POST or None, instance=copy, initial=initial)
    if request.method == "POST" and form.is_valid():
        assert isinstance(request.user, User)
        with transaction.atomic():
            saved = people.save_team(person(request.user), row, form.cleaned_data)
            hours.use_calendar(person(request.user), saved, form.cleaned_data["calendar"])
        messages.success(request, f"Team {saved.name} is saved.")
        return redirect("pages:teams")
    return settings_page(request, "team", {"row": row}, form)


# Company, keys --------------------------------------------------------------------------------


@admins
def company(request: HttpRequest) -> HttpResponse:
    """The company's name, money, zone."""
    form = CompanyForm(request.POST or None, instance=Organisation.get())
    if request.method == "POST" and form.is_valid():
        assert isinstance(request.user, User)
        people.change_company(person(request.user), form.cleaned_data)
        messages.success(request, "The company is saved.")
        return redirect("pages:company")
    return settings_page(request, "company", {}, form)


@admins
def api_keys(request: HttpRequest) -> HttpResponse:
    """All keys, and a form for one more; the key itself is shown this once."""
    form = KeyForm(request.POST or None)
    secret = ""
    if request.method == "POST" and form.is_valid():
        assert isinstance(request.user, User)
        _, secret = keys.create_key(
            person(request.user), form.cleaned_data["name"], form.cleaned_data["scopes"]
        )
        form = KeyForm()
    rows = ApiKey.objects.select_related("created_by").order_by("revoked_at", "-created_at")
    response = settings_page(request, "keys", {"rows": rows, "secret": secret, "scopes": keys.SCOPES}, form)
    response["Cache-Control"] = "no-store"
    return response


@admins
@require_POST
def api_key_revoke(request: HttpRequest, pk: int) -> HttpResponse:
    """Shut a key for good."""
    assert isinstance(request.user, User)
    key = get_object_or_404(ApiKey, pk=pk)
    keys.revoke_key(person(request.user), key)
    messages.success(request, f"The key “{key.name}” is shut.")
    return redirect("pages:keys")


# Word lists -----------------------------------------------------------------------


@marketing
def lists(request: HttpRequest) -> HttpResponse:
    """The company's word lists, and how the agreement has them."""
    return settings_page(request, "lists", {"rows": wordlists.rows()})


@marketing
@require_POST
def list_take(request: HttpRequest, pk: int) -> HttpResponse:
    """Put a list into the draft of the agreement as it is now; a draft is made where there is none."""
    assert isinstance(request.user, User)
    row = get_object_or_404(WordList, pk=pk)
    try:
        number = wordlists.take(person(request.user), row)
    except BadInput as refused:
        messages.error(request, refused.faults[0].message if refused.faults else refused.message)
    else:
        messages.success(request, f"“{row.label}” is in the draft of version {number}.")
    return redirect("pages:lists")


@marketing
def list_edit(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """Make or change a word list; a signed agreement keeps the list as it was signed."""
    row = get_object_or_404(WordList, pk=pk) if pk else None
    form = ListForm(request.POST or None, initial=list_initial(row) if row else None)
    if request.method == "POST" and form.is_valid():
        assert isinstance(request.user, User)
        taken = WordList.objects.filter(key=form.cleaned_data["key"]).exclude(pk=row.pk if row else 0)
        if taken.exists():
            form.add_error("key", "There is a list of that key already.")
        else:
            _save_list(request.user, row or WordList(), form.cleaned_data)
            messages.success(request, "The list is saved.")
            return redirect("pages:lists")
    return settings_page(request, "list", {"row": row}, form)


def _save_list(user: User, row: WordList, data: dict[str, Any]) -> None:
    before = list(row.entries) if row.pk else None
    entries = list(dict.fromkeys(fold(line) for line in data["entries"].splitlines() if line.strip()))
    with transaction.atomic():
        row.label, row.key, row.entries = data["label"], data["key"], entries
        row.save()
        audit.record(person(user), "list.saved", row, before=before, after=entries)


# The trail ------------------------------------------------------------------------------------------


@managers
def trail(request: HttpRequest) -> HttpResponse:
    """Who changed what, when and why."""
    rows = AuditEntry.objects.select_related("actor", "api_key").order_by("-at", "-id")
    if verb := request.GET.get("verb", ""):
        rows = rows.filter(verb__startswith=verb)
    if (who := whole(request.GET.get("who"))) is not None:
        rows = rows.filter(actor_id=who)
    page = page_of(rows, request.GET.get("page"), 60)
    context = {
        "page": page,
        "told": trails.told(page.object_list),
        "verb": verb,
        "who": who,
        "verbs": trails.FAMILIES,
        "everybody": User.objects.only("pk", "name"),
    }
    return settings_page(request, "trail", context)
