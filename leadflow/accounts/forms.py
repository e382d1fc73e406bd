"""Forms for signing in and for one's own profile."""

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm, PasswordResetForm

from leadflow.accounts.models import User
from leadflow.accounts.people import zones


def zone_choices(empty: str) -> list[tuple[str, str]]:
    """All time zones for a select, with words for "none of its own"."""
    return [("", empty), *((zone, zone.replace("_", " ")) for zone in zones())]


class LoginForm(AuthenticationForm):
    """E-mail and password; the part before the @ is enough where only one person has it."""

    username = forms.CharField(label="Name or e-mail", max_length=254)
    error_messages = {
        "invalid_login": (
            "Name and password do not belong together. After eight wrong tries this closes for 15 minutes."
        ),
        "inactive": "This account is closed. Ask an admin.",
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].widget.attrs.update(
            autocomplete="username", autocapitalize="none", autofocus=True
        )
        self.fields["password"].widget.attrs["autocomplete"] = "current-password"

    def clean_username(self) -> str:
        """The whole address of a short name; anything else as it was typed."""
        name = str(self.cleaned_data["username"]).strip().casefold()
        if "@" in name or not name:
            return name
        found = list(
            User.objects.filter(email__startswith=f"{name}@", is_active=True).values_list("email", flat=True)[
                :2
            ]
        )
        return found[0] if len(found) == 1 else name


class ForgottenForm(PasswordResetForm):
    """Also for people who were invited and have no password yet."""

    def get_users(self, email: str) -> Any:
        """Everybody active with this address: at most one."""
        return User.objects.filter(email=email.strip().casefold(), is_active=True)


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]
    """What belongs to the person."""

    tz = forms.ChoiceField(label="Time zone", required=False, choices=lambda: zone_choices("as my team"))

    class Meta:
        model = User
        fields = ("name", "tz", "theme", "shortcuts")
        labels = {"theme": "Colours", "shortcuts": "Keys for frequent acts (A accept, R reject, / search …)"}
