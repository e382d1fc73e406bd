"""An agreement compiled: the statements that score, explain and match leads by it.

Levels: base rows → criteria → groups → total → grade → bars. Points travel as whole hundredths; each group is
rounded to an integer half away from zero, and everything after that sees integers only.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from psycopg2.sql import SQL, Composable, Identifier, Literal

from scoring.conditions import nodes as n
from scoring.conditions.compile import Columns, Compiler, Kinds, Named, View
from scoring.conditions.fields import Field, shown_value
from scoring.conditions.parse import parse, parse_measure
from scoring.document import GROUPS, Criterion, Document
from scoring.rows import Source, Statement, activity_rows, build, levelled, render

Level = tuple[str, list[Composable]]
# Two conditions for sales that stand for other bars.
Bars = tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]

# The answer of `score`, in order.
SCORE_COLUMNS = (
    "key",
    "lead",
    "fit",
    "behaviour",
    "value",
    "total",
    "grade",
    "excluded",
    "mql",
    "sales",
    "track",
    "leave",
    "level",
    "fresh",
    "next_change",
)
# Then, with `present`: where the lead stands, what holds it, and the stored score (null: none).
STORED_COLUMNS = (
    "stage",
    "had_level",
    "stage_since",
    "gone",
    "hold",
    "old_fit",
    "old_behaviour",
    "old_value",
    "old_total",
    "old_grade",
    "old_agreement",
    "old_draft",
    "old_preview",
    "old_ready",
    "leave_since",
    "refresh_due_at",
)
# What `tried` adds.
TRIED_COLUMNS = ("over", "under")
KEPT_MATCHES = 200
# Each of some dozen activities is rounded to a hundredth, then and now.
SLACK = 15
# How many matching activities the evidence of a line looks at.
EVIDENCE_ROWS = 5


class Program:
    """All statements of one agreement; each is built when first asked for."""

    def __init__(self, document: Document, kinds: Kinds, catalogue: Mapping[str, Field], sha: str) -> None:
        self.document, self.kinds, self.catalogue, self.sha = document, kinds, catalogue, sha
        self._scores: dict[tuple[Source, bool], Statement] = {}
        self._explains: dict[bool, Statement] = {}
        self._evidences: dict[bool, Statement | None] = {}
        self._matches: dict[str, Statement] = {}
        # The statements that also write (see `scoring.engine.deciding`).
        self.writes: dict[tuple[Source, bool], Statement] = {}
        # Those that look at this version beside another one (see `scoring.whatif.scan`).
        self.scans: dict[str, Statement] = {}

    def compiler(self, *, present: bool, columns: Columns | None = None) -> Compiler:
        """`columns`: those of another version that reads the same rows."""
        return Compiler(self.document, self.kinds, self.catalogue, columns or Columns(present))

    def score(self, source: Source, *, present: bool) -> Statement:
        """Rows of SCORE_COLUMNS; with `present` also of STORED_COLUMNS."""
        found = self._scores.get((source, present))
        if found is None:
            found = self._scores[source, present] = self._score(source, present)
        return found

    def _score(self, source: Source, present: bool) -> Statement:
        compiler = self.compiler(present=present)
        levels = self._levels(compiler)
        final = self._answers(compiler)
        # Last, for it looks at what the others have read.
        final.append(self._next_change(compiler))
        joins = None
        if present:
            final += _stored(compiler.columns)
            joins = _stored_rows(source)
        return build(compiler.columns, levels, final, source=source, zone=self.document.zone, joins=joins)

    def tried(self, bars: Bars) -> Statement:
        """Subjects: as `score` but for `next_change`, then TRIED_COLUMNS: whether the lead would be ready for
        sales by each of `bars`. Fresh evidence is looked for in all that reach any of them."""
        name = f"tried {bars!r}"
        found = self._matches.get(name)
        if found is None:
            self._forget()
            compiler = self.compiler(present=False)
            levels = self._levels(compiler)
            final = self._tried(compiler, bars)
            found = self._matches[name] = build(
                compiler.columns, levels, final, source="subjects", zone=self.document.zone
            )
        return found

    def _tried(self, compiler: Compiler, bars: Bars) -> list[Composable]:
        over, under = (compiler.condition(raw) if raw else SQL("FALSE") for raw in bars)
        return [*self._answers(compiler, also=(over, under)), over, under]

    def side(
        self,
        columns: Columns,
        points: Named,
        rows: Composable,
        bars: Bars | None,
        also: Sequence[Composable],
    ) -> Composable:
        """One of several versions over the same `rows`: as `score` but for `next_change`, with `bars` then
        TRIED_COLUMNS, then `also`. `columns` and `points`, a column for each criterion, take in what this
        version wants to find in the rows."""
        compiler = self.compiler(present=columns.present, columns=columns)
        levels = self._levels(compiler, points=points)
        final = self._tried(compiler, bars) if bars else self._answers(compiler)
        return SQL("SELECT {} FROM ({} OFFSET 0) b").format(
            SQL(", ").join([*final, *also]), levelled(rows, levels)
        )

    def explain(self, *, present: bool = False) -> Statement:
        """Subjects: SCORE_COLUMNS (when it changes next: null), then per group (sum, limited) in hundredths,
        then per active criterion (holds, hundredths), then `shown_facts` as texts, then per part of the two
        bars whether it holds."""
        found = self._explains.get(present)
        if found is None:
            found = self._explains[present] = self._explain(present)
        return found

    def _explain(self, present: bool) -> Statement:
        compiler = self.compiler(present=present)
        levels = self._levels(compiler, holds=True)
        final = self._answers(compiler)
        parts = [compiler.node(node) for node in (*self.sales_parts, *self.mql_parts)]
        final.append(SQL("NULL::timestamptz"))
        for group in GROUPS:
            final += [
                SQL("b.{}").format(Identifier(f"raw_{group}")),
                SQL("b.{}").format(Identifier(f"cut_{group}")),
            ]
        for i in range(len(self.document.active_criteria)):
            final += [SQL(f"b.h{i}"), SQL(f"b.p{i}")]
        for key in self.shown_facts:
            final.append(compiler.columns.facts.add(shown_value(self.catalogue[key], present)))
        return build(compiler.columns, levels, [*final, *parts], source="subjects", zone=self.document.zone)

    def facts_of(self, criterion: Criterion) -> tuple[str, ...]:
        """The facts that a criterion looks at, in order."""
        if criterion.id not in self._facts:
            self._facts[criterion.id] = self._facts_of(criterion)
        return self._facts[criterion.id]

    @cached_property
    def _facts(self) -> dict[str, tuple[str, ...]]:
        return {}

    def _facts_of(self, criterion: Criterion) -> tuple[str, ...]:
        if criterion.mode == "bands":
            measure = parse_measure(criterion.of)
            return (measure.key,) if isinstance(measure, n.FactIs) else ()
        found = n.positive_leaves(parse(criterion.condition or {}))
        return tuple(dict.fromkeys(leaf.key for leaf in found if isinstance(leaf, n.FactIs | n.Changed)))

    @cached_property
    def shown_facts(self) -> tuple[str, ...]:
        """The facts that speak for a criterion."""
        keys = [key for criterion in self.document.active_criteria for key in self.facts_of(criterion)]
        return tuple(dict.fromkeys(key for key in keys if key in self.catalogue))

    @cached_property
    def sales_parts(self) -> tuple[n.Node, ...]:
        return _parts(self.document.thresholds.sales_when)

    @cached_property
    def mql_parts(self) -> tuple[n.Node, ...]:
        return _parts(self.document.thresholds.mql_when)

    def evidence(self, *, present: bool = False) -> Statement | None:
        """Subjects: (key, number of the active criterion, how many match, then the newest of them:
        kind id, occurred_at, path, title). None when no criterion looks at behaviour."""
        if present not in self._evidences:
            self._evidences[present] = self._evidence(present)
        return self._evidences[present]

    def _evidence(self, present: bool) -> Statement | None:
        compiler = self.compiler(present=present)
        leaves = [
            (i, compiler.driving(criterion) or _of_ratio(compiler, criterion))
            for i, criterion in enumerate(self.document.active_criteria)
        ]
        # Each activity is read once and held against all criteria.
        tests = [
            SQL("CASE WHEN {} THEN {} END").format(compiler.matches(leaf.did), Literal(i))
            for i, leaf in leaves
            if leaf
        ]
        if not tests:
            return None
        text = SQL(
            "WITH s AS MATERIALIZED (SELECT * FROM unnest($1, $2, $3, $4) AS s(key, lead, at, known_at))"
            " SELECT * FROM (SELECT s.key, m.i, count(*) OVER (PARTITION BY s.key, m.i), a.kind_id,"
            " a.occurred_at, a.path, COALESCE(a.properties->>'title', a.properties->>'show', ''),"
            " row_number() OVER (PARTITION BY s.key, m.i ORDER BY a.occurred_at DESC, a.id DESC) AS n"
            " FROM s JOIN leads_lead l ON l.id = s.lead CROSS JOIN LATERAL ({rows}) a"
            " CROSS JOIN LATERAL unnest(ARRAY[{tests}]) m(i) WHERE m.i IS NOT NULL) e"
            " WHERE e.n <= {most} ORDER BY 1, 2, e.n"
        ).format(
            rows=activity_rows(present, kinds=compiler.columns.kinds),
            tests=SQL(", ").join(tests),
            most=Literal(EVIDENCE_ROWS),
        )
        return Statement(render(text), ("bigint[]", "bigint[]", "timestamptz[]", "timestamptz[]"))

    def match(self, condition: Mapping[str, Any], source: Source) -> Statement:
        """The leads for which a condition holds. Raises BadInput."""
        name = f"{source} {condition!r}"
        found = self._matches.get(name)
        if found is None:
            self._forget()
            node = parse(condition)
            compiler = self.compiler(present=False)
            needs_score = any(isinstance(leaf, n.ScoreIs | n.GradeIn) for leaf in n.leaves(node))
            given = any(isinstance(leaf, n.HandoffIs) for leaf in n.leaves(node))
            levels = self._levels(compiler) if needs_score else []
            where = compiler.node(node)
            found = self._matches[name] = build(
                compiler.columns,
                levels,
                [SQL("b.lead")],
                source=source,
                zone=self.document.zone,
                given=given,
                where=where,
            )
        return found

    def evidence_since(self, evidence: Mapping[str, Any]) -> Statement:
        """Subjects with `since`: (key, whether the evidence that a hold waits for was recorded after it,
        whether a fast track holds by what was recorded after it)."""
        name = f"since {evidence!r}"
        found = self._matches.get(name)
        if found is None:
            self._forget()
            compiler = self.compiler(present=False)
            view = View(since=True)
            levels = self._levels(compiler)
            shown = self._evidence_node(compiler, evidence, view)
            fast = [
                _and(compiler.condition(t.condition, view), self._news_of(compiler, parse(t.condition), view))
                for t in self.document.thresholds.fast_tracks
            ]
            final = [SQL("b.key"), shown, SQL(" OR ").join(fast) if fast else SQL("FALSE")]
            found = self._matches[name] = build(
                compiler.columns, levels, final, source="subjects", zone=self.document.zone, since=True
            )
        return found

    def _forget(self) -> None:
        # Editors ask for ever new conditions.
        if len(self._matches) >= KEPT_MATCHES:
            self._matches.clear()

    def _evidence_node(self, compiler: Compiler, evidence: Mapping[str, Any], view: View) -> Composable:
        kind = evidence.get("kind", "any")
        if kind == "any":
            return SQL("COALESCE({} >= 1, FALSE)").format(
                compiler.figure(n.Behaviour(n.Did(self.own_kinds)), view)
            )
        if kind == "criteria":
            held = [compiler.node(n.CriterionHolds(str(key)), view) for key in evidence.get("ids") or ()]
            return SQL("({})").format(SQL(" OR ").join(held)) if held else SQL("FALSE")
        keys = evidence.get("keys") or ()
        if kind == "fields":
            return compiler.facts_changed_since(keys)
        if kind == "colleague":
            qualified = compiler.colleague_since()
            return _or(qualified, compiler.facts_changed_since(keys)) if keys else qualified
        return SQL("FALSE")

    def _news_of(self, compiler: Compiler, node: n.Node, view: View) -> Composable:
        """Something of a fast track was recorded after the hold; a mere fact would hold for ever."""
        news = (n.Behaviour, n.Changed, n.CriterionHolds)
        tests = [compiler.node(leaf, view) for leaf in n.positive_leaves(node) if isinstance(leaf, news)]
        return SQL("({})").format(SQL(" OR ").join(tests)) if tests else SQL("FALSE")

    @cached_property
    def own_kinds(self) -> tuple[str, ...]:
        return tuple(sorted(key for key, id_ in self.kinds.ids.items() if id_ in self.kinds.own))

    # Levels

    def _levels(self, compiler: Compiler, *, holds: bool = False, points: Named | None = None) -> list[Level]:
        """`points`: columns in the rows beneath that say what a criterion gives; equal ones share one."""
        criteria: list[Composable] = []
        for i, criterion in enumerate(self.document.active_criteria):
            gives = compiler.points(criterion)
            gives = gives if points is None else points.add(gives)
            criteria.append(SQL("{} AS {}").format(gives, Identifier(f"p{i}")))
            if holds:
                criteria.append(SQL("{} AS {}").format(compiler.holds(criterion), Identifier(f"h{i}")))
        cut, whole = self._groups()
        # Each level copies the rows of the one before: those that can stand side by side do.
        return [
            ("criteria", criteria),
            ("raw", [self._raw(group) for group in GROUPS]),
            ("cut", cut),
            ("groups", whole),
            ("graded", [self._total(), self._grade()]),
        ]

    def _raw(self, group: str) -> Composable:
        mine = [SQL(f"b.p{i}") for i, c in enumerate(self.document.active_criteria) if c.group == group]
        total: Composable = SQL(" + ").join(mine) if mine else SQL("0")
        return SQL("({})::int AS {}").format(total, Identifier(f"raw_{group}"))

    def _groups(self) -> tuple[list[Composable], list[Composable]]:
        cut, whole = [], []
        for group in GROUPS:
            limits = self.document.groups[group]
            raw, name = Identifier(f"raw_{group}"), Identifier(f"cut_{group}")
            cut.append(
                SQL("LEAST(GREATEST(b.{}, {}), {}) AS {}").format(
                    raw, Literal(limits.floor * 100), Literal(limits.cap * 100), name
                )
            )
            # Integer division cuts towards zero, so this rounds half away from zero.
            whole.append(
                SQL("(sign(b.{0})::int * ((abs(b.{0}) + 50) / 100)) AS {1}").format(name, Identifier(group))
            )
        return cut, whole

    def _total(self) -> Composable:
        limits = self.document.total
        return SQL("LEAST(GREATEST(b.fit + b.behaviour + b.value, {}), {}) AS total").format(
            Literal(limits.floor), Literal(limits.cap)
        )

    def _grade(self) -> Composable:
        grades = self.document.grades
        letters = [
            SQL("WHEN b.fit + b.value >= {} THEN {}").format(Literal(start), Literal(name))
            for name, start in grades.letters
        ]
        numbers = [
            SQL("WHEN b.behaviour >= {} THEN {}").format(Literal(start), Literal(str(number)))
            for number, start in grades.numbers
        ]
        return SQL("(CASE {} ELSE {} END) || (CASE {} ELSE {} END) AS grade").format(
            SQL(" ").join(letters),
            Literal(grades.last_letter),
            SQL(" ").join(numbers),
            Literal(str(grades.last_number)),
        )

    # Answers

    def _answers(self, compiler: Compiler, also: Sequence[Composable] = ()) -> list[Composable]:
        bars = self.document.thresholds

        def bar(raw: Mapping[str, Any] | None) -> Composable:
            return compiler.condition(raw) if raw else SQL("FALSE")

        excluded = _first(
            [(i, compiler.condition(x.condition)) for i, x in enumerate(self.document.exclusions, 1) if x.on]
        )
        track = _first([(t.n, compiler.condition(t.condition)) for t in bars.fast_tracks])
        levels = list(enumerate(self.document.levels, 1))
        level = _first(
            [
                (i, compiler.condition(row.condition) if row.condition else SQL("TRUE"))
                for i, row in reversed(levels)
            ]
        )
        mql, sales, leave = bar(bars.mql_when), bar(bars.sales_when), bar(bars.mql_leave_when)
        # After all rules, for a change of any fact that one of them reads is fresh evidence.
        reached = SQL(" OR ").join([sales, *also, SQL("{} > 0").format(track)])
        fresh = self._fresh(compiler, SQL("({})").format(reached))
        names = [SQL(f"b.{name}") for name in ("key", "lead", "fit", "behaviour", "value", "total", "grade")]
        return [*names, excluded, mql, sales, track, leave, level, fresh]

    def _fresh(self, compiler: Compiler, candidate: Composable) -> Composable:
        """Time alone never opens a handoff: an own act, or a change of a fact that the agreement uses.

        Only a lead above the bar is asked, for the facts cost a look each.
        """
        start = SQL("(b.at - {}::interval)").format(
            Literal(f"{self.document.thresholds.fresh_days * 24} hours")
        )
        compiler.columns.ages(self.document.thresholds.fresh_days)
        used = self.used_facts(compiler)
        change = SQL(
            "EXISTS (SELECT 1 FROM leads_factchange x WHERE x.{owner} = b.{mine} AND x.field = ANY({keys})"
            " AND x.recorded_at > {start} AND x.recorded_at <= LEAST(b.at, b.known_at))"
        )
        of_lead = [k for k in used if self.catalogue[k].subject == "lead"]
        of_company = [k for k in used if self.catalogue[k].subject == "company"]
        tests: list[Composable] = [SQL("COALESCE({} > {}, FALSE)").format(compiler.last_own_act(), start)]
        for owner, mine, keys in (
            ("lead_id", "lead", of_lead + ["company"] * bool(of_company)),
            ("company_id", "company", of_company),
        ):
            if keys:
                listed = SQL("{}::text[]").format(Literal(keys))
                tests.append(
                    change.format(owner=Identifier(owner), mine=Identifier(mine), keys=listed, start=start)
                )
        return SQL("CASE WHEN {} THEN ({}) ELSE FALSE END").format(candidate, SQL(" OR ").join(tests))

    def used_facts(self, compiler: Compiler) -> list[str]:
        """The facts that the agreement's rules read, sorted."""
        return sorted(compiler.columns.used_facts)

    def _next_change(self, compiler: Compiler) -> Composable:
        """Before which instant time alone changes neither an integer nor a bar; null: never will.

        A window or an expiry strikes when its next activity leaves it. Fading is bounded: with the
        present points and half-lives a group needs so many days at least to reach its next integer.
        """
        columns = compiler.columns
        kinds = SQL("{}::smallint[]").format(Literal(sorted(columns.kinds | columns.message_kinds)))
        exits = []
        if columns.windows:
            windows = [
                SQL("{}::interval").format(Literal(f"{days * 24} hours")) for days in sorted(columns.windows)
            ]
            # The narrowest window in which an activity still is, is the one that it leaves next.
            leaves = [SQL("WHEN a.occurred_at > s.at - {0} THEN {0}").format(window) for window in windows]
            exits.append(
                columns.plain.add(
                    SQL("min(a.occurred_at + CASE {} END) FILTER (WHERE a.kind_id = ANY({}))").format(
                        SQL(" ").join(leaves), kinds
                    )
                )
            )
        for group in GROUPS:
            exits += self._calm(group)
        if columns.ageing:
            any_day = SQL(" OR ").join(SQL("COALESCE({}, FALSE)").format(test) for test in columns.ageing)
            exits.append(SQL("CASE WHEN {} THEN b.at END").format(any_day))
        return SQL("LEAST({})").format(SQL(", ").join(exits)) if exits else SQL("NULL::timestamptz")

    def _calm(self, group: str) -> list[Composable]:
        """For each direction the instant until which a group's integer stands in spite of fading."""
        raw, cut, whole = (SQL(f"b.{name}{group}") for name in ("raw_", "cut_", ""))
        found: list[Composable] = []
        for sign, to_edge, beyond in (
            (1, SQL("{} - {} * 100 + 50").format(cut, whole), SQL("GREATEST({} - {}, 0)").format(raw, cut)),
            (-1, SQL("{} * 100 + 50 - {}").format(whole, cut), SQL("GREATEST({} - {}, 0)").format(cut, raw)),
        ):
            rates = [
                _fading(i, criterion)
                for i, criterion in enumerate(self.document.active_criteria)
                if criterion.group == group and criterion.points * sign > 0
            ]
            sums = SQL(" + ").join([rate for rate in rates if rate is not None] or [SQL("0")])
            found.append(
                SQL(
                    "CASE WHEN {sums} > 0 THEN b.at + '24 hours'::interval"
                    " * GREATEST(LEAST(FLOOR(({edge} + {beyond} - {slack}) / ({sums})) - 1, 400), 0) END"
                ).format(sums=sums, edge=to_edge, beyond=beyond, slack=Literal(SLACK))
            )
        return found


