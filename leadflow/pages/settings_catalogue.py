"""Settings: own fields, kinds of activity."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from leadflow.accounts.actors import Actor, person
from leadflow.accounts.models import User
from leadflow.errors import BadInput
from leadflow.leads.models import ActivityKind, CustomField
from leadflow.pages import kinds, ownfields
from leadflow.pages.forms import FieldForm, KindForm
from leadflow.pages.settings import marketing, put_faults, settings_page


def _actor(request: HttpRequest) -> Actor:
    assert isinstance(request.user, User)
    return person(request.user)


def _said(request: HttpRequest, act: Callable[[], Any], done: str) -> None:
    """Do it and say so, or say in words why not."""
    try:
        act()
    except BadInput as refused:
        messages.error(request, refused.message)
    else:
        messages.success(request, done)


@marketing
def fields(request: HttpRequest) -> HttpResponse:
    """The company's own facts, and a form for one more."""
    form = FieldForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = ownfields.save_field(_actor(request), None, form.cleaned_data)
        except BadInput as refused:
            put_faults(form, refused)
        else:
            messages.success(request, f"“{made.label}” can be imported, filled in and used in rules.")
            return redirect("pages:fields")
    rows = CustomField.objects.order_by("retired_at", "subject", "label")
    return settings_page(request, "fields", {"rows": rows}, form)


@marketing
def field_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Change a field's name, values, and its type while nothing hangs on it."""
    row = get_object_or_404(CustomField, pk=pk)
    form = FieldForm(request.POST or None, row=row)
    if request.method == "POST" and form.is_valid():
        try:
            ownfields.save_field(_actor(request), row, form.cleaned_data)
        except BadInput as refused:
            put_faults(form, refused)
        else:
            messages.success(request, f"“{row.label}” is saved.")
            return redirect("pages:fields")
    kept = ownfields.type_kept_by(row)
    return settings_page(request, "field", {"row": row, "kept": kept}, form)


@marketing
@require_POST
def field_retire(request: HttpRequest, pk: int) -> HttpResponse:
    """Retire a field, or bring it back."""
    row, back = get_object_or_404(CustomField, pk=pk), request.POST.get("back") == "1"
    done = f"“{row.label}” can be filled in again." if back else f"“{row.label}” is retired."
    _said(request, lambda: ownfields.retire(_actor(request), row, back=back), done)
    return redirect("pages:fields")


@marketing
def kind_list(request: HttpRequest) -> HttpResponse:
    """All kinds of activity: the company's own first, then those that ship."""
    rows = ActivityKind.objects.order_by("shipped", "-active", "label")
    return settings_page(request, "kinds", {"rows": rows})


@marketing
def kind_edit(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """Make or change a kind of activity."""
    row = get_object_or_404(ActivityKind, pk=pk) if pk is not None else None
    form = KindForm(request.POST or None, row=row)
    if request.method == "POST" and form.is_valid():
        try:
            saved = kinds.save_kind(_actor(request), row, form.cleaned_data)
        except BadInput as refused:
            put_faults(form, refused)
        else:
            messages.success(request, f"“{saved.label}” can be sent by the API and named in rules.")
            return redirect("pages:kinds")
    fixed = row is not None and (row.shipped or kinds.is_used(row))
    return settings_page(request, "kind", {"row": row, "fixed": fixed}, form)


@marketing
@require_POST
def kind_do(request: HttpRequest, pk: int) -> HttpResponse:
    """Retire a kind, bring it back, or delete one that was never used."""
    row, act = get_object_or_404(ActivityKind, pk=pk), request.POST.get("act", "retire")
    if act == "delete":
        _said(request, lambda: kinds.delete(_actor(request), row), f"“{row.label}” is deleted.")
    else:
        back = act == "back"
        done = f"“{row.label}” is taken in again." if back else f"“{row.label}” is retired."
        _said(request, lambda: kinds.retire(_actor(request), row, back=back), done)
    return redirect("pages:kinds")
