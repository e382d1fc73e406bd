"""Who acts: a person, a machine with a key, or the system itself. Every change names one."""

from dataclasses import dataclass

from leadflow.accounts.models import ApiKey, Role, User


@dataclass(frozen=True)
class Actor:
    """The one who acts. `user` and `api_key` are None for SYSTEM."""

    user: User | None = None
    api_key: ApiKey | None = None

    @property
    def is_system(self) -> bool:
        return self.user is None and self.api_key is None

    @property
    def user_id(self) -> int | None:
        return self.user.pk if self.user else None

    def has_role(self, *roles: Role) -> bool:
        """Whether the actor is an active person with one of these roles."""
        return self.user is not None and self.user.is_active and self.user.role in roles

    def __str__(self) -> str:
        if self.user:
            return self.user.name
        return self.api_key.name if self.api_key else "LeadFlow"


SYSTEM = Actor()


def person(user: User) -> Actor:
    """The actor for a signed-in person."""
    return Actor(user=user)
