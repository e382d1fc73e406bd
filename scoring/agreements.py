"""The life of an agreement: draft → proposed → signed → in force → superseded, or declined, or withdrawn.

Each act locks the row, reads it again, checks, then writes row and audit in one transaction. What is proposed
never changes again; a change is a new draft.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Max

from leadflow import clock
from leadflow.accounts import audit
from leadflow.accounts.actors import SYSTEM, Actor, person
from leadflow.accounts.models import Organisation, Role, User
from leadflow.errors import BadInput, Conflict, Fault, Forbidden, NotVisible
from leadflow.leads.models import CustomField
from scoring import lists, release
from scoring.conditions.check import check_document
from scoring.conditions.uses import with_fields
from scoring.default import default_content
from scoring.document import Document, content_sha
from scoring.editing import steps
from scoring.models import Agreement, Decline, Signature, SignLink
from scoring.signing import links, telling
from scoring.whatif import stopping

State = Agreement.State
Side = Signature.Side
Json = Any

WRITERS = (Role.MARKETER, Role.MARKETING_MANAGER, Role.SALES_MANAGER, Role.ADMIN)
SIGNERS = telling.SIGNERS
OPEN = (State.PROPOSED, State.SIGNED)
NOTE_LIMIT = 2_000
RELEASES = tuple(Agreement.Release)
DEFINITIONS = {
    "lead": "a lead",
    "good_lead": "a good lead",
    "bad_lead": "a bad lead",
    "mql": "an MQL",
    "sql": "an SQL",
    "opportunity": "an opportunity",
    "customer": "a customer",
}
FAR_AHEAD = timedelta(days=366)


def in_force() -> Agreement | None:
    """The version that scores and hands over now; None until both sides have signed the first."""
    return Agreement.objects.filter(state=State.IN_FORCE).first()


def current() -> Agreement | None:
    """The version in force, else the newest one on the way, whose scores are a preview."""
    return in_force() or Agreement.objects.filter(state__in=[State.DRAFT, *OPEN]).order_by("-number").first()


def draft() -> Agreement | None:
    """The draft that people work on, if there is one."""
    return Agreement.objects.filter(state=State.DRAFT).order_by("-number").first()


def proposal() -> Agreement | None:
    """The version that waits for signatures, or for its day."""
    return Agreement.objects.filter(state__in=OPEN).order_by("-number").first()


def get(pk: int) -> Agreement:
    """One version. Raises NotVisible."""
    found = Agreement.objects.filter(pk=pk).first()
    if found is None:
        raise NotVisible
    return found


def side_of(user: User) -> Signature.Side | None:
    """The side for which this person may sign; admins sign for neither."""
    return SIGNERS.get(Role(user.role)) if user.is_active else None


def create_draft(
    actor: Actor, based_on: Agreement | None = None, content: Mapping[str, Json] | None = None, note: str = ""
) -> Agreement:
    """A new draft: of `content`, else of `based_on`, else of the version in force, else of the default.

    Raises Conflict while another draft is open, BadInput for content that cannot be an agreement.
    """
    _may_write(actor)
    with transaction.atomic():
        # One draft at a time: the lock on the newest version makes a second caller wait and see it.
        list(Agreement.objects.select_for_update().order_by("-number")[:1])
        other = draft()
        if other is not None:
            raise Conflict(f"There is a draft already: version {other.number}.", {"id": other.pk})
        based_on = based_on or in_force()
        if content is None:
            content = based_on.content if based_on else first_content()
        _check_shape(content)
        content = with_fields(content)
        now = clock.now()
        number = (Agreement.objects.aggregate(last=Max("number"))["last"] or 0) + 1
        made = Agreement.objects.create(
            number=number,
            content=dict(content),
            based_on=based_on,
            note=note[:NOTE_LIMIT],
            zone=Document(content).zone,
            created_by=actor.user,
            created_at=now,
            changed_at=now,
        )
        audit.record(actor, "agreement.drafted", made, after={"number": number})
        _rescore_preview(actor)
    return made


def first_content() -> dict[str, Json]:
    """The default agreement, in the organisation's zone, with today's lists."""
    return default_content(Organisation.get().tz, lists.shipped_snapshots())


def save_draft(
    agreement: Agreement,
    content: Mapping[str, Json],
    actor: Actor,
    lock_version: int,
    *,
    what: str = "",
    slot: str = "",
) -> Agreement:
    """Replace a draft's content. `what` says the change in words, `slot` which part, for the audit trail.

    Raises Conflict when somebody saved in between (`lock_version` is old) or it is no draft any more,
    BadInput with every fault and its place.
    """
    _may_write(actor)
    content = with_fields(content)
    faults = faults_of(content)
    if faults:
        raise BadInput("The agreement cannot be saved so.", faults)
    with transaction.atomic():
        row = _locked(agreement.pk)
        _check_open(row, lock_version)
        now = clock.now()
        slots = [slot] if slot else steps.touched(row.content, content)
        steps.keep(row, what, actor.user, now)
        _write(row, content, now)
        told = {key: value for key, value in (("what", what), ("slots", slots)) if value}
        audit.record(actor, "agreement.changed", row, after=told or None)
        _rescore_preview(actor)
    return row


def undo(
    agreement: Agreement, actor: Actor, lock_version: int, *, redo: bool = False
) -> tuple[Agreement, str]:
    """Take the newest step of a draft back, or put the one undone last back; returns the draft and the step.

    Raises Conflict when somebody saved since `lock_version`, for what is no draft, or when there is none.
    """
    _may_write(actor)
    with transaction.atomic():
        row = _locked(agreement.pk)
        _check_open(row, lock_version)
        now, before = clock.now(), row.content
        step, content = steps.swap(row, redo=redo, at=now)
        _write(row, content, now)
        what = f"{'Put back' if redo else 'Undone'}: {step.what or 'a change'}"
        audit.record(
            actor, "agreement.changed", row, after={"what": what, "slots": steps.touched(before, content)}
        )
        _rescore_preview(actor)
    return row, step.what


def _check_open(row: Agreement, lock_version: int) -> None:
    """Raise Conflict when a locked row is no draft, or was saved since it was read."""
    if row.state != State.DRAFT:
        raise Conflict(
            f"Version {row.number} is {row.get_state_display().lower()}: it cannot change any more."
        )
    if row.lock_version != lock_version:
        raise Conflict(
            "Somebody else saved this draft a moment ago. Look at it again, then make your change.",
            {"lock_version": row.lock_version},
        )


def _write(row: Agreement, content: Mapping[str, Json], now: datetime) -> None:
    row.content = dict(content)
    row.zone = Document(content).zone
    row.lock_version += 1
    row.changed_at = now
    row.save(update_fields=["content", "zone", "lock_version", "changed_at"])
    stopping.stop(row.pk)


def discard_draft(agreement: Agreement, actor: Actor) -> Agreement:
    """Put a draft aside; it stays in the history as withdrawn."""
    _may_write(actor)
    return _end(agreement, actor, (State.DRAFT,), State.WITHDRAWN, "agreement.discarded")


def propose(
    agreement: Agreement,
    actor: Actor,
    *,
    note: str = "",
    in_force_from: datetime | None = None,
    release_choice: str = Agreement.Release.TRICKLE,
) -> Agreement:
    """Freeze a draft and ask both sides to sign. A proposal still open is withdrawn, its signatures void.

    Raises BadInput with each fault of the content, or for a day that has passed.
    """
    _may_write(actor)
    now = clock.now()
    if in_force_from and not now <= in_force_from <= now + FAR_AHEAD:
        raise BadInput(
            "Choose a day from today to a year ahead.", [Fault("in_force_from", "not in that year")]
        )
    if release_choice not in RELEASES:
        raise BadInput("Say what becomes of the leads above the bar.", [Fault("release", "unknown choice")])
    with transaction.atomic():
        row = _locked(agreement.pk)
        if row.state != State.DRAFT:
            raise Conflict(f"Version {row.number} is {row.get_state_display().lower()} already.")
        faults = faults_of(row.content, complete=True)
        if faults:
            raise BadInput("It is not ready to be proposed.", faults)
        before = proposal()
        if before is not None:
            _end(before, actor, OPEN, State.WITHDRAWN, "agreement.withdrawn", "A newer draft was proposed.")
        row.state = State.PROPOSED
        row.sha256 = content_sha(row.content)
        row.note = note[:NOTE_LIMIT] or row.note
        row.proposed_at, row.proposed_by = now, actor.user
        row.in_force_from = in_force_from
        row.release = release_choice
        row.save()
        telling.ask(row, actor.user, now)
        audit.record(actor, "agreement.proposed", row, after={"sha256": row.sha256})
    return row


def sign(
    agreement: Agreement,
    actor: Actor,
    *,
    method: str = "password",
    link: SignLink | None = None,
    side: str = "",
) -> Agreement:
    """Sign for the actor's side; with both signatures it comes into force, now or on its day.

    How the person was known for sure (`method`) is the caller's work; a `link` is used up by it. `side` says
    for whom the signature is meant, if the caller asks. Raises Forbidden for who may not sign, Conflict for a
    second signature, a spent link, or what is not proposed.
    """
    mine = _signing_side(actor, side)
    user = actor.user
    assert user is not None
    with transaction.atomic():
        row = _locked(agreement.pk)
        _check_may_sign(row, user, mine)
        now = clock.now()
        if link is not None:
            _use(link, user, mine, now)
        Signature.objects.create(
            agreement=row, side=mine, user=user, sha256=row.sha256, at=now, method=method
        )
        after = {"side": mine, "sha256": row.sha256, "method": method}
        audit.record(actor, "agreement.signed", row, after=after)
        if row.signatures.filter(voided_at=None).count() == len(Side):
            _signed(row, now)
        else:
            telling.signed(row, user, now)
    return row


def _signing_side(actor: Actor, wanted: str) -> Signature.Side:
    mine = side_of(actor.user) if actor.user else None
    if mine is None:
        raise Forbidden("Only a marketing manager and a sales manager sign, each for their own side.")
    if wanted and wanted != mine:
        raise Forbidden(f"You sign for {mine.label.lower()}, not for the other side.")
    return mine


def _check_may_sign(row: Agreement, user: User, side: Signature.Side) -> None:
    """Raise Conflict unless a locked version waits for this person's signature."""
    for given in row.signatures.filter(voided_at=None).select_related("user"):
        if given.side == side:
            raise Conflict(f"{given.user.name} has signed for {side.label.lower()} already.")
        if given.user_id == user.pk:
            raise Conflict("You have signed for the other side. Two people sign, one for each side.")
    if row.state != State.PROPOSED:
        raise Conflict(
            f"Version {row.number} is {row.get_state_display().lower()}: there is nothing to sign."
        )
    if content_sha(row.content) != row.sha256:
        raise Conflict("The text does not match its seal any more. Withdraw it and propose it again.")


