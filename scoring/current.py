"""Which agreement counts now, compiled once and kept by its content."""

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

from django.db import connection

from leadflow.leads.models import ActivityKind
from scoring.conditions.compile import Kinds
from scoring.conditions.fields import catalogue
from scoring.document import Document, content_sha
from scoring.models import Agreement
from scoring.program import Program

KEPT = 12
_WAITING = (Agreement.State.DRAFT, Agreement.State.PROPOSED, Agreement.State.SIGNED)
_KINDS_MARK = (
    "SELECT COALESCE(md5(string_agg(id || key || own_act || phrase, ',' ORDER BY id)), '') FROM "  # noqa: S608
    + ActivityKind._meta.db_table
)
# A draft has no hash yet, so its last save tells it from the one before.
_CURRENT = (
    "SELECT id, number, state,"  # noqa: S608 - no value is composed
    " COALESCE(NULLIF(sha256, ''), id || '/' || lock_version || '/' || changed_at), ("
    + _KINDS_MARK
    + ") FROM scoring_agreement WHERE state = 'in_force' OR state = ANY(%s)"
    " ORDER BY state = 'in_force' DESC, number DESC LIMIT 1"
)
_programs: OrderedDict[tuple[str, str], Program] = OrderedDict()
_lock = Lock()


@dataclass(frozen=True)
class Current:
    """An agreement ready to be applied. `preview`: none is in force yet, so nothing goes to sales by it."""

    agreement_id: int
    number: int
    preview: bool
    program: Program


def current() -> Current | None:
    """The agreement in force, else the latest draft as a preview; None when there is neither. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            _CURRENT,
            [[s.value for s in _WAITING]],
        )
        row = cursor.fetchone()
    if row is None:
        return None
    key, number, state, mark, kinds = row
    return Current(key, number, state != Agreement.State.IN_FORCE, _program(key, mark, kinds))


def of(agreement: Agreement) -> Current:
    """Any agreement, whatever its state."""
    with connection.cursor() as cursor:
        cursor.execute(_KINDS_MARK)
        kinds = cursor.fetchone()[0]
    mark = agreement.sha256 or f"{agreement.pk}/{agreement.lock_version}/{agreement.changed_at}"
    preview = agreement.in_force_at is None
    return Current(agreement.pk, agreement.number, preview, _program(agreement.pk, mark, kinds, agreement))


def program_of(document: Document) -> Program:
    """A program for a document that is not stored, such as a draft being edited. Not kept."""
    return Program(document, _load_kinds(), catalogue(document), content_sha(document.content))


def _program(agreement_id: int, mark: str, kinds: str, agreement: Agreement | None = None) -> Program:
    with _lock:
        found = _programs.get((mark, kinds))
        if found is not None:
            _programs.move_to_end((mark, kinds))
            return found
    row = agreement or Agreement.objects.only("content", "sha256").get(pk=agreement_id)
    document = Document(row.content)
    made = Program(document, _load_kinds(), catalogue(document), row.sha256 or content_sha(row.content))
    with _lock:
        _programs[mark, kinds] = made
        while len(_programs) > KEPT:
            _programs.popitem(last=False)
    return made


def _load_kinds() -> Kinds:
    kinds = list(ActivityKind.objects.all())
    return Kinds(
        {kind.key: kind.pk for kind in kinds},
        frozenset(kind.pk for kind in kinds if kind.own_act),
        {kind.key: kind.phrase for kind in kinds},
    )
