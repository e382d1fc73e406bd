"""The agreement's paper as a PDF: A4, what we mean on the first page, every rule on the second.

Type gets a little smaller until each half has its page; a very long agreement takes a third rather than
become unreadable. The same paper gives the same bytes.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from io import BytesIO
from typing import Any, BinaryIO, TypeAlias
from xml.sax.saxutils import escape

from django.conf import settings
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Frame, Paragraph, Spacer, Table

from scoring.signing import proof
from scoring.signing.paper import RULES_TITLE, TITLE, Paper, day, subtitle

BODY, BOLD = "Inter", "Inter-Bold"
INK, MUTE, HAIR = colors.HexColor("#161c29"), colors.HexColor("#566072"), colors.HexColor("#d5dae2")
WIDTH, HEIGHT = A4
SIDE, TOP, FOOT, GAP = 16 * mm, 22 * mm, 11 * mm, 7 * mm
LINE = WIDTH - 2 * SIDE
HALF = (LINE - GAP) / 2
TALL = HEIGHT - TOP - FOOT
Box = tuple[float, float, float, float]
ONE: tuple[Box, ...] = ((SIDE, FOOT, LINE, TALL),)
TWO: tuple[Box, ...] = ((SIDE, FOOT, HALF, TALL), (SIDE + HALF + GAP, FOOT, HALF, TALL))
# From the size that reads best down to the smallest that still reads on paper.
SIZES = (9.0, 8.6, 8.2, 7.8, 7.4, 7.0, 6.6)

# What stays together: a heading with what follows it.
Block = list[Flowable]
Story = list[Block]
Maker: TypeAlias = Callable[[Paper, float], Story]
# How it is made, in which size of type, into which boxes of each page.
Half: TypeAlias = tuple[Maker, float, Sequence[Box]]


def write(paper: Paper) -> bytes:
    """The paper as a PDF file."""
    _fonts()
    halves = [(make, _size(make, paper, boxes), boxes) for make, boxes in ((_meaning, ONE), (_rules, TWO))]
    pages = _draw(paper, halves, 0, BytesIO())
    made = BytesIO()
    _draw(paper, halves, pages, made)
    return made.getvalue()


@cache
def _fonts() -> None:
    for name, weight in ((BODY, 400), (BOLD, 600)):
        path = settings.BASE_DIR / "static" / "vendor" / "inter" / f"inter-paper-{weight}.ttf"
        pdfmetrics.registerFont(TTFont(name, str(path)))


def _draw(paper: Paper, halves: Sequence[Half], pages: int, stream: BinaryIO) -> int:
    canvas = Canvas(stream, pagesize=A4, invariant=1, lang="en")
    canvas.setTitle(f"{TITLE}: agreement v{paper.agreement.number}")
    canvas.setAuthor(paper.organisation)
    n = 0
    for make, size, boxes in halves:
        story = make(paper, size)
        while story:
            n += 1
            left = len(story)
            _head(canvas, paper, n, pages)
            _fill(canvas, story, boxes)
            canvas.showPage()
            if len(story) == left:
                break  # a piece that fits on no page
    canvas.save()
    return n


def _size(make: Maker, paper: Paper, boxes: Sequence[Box]) -> float:
    """The largest type in which the story fits into the boxes; else the smallest."""

    def fits(size: float) -> bool:
        trial = make(paper, size)
        _fill(Canvas(BytesIO(), pagesize=A4), trial, boxes)
        return not trial

    # What fits in one size fits in every smaller one.
    return SIZES[min(bisect_left(SIZES, True, key=fits), len(SIZES) - 1)]


def _fill(canvas: Canvas, story: Story, boxes: Sequence[Box]) -> None:
    """Take blocks off the story as long as there is room for them."""
    for box in boxes:
        frame = Frame(*box, leftPadding=0, rightPadding=0, topPadding=0, bottomPadding=0)
        while story and _add(frame, story, canvas):
            pass


def _add(frame: Frame, story: Story, canvas: Canvas) -> bool:
    """Put the first block into the frame, or as much of a long table as fits; False: the frame is full."""
    block = story[0]
    room = frame._y - frame._y1p
    height = sum(_tall(piece, frame, room) for piece in block)
    if height <= room:
        for piece in block:
            frame.add(piece, canvas)
        del story[0]
        return True
    *before, last = block
    used = sum(_tall(piece, frame, room) for piece in before)
    split = last.splitOn(canvas, frame._aW, room - used) if room > used else []
    if len(split) < 2:
        return False
    for piece in (*before, split[0]):
        frame.add(piece, canvas)
    story[0] = split[1:]
    return True


def _tall(piece: Flowable, frame: Frame, room: float) -> float:
    return float(piece.wrap(frame._aW, room)[1] + piece.getSpaceBefore() + piece.getSpaceAfter())


def _head(canvas: Canvas, paper: Paper, n: int, pages: int) -> None:
    canvas.setFillColor(INK)
    canvas.setFont(BOLD, 15)
    canvas.drawString(SIDE, HEIGHT - 14 * mm, TITLE if n == 1 else RULES_TITLE)
    canvas.setFillColor(MUTE)
    canvas.setFont(BODY, 8.5)
    of = f" of {pages}" if pages else ""
    canvas.drawRightString(
        WIDTH - SIDE, HEIGHT - 14 * mm, f"Agreement v{paper.agreement.number}, page {n}{of}"
    )
    canvas.drawString(SIDE, HEIGHT - 19 * mm, _plain(subtitle(paper)))


# The first page


def _meaning(paper: Paper, size: float) -> Story:
    kit = _Kit(size, LINE)
    story: Story = [*kit.pairs("Definitions", paper.definitions, 0.16)]
    story += _week(kit, paper)
    if paper.replaces is not None:
        said = [kit.text(line) for line in paper.changes] or [kit.text("Nothing.")]
        if paper.more_changes:
            said.append(kit.small(f"and {paper.more_changes} more, on the sign-off page"))
        story += kit.section(f"What changes against v{paper.replaces}", said)
    story += kit.table(
        "Stages: who holds the lead, and from when",
        ("Stage", "Owner", "What it means", "From when"),
        [(row.stage, row.owner, row.means, row.when) for row in paper.stages],
        (0.17, 0.14, 0.39, 0.30),
    )
    story += kit.pairs("What we promise each other", paper.promises, 0.16)
    return [*story, *_signatures(kit, paper)]


def _week(kit: "_Kit", paper: Paper) -> Story:
    week = paper.week
    rows = [(week.was, *(str(n) for n in week.now), str(week.now_total))]
    if week.expected is not None:
        rows.append((week.will, *(str(n) for n in week.expected), str(week.expected_total)))
    rest = 0.78 / (len(week.reps) + 1)
    return [
        *kit.table(
            "What changes for my people",
            ("Leads a week", *week.reps, "All"),
            rows,
            (0.22, *(rest for _ in range(len(week.reps) + 1))),
        ),
        [kit.small(week.says)],
    ]


def _signatures(kit: "_Kit", paper: Paper) -> Story:
    cells = []
    for one in paper.signatures:
        signed = (
            [kit.small(f"{one.role}, signed {day(one.when, hour=True)}, {proof.WORDS.get(one.method, '')}")]
            if one.when
            else [kit.small("name, day and signature")]
        )
        name = Paragraph(kit.rich(one.name), kit.style("name", size=kit.size * 1.5, before=14))
        line = Table([[name]], colWidths=[kit.width * 0.46], rowHeights=[kit.size * 3.6])
        line.setStyle(
            [("LINEBELOW", (0, 0), (-1, -1), 0.8, INK), *_TIGHT, ("VALIGN", (0, 0), (-1, -1), "BOTTOM")]
        )
        cells.append([kit.bold(f"For {one.side.lower()}"), line, *signed])
    both = Table([cells], colWidths=[kit.width * 0.5] * 2)
    both.setStyle(_TIGHT)
    story: Block = [Spacer(1, kit.size), both]
    if paper.seal:
        story.append(
            kit.small(
                f"Content {paper.seal} · the same content gives the same number; one changed word another"
            )
        )
    return [story]


# The second page


def _rules(paper: Paper, size: float) -> Story:
    kit = _Kit(size, HALF)
    story: Story = []
    for group in paper.groups:
        rows = [(line.points, f"{line.text}{f' ({line.how})' if line.how else ''}") for line in group.lines]
        story += kit.table(f"{group.title}: {group.limits}", (), rows, (0.17, 0.83))
    story += kit.said("Bars", paper.bars)
    story += kit.said("Left out: not a lead", paper.exclusions)
    story += kit.table(
        "How fast sales answers, in working time",
        ("Leads", "Answer", "First contact", "Next attempt"),
        paper.sla,
        (0.4, 0.2, 0.2, 0.2),
    )
    story += kit.said("When sales is late", paper.late)
    story += kit.table("Why sales may say no", (), paper.reasons, (0.06, 0.36, 0.58))
    return story + kit.said("Besides", paper.terms)


# What both pages are made of

_TIGHT: list[tuple[Any, ...]] = [
    ("LEFTPADDING", (0, 0), (-1, -1), 0),
    ("RIGHTPADDING", (0, 0), (-1, -1), 5),
    ("TOPPADDING", (0, 0), (-1, -1), 1),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 1.2),
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
]


class _Kit:
    """Paragraphs and tables in one size of type for one width of column."""

    def __init__(self, size: float, width: float) -> None:
        self.size, self.width = size, width
        self._styles: dict[str, ParagraphStyle] = {}

    def style(
        self,
        name: str,
        *,
        font: str = BODY,
        size: float = 0,
        colour: Any = INK,
        before: float = 0,
        after: float = 0,
    ) -> ParagraphStyle:
        found = self._styles.get(name)
        if found is None:
            size = size or self.size
            found = ParagraphStyle(
                name,
                fontName=font,
                fontSize=size,
                leading=size * 1.28,
                textColor=colour,
                spaceBefore=before,
                spaceAfter=after,
            )
            self._styles[name] = found
        return found

    def rich(self, text: str) -> str:
        return "".join(_shown(char) for char in text)

    def text(self, text: str) -> Paragraph:
        return Paragraph(self.rich(text), self.style("text"))

    def bold(self, text: str) -> Paragraph:
        return Paragraph(self.rich(text), self.style("bold", font=BOLD))

    def small(self, text: str) -> Paragraph:
        return Paragraph(self.rich(text), self.style("small", size=self.size * 0.92, colour=MUTE))

    def heading(self, text: str) -> Paragraph:
        size = self.size * 1.12
        return Paragraph(
            self.rich(text), self.style("heading", font=BOLD, size=size, before=self.size * 0.75)
        )

    def section(self, title: str, content: Iterable[Flowable]) -> Story:
        first, *rest = content
        return [[self.heading(title), first], *([piece] for piece in rest)]

    def pairs(self, title: str, pairs: Sequence[tuple[str, str]], share: float) -> Story:
        """A heading and its terms, each with what is said of it."""
        if not pairs:
            return []
        rows = [[self.bold(label), self.text(text)] for label, text in pairs]
        return self.section(title, self._table(rows, (share, 1 - share), ruled=False))

    def said(self, title: str, pairs: Sequence[tuple[str, str]]) -> Story:
        """A heading and a paragraph for each term, which it begins in bold."""
        made: list[Flowable] = [
            Paragraph(
                f'<font name="{BOLD}">{self.rich(label)}</font>  {self.rich(text)}',
                self.style("said", after=1.5),
            )
            for label, text in pairs
        ]
        return self.section(title, made) if made else []

    def table(
        self, title: str, head: Sequence[str], rows: Sequence[Sequence[str]], shares: Sequence[float]
    ) -> Story:
        """A heading and a ruled table; nothing when it has no rows."""
        if not rows:
            return []
        cells = [[self.text(text) for text in row] for row in rows]
        top = [[self.bold(text) for text in head]] if head else []
        return self.section(title, self._table([*top, *cells], shares, ruled=True, head=bool(head)))

    def _table(
        self,
        rows: Sequence[Sequence[Flowable]],
        shares: Sequence[float],
        *,
        ruled: bool,
        head: bool = False,
    ) -> list[Flowable]:
        """The first rows apart, so that a heading is never left alone at the foot of a column."""
        made: list[Flowable] = []
        cut = 2 if head else 1
        for part in (rows[:cut], rows[cut:]):
            if not part:
                continue
            table = Table(part, colWidths=[self.width * share for share in shares], splitInRow=1)
            rules: list[tuple[Any, ...]] = [("LINEBELOW", (0, 0), (-1, -1), 0.4, HAIR)] if ruled else []
            if head and not made:
                rules.append(("LINEBELOW", (0, 0), (-1, 0), 0.9, INK))
            table.setStyle([*_TIGHT, *rules])
            made.append(table)
        return made


@cache
def _shown(char: str) -> str:
    """A character for a paragraph: what the type does not have comes from the signs that every reader has."""
    if char == "\n":
        return "<br/>"
    if char.isspace() or ord(char) in pdfmetrics.getFont(BODY).face.charToGlyph:
        return escape(char)
    try:
        char.encode("symbol")
    except UnicodeError:
        return "?"
    return f'<font name="Symbol">{escape(char)}</font>'


def _plain(text: str) -> str:
    glyphs = pdfmetrics.getFont(BODY).face.charToGlyph
    return "".join(char if ord(char) in glyphs else "?" for char in text)