def _use(link: SignLink, user: User, side: Signature.Side, now: datetime) -> None:
    # Read again under a lock: of two clicks at once the second finds it used.
    fresh = SignLink.objects.select_for_update(of=("self",)).select_related("agreement").get(pk=link.pk)
    trouble = links.trouble(fresh, user, side, now)
    if trouble:
        raise Conflict(trouble)
    SignLink.objects.filter(pk=fresh.pk).update(used_at=now)


def decline(agreement: Agreement, actor: Actor, comment: str) -> Agreement:
    """Say no for one's side, with the reason; the proposal is over and its signatures are void."""
    side = side_of(actor.user) if actor.user else None
    if side is None or actor.user is None:
        raise Forbidden("Only a marketing manager and a sales manager answer a proposal.")
    said = comment.strip()[:NOTE_LIMIT]
    if len(said) < 3:
        raise BadInput(
            "Say why, so that the next draft can be better.", [Fault("comment", "Write a sentence.")]
        )
    with transaction.atomic():
        row = _end(agreement, actor, (State.PROPOSED,), State.DECLINED, "agreement.declined", said)
        now = clock.now()
        Decline.objects.create(agreement=row, side=side, user=actor.user, comment=said, at=now)
        telling.declined(row, actor.user, said, now)
    return row


