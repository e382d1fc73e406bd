"""API keys: made once, shown once, kept as a hash."""

import hashlib
import secrets

from leadflow import clock
from leadflow.accounts import audit
from leadflow.accounts.actors import Actor
from leadflow.accounts.models import ApiKey
from leadflow.errors import BadInput, Fault

SCOPES = {
    "leads:read": "Read leads, scores and timelines",
    "leads:write": "Create and change leads",
    "activities:write": "Record activities",
    "outcomes:read": "Read outcomes and customers",
    "outcomes:write": "Record outcomes",
    "questions:read": "Read what prospects ask and object",
    "questions:write": "Write down and answer questions",
    "content:read": "Read the library of content",
    "content:write": "Add and change content",
    "campaigns:read": "Read campaigns and their figures",
    "campaigns:write": "Add and change campaigns",
    "handoffs:read": "Read handoffs",
    "handoffs:write": "Act on handoffs",
    "agreements:read": "Read agreements",
    "agreements:write": "Write drafts of agreements",
    "reports:read": "Read reports",
}


def create_key(actor: Actor, name: str, scopes: list[str]) -> tuple[ApiKey, str]:
    """Make a key. Returns the row and the key itself, which is never to be seen again.

    Raises BadInput for a missing name or an unknown scope.
    """
    unknown = sorted(set(scopes) - set(SCOPES))
    if not name.strip():
        raise BadInput("The key needs a name.", [Fault("name", "Say what will use this key.")])
    if unknown or not scopes:
        known = ", ".join(SCOPES)
        problem = f"unknown: {', '.join(unknown)}" if unknown else "none chosen"
        raise BadInput(f"Scopes: {problem}. Known scopes are {known}.", [Fault("scopes", problem)])
    prefix = secrets.token_hex(4)
    secret = f"lf_{prefix}_{secrets.token_urlsafe(32)}"
    key = ApiKey.objects.create(
        name=name.strip(),
        prefix=prefix,
        key_hash=hash_key(secret),
        scopes=sorted(set(scopes)),
        created_by=actor.user,
        created_at=clock.now(),
    )
    audit.record(actor, "api_key.created", key, after={"name": key.name, "scopes": key.scopes})
    return key, secret


def revoke_key(actor: Actor, key: ApiKey) -> None:
    """Shut a key for good; doing it twice changes nothing."""
    if key.revoked_at is None:
        key.revoked_at = clock.now()
        key.save(update_fields=["revoked_at"])
        audit.record(actor, "api_key.revoked", key)


def find_key(secret: str) -> ApiKey | None:
    """The living key of this secret, or None."""
    parts = secret.split("_", 2)
    if len(parts) != 3 or parts[0] != "lf":
        return None
    # In SQL: this stands before every single row that a system sends.
    asked = "SELECT * FROM accounts_apikey WHERE prefix = %s AND revoked_at IS NULL ORDER BY id LIMIT 1"
    key = next(iter(ApiKey.objects.raw(asked, [parts[1]])), None)
    if key and secrets.compare_digest(key.key_hash, hash_key(secret)):
        return key
    return None


def hash_key(secret: str) -> str:
    """SHA-256: the secret has 256 random bits, so a slow hash would add nothing."""
    return hashlib.sha256(secret.encode()).hexdigest()
