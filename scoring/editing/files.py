"""An agreement as a file: written so that a person can keep it, read with every fault told in words."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from leadflow.errors import BadInput, Fault
from scoring import lists
from scoring.default import default_content
from scoring.document import content_sha
from scoring.editing import parts
from scoring.models import Agreement, ListSnapshot

Json = Any

WHAT = "LeadFlow agreement"
FORMAT = 1
LARGEST = 1024 * 1024
DEEPEST = 40
_NAMES = {dict: "a group of named values", list: "a list", str: "a text", bool: "yes or no", int: "a number"}
# What a hand-written file may leave out.
_USUAL: dict[str, dict[str, Json]] = {
    "criteria": {
        "decay": None,
        "max_points": None,
        "max_per_day": None,
        "bands": None,
        "of": None,
        "condition": None,
        "text": "",
        "why": "",
        "on": True,
    },
    "exclusions": {"text": "", "why": "", "on": True},
    "personas": {"text": "", "pains": [], "goals": [], "questions": [], "condition": None},
}
_MAY_MISS = ("title", "fields", "personas", "lists", "list_snapshots", "tracks")


@dataclass(frozen=True)
class Loaded:
    """What a file holds, ready to be looked at: its content, and what had to be adapted, in sentences."""

    content: dict[str, Json]
    notes: list[str] = field(default_factory=list)


def written(agreement: Agreement, company: str, at: datetime) -> str:
    """A version as the text of a file."""
    told = {
        "what": WHAT,
        "format": FORMAT,
        "company": company,
        "version": agreement.number,
        "state": agreement.state,
        "downloaded_at": at.isoformat(timespec="seconds"),
        "sha256": content_sha(agreement.content),
        "content": agreement.content,
    }
    return json.dumps(told, ensure_ascii=False, indent=2) + "\n"


def name_of(agreement: Agreement, at: datetime) -> str:
    """By which name it is saved."""
    draft = "draft " if agreement.state == Agreement.State.DRAFT else ""
    return f"Agreement {draft}v{agreement.number} {at:%Y-%m-%d}.json"


def read(data: bytes) -> Loaded:
    """The agreement in a file. Raises BadInput with what is wrong and where."""
    told = _parsed(data)
    if "content" in told and "criteria" not in told:
        if told.get("what") != WHAT:
            raise BadInput("This file is not an agreement of LeadFlow: it does not say so at its beginning.")
        if told.get("format") != FORMAT:
            raise BadInput(
                f"This file is written in format {told.get('format')!r:.20}; we read format {FORMAT}."
            )
        content = told["content"]
    else:
        content = told
    if not isinstance(content, dict):
        raise BadInput("The content of this file is not an agreement.")
    faults = _shape_faults(content)
    if faults:
        raise BadInput("This file is not written as an agreement is.", faults)
    notes = []
    if told is not content and told.get("sha256") not in (None, content_sha(content)):
        notes.append("Somebody changed this file after it was downloaded; what follows is what it says now.")
    made = {**{key: _empty(key) for key in _MAY_MISS}, **content}
    return Loaded(*_with_own_lists(_filled(made), notes))


def place(content: Mapping[str, Json], path: str) -> str:
    """The title of the part in which a fault lies; empty when it is none of them."""
    try:
        holders = [part for part in parts.all_parts(content) if part.dotted and path.startswith(part.dotted)]
    except (AttributeError, TypeError, KeyError):
        return ""
    best = max(holders, key=lambda part: len(part.dotted), default=None)
    return f"{parts.TABS[best.tab]}, “{best.title}”" if best else ""


def _parsed(data: bytes) -> dict[str, Json]:
    if len(data) > LARGEST:
        raise BadInput(f"This file is larger than {LARGEST // 1024:,} KB; an agreement is smaller.")
    if not data.strip():
        raise BadInput("This file is empty.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput("This file is not a text in UTF-8. Choose the file that LeadFlow gave you.") from None
    if "\x00" in text or "\\u0000" in text:
        raise BadInput("This file holds characters that are no text.")
    try:
        told = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
        json.dumps(told, ensure_ascii=False).encode()
    except BadInput:
        raise
    except json.JSONDecodeError as error:
        raise BadInput(
            f"This file breaks off or is damaged in line {error.lineno}: {error.msg.lower()}."
        ) from None
    except UnicodeEncodeError:
        raise BadInput("This file holds characters that are no text.") from None
    except (ValueError, RecursionError):
        raise BadInput("This file is nested too deep or holds a number too large.") from None
    if not isinstance(told, dict):
        raise BadInput("This file is not an agreement of LeadFlow.")
    _check_depth(told, 0)
    return told


def _once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for i, (key, _) in enumerate(pairs) if key in {k for k, _ in pairs[:i]})
        raise BadInput(
            f"“{twice[:40]}” stands twice at one place in this file; which one counts is not clear."
        )
    return found


def _no_number(text: str) -> Json:
    raise BadInput(f"{text} is no number that an agreement can hold.")


def _check_depth(value: Json, depth: int) -> None:
    if depth > DEEPEST:
        raise BadInput("This file is nested too deep.")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_depth(item, depth + 1)


def _shape_faults(content: Mapping[str, Json]) -> list[Fault]:
    """Whether each part is of the sort that the default agreement has there."""
    model = default_content()
    faults = [
        Fault(key, "This part is missing.") for key in model if key not in content and key not in _MAY_MISS
    ]
    faults += [
        Fault(str(key)[:60], "An agreement has no part of this name.") for key in content if key not in model
    ]
    for key, like in model.items():
        if key in content:
            faults += _sort_faults(content[key], like, key, 0)
    return faults[:50]


def _sort_faults(value: Json, like: Json, path: str, depth: int) -> list[Fault]:
    if like is None or (value is None and depth > 1):
        return []
    kind = dict if isinstance(like, Mapping) else list if isinstance(like, list | tuple) else type(like)
    if not _is(value, kind):
        return [Fault(path, f"{_NAMES.get(kind, 'Another value').capitalize()} is expected here.")]
    if isinstance(like, Mapping) and depth < 2 and path not in ("lists", "list_snapshots"):
        return [
            fault
            for key in like
            if key in value and key != "condition"
            for fault in _sort_faults(value[key], like[key], f"{path}.{key}", depth + 1)
        ]
    if kind is list and like and isinstance(like[0], Mapping):
        return _item_faults(value, like[0], path, depth)
    return []


def _item_faults(items: Sequence[Json], like: Mapping[str, Json], path: str, depth: int) -> list[Fault]:
    faults: list[Fault] = []
    need = [key for key in like if key not in _USUAL.get(path, {}) and like[key] is not None]
    for i, item in enumerate(items):
        here = f"{path}[{i}]"
        if not isinstance(item, dict):
            faults.append(Fault(here, f"{_NAMES[dict].capitalize()} is expected here."))
            continue
        if path in ("criteria", "exclusions", "personas", "reasons", "tracks"):
            faults += [Fault(f"{here}.{key}", "This is missing.") for key in need[:3] if key not in item]
        for key in like:
            if key in item and key not in ("condition", "of", "back", "when"):
                faults += _sort_faults(item[key], like[key], f"{here}.{key}", depth + 2)
    return faults


def _is(value: Json, kind: type) -> bool:
    if kind in (int, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, kind)


def _empty(key: str) -> Json:
    return "" if key == "title" else {} if key in ("lists", "list_snapshots") else []


def _filled(content: dict[str, Json]) -> dict[str, Json]:
    """With what a hand-written file may leave out."""
    for key, usual in _USUAL.items():
        content[key] = [{**usual, **item} for item in content[key]]
    return content


def _with_own_lists(content: dict[str, Json], notes: list[str]) -> tuple[dict[str, Json], list[str]]:
    """Long lists are named by their hash; those of another house are not here, so ours take their place."""
    named = content["list_snapshots"]
    here = set(
        ListSnapshot.objects.filter(sha256__in=[str(v) for v in named.values()]).values_list(
            "sha256", flat=True
        )
    )
    if all(str(sha) in here for sha in named.values()):
        return content, notes
    ours = lists.shipped_snapshots()
    content["list_snapshots"] = {
        key: sha if str(sha) in here else ours.get(key, "") for key, sha in named.items()
    }
    return content, [
        *notes,
        "The long lists of mail domains in it are of another day; those of this LeadFlow are used.",
    ]