def withdraw(agreement: Agreement, actor: Actor, reason: str = "") -> Agreement:
    """Take a proposal back before it is in force; its signatures are void."""
    _may_write(actor)
    return _end(agreement, actor, OPEN, State.WITHDRAWN, "agreement.withdrawn", reason)


def start_due(at: datetime) -> int:
    """Put signed versions into force whose day has come; returns how many.

    Also begins the scoring by the version in force again when it failed.
    """
    started = 0
    _release_again(at)
    due = Agreement.objects.filter(state=State.SIGNED, in_force_from__lte=at).order_by("number")
    for pk in due.values_list("pk", flat=True):
        with transaction.atomic():
            row = _locked(pk)
            # Another worker may have started it while we waited for the lock.
            if row.state == State.SIGNED:
                _start(row, at)
                started += 1
    return started


def install_default(
    *, person_marketing: User, person_sales: User, content: Mapping[str, Json] | None = None
) -> Agreement:
    """Draft, propose and sign the default (or `content`) at once, by these two people; it is in force after.

    For a first run, the demo company and tests.
    """
    made = create_draft(person(person_marketing), content=content or first_content())
    propose(made, person(person_marketing), note="The first agreement")
    sign(made, person(person_marketing))
    return sign(made, person(person_sales))


def _may_write(actor: Actor) -> None:
    if actor.is_system or actor.api_key or actor.has_role(*WRITERS):
        return
    raise Forbidden("Marketers and managers write the agreement; everybody may read it.")


