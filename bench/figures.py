"""Write the figures of the last `make bench` and `make bench-sizes` into docs/performance.md."""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.run import ROOT, say

PAGE = ROOT / "docs" / "performance.md"


def main() -> None:
    """Replace what stands between the marks."""
    text = PAGE.read_text()
    for mark, table in (("machine", _machine()), ("figures", _figures()), ("sizes", _sizes())):
        text, found = re.subn(
            rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)",
            lambda match, table=table: f"{match[1]}{table}\n{match[2]}",
            text,
            flags=re.S,
        )
        if not found:
            raise SystemExit(f"docs/performance.md has no place for {mark}.")
    PAGE.write_text(text)
    say(f"Written to {PAGE.relative_to(ROOT)}.")


def _machine() -> str:
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return f"Machine: {os.cpu_count()} cores ({found[1] if found else 'unknown'}), {memory:.0f} GiB."


def _figures() -> str:
    return _table(
        ("work", "size", "ours", "reference", "ratio", "budget"),
        [
            (
                r["name"].partition(" / ")[0],
                f"{r['size']:,}",
                f"{r['value']:.2f} {r['unit']}",
                f"{r['reference']:.2f} {r['unit']}, {r['name'].partition(' / ')[2]}",
                f"{r['ratio']:.2f}",
                f"≤ {r['budget']}" + ("" if r["ok"] else " **over**"),
            )
            for r in _read("latest.json")
        ],
    )


def _sizes() -> str:
    return _table(
        ("grows", "leads", "acts each", "criteria", "first", "again", "1,000 changed", "µs a lead"),
        [
            (
                s["grows"],
                f"{s['leads']:,}",
                str(s["acts"]),
                str(s["criteria"]),
                f"{s['first']:.1f} s",
                f"{s['again']:.1f} s",
                f"{s['changed']:.2f} s",
                f"{s['again'] / s['leads'] * 1e6:.0f}",
            )
            for s in _read("sizes.json")
        ],
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def _read(name: str) -> list[dict[str, Any]]:
    path = Path(ROOT / "bench" / name)
    if not path.exists():
        raise SystemExit(f"There is no bench/{name} yet: run `make bench` and `make bench-sizes` first.")
    return list(json.loads(path.read_text()))


if __name__ == "__main__":
    main()
