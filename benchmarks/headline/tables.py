"""Write the tables of docs/results.md from the JSON files beside this file, between their markers.

    python benchmarks/headline/tables.py            # rewrites the tables; --check tells if they are fresh

A table stands between `<!-- table NAME -->` and `<!-- end -->`; NAME is a result, NAME/verdict its
comparison with the best rivals, and deadlines-CITY what the best rivals come to with shorter rounds.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from fleetlora.comparison.statistics import difference, percent_difference

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "results.md"

_NOT_PLAYED = "*Not played yet.*"
_BLOCK = re.compile(r"(<!-- table ([\w./-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_HEAD = (
    *("method", "accuracy, %", "round latency, s", "to target, s"),
    *("joules", "rounds", "arrived", "delivered, %"),
)
_TITLES = {
    "accuracy": "accuracy",
    "latency_s": "round latency",
    "energy_j": "joules",
    "wasted_j": "wasted joules",
}


def _number(one: dict[str, Any], scale: float = 1.0, digits: int = 1) -> str:
    """Return a mean with its interval."""
    if one["value"] is None:
        return "–"
    text = f"{scale * one['value']:.{digits}f}"
    if one["low"] is not None:
        text += f" ({scale * one['low']:.{digits}f} to {scale * one['high']:.{digits}f})"
    return text


def results(document: dict[str, Any]) -> str:
    """Return the table of a comparison, best accuracy first."""
    rows = document["results"]
    lines = [f"| {' | '.join(_HEAD)} |", "|---" * len(_HEAD) + "|"]
    for name in sorted(rows, key=lambda name: -(rows[name]["accuracy"]["value"] or 0.0)):
        one = rows[name]
        shown = f"**{name}**" if name == document["reference"] else name
        cells = [
            shown,
            _number(one["accuracy"], 100),
            _number(one["latency_s"], 1, 2),
            _number(one["time_to_target_s"], 1, 0),
            _number(one["energy_j"], 1, 0),
            *(f"{one[key]['value']:.0f}" for key in ("rounds", "arrived")),
            f"{100 * one['delivered_share']['value']:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    overdraw = max(one["overdraw_j"]["value"] or 0.0 for one in rows.values())
    target = 100 * document["target"]["accuracy"]
    learner = document.get("learner") or {}
    errors = [f"{name} {points:.1f}" for name, points in learner.get("error_points", {}).items()]
    trained = f" **Not trained**: a fitted curve, wrong by points on {', '.join(errors)}." if errors else ""
    return "\n".join(
        [
            *lines,
            "",
            f"Mean over seeds {', '.join(map(str, document['seeds']))} with 95 % bootstrap intervals; "
            f"target {target:.1f} % mean accuracy; largest overdraw of any run {overdraw:g} J.{trained}",
        ]
    )


def verdict(document: dict[str, Any]) -> str:
    """Return the paired differences of the reference to the best rival of each measure."""
    lines = ["| measure | best rival in it | accuracy, points | round latency, % |", "|---|---|---|---|"]
    for measure, found in document["best_rival"].items():
        against = document["differences"][found["rival"]]
        cells = [_TITLES.get(measure, measure), found["rival"]]
        cells += [_signed(against[key]) for key in ("accuracy_points", "latency_percent")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def deadlines(city: str) -> str:
    """Return the table of rivals whose rounds end earlier, beside the method of the main comparison."""
    main = _read(f"main-{city}")
    shorter = [json.loads(path.read_text("utf-8")) for path in sorted(HERE.glob(f"deadline*-{city}.json"))]
    if main is None or not shorter:
        return _NOT_PLAYED
    ours, best = main["reference"], shorter[0]["methods"]
    rows = [(name, main) for name in (ours, *best)]
    rows += [(name, document) for name in best for document in shorter]
    lines = [
        "| method | deadline, s | accuracy, % | latency, s | ours: accuracy, points | ours: latency, % |",
        "|---|---|---|---|---|---|",
    ]
    for name, document in rows:
        one = document["results"][name]
        cells = [f"**{name}**" if name == ours else name, f"{document['terms']['round.deadline_s']:g}"]
        cells += [_number(one["accuracy"], 100), _number(one["latency_s"], 1, 2)]
        if name == ours:
            cells += ["–", "–"]
        else:
            accuracy = _by_seed(main, ours, "accuracy"), _by_seed(document, name, "accuracy")
            latency_s = _by_seed(main, ours, "latency_s"), _by_seed(document, name, "latency_s")
            cells += [
                _signed(difference(*accuracy, scale=100.0).as_dict()),
                _signed(percent_difference(*latency_s).as_dict()),
            ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _by_seed(document: dict[str, Any], method: str, measure: str) -> list[float | None]:
    runs = [run for run in document["runs"] if run["method"] == method]
    return [run["measures"][measure] for run in sorted(runs, key=lambda run: run["seed"])]


def _signed(one: dict[str, Any]) -> str:
    if one["value"] is None:
        return "–"
    return f"{one['value']:+.1f} ({one['low']:+.1f} to {one['high']:+.1f})"


def _table(name: str) -> str:
    if name.startswith("deadlines-"):
        return deadlines(name.removeprefix("deadlines-"))
    result, _, part = name.partition("/")
    document = _read(result)
    if document is None:
        return _NOT_PLAYED
    return verdict(document) if part == "verdict" else results(document)


def _read(result: str) -> dict[str, Any] | None:
    path = HERE / f"{result}.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def rewritten(text: str) -> str:
    """Return the page with every table fresh."""
    return _BLOCK.sub(lambda block: f"{block[1]}{_table(block[2])}\n{block[3]}", text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="do not write; exit 1 if a table is stale")
    check = parser.parse_args().check
    before = PAGE.read_text("utf-8")
    after = rewritten(before)
    if check:
        sys.exit(int(before != after))
    PAGE.write_text(after, "utf-8")
