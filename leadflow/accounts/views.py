"""Doors: sign in and out, passwords, and one's own profile."""

from typing import Any

from django.contrib import messages
from django.contrib.auth import views as auth
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from leadflow.accounts import recent
from leadflow.accounts.forms import ForgottenForm, LoginForm, ProfileForm
from leadflow.accounts.models import Organisation, Role, User
from leadflow.accounts.people import change_profile

DEMO_PASSWORD = "leadflow-demo"  # noqa: S105 - the demo's password is public, and shown in demo mode only
DEMO_LOGINS = ("mia", "sam", "rosa", "noah", "admin")
DEMO_WORDS = {
    Role.MARKETER: "Marketer: writes the rules, sees what sales says",
    Role.REP: "Sales rep: answers the leads that wait in the queue",
    Role.SALES_MANAGER: "Sales manager: keeps the promises, signs for sales",
    Role.MARKETING_MANAGER: "Marketing manager: goals and sources, signs for marketing",
    Role.ADMIN: "Administrator: people, hours, imports, keys",
}


@method_decorator(login_not_required, name="dispatch")
class Login(auth.LoginView):
    """Sign in; in demo mode also by one of five buttons."""

    template_name = "accounts/login.html"
    authentication_form = LoginForm
    redirect_authenticated_user = True

    def form_valid(self, form: Any) -> HttpResponse:
        """Sign in, and note when: some acts ask how long ago that was."""
        response = super().form_valid(form)
        recent.mark(self.request)
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The people of the demo company, in demo mode only."""
        context = super().get_context_data(**kwargs)
        if Organisation.get().demo:
            context |= {"demo_people": _demo_people(), "demo_password": DEMO_PASSWORD}
        return context


def _demo_people() -> list[dict[str, str]]:
    by_name = {user.email.partition("@")[0]: user for user in User.objects.filter(is_active=True)}
    return [
        {"login": login, "name": by_name[login].name, "words": DEMO_WORDS[Role(by_name[login].role)]}
        for login in DEMO_LOGINS
        if login in by_name
    ]


class PasswordChange(auth.PasswordChangeView):
    """A new password for oneself, with the old one."""

    template_name = "accounts/password_change.html"
    success_url = reverse_lazy("accounts:profile")

    def form_valid(self, form: Any) -> HttpResponse:
        """Say that it was done."""
        messages.success(self.request, "Your password is changed; other devices are logged out.")
        return super().form_valid(form)


@method_decorator(login_not_required, name="dispatch")
class Forgotten(auth.PasswordResetView):
    """Ask for a link by mail. The answer is the same whether the address is known or not."""

    template_name = "accounts/forgotten.html"
    email_template_name = "accounts/mail/forgotten.txt"
    subject_template_name = "accounts/mail/forgotten_subject.txt"
    form_class = ForgottenForm
    success_url = reverse_lazy("accounts:forgotten_sent")


@method_decorator(login_not_required, name="dispatch")
class ForgottenSent(auth.PasswordResetDoneView):
    """What happens next."""

    template_name = "accounts/forgotten_sent.html"


@method_decorator(login_not_required, name="dispatch")
class NewPassword(auth.PasswordResetConfirmView):
    """The mailed link: set a password, once, within three days."""

    template_name = "accounts/new_password.html"
    success_url = reverse_lazy("accounts:login")

    def form_valid(self, form: Any) -> HttpResponse:
        """Say that it was done."""
        messages.success(self.request, "Your password is set. Log in with it.")
        return super().form_valid(form)


def profile(request: HttpRequest) -> HttpResponse:
    """One's own name, time zone, colours and keys."""
    assert isinstance(request.user, User)
    form = ProfileForm(request.POST or None, instance=User.objects.get(pk=request.user.pk))
    if request.method == "POST" and form.is_valid():
        change_profile(User.objects.get(pk=request.user.pk), form.cleaned_data)
        messages.success(request, "Your profile is saved.")
        return redirect("accounts:profile")
    return render(request, "accounts/profile.html", {"form": form}, status=422 if form.errors else 200)


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Change the colours from the menu and come back."""
    assert isinstance(request.user, User)
    wish = request.POST.get("theme", "")
    if wish in User.Theme.values:
        change_profile(request.user, {"theme": wish})
    back = request.META.get("HTTP_REFERER", "")
    safe = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    return redirect(back if safe else "/")