def _fading(i: int, criterion: Criterion) -> Composable | None:
    """How many hundredths a criterion loses in a day at most, from where it stands."""
    decay = criterion.decay
    if decay is None or decay.kind == "expiry":
        return None
    if decay.kind == "half_life":
        return SQL("ABS(b.{}) * {}::float8").format(Identifier(f"p{i}"), Literal(0.6932 / decay.days))
    if criterion.mode == "each":
        # Nobody knows here how many of them fade: look every day.
        return SQL("CASE WHEN b.{} <> 0 THEN 1e9::float8 ELSE 0 END").format(Identifier(f"p{i}"))
    return SQL("CASE WHEN b.{} <> 0 THEN {}::float8 ELSE 0 END").format(
        Identifier(f"p{i}"), Literal(abs(criterion.points) * 100 / decay.days)
    )


def _stored_rows(source: Source) -> Composable:
    """The rows as they stand. A range says itself again, else each chunk would read the whole tables."""
    within = "" if source == "subjects" else " AND {} BETWEEN $1 AND $2"
    return SQL(
        f"LEFT JOIN scoring_leadscore o ON o.lead_id = b.lead{within.format('o.lead_id')} "
        f"LEFT JOIN scoring_hold h ON h.lead_id = b.lead AND h.ended_at IS NULL{within.format('h.lead_id')}"
    )


