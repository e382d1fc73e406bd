"""The mail of a track: whom it may go to, what it says, and the way out of it."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.urls import reverse

from leadflow import clock
from leadflow.accounts.actors import SYSTEM
from leadflow.accounts.models import Organisation
from leadflow.errors import NotVisible
from leadflow.leads import intake
from leadflow.leads.models import Consent, Lead
from scoring.document import Step

STOP_SALT = "leadflow.nurture.stop"
EMAIL = "email"
# What a mail of an agreement without a text of its own says.
PLAIN = "Hello {first_name},\n\n{subject}: {link}"
_PLACE = re.compile(r"\{(\w+)\}")


def refusal(lead: Lead, word: Consent | None) -> str:
    """Why this lead may not be written to, in words; empty: it may. `word`: its latest word about e-mail."""
    if lead.erased_at or lead.merged_into_id:
        return "is not there any more"
    if not lead.email:
        return "no e-mail address"
    if lead.bounced_at:
        return "the address bounces"
    if lead.do_not_contact:
        return "asked not to be contacted"
    # A yes that came after the stop counts, and the other way round: the latest word does.
    stopped = lead.unsubscribed_at
    if word is not None and (stopped is None or word.at > stopped):
        return "" if word.given else "does not want e-mail"
    return "does not want e-mail" if stopped else ""


def words_about_mail(lead_ids: Iterable[int]) -> dict[int, Consent]:
    """The latest yes or no to e-mail of each lead that said one; one query."""
    latest = (
        Consent.objects.filter(lead_id__in=list(lead_ids), channel=EMAIL)
        .order_by("lead_id", "-at", "-id")
        .distinct("lead_id")
    )
    return {word.lead_id: word for word in latest}


def written(step: Step, lead: Lead, sender: str) -> tuple[str, str]:
    """Subject and text of a step's mail for one lead, with who sends it and the way out at its end."""
    first = lead.name.split()[0] if lead.name.strip() else "there"
    known = {
        "first_name": first,
        "name": lead.name or first,
        "company": lead.company.name if lead.company else "your company",
        "title": lead.title,
        "link": step.link,
    }
    subject = " ".join(filled(step.text, known).split())
    body = filled(step.body or PLAIN, known | {"subject": subject}).strip()
    if step.link and step.link not in body:
        body += f"\n\n{step.link}"
    return subject, f"{body}\n\n--\n{sender}\nNo more of these mails: {stop_url(lead.pk)}"


def filled(text: str, known: Mapping[str, str]) -> str:
    """A text with its {places} filled in; a place that nobody knows stays as it was written."""
    return _PLACE.sub(lambda found: known.get(found[1], found[0]), text)


def headers(lead_id: int) -> dict[str, str]:
    """With these the mail program offers its own button, and one press of it is enough (RFC 8058)."""
    return {
        "List-Unsubscribe": f"<{stop_url(lead_id)}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def sender() -> str:
    """Who writes: the name of the house."""
    found = Organisation.objects.values_list("name", flat=True).first()
    return str(found or "LeadFlow")


# The way out ------------------------------------------------------------------------------


def stop_url(lead_id: int) -> str:
    """Where somebody stops our mail without a login."""
    return f"{settings.BASE_URL}{reverse('feedback:stop', args=[stop_token(lead_id)])}"


def stop_token(lead_id: int) -> str:
    """What the link at the end of each mail carries: it stops e-mail to this lead and does nothing else."""
    return signing.dumps(lead_id, salt=STOP_SALT)


def lead_of_token(token: str) -> int:
    """Whose link it is. Raises NotVisible for one that is not ours."""
    try:
        return int(signing.loads(token, salt=STOP_SALT))
    except (signing.BadSignature, ValueError, TypeError):
        raise NotVisible("This link is not valid.") from None


def stop_mail(token: str, *, at: datetime | None = None) -> None:
    """The lead wants no more e-mail. Raises NotVisible for a link that is not ours; twice is once.

    The no is kept as its word about e-mail and as an act that takes points and ends the track.
    """
    lead_id = lead_of_token(token)
    with transaction.atomic():
        lead = Lead.objects.select_for_update(no_key=True).filter(pk=lead_id).first()
        if lead is not None and lead.merged_into_id:
            lead = Lead.objects.select_for_update(no_key=True).filter(pk=lead.merged_into_id).first()
        at = at or clock.now()
        if lead is None or lead.erased_at:
            return
        word = words_about_mail([lead.pk]).get(lead.pk)
        if refusal(lead, word) == "does not want e-mail":
            return
        row = {
            "source": "leadflow",
            "external_id": f"stop:{lead.pk}:{at:%Y%m%d%H%M%S%f}",
            "kind": "email_unsubscribed",
            "lead_id": lead.pk,
            "occurred_at": at,
        }
        intake.record_activities([row], actor=SYSTEM, at=at)
        Consent.objects.create(
            lead=lead, channel=EMAIL, basis="link in the mail", given=False, at=at, source="nurture"
        )
