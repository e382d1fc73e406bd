"""How a session finds its person: with the team, because every page names both."""

from typing import Any

from django.contrib.auth.backends import ModelBackend

from leadflow.accounts.models import User


class PeopleBackend(ModelBackend):
    """Django's own way, but person and team come in one query."""

    def get_user(self, user_id: Any) -> User | None:
        """The active person of this session, or None."""
        user = User.objects.select_related("team").filter(pk=user_id).first()
        return user if user and self.user_can_authenticate(user) else None
