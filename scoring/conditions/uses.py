"""What an agreement's content names: facts, kinds of activity, lists. Read from the JSON as it stands, so
that a rule that is not finished counts too."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from leadflow.leads.facts import CUSTOM, Fact, known_facts

Json = Any


@dataclass(frozen=True)
class Uses:
    """Keys of facts (custom ones with their prefix), of kinds, of lists."""

    facts: frozenset[str]
    kinds: frozenset[str]
    lists: frozenset[str]


def uses_of(content: Mapping[str, Json]) -> Uses:
    """Everything that the rules, reasons and must-know fields of a content name."""
    named = list(_named(content))
    facts = {key for what, key in named if what == "fact"}
    for key in content.get("must_know") or ():
        facts |= {str(key), f"{CUSTOM}{key}"}
    for reason in content.get("reasons") or ():
        facts |= {str(key) for key in (reason.get("back") or {}).get("keys") or ()}
    return Uses(
        frozenset(facts),
        frozenset(key for what, key in named if what == "kind"),
        frozenset(key for what, key in named if what == "list"),
    )


def _named(raw: Json) -> Iterator[tuple[str, str]]:
    if isinstance(raw, Mapping):
        for name in ("fact", "changed"):
            if isinstance(raw.get(name), str):
                yield "fact", raw[name]
        if raw.get("op") == "in_list" and isinstance(raw.get("value"), str):
            yield "list", raw["value"]
        did, ratio = raw.get("did"), raw.get("ratio")
        if isinstance(did, Mapping):
            kinds = did.get("kinds")
            yield from (("kind", str(kind)) for kind in (kinds if isinstance(kinds, list) else [kinds]))
        if isinstance(ratio, Mapping):
            yield from (("kind", str(ratio.get(side))) for side in ("of", "to"))
        for value in raw.values():
            yield from _named(value)
    elif isinstance(raw, list):
        for item in raw:
            yield from _named(item)


def with_fields(content: Mapping[str, Json], known: Mapping[str, Fact] | None = None) -> Mapping[str, Json]:
    """The content with every custom field that it names among its `fields`, with today's type.

    What is signed says of which type its fields are, and the engine reads them from there. One query.
    """
    facts = known_facts(retired=True) if known is None else known
    have = {str(field.get("key", "")).removeprefix(CUSTOM) for field in content.get("fields") or ()}
    wanted = {key.removeprefix(CUSTOM) for key in uses_of(content).facts if key.startswith(CUSTOM)}
    missing = [facts[f"{CUSTOM}{key}"] for key in sorted(wanted - have) if f"{CUSTOM}{key}" in facts]
    if not missing:
        return content
    made = [
        {
            "key": fact.custom,
            "subject": fact.subject,
            "type": "text" if fact.type == "choice" else fact.type,
            "label": fact.label,
        }
        for fact in missing
    ]
    return {**content, "fields": [*(content.get("fields") or ()), *made]}
