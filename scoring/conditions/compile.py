"""From nodes to columns and expressions of SQL. Values are always literals of psycopg2, never text.

`Columns` collects what a statement must read of a lead; `Compiler` turns a node into a boolean over these
columns (alias `b`). Both row sources (see `scoring.rows`) offer the same aliases underneath:

- `s` the instant: at, known_at; for holds `since`; for handoff leaves `given`
- `l`, `c`, `lc`, `cc` the facts (see `fields`)
- `a` one activity that had occurred by `at`, was recorded by `known_at` and belonged to the lead then
- `d` one calendar day of activities in the agreement's zone

Two-valued: each leaf is coalesced to FALSE, then combined.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

from psycopg2.sql import SQL, Composable, Identifier, Literal

from leadflow.leads.folding import fold, phone_key, words
from scoring.arithmetic import decay_table
from scoring.conditions import fields as f
from scoring.conditions import nodes as n
from scoring.conditions.parse import parse, parse_measure
from scoring.document import Criterion, Document

COMPARE = {"eq": "=", "ne": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_COLUMNS = {
    "path": "a.path",
    "channel": "a.channel",
    "result": "a.result",
    "message_key": "a.message_key",
    "campaign": "(SELECT lower(p.code) FROM leads_campaign p WHERE p.id = a.campaign_id)",
    "content": "(SELECT lower(p.key) FROM leads_content p WHERE p.id = a.content_id)",
}
# Kinds of domains that a saved list tells; the others stand at the company.
_LISTED = ("work", "free_mail", "throwaway")
_OWN_FLAGS = {"own": "is_own", "competitor": "is_competitor", "partner": "is_partner"}


@dataclass(frozen=True)
class Kinds:
    """The catalogue of activity kinds as the statement needs it; `phrases` for words beside its answer."""

    ids: Mapping[str, int]
    own: frozenset[int]
    phrases: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def keys(self) -> Mapping[int, str]:
        return {id_: key for key, id_ in self.ids.items()}

    def of(self, keys: Iterable[str]) -> list[int]:
        """Their ids; kinds that do not exist match nothing."""
        return sorted(self.ids[key] for key in keys if key in self.ids)


@dataclass(frozen=True)
class View:
    """In which light a condition is read.

    own_days: positive behaviour counts only own acts of these days. since: it counts only what was
    recorded after `s.since`. Under a Not neither applies.
    """

    own_days: int | None = None
    since: bool = False

    @property
    def is_plain(self) -> bool:
        return self.own_days is None and not self.since


PLAIN = View()


class Named:
    """Expressions that get a short name each; equal ones share it."""

    def __init__(self, prefix: str, alias: str) -> None:
        self.prefix, self.alias = prefix, alias
        self.found: dict[str, tuple[str, Composable]] = {}

    def add(self, expression: Composable) -> SQL:
        name, _ = self.found.setdefault(repr(expression), (f"{self.prefix}{len(self.found)}", expression))
        return SQL(f"{self.alias}.{name}")

    def select(self) -> list[Composable]:
        return [SQL("{} AS {}").format(e, Identifier(name)) for name, e in self.found.values()]

    def names(self) -> list[str]:
        return [name for name, _ in self.found.values()]


@dataclass
class Columns:
    """What one statement reads of a lead. `present`: no fact changed after the instant, so skip history."""

    present: bool
    facts: Named = field(default_factory=lambda: Named("f", "b"))
    # Over kind and time of a lead's activities, which stand in an index; in one go.
    plain: Named = field(default_factory=lambda: Named("u", "b"))
    # Over the activities of a calendar day, then over the days: only what asks for days, for most activities
    # have a day to themselves, or for more of an activity than its kind and time, for here it is read.
    daily: Named = field(default_factory=lambda: Named("d", "d"))
    totals: Named = field(default_factory=lambda: Named("t", "b"))
    # Over the messages that activities are about; a sort of their own each.
    distinct: Named = field(default_factory=lambda: Named("q", "b"))
    # The kinds that each of the three looks at.
    kinds: set[int] = field(default_factory=set)
    day_kinds: set[int] = field(default_factory=set)
    message_kinds: set[int] = field(default_factory=set)
    used_facts: set[str] = field(default_factory=set)
    # So many days after it occurred an activity changes its meaning at one stroke.
    windows: set[int] = field(default_factory=set)
    # Booleans over `b` of facts that any later day may read otherwise.
    ageing: list[Composable] = field(default_factory=list)

    def ages(self, *days: int | None) -> None:
        """Note windows of so many days; None: no end."""
        self.windows.update(d for d in days if d)

    def beside(self) -> "Columns":
        """For another version that reads the same rows: what both ask for is read once, what only says
        something about one of them stays apart."""
        return replace(self, used_facts=set(), windows=set(), ageing=[])


class Compiler:
    """Turns nodes into expressions over `columns`, in the words of one agreement."""

    def __init__(
        self, document: Document, kinds: Kinds, catalogue: Mapping[str, f.Field], columns: Columns
    ) -> None:
        self.document, self.kinds, self.catalogue = document, kinds, catalogue
        self.columns = columns
        self._parsed: dict[str, n.Node] = {}
        self._open: set[str] = set()

    # Nodes

    def condition(self, raw: Mapping[str, Any], view: View = PLAIN) -> Composable:
        """A condition in JSON as a boolean over `b`. Raises BadInput."""
        return self.node(parse(raw), view)

    def node(self, node: n.Node, view: View = PLAIN) -> Composable:
        """A boolean over `b`, never null."""
        if isinstance(node, n.Always):
            return SQL("TRUE")
        if isinstance(node, n.All | n.Some):
            joint = SQL(" AND " if isinstance(node, n.All) else " OR ")
            return SQL("({})").format(joint.join([self.node(item, view) for item in node.items]))
        if isinstance(node, n.Not):
            return SQL("(NOT {})").format(self.node(node.item, PLAIN))
        leaf = self._leaf(node, view)
        return SQL("COALESCE({}, FALSE)").format(leaf)

    def _leaf(self, leaf: n.Leaf, view: View) -> Composable:
        match leaf:
            case n.FactIs():
                return self._fact(leaf)
            case n.Changed():
                changed = self.columns.facts.add(self._changed(leaf, view))
                self.columns.ageing.append(changed)
                return changed
            case n.Behaviour():
                if leaf.agg == "count" and leaf.op == "gte" and leaf.value == 1:
                    return self._some(leaf.did, view)
                return self._compare(self.figure(leaf, view), leaf.op, leaf.value)
            case n.Ratio():
                return self._ratio(leaf, view)
            case n.CriterionHolds():
                return self._criterion(leaf, view)
            case n.Active():
                return self._active(leaf.days)
            case n.Contactable():
                return self._contactable()
            case n.ScoreIs():
                return SQL("b.{} {} {}").format(
                    Identifier(leaf.group), SQL(COMPARE[leaf.op]), Literal(leaf.value)
                )
            case n.GradeIn():
                return SQL("b.grade = ANY({})").format(_array(leaf.grades, "text"))
            case n.PersonaIs():
                return self._persona(leaf.key, view)
            case n.StageIn():
                return SQL("{} = ANY({})").format(self.stage(), _array(leaf.stages, "text"))
            case n.HandoffIs():
                return self._handoff(leaf)

    # Facts

    def _field(self, key: str) -> f.Field:
        found = self.catalogue[key]
        self.columns.used_facts.add(key)
        return found

    def _fact(self, leaf: n.FactIs) -> Composable:
        fact, present, add = self._field(leaf.key), self.columns.present, self.columns.facts.add
        if leaf.op in n.KNOWN_OPS:
            known = add(f.is_known(fact, present))
            return known if leaf.op == "known" else SQL("NOT {}").format(known)
        if leaf.op == "domain_kind":
            return self._domain_kind(leaf)
        if leaf.op == "has_word":
            column = add(f.words_text(fact, present))
            return _any_of([SQL("strpos({}, {}) > 0").format(column, Literal(w)) for w in _words(leaf.value)])
        if leaf.op in n.TEXT_OPS:
            return self._text(leaf.op, add(f.key_text(fact, present)), leaf.value, fact.key)
        value = add(f.typed_value(fact, present))
        if leaf.op in n.BOOLEAN_OPS:
            return value if leaf.op == "is_true" else SQL("NOT {}").format(value)
        if leaf.op == "in_last_days":
            return self._in_last_days(value, int(_decimal(leaf.value)))
        return self._order(value, leaf.op, leaf.value)

    def _text(self, op: str, column: Composable, value: n.Value, key: str = "") -> Composable:
        given = value if isinstance(value, tuple) else ()
        read = phone_key if key == "phone" else fold
        if op == "in_list":
            named = self.document.lists.get(str(given[0]))
            given = tuple(named.entries) if named else ()
        # What reads as nothing, as a phone without digits, would be found in everything.
        texts = [text for text in (read(str(item)) for item in given) if text]
        if op == "in_list":
            return SQL("{} = ANY({})").format(column, _array(texts, "text"))
        if op == "is":
            return SQL("{} = ANY({})").format(column, _array(texts, "text"))
        if op == "is_not":
            return SQL("({0} <> '' AND {0} <> ALL({1}))").format(column, _array(texts, "text"))
        test = SQL("strpos({}, {}) > 0") if op == "contains" else SQL("starts_with({}, {})")
        return _any_of([test.format(column, Literal(text)) for text in texts])

    def _order(self, column: Composable, op: str, value: n.Value) -> Composable:
        """Numbers as numbers, days as ISO text compared by bytes."""
        low, high = (value[0], value[-1]) if isinstance(value, tuple) and value else (value, value)
        side = SQL('{} COLLATE "C"').format(column) if isinstance(low, str) else column
        if op == "between":
            return SQL("{} BETWEEN {} AND {}").format(side, Literal(low), Literal(high))
        return SQL("{} {} {}").format(side, SQL(COMPARE[op]), Literal(low))

    def _in_last_days(self, column: Composable, days: int) -> Composable:
        self.columns.ageing.append(SQL("{} IS NOT NULL").format(column))
        today = SQL("(b.at AT TIME ZONE {})::date").format(Literal(self.document.zone))
        low = SQL("to_char({} - {}::int, 'YYYY-MM-DD')").format(today, Literal(days))
        return SQL(
            '({v} COLLATE "C" > {low} AND {v} COLLATE "C" <= to_char({today}, \'YYYY-MM-DD\'))'
        ).format(v=column, low=low, today=today)

    def _domain_kind(self, leaf: n.FactIs) -> Composable:
        domain = f.key_text(self._field(leaf.key), self.columns.present)
        kinds = [str(kind) for kind in leaf.value] if isinstance(leaf.value, tuple) else []
        tests = [self._domain_of_list(domain, kind) for kind in kinds if kind in _LISTED]
        # One look at the company of the domain for all that is asked of it.
        flags = [self._flag_of_other(kind) for kind in kinds if kind not in _LISTED]
        if flags:
            of_company = SQL(
                "EXISTS (SELECT 1 FROM leads_company o WHERE o.domain = {domain}"
                " AND o.created_at <= {instant} AND {flags})"
            ).format(domain=domain, instant=f.INSTANT, flags=_any_of(flags))
            tests.append(of_company)
        return _any_of([self.columns.facts.add(test) for test in tests])

    def _domain_of_list(self, domain: Composable, kind: str) -> Composable:
        if kind == "work":
            free, gone = (self._in_snapshot(domain, key) for key in ("free_mail", "throwaway"))
            return SQL("({} <> '' AND NOT {} AND NOT {})").format(domain, free, gone)
        return self._in_snapshot(domain, kind)

    def _flag_of_other(self, kind: str) -> Composable:
        field_ = "is_customer" if kind == "customer" else _OWN_FLAGS[kind]
        now = (
            SQL("COALESCE(o.customer_since <= {}, FALSE)").format(f.INSTANT)
            if kind == "customer"
            else SQL("o.{}").format(Identifier(field_))
        )
        if self.columns.present:
            return now
        return SQL(
            "COALESCE((SELECT x.old = 'true'::jsonb FROM leads_factchange x WHERE x.company_id = o.id"
            " AND x.field = {field} AND x.recorded_at > {instant}"
            " ORDER BY x.recorded_at, x.id LIMIT 1), {now})"
        ).format(field=Literal(field_), instant=f.INSTANT, now=now)

    def _in_snapshot(self, domain: Composable, key: str) -> Composable:
        sha = self.document.list_snapshots.get(key, "")
        return SQL(
            "EXISTS (SELECT 1 FROM scoring_listentry e JOIN scoring_listsnapshot z ON z.id = e.snapshot_id"
            " WHERE z.sha256 = {} AND e.value = {})"
        ).format(Literal(sha), domain)

    def _changed(self, leaf: n.Changed, view: View) -> Composable:
        fact = self._field(leaf.key)
        since = SQL(" AND {} > s.since") if view.since else None

        def within(moment: Composable) -> Composable:
            window = SQL("{m} > {start} AND {m} <= {end}").format(
                m=moment, start=_ago("s", leaf.days), end=f.INSTANT
            )
            return window if since is None else window + since.format(moment)

        row, fields = (SQL("l"), [leaf.key]) if fact.subject == "lead" else (SQL("c"), [leaf.key])
        if fact.key == "email_domain":
            fields.append("email")
        owner = SQL("x.lead_id = l.id" if fact.subject == "lead" else "x.company_id = c.id")
        exists = SQL(
            "EXISTS (SELECT 1 FROM leads_factchange x WHERE {owner} AND x.field = ANY({keys}) AND {within})"
        )
        parts: list[Composable] = [
            exists.format(owner=owner, keys=_array(fields, "text"), within=within(SQL("x.recorded_at"))),
            SQL("({} AND {})").format(
                within(SQL("{}.created_at").format(row)), f.is_known(fact, self.columns.present)
            ),
        ]
        if fact.subject == "company":
            parts.append(
                exists.format(
                    owner=SQL("x.lead_id = l.id"),
                    keys=_array(["company"], "text"),
                    within=within(SQL("x.recorded_at")),
                )
            )
        return _any_of([SQL("COALESCE({}, FALSE)").format(part) for part in parts])

    def facts_changed_since(self, keys: Iterable[str]) -> Composable:
        """Whether one of these facts changed after `s.since`: evidence that ends a hold."""
        tests = [
            self._changed(n.Changed(key, 3650), View(since=True))
            for key in sorted(keys)
            if key in self.catalogue
        ]
        return self.columns.facts.add(_any_of(tests))

    def colleague_since(self) -> Composable:
        """Whether another lead of the lead's company became an MQL, or ready for sales, after `s.since`."""
        return self.columns.facts.add(
            SQL(
                "EXISTS (SELECT 1 FROM leads_lead o WHERE o.company_id = c.id AND o.id <> l.id"
                " AND o.merged_into_id IS NULL AND o.erased_at IS NULL"
                " AND (EXISTS (SELECT 1 FROM leads_stagechange x WHERE x.lead_id = o.id"
                " AND x.to_stage = 'mql' AND x.from_stage NOT IN ('sql', 'opportunity', 'customer')"
                " AND x.known_at > s.since AND x.known_at <= {instant})"
                " OR EXISTS (SELECT 1 FROM scoring_crossing k WHERE k.lead_id = o.id"
                " AND k.kind IN ('bar', 'fast_track')"
                " AND k.known_at > s.since AND k.known_at <= {instant})))"
            ).format(instant=f.INSTANT)
        )

    # Behaviour

    def matches(self, did: n.Did, view: View = PLAIN) -> Composable:
        """A boolean over one activity `a`."""
        ids = self._ids(did, view)
        self.columns.kinds.update(ids)
        parts: list[Composable] = [SQL("a.kind_id = ANY({})").format(_array(ids, "smallint"))]
        if len(ids) == 1:
            parts = [SQL("a.kind_id = {}").format(Literal(ids[0]))]
        days = min((d for d in (did.days, view.own_days) if d is not None), default=None)
        if days is not None:
            parts.append(SQL("a.occurred_at > {}").format(_ago("s", days)))
        self.columns.ages(days)
        if view.since:
            parts.append(SQL("a.recorded_at > s.since"))
        parts += [self._where(w) for w in did.where]
        return SQL("({})").format(SQL(" AND ").join(parts))

    def _ids(self, did: n.Did, view: View = PLAIN) -> list[int]:
        ids = self.kinds.of(did.kinds)
        return [i for i in ids if i in self.kinds.own] if view.own_days is not None else ids

    def _where(self, where: n.Where) -> Composable:
        json = SQL("(a.properties->{})").format(Literal(where.property))
        column: Composable = (
            SQL(_COLUMNS[where.property])
            if where.property in _COLUMNS
            else SQL("lower(a.properties->>{})").format(Literal(where.property))
        )
        if where.op in n.KNOWN_OPS:
            known = SQL("COALESCE({} <> '', FALSE)").format(column)
            return known if where.op == "known" else SQL("NOT {}").format(known)
        if where.op in n.TEXT_OPS:
            return SQL("COALESCE({}, FALSE)").format(self._text(where.op, column, where.value))
        day = isinstance(where.value, str) or (
            isinstance(where.value, tuple) and isinstance(where.value[0], str)
        )
        side = (
            column
            if day
            else SQL("CASE WHEN jsonb_typeof({j}) = 'number' THEN ({j})::numeric END").format(j=json)
        )
        return SQL("COALESCE({}, FALSE)").format(self._order(side, where.op, where.value))

    def figure(self, leaf: n.Behaviour, view: View = PLAIN) -> Composable:
        """The number that a behaviour leaf compares: count, days and sum are 0 of nothing, recency null."""
        matches = self.matches(leaf.did, view)
        if leaf.agg == "count":
            return _zero(self._over(SQL("count(*) FILTER (WHERE {})").format(matches), "sum", leaf.did))
        if leaf.agg == "days":
            self.columns.day_kinds.update(self._ids(leaf.did, view))
            hit = self.columns.daily.add(SQL("COALESCE(bool_or({}), FALSE)").format(matches))
            return _zero(self.columns.totals.add(SQL("count(*) FILTER (WHERE {})").format(hit)))
        if leaf.agg == "sum":
            json = SQL("(a.properties->{})").format(Literal(leaf.property))
            number = SQL("CASE WHEN jsonb_typeof({j}) = 'number' THEN ({j})::numeric END").format(j=json)
            total = SQL("sum({}) FILTER (WHERE {})").format(number, matches)
            return _zero(self._by_day(total, "sum", leaf.did))
        self.columns.ages(int(leaf.value), int(leaf.value) + 1)
        return SQL("date_part('day', b.at - {})").format(self.newest(leaf.did, view))

    def newest(self, did: n.Did, view: View = PLAIN) -> Composable:
        """When the newest matching activity occurred; null when there is none."""
        return self._over(
            SQL("max(a.occurred_at) FILTER (WHERE {})").format(self.matches(did, view)), "max", did
        )

    def _some(self, did: n.Did, view: View) -> Composable:
        """Whether there is any: the newest answers for every window, so that it is looked for once."""
        days = min((d for d in (did.days, view.own_days) if d is not None), default=None)
        self.columns.ages(days)
        keys = tuple(self.kinds.keys[i] for i in self._ids(did, view))
        newest = self.newest(replace(did, kinds=keys, days=None), replace(view, own_days=None))
        if days is None:
            return SQL("{} IS NOT NULL").format(newest)
        return SQL("{} > {}").format(newest, _ago("b", days))

    def _over(self, figure: Composable, joint: str, did: n.Did) -> Composable:
        """A figure over all activities of a lead; `joint` makes one of those of its parts."""
        return self._by_day(figure, joint, did) if did.where else self.columns.plain.add(figure)

    def _by_day(self, figure: Composable, joint: str, did: n.Did) -> Composable:
        self.columns.day_kinds.update(self._ids(did))
        return self.columns.totals.add(SQL(f"{joint}({{}})").format(self.columns.daily.add(figure)))

    def _compare(self, figure: Composable, op: str, value: Decimal) -> Composable:
        return SQL("{} {} {}").format(figure, SQL(COMPARE[op]), Literal(value))

    def _ratio(self, leaf: n.Ratio, view: View) -> Composable:
        start = _ago("s", leaf.days)
        self.columns.ages(leaf.days)

        def distinct(kind: str) -> Composable:
            ids = self.kinds.of([kind])
            self.columns.message_kinds.update(ids)
            return self.columns.distinct.add(
                SQL(
                    "count(DISTINCT a.message_key) FILTER (WHERE a.kind_id = ANY({})"
                    " AND a.message_key <> '' AND a.occurred_at > {})"
                ).format(_array(ids, "smallint"), start)
            )

        of, to = _zero(distinct(leaf.of)), _zero(distinct(leaf.to))
        test = SQL("({to} >= {least} AND {of} {op} {value} * {to})").format(
            to=to, of=of, least=Literal(leaf.min), op=SQL(COMPARE[leaf.op]), value=Literal(leaf.value)
        )
        if view.is_plain:
            return test
        fresh = self._some(n.Did((leaf.of,), (), leaf.days), view)
        return SQL("({} AND COALESCE({}, FALSE))").format(test, fresh)

    def last_own_act(self) -> Composable:
        """When the newest own act occurred; null when there is none."""
        self.columns.kinds.update(self.kinds.own)
        return self.columns.plain.add(
            SQL("max(a.occurred_at) FILTER (WHERE a.kind_id = ANY({}))").format(
                _array(sorted(self.kinds.own), "smallint")
            )
        )

    def _active(self, days: int) -> Composable:
        self.columns.ages(days)
        return SQL("{} > {}").format(self.last_own_act(), _ago("b", days))

    # Other leaves

    def _contactable(self) -> Composable:
        present, add = self.columns.present, self.columns.facts.add
        phone = add(f.is_known(self._field("phone"), present))
        mail = add(f.is_known(self._field("email"), present))
        refused = add(f.typed_value(self._field("do_not_contact"), present))
        bounced = add(SQL("COALESCE(l.bounced_at <= s.at, FALSE)"))
        return SQL("(({} OR ({} AND NOT {})) AND NOT {})").format(phone, mail, bounced, refused)

    def stage(self) -> Composable:
        """The stage in which the lead was at the instant."""
        if self.columns.present:
            return self.columns.facts.add(SQL("l.stage"))
        return self.columns.facts.add(
            SQL(
                "(SELECT g.to_stage FROM leads_stagechange g WHERE g.lead_id = l.id AND g.at <= s.at"
                " AND g.known_at <= s.known_at ORDER BY g.at DESC, g.id DESC LIMIT 1)"
            )
        )

    def _handoff(self, leaf: n.HandoffIs) -> Composable:
        value = self.columns.facts.add(SQL("COALESCE(s.given->>{}, '')").format(Literal(leaf.fact)))
        tests: list[Composable] = [SQL("{} = ANY({})").format(value, _array(leaf.values, "text"))]
        if leaf.fact == "fast_track" and "true" in leaf.values:
            tests.append(SQL("{} <> ''").format(value))
        return _any_of(tests)

    def _persona(self, key: str, view: View) -> Composable:
        persona = next((p for p in self.document.personas if p.key == key), None)
        if persona is None or persona.condition is None:
            return SQL("FALSE")
        return self._nested(f"persona {key}", parse(persona.condition), view)

    def _criterion(self, leaf: n.CriterionHolds, view: View) -> Composable:
        criterion = self.document.criterion(leaf.id)
        if criterion is None:
            return SQL("FALSE")
        inner = view if leaf.own_act_days is None else replace(view, own_days=leaf.own_act_days)
        if criterion.mode == "bands":
            held = self._reached(criterion, inner)
        else:
            held = self._nested(f"criterion {leaf.id}", self.criterion_node(criterion), inner)
        if inner.is_plain or self._has_acts(criterion):
            return held
        parts = [held]
        if inner.own_days is not None:
            parts.append(SQL("COALESCE({}, FALSE)").format(self._active(inner.own_days)))
        if inner.since:
            parts.append(self.facts_changed_since(self._facts_of(criterion)))
        return SQL("({})").format(SQL(" AND ").join(parts))

    def _nested(self, name: str, node: n.Node, view: View) -> Composable:
        # `check` refuses cycles with words; here only the endless loop must not happen.
        if name in self._open:
            return SQL("FALSE")
        self._open.add(name)
        try:
            return self.node(node, view)
        finally:
            self._open.discard(name)

    def criterion_node(self, criterion: Criterion) -> n.Node:
        """The parsed condition of a criterion of mode once or each."""
        if criterion.id not in self._parsed:
            self._parsed[criterion.id] = parse(criterion.condition or {})
        return self._parsed[criterion.id]

    def _has_acts(self, criterion: Criterion) -> bool:
        if criterion.mode == "bands":
            return isinstance(parse_measure(criterion.of), n.Behaviour)
        node = self.criterion_node(criterion)
        return any(isinstance(leaf, n.Behaviour | n.Ratio | n.Changed) for leaf in n.leaves(node))

    def _facts_of(self, criterion: Criterion) -> set[str]:
        if criterion.mode == "bands":
            measure = parse_measure(criterion.of)
            return {measure.key} if isinstance(measure, n.FactIs) else set()
        return {leaf.key for leaf in n.leaves(self.criterion_node(criterion)) if isinstance(leaf, n.FactIs)}

    # Criteria

    def holds(self, criterion: Criterion) -> Composable:
        """Whether a criterion's condition holds."""
        if criterion.mode == "bands":
            return self._reached(criterion, PLAIN)
        return self.node(self.criterion_node(criterion))

    def points(self, criterion: Criterion) -> Composable:
        """What a criterion gives, in hundredths of a point: an integer, never null."""
        if criterion.mode == "bands":
            return self._band_points(criterion)
        gives = self._each_points(criterion) if criterion.mode == "each" else self._once_points(criterion)
        return SQL("CASE WHEN {} THEN COALESCE({}, 0) ELSE 0 END").format(self.holds(criterion), gives)

    def driving(self, criterion: Criterion) -> n.Behaviour | None:
        """The one behaviour that a criterion counts or ages; None for facts, and where it is not one."""
        if criterion.mode == "bands":
            measure = parse_measure(criterion.of)
            return measure if isinstance(measure, n.Behaviour) else None
        found = n.positive_behaviours(self.criterion_node(criterion))
        return found[0] if len(found) == 1 else None

    def _once_points(self, criterion: Criterion) -> Composable:
        if criterion.decay is None:
            return Literal(criterion.points * 100)
        leaf = self.driving(criterion)
        if leaf is None:
            return Literal(0)
        return self._aged(criterion, self.newest(leaf.did), SQL("b.at"), leaf.did)

    def _aged(self, criterion: Criterion, moment: Composable, at: Composable, did: n.Did) -> Composable:
        table = decay_table(criterion.points, criterion.decay)
        self.columns.ages(did.days)
        if criterion.decay is not None and criterion.decay.kind == "expiry":
            self.columns.ages(criterion.decay.days)
        if len(table) == 1:
            return Literal(table[0])
        return SQL("({table})[LEAST(date_part('day', {at} - {moment})::int, {last}) + 1]").format(
            table=_array(table, "int"), at=at, moment=moment, last=Literal(len(table) - 1)
        )

    def _each_points(self, criterion: Criterion) -> Composable:
        leaf = self.driving(criterion)
        if leaf is None:
            return Literal(0)
        matches = self.matches(leaf.did)
        one = self._aged(criterion, SQL("a.occurred_at"), SQL("s.at"), leaf.did)
        total = _zero(self._points_of_acts(one, matches, leaf.did, criterion))
        if criterion.max_points is None:
            return SQL("{}::int").format(total)
        limit = Literal(criterion.max_points * 100)
        return SQL("LEAST(GREATEST({0}, -{1}), {1})::int").format(total, limit)

    def _points_of_acts(
        self, one: Composable, matches: Composable, did: n.Did, criterion: Criterion
    ) -> Composable:
        if criterion.max_per_day is None:
            return self._over(SQL("sum({}) FILTER (WHERE {})").format(one, matches), "sum", did)
        return self._by_day(_per_day(one, matches, criterion, criterion.max_per_day), "sum", did)

    def _measured(self, criterion: Criterion, view: View) -> Composable:
        measure = parse_measure(criterion.of)
        if isinstance(measure, n.Behaviour):
            return self.figure(measure, view)
        return self.columns.facts.add(f.typed_value(self._field(measure.key), self.columns.present))

    def _reached(self, criterion: Criterion, view: View) -> Composable:
        start = min((b.start for b in criterion.bands), default=0)
        return SQL("COALESCE({} >= {}, FALSE)").format(
            self._measured(criterion, view), Literal(Decimal(str(start)))
        )

    def _band_points(self, criterion: Criterion) -> Composable:
        measured = self._measured(criterion, PLAIN)
        steps = sorted(criterion.bands, key=lambda b: b.start, reverse=True)
        cases = [
            SQL("WHEN {} >= {} THEN {}").format(
                measured, Literal(Decimal(str(b.start))), Literal(b.points * 100)
            )
            for b in steps
        ]
        return SQL("CASE {} ELSE 0 END").format(SQL(" ").join(cases)) if cases else Literal(0)