def _locked(pk: int) -> Agreement:
    row = Agreement.objects.select_for_update().filter(pk=pk).first()
    if row is None:
        raise NotVisible
    return row


def faults_of(content: Mapping[str, Json], *, complete: bool = False) -> list[Fault]:
    """Everything that keeps this content from being saved; `complete`: from being proposed, too."""
    if not isinstance(content, Mapping):
        return [Fault("", "An agreement is a JSON object.")]
    document = Document(content)
    try:
        faults = check_document(document, complete=complete)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        return [Fault("", f"This is not written as an agreement is ({error}).")]
    if complete:
        faults += [
            Fault(f"definitions.{key}", f"Say what {words} is, so that both sides mean the same.")
            for key, words in DEFINITIONS.items()
            if not document.definitions.get(key, "").strip()
        ]
    return faults


def _check_shape(content: Mapping[str, Json]) -> None:
    faults = faults_of(content)
    if faults:
        raise BadInput("This is not an agreement that LeadFlow can use.", faults)


def _signed(row: Agreement, now: datetime) -> None:
    row.state = State.SIGNED
    row.in_force_from = row.in_force_from or now
    row.save(update_fields=["state", "in_force_from"])
    if row.in_force_from <= now:
        _start(row, now)


def _start(row: Agreement, at: datetime) -> None:
    """Into force: the one before is superseded in the same instant, then the whole base is scored anew."""
    before = Agreement.objects.select_for_update().filter(state=State.IN_FORCE).first()
    if before is not None:
        before.state = State.SUPERSEDED
        before.superseded_at = at
        before.save(update_fields=["state", "superseded_at"])
    row.state = State.IN_FORCE
    row.in_force_at = at
    row.save(update_fields=["state", "in_force_at"])
    _fix_fields(row)
    row.release_job_id = release.start(row, SYSTEM).pk
    row.save(update_fields=["release_job_id"])
    telling.in_force(row, at)
    audit.record(SYSTEM, "agreement.in_force", row, after={"number": row.number})


def _release_again(at: datetime) -> None:
    now = in_force()
    if now is None:
        return
    with transaction.atomic():
        row = _locked(now.pk)
        job = release.again_if_failed(row, at) if row.state == State.IN_FORCE else None
        if job is not None:
            row.release_job_id = job.pk
            row.save(update_fields=["release_job_id"])


def _fix_fields(row: Agreement) -> None:
    """Make the custom fields that the agreement names, and keep their types from changing."""
    for field in Document(row.content).fields:
        key = field.key.removeprefix("custom.")
        CustomField.objects.get_or_create(
            key=key, defaults={"subject": field.subject, "type": field.type, "label": field.label}
        )
        CustomField.objects.filter(key=key).update(locked_by_version=row.number)


def _end(
    agreement: Agreement, actor: Actor, allowed: tuple[str, ...], state: str, verb: str, reason: str = ""
) -> Agreement:
    with transaction.atomic():
        row = _locked(agreement.pk)
        if row.state not in allowed:
            raise Conflict(f"Version {row.number} is {row.get_state_display().lower()}: too late for that.")
        now, was_draft = clock.now(), row.state == State.DRAFT
        row.state = state
        row.save(update_fields=["state"])
        given = row.signatures.filter(voided_at=None)
        had_signed = set(given.values_list("user_id", flat=True))
        given.update(voided_at=now)
        if state == State.WITHDRAWN and not was_draft:
            telling.withdrawn(row, actor.user, had_signed, reason, now)
        audit.record(actor, verb, row, reason=reason)
    return row


def _rescore_preview(actor: Actor) -> None:
    """Until the first version is in force, each save of the draft scores the base as a preview."""
    if in_force() is None:
        found = current()
        if found is not None:
            Agreement.objects.filter(pk=found.pk).update(release_job_id=release.start(found, actor).pk)
