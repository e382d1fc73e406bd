"""What the rules gave a lead when it was handed over, as one number per handoff: many add up in one sum.

Each rule has a place of `WIDTH` digits in the number: how many lines it wrote, and how many hundredths of
points they gave. Places that take points are apart from those that give, so nothing in the number is below
zero, and a hundred million handoffs of a hundred points each do not run over into the next place. Unpacking
thirty lines of each of two hundred thousand handoffs takes seconds, adding two hundred thousand numbers does
not; and sums of them can be kept by week like any other sum.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db import connection

from feedback.reports.weeks import WEEK, Weekly

WIDTH, COUNTS_AT = 20, 12
# Lines of an explanation that no rule wrote.
NO_RULE = ("", "limit", "rounding", "limit of the total")
# Did a criterion give points at the offer? Asked of a frozen handoff.
GAVE = "$.explanation[*] ? (@.criterion == $id && @.points.double() > 0)"
TOOK = GAVE.replace(">", "<")

# The lines of the handoffs for which `{which}` (over `h`) is true, out of what was frozen at their offers.
UNPACKED = f"""
    SELECT h.id AS handoff_id, piece ->> 'criterion' AS criterion,
           round((piece ->> 'points')::numeric, 2) AS points
    FROM handoff_handoff h CROSS JOIN LATERAL jsonb_array_elements(
        CASE jsonb_typeof(h.frozen -> 'explanation') WHEN 'array' THEN h.frozen -> 'explanation'
             ELSE '[]'::jsonb END) piece
    WHERE piece ->> 'criterion' NOT IN {NO_RULE} AND {{which}}"""  # noqa: S608 ours
# What is frozen never changes, so neither does a row; a rule that is met for the first time gets a place.
_KEEP = f"""
    WITH new AS MATERIALIZED (
        SELECT id FROM handoff_handoff h WHERE h.lead_id = ANY(%(ids)s)
          AND NOT EXISTS (SELECT 1 FROM feedback_handoverlines k WHERE k.handoff_id = h.id)),
    line AS MATERIALIZED (
        SELECT handoff_id, criterion, abs(points) AS points, points < 0 AS took
        FROM ({UNPACKED.format(which="h.id IN (SELECT id FROM new)")}) u WHERE points <> 0),
    found AS (
        INSERT INTO feedback_lineplace (place, criterion, took)
        SELECT coalesce((SELECT max(place) FROM feedback_lineplace), -1)
               + row_number() OVER (ORDER BY criterion, took), criterion, took
        FROM (SELECT criterion, took FROM line EXCEPT SELECT criterion, took FROM feedback_lineplace) n
        RETURNING place, criterion, took),
    placed AS MATERIALIZED (
        SELECT place, criterion, took, ('1' || repeat('0', {WIDTH} * place))::numeric AS unit
        FROM (SELECT place, criterion, took FROM feedback_lineplace
              UNION ALL SELECT place, criterion, took FROM found) p)
    INSERT INTO feedback_handoverlines (handoff_id, lines, places)
    SELECT new.id, coalesce(sum((1e{COUNTS_AT} + points * 100) * unit), 0),
           coalesce(array_agg(place) FILTER (WHERE place IS NOT NULL), '{{}}')
    FROM new LEFT JOIN line ON line.handoff_id = new.id LEFT JOIN placed USING (criterion, took)
    GROUP BY new.id ON CONFLICT DO NOTHING"""  # noqa: S608 ours

# By what sums over handoffs are kept, besides everything: what one filter asks of a row `k`.
NARROW = """('', ''), ('source', k.first_source), ('campaign', k.first_campaign_id::text),
        ('persona', nullif(k.persona, '')), ('team', k.team_id::text), ('version', k.agreement_id::text)"""
# The leads that were handed over once: what came of them, and their lines, by the week of the offer.
HANDED = Weekly(
    "feedback_handedweek",
    {"by": "text", "key": "text", "accepted": "boolean", "refused": "boolean", "customer": "boolean"},
    {"n": "bigint", "lines": "numeric"},
    f"""SELECT {WEEK.format(at="k.offered_at")} AS week, b.by, b.key, k.accepted_at IS NOT NULL AS accepted,
               k.refused_at IS NOT NULL AS refused, k.customer_at IS NOT NULL AS customer, count(*) AS n,
               coalesce(sum(v.lines), 0) AS lines
        FROM feedback_handoverkept k LEFT JOIN feedback_handoverlines v ON v.handoff_id = k.handoff_id
        CROSS JOIN LATERAL (VALUES {NARROW}) b(by, key)
        WHERE k.alone AND NOT k.gone AND b.key IS NOT NULL AND {{which}}
        GROUP BY 1, 2, 3, 4, 5, 6""",  # noqa: S608 ours
)


def keep(ids: Sequence[int]) -> None:
    """Keep the lines of those handoffs of these leads that have none yet."""
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, {"ids": list(ids)})


def gave(rule: str, row: str, *, took: bool = False) -> str:
    """Whether the rule bound as `rule` gave points (or `took` some), over a `row` with a handoff_id and its
    `places` (null where its lines are not kept)."""
    path, taken = (TOOK, "took") if took else (GAVE, "NOT took")
    return f"""CASE WHEN {row}.places IS NULL THEN EXISTS (
            SELECT 1 FROM handoff_handoff h WHERE h.id = {row}.handoff_id AND jsonb_path_exists(
                h.frozen, '{path}'::jsonpath, jsonb_build_object('id', %({rule})s::text)))
        ELSE (SELECT place FROM feedback_lineplace
              WHERE criterion = %({rule})s AND {taken}) = ANY({row}.places) END"""  # noqa: S608 ours


@dataclass
class Given:
    """Of some handoffs: how many they are; by rule, to how many it gave points and how many points in all,
    and from how many it took some."""

    handoffs: int = 0
    gave: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    points: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    took: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, other: "Given") -> None:
        """Count other handoffs too."""
        self.handoffs += other.handoffs
        for mine, theirs in ((self.gave, other.gave), (self.took, other.took), (self.points, other.points)):
            for rule, n in theirs.items():
                mine[rule] += n  # type: ignore[assignment]

    def _line(self, rule: str, took: bool, n: int, points: Decimal) -> None:
        if not n:
            return
        if took:
            self.took[rule] += n
        else:
            self.gave[rule] += n
            self.points[rule] += points

    def _lines(self, number: int, places: Mapping[int, tuple[str, bool]]) -> None:
        place = 0
        while number:
            number, part = divmod(number, 10**WIDTH)
            if part:
                n, hundredths = divmod(part, 10**COUNTS_AT)
                self._line(*places[place], n, Decimal(hundredths).scaleb(-2))
            place += 1


def given(
    ctes: str, rows: str, keys: Sequence[str], bound: Mapping[str, Any], sums: str = ""
) -> dict[tuple[Any, ...], Given]:
    """What the rules gave, by the columns `keys` of the relation `rows` of `ctes`; one statement.

    `rows` has a handoff_id, and `w`: 1 for a handoff that counts, -1 for one that is taken out of the kept
    sums. `sums` selects those, if any: the keys, how many, and their numbers added up.
    """
    columns = ", ".join(f"p.{key}" for key in keys)
    nothing = ", ".join("NULL" for _ in keys)
    kept = f"UNION ALL SELECT {', '.join(keys)}, NULL, NULL, n, NULL, lines FROM ({sums}) s" if sums else ""  # noqa: S608
    statement = f"""WITH {ctes}
        SELECT {columns}, NULL AS criterion, NULL::boolean AS took, sum(p.w)::bigint AS n,
               NULL::numeric AS points,
               coalesce(sum(CASE p.w WHEN 1 THEN k.lines ELSE -k.lines END), 0) AS lines
        FROM {rows} p LEFT JOIN feedback_handoverlines k ON k.handoff_id = p.handoff_id GROUP BY {columns}
        UNION ALL
        SELECT {columns}, line.criterion, line.points < 0, sum(p.w), sum(p.w * line.points), NULL
        FROM {rows} p LEFT JOIN feedback_handoverlines k ON k.handoff_id = p.handoff_id
        CROSS JOIN LATERAL ({UNPACKED.format(which="h.id = p.handoff_id AND k.handoff_id IS NULL")}) line
        WHERE line.points <> 0 GROUP BY {columns}, line.criterion, line.points < 0
        {kept}
        UNION ALL SELECT {nothing}, criterion, took, place, NULL, NULL FROM feedback_lineplace"""  # noqa: S608 ours
    with connection.cursor() as cursor:
        cursor.execute(statement, bound)
        found = cursor.fetchall()
    places = {row[-3]: (row[-5], row[-4]) for row in found if row[-1] is None and row[-2] is None}
    result: dict[tuple[Any, ...], Given] = defaultdict(Given)
    # As integers: decimals are reckoned with 28 digits only.
    numbers: dict[tuple[Any, ...], int] = defaultdict(int)
    for *key, rule, took, n, points, number in found:
        place = tuple(key)
        if number is not None:
            result[place].handoffs += int(n)
            numbers[place] += int(number)
        elif points is not None:
            result[place]._line(rule, took, int(n), points)
    for place, number in numbers.items():
        result[place]._lines(number, places)
    return {place: one for place, one in result.items() if one.handoffs}
