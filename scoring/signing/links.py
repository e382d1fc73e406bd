"""The link in the mail by which one person signs one version.

The link leads to the page and proves that its reader has the mailbox; it never signs by being opened, and
never for anybody but the one it was sent to, who is signed in besides. Only its hash is stored: the token is
made anew from the house's secret key when the mail is written, so that no table holds it.
"""

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.utils.crypto import salted_hmac

from leadflow.accounts.models import User
from scoring.models import Agreement, Signature, SignLink

VALID = timedelta(days=14)
_SALT = "leadflow.sign-link"


def token(agreement_id: int, user_id: int, made_at: datetime) -> str:
    """The secret part of a link's address."""
    said = f"{agreement_id}:{user_id}:{round(made_at.timestamp() * 1_000_000)}"
    mac = salted_hmac(_SALT, said, algorithm="sha256").digest()
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


def path(agreement_id: int, user_id: int, made_at: datetime) -> str:
    """The address of a link within the house."""
    return f"/agreement/by-link/{token(agreement_id, user_id, made_at)}/"


def make(agreement: Agreement, signers: Mapping[User, Signature.Side], at: datetime) -> list[SignLink]:
    """One link per person; in the caller's transaction."""
    return SignLink.objects.bulk_create(
        [
            SignLink(
                token_hash=_hash(token(agreement.pk, user.pk, at)),
                agreement=agreement,
                user=user,
                side=side,
                created_at=at,
                expires_at=at + VALID,
            )
            for user, side in signers.items()
        ]
    )


def find(secret: str) -> SignLink | None:
    """The link of an address; None when there is none."""
    rows = SignLink.objects.select_related("agreement", "user")
    return rows.filter(token_hash=_hash(secret)).first()


def trouble(link: SignLink, user: User, side: Signature.Side | None, at: datetime) -> str:
    """Why this person cannot sign by this link at `at`, in words; empty when nothing is in the way."""
    agreement = link.agreement
    if link.user_id != user.pk:
        return "This link was sent to somebody else. Each person signs with their own."
    if link.used_at is not None:
        return "This link has been used: it works once."
    if agreement.state != Agreement.State.PROPOSED:
        state = agreement.get_state_display().lower()
        return f"Version {agreement.number} is {state} by now: there is nothing to sign."
    if at >= link.expires_at:
        return "This link has expired. You can still sign on the sign-off page."
    if side is None or side != link.side:
        label = Signature.Side(link.side).label.lower()
        return f"This link is for {label}, and you do not sign for that side."
    return ""


def _hash(secret: str) -> str:
    # The token has 256 bits that nobody can guess, so a slow hash would add nothing.
    return hashlib.sha256(secret.encode()).hexdigest()
