"""Rights of pages: who may open them. Signed in is the default of the whole house."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase

from leadflow.accounts.models import Role

View = Callable[..., HttpResponseBase]


def roles(*allowed: Role) -> Callable[[View], View]:
    """Let only these roles (and admins) use the view; anybody else who is signed in gets 403."""

    def wrap(view: View) -> View:
        @wraps(view)
        def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            user = request.user
            if user.is_anonymous or (user.role not in allowed and user.role != Role.ADMIN):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return inner

    return wrap