def _per_day(one: Composable, matches: Composable, criterion: Criterion, limit: int) -> Composable:
    """The points of one day. Points only shrink with age, so the n newest are the n largest."""
    sign = "DESC" if criterion.points >= 0 else "ASC"
    if limit == 1:
        best = SQL("max" if criterion.points >= 0 else "min")
        return SQL("{}({}) FILTER (WHERE {})").format(best, one, matches)
    return SQL(
        "(SELECT sum(x) FROM unnest("
        "(array_agg({one} ORDER BY {one} {sign}) FILTER (WHERE {matches}))[1:{limit}]) x)"
    ).format(one=one, sign=SQL(sign), matches=matches, limit=Literal(limit))


def _ago(alias: str, days: int) -> Composable:
    # Hours, because a day of 24 hours is meant whatever the session's time zone does that night.
    return SQL("{}.at - {}::interval").format(
        SQL(alias), Literal(f"{int(timedelta(days=days).total_seconds())} seconds")
    )


def _zero(expression: Composable) -> Composable:
    return SQL("COALESCE({}, 0)").format(expression)


def _any_of(tests: list[Composable]) -> Composable:
    return SQL("({})").format(SQL(" OR ").join(tests)) if tests else SQL("FALSE")


def _array(values: Iterable[Any], type_: str) -> Composable:
    listed = list(values)
    return SQL("{}::{}[]").format(Literal(listed), SQL(type_))


def _words(value: n.Value) -> list[str]:
    given = value if isinstance(value, tuple) else ()
    return [w for w in (words(str(item)) for item in given) if w]


def _decimal(value: n.Value) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(0)
