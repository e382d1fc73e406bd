"""That it is really this person who signs.

By the password, typed once more; or by having given it in this browser just now. A mailed link shows that its
reader has the mailbox of the person it was sent to, so with it a sign-in of the same day is enough. Being
signed in for weeks never is.
"""

from datetime import timedelta
from typing import Any

from django.contrib.auth import authenticate
from django.http import HttpRequest

from leadflow.accounts import recent
from leadflow.accounts.models import User
from leadflow.errors import BadInput, Fault

JUST_NOW = timedelta(minutes=15)
SAME_DAY = timedelta(hours=12)
WORDS = {
    "password": "password confirmed",
    "sign-in": "logged in just before",
    "link": "by the link in the mail",
}


def needs_password(request: HttpRequest, *, by_link: bool = False) -> bool:
    """Whether this person must type the password to sign now."""
    return not recent.signed_in_within(request, SAME_DAY if by_link else JUST_NOW)


def given(request: HttpRequest, password: str, *, by_link: bool = False) -> str:
    """How the person was known for sure: the signature's method. Raises BadInput for a wrong password."""
    user: Any = request.user
    if not password and not needs_password(request, by_link=by_link):
        return "link" if by_link else "sign-in"
    check(request, user, password)
    return "link" if by_link else "password"


def check(request: HttpRequest, user: User, password: str) -> None:
    """Raise BadInput unless this is the person's password; wrong ones are counted, as at the door."""
    if not password or authenticate(request, username=user.email, password=password) != user:
        raise BadInput("Not signed.", [Fault("password", "This is not your password.")])
