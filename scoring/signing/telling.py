"""Who hears what of an agreement. Rows written with the act; handoff takes them to the bell and the mail."""

from collections.abc import Iterable
from datetime import datetime

from leadflow import nudge
from leadflow.accounts.models import Role, User
from scoring.models import Agreement, Signature, SignLink, Telling
from scoring.signing import links

Kind = Telling.Kind
SIGNERS = {
    Role.MARKETING_MANAGER: Signature.Side.MARKETING,
    Role.SALES_MANAGER: Signature.Side.SALES,
}


def signers() -> dict[User, Signature.Side]:
    """The people who may sign, each with their side."""
    people = User.objects.filter(is_active=True, role__in=list(SIGNERS)).order_by("pk")
    return {user: SIGNERS[Role(user.role)] for user in people}


def ask(agreement: Agreement, by: User | None, at: datetime) -> None:
    """Ask everybody who may sign, by bell and by a mail with a link of their own."""
    made = {link.user_id: link for link in links.make(agreement, signers(), at)}
    _write(
        [
            Telling(agreement=agreement, user_id=user, kind=Kind.ASKED, by=by, link=link, mail=True, at=at)
            for user, link in made.items()
        ]
    )


def signed(agreement: Agreement, by: User, at: datetime) -> None:
    """One side has signed: who proposed it and who signs for the other side hear of it."""
    side = SIGNERS[Role(by.role)]
    others = {user.pk for user, theirs in signers().items() if theirs != side} | {agreement.proposed_by_id}
    _tell(agreement, Kind.SIGNED, others, by, at)


def declined(agreement: Agreement, by: User, comment: str, at: datetime) -> None:
    """One side said no: both sides read why."""
    both = {user.pk for user in signers()} | {agreement.proposed_by_id}
    _tell(agreement, Kind.DECLINED, both, by, at, comment=comment, mail=both)


def withdrawn(agreement: Agreement, by: User | None, had_signed: set[int], reason: str, at: datetime) -> None:
    """It was taken back: whoever was asked hears of it, whoever had signed also by mail."""
    asked = set(SignLink.objects.filter(agreement=agreement).values_list("user_id", flat=True))
    _tell(agreement, Kind.WITHDRAWN, asked | had_signed, by, at, comment=reason, mail=had_signed)


def in_force(agreement: Agreement, at: datetime) -> None:
    """Everybody works by it from now on."""
    everybody = set(User.objects.filter(is_active=True).values_list("pk", flat=True))
    _tell(agreement, Kind.IN_FORCE, everybody, None, at)


def _tell(
    agreement: Agreement,
    kind: Kind,
    to: Iterable[int | None],
    by: User | None,
    at: datetime,
    *,
    comment: str = "",
    mail: Iterable[int | None] = (),
) -> None:
    # Nobody is told what they did themselves.
    readers = sorted({pk for pk in to if pk is not None} - {by.pk if by else None})
    mailed = set(mail)
    _write(
        [
            Telling(
                agreement=agreement, user_id=pk, kind=kind, by=by, comment=comment, mail=pk in mailed, at=at
            )
            for pk in readers
        ]
    )


def _write(rows: list[Telling]) -> None:
    Telling.objects.bulk_create(rows)
    nudge.wake("clock.deliver")