def _stored(columns: Columns) -> list[Composable]:
    """STORED_COLUMNS."""
    lead = (
        "l.stage",
        "l.level",
        "l.stage_since",
        "(l.merged_into_id IS NOT NULL OR l.erased_at IS NOT NULL)",
    )
    return [columns.facts.add(SQL(text)) for text in lead] + [
        SQL(text)
        for text in (
            "h.id",
            "o.fit",
            "o.behaviour",
            "o.value",
            "o.total",
            "o.grade",
            "o.agreement_id",
            "o.draft_sha",
            "o.preview",
            "o.ready",
            "o.leave_since",
            "o.refresh_due_at",
        )
    ]


def _parts(raw: Mapping[str, Any] | None) -> tuple[n.Node, ...]:
    if not raw:
        return ()
    node = parse(raw)
    return node.items if isinstance(node, n.All) else (node,)


def _first(tests: Sequence[tuple[int, Composable]]) -> Composable:
    """The number of the first that holds, else 0."""
    if not tests:
        return SQL("0")
    cases = [SQL("WHEN {} THEN {}").format(test, Literal(number)) for number, test in tests]
    return SQL("(CASE {} ELSE 0 END)").format(SQL(" ").join(cases))


def _or(*tests: Composable) -> Composable:
    return SQL("({})").format(SQL(" OR ").join(tests))


def _and(*tests: Composable) -> Composable:
    return SQL("({})").format(SQL(" AND ").join(tests))


def _of_ratio(compiler: Compiler, criterion: Criterion) -> n.Behaviour | None:
    """A ratio is shown by the newest acts that it counts."""
    if criterion.mode == "bands":
        return None
    found = [leaf for leaf in n.leaves(compiler.criterion_node(criterion)) if isinstance(leaf, n.Ratio)]
    return n.Behaviour(n.Did((found[0].of,), (), found[0].days)) if found else None
