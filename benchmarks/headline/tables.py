"""Write the tables of docs/results.md from the JSON files beside this file, between their markers.

    python benchmarks/headline/tables.py            # rewrites the tables; --check tells if they are fresh
    python benchmarks/headline/tables.py --pictures # draws docs/pareto-CITY.png too

Means, and differences in most tables, have the bootstrap's intervals, those of a verdict Student's; a dagger
marks a difference that only the bootstrap tells from none. Both come from the recorded runs.

A table stands between `<!-- table NAME -->` and `<!-- end -->`. NAME is a result, NAME/verdict its
comparison with the best rival of each measure, NAME/quick that of the quick variant; tuned-steps and tuned
are what methods came to with each step size and with each deadline on the tuning slice, departures-CITY what
a rule for departing vehicles delivers and wastes, sensitivity-CITY the verdict in other worlds,
develop-curve what a price of a second comes to.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fleetlora.comparison import merge_documents
from fleetlora.comparison.statistics import difference, is_shown
from fleetlora.report.compared.figures import comparison_figures
from fleetlora.report.to_matplotlib import draw_matplotlib

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "results.md"

#: The keys of what tuning chose, one after the other.
STEP, DEADLINE = "training.rate_factor", "round.deadline_s"

_NOT_PLAYED = "*Not played yet.*"
_BLOCK = re.compile(r"(<!-- table ([\w./-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_TITLES = {
    "accuracy": "accuracy",
    "latency_s": "round latency",
    "energy_j": "joules",
}
#: Below a table where a difference has the mark.
_DAGGER = "†: the bootstrap's interval leaves out zero, Student's does not."
#: Methods that lose what departs, and beside each the ones that foresee it.
_DEPARTURES = (
    ("fixed", "fixed-departure", "fixed-oracle-departure"),
    ("ucb-dual-no-departure", "ucb-dual", "ucb-dual-oracle-departure"),
)


def _number(one: dict[str, Any], scale: float = 1.0, digits: int = 1) -> str:
    """Return a mean with its interval."""
    if one["value"] is None:
        return "–"
    text = f"{scale * one['value']:.{digits}f}"
    if one["low"] is not None:
        text += f" ({scale * one['low']:.{digits}f} to {scale * one['high']:.{digits}f})"
    return text


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


def results(document: dict[str, Any]) -> str:
    """Return the table of a comparison, best accuracy first, with what sets the reference apart from each."""
    rows, waits, reference = document["results"], _deadlines(document), document["reference"]
    head = ("method", "accuracy, %", f"{reference}'s lead, points")
    head += ("round latency, s", f"{reference}'s, %", "to target, s", "joules", "arrived", "delivered, %")
    table = []
    for name in sorted(rows, key=lambda name: -(rows[name]["accuracy"]["value"] or 0.0)):
        one, apart = rows[name], document["differences"].get(name)
        lead, latency = (
            _signed(apart[key]) if apart else "–" for key in ("accuracy_points", "latency_percent")
        )
        cells = [
            f"**{name}**" if name == reference else name,
            _number(one["accuracy"], 100),
            lead,
            _number(one["latency_s"], 1, 2),
            latency,
            _number(one["time_to_target_s"], 1, 0),
            _number(one["energy_j"], 1, 0),
            f"{one['arrived']['value']:.0f}",
            f"{100 * one['delivered_share']['value']:.1f}",
        ]
        table.append([*cells, *([waits[name]] if waits else [])])
    overdraw = max(run["measures"]["overdraw_j"] or 0.0 for run in document["runs"])
    target = 100 * document["target"]["accuracy"]
    below = (
        f"{_seeds(document)} Target {target:.1f} % mean accuracy; largest overdraw of any run {overdraw:g} J."
    )
    return f"{_markdown((*head, *(['deadline, s'] if waits else [])), table)}\n\n{below}"


def _deadlines(document: dict[str, Any]) -> dict[str, str]:
    """Return each method's deadline; nothing where none was tuned."""
    if not document["tuned"]:
        return {}
    return {name: f"{terms[DEADLINE]:g}" for name, terms in document["method_terms"].items()}


def _seeds(document: dict[str, Any]) -> str:
    """Return what the means are over, and whether anything was trained for them."""
    learner = document.get("learner") or {}
    errors = [f"{name} {points:.1f}" for name, points in learner.get("error_points", {}).items()]
    trained = f" **Not trained**: a fitted curve, wrong by points on {', '.join(errors)}." if errors else ""
    return f"Mean over seeds {', '.join(map(str, document['seeds']))} with 95 % bootstrap intervals.{trained}"


def verdict(document: dict[str, Any]) -> str:
    """Return the paired differences of the reference to the best rival of each measure."""
    rows, keys = [], ("accuracy_points", "latency_percent", "energy_percent")
    for measure, found in document["best_rival"].items():
        apart = document["differences"][found["rival"]]
        cells = [_TITLES.get(measure, measure), found["rival"]]
        rows.append([*cells, *(_signed(apart[key], "t_") for key in keys)])
    head = ("measure", "best rival in it", "accuracy, points", "round latency, %", "joules, %")
    seeds = ", ".join(map(str, document["seeds"]))
    return f"{_markdown(head, rows)}\n\nPaired over seeds {seeds} with Student's 95 % intervals."


def quick(document: dict[str, Any]) -> str:
    """Return the verdict on the quick variant, where a comparison holds it beside UCB-DUAL itself."""
    variant = f"{document['reference']}-quick"
    rivals = [name for name in document["methods"] if name not in (document["reference"], variant)]
    return verdict(merge_documents([document], [variant, *rivals]))


def departures(city: str) -> str:
    """Return what each rule for departing vehicles delivers and wastes, and by how much it beats dropping."""
    document = _read(f"departures-{city}")
    if document is None:
        return _NOT_PLAYED
    head = ("method", "delivered, %", "wasted, J", "accuracy, %")
    head += ("delivered, points more", "wasted, J less", "accuracy, points more")
    rows = [_departure(document, name, drop) for drop, *rules in _DEPARTURES for name in (drop, *rules)]
    return f"{_markdown(head, rows)}\n\n{_seeds(document)}"


def _departure(document: dict[str, Any], name: str, drop: str) -> list[str]:
    one = document["results"][name]
    cells = [name, _number(one["delivered_share"], 100), _number(one["wasted_j"], 1, 1)]
    cells.append(_number(one["accuracy"], 100))
    if name == drop:
        return [*cells, "–", "–", "–"]
    for measure, scale in (("delivered_share", 100.0), ("wasted_j", -1.0), ("accuracy", 100.0)):
        pair = _by_seed(document, name, measure), _by_seed(document, drop, measure)
        cells.append(_signed(difference(*pair, scale=scale).as_dict()))
    return cells


def sensitivity(city: str) -> str:
    """Return ours beside the most accurate rival in every other world."""
    head = ("world", "ours, %", "best rival", "its, %", "accuracy, points", "round latency, %")
    played = [path.stem for path in sorted(HERE.glob(f"sensitivity-*-{city}.json"))]
    if not played:
        return _NOT_PLAYED
    rows = []
    for name in played:
        document = _read(name)
        ours, rival = document["reference"], document["best_rival"]["accuracy"]["rival"]
        what = name.removeprefix("sensitivity-").removesuffix(f"-{city}")
        cells = [" ".join(reversed(what.rsplit("-", 1)))]
        cells += [_number(document["results"][ours]["accuracy"], 100), rival]
        cells.append(_number(document["results"][rival]["accuracy"], 100))
        found = document["differences"][rival]
        rows.append([*cells, *(_signed(found[key]) for key in ("accuracy_points", "latency_percent"))])
    return f"{_markdown(head, rows)}\n\n{_seeds(document)}"


def develop(learner: str) -> str:
    """Return what UCB-DUAL comes to with each price of a second, in each band."""
    document = _read(f"develop-{learner}")
    if document is None:
        return _NOT_PLAYED
    head = ("band, MHz", "a mean gain for", "accuracy, %", "round latency, s", "joules", "arrived")
    rows = []
    for row in document["rows"]:
        key, _, value = row["second"].rpartition("=")
        cells = [f"{row['bandwidth_hz'] / 1e6:g}", f"{value} {'s' if key.endswith('_s') else 'latencies'}"]
        cells += [_number(row["accuracy"], 100), _number(row["latency_s"], 1, 2)]
        rows.append([*cells, _number(row["energy_j"], 1, 0), f"{row['arrived']['value']:.0f}"])
    return f"{_markdown(head, rows)}\n\n{_seeds(document)}"


def tuned(what: str) -> str:
    """Return what methods came to on the tuning slice with each step size, or then with each deadline."""
    document = _read(f"tuned-{what}" if what else "tuned")
    if document is None:
        return _NOT_PLAYED
    key, unit = (STEP, "×") if what else (DEADLINE, " s")
    methods = document["methods"]
    tried = {name: {_numbers(s["overrides"])[key]: s for s in one["scores"]} for name, one in methods.items()}
    each = sorted({value for scores in tried.values() for value in scores}, key=float)
    head = ("method", *(() if what else ("step size",)), *(f"{value}{unit}" for value in each))
    rows = []
    for name, one in methods.items():
        cells = [name] if what else [name, f"{_numbers(one['overrides'])[STEP]}×"]
        for score in (tried[name].get(value) for value in each):
            shown = f"{100 * score['accuracy']:.1f}" if score else "–"
            cells.append(f"**{shown}**" if score and score["overrides"] == one["overrides"] else shown)
        rows.append(cells)
    return f"{_markdown(head, rows)}\n\nAccuracy, %, with seed {document['seeds'][0]}; bold: chosen."


def _numbers(overrides: Sequence[str]) -> dict[str, str]:
    """Return what tuning chose, ``key=value`` each, as it is shown."""
    return {key: f"{float(value):g}" for key, _, value in (text.partition("=") for text in overrides)}


def _by_seed(document: dict[str, Any], method: str, measure: str) -> list[float | None]:
    runs = [run for run in document["runs"] if run["method"] == method]
    return [run["measures"][measure] for run in sorted(runs, key=lambda run: run["seed"])]


def _signed(one: dict[str, Any], which: str = "") -> str:
    """Return a difference with its bootstrap interval, or Student's if ``which`` is ``t_``."""
    if one["value"] is None:
        return "–"
    low, high = one[f"{which}low"], one[f"{which}high"]
    if low is None or high is None:
        return f"{one['value']:+.1f}"
    by_bootstrap_alone = not one["low"] <= 0 <= one["high"] and not is_shown(one)
    return f"{one['value']:+.1f} ({low:+.1f} to {high:+.1f}){'†' if by_bootstrap_alone else ''}"


def _table(name: str) -> str:
    text = _plain(name)
    return f"{text} {_DAGGER}" if "†" in text else text


def _plain(name: str) -> str:
    kind, _, rest = name.partition("-")
    if kind in _GATHERED:
        return _GATHERED[kind](rest)
    result, _, part = name.partition("/")
    document = _read(result)
    return _NOT_PLAYED if document is None else _OF_A_RESULT[part](document)


_GATHERED = {
    "departures": departures,
    "develop": develop,
    "sensitivity": sensitivity,
    "tuned": tuned,
}
_OF_A_RESULT = {"": results, "verdict": verdict, "quick": quick}


def _read(result: str) -> dict[str, Any] | None:
    """Return a recorded result, a comparison as its runs are concluded today."""
    path = HERE / f"{result}.json"
    document = json.loads(path.read_text("utf-8")) if path.exists() else None
    if document is None or "runs" not in document:
        return document
    return merge_documents([document], document["methods"], document["target"]["accuracy"])


def rewritten(text: str) -> str:
    """Return the page with every table fresh."""
    return _BLOCK.sub(lambda block: f"{block[1]}{_table(block[2])}\n{block[3]}", text)


def draw_pictures() -> None:
    """Draw accuracy against latency, both forms of ours and the rivals, for every city that has both.

    Without FLoRA, whose rounds are so long that all others would stand in one corner.
    """
    for path in sorted(HERE.glob("quick-*.json")):
        city = path.stem.removeprefix("quick-")
        variant, main = _read(path.stem), _read(f"main-{city}")
        rivals = [name for name in variant["methods"] if name in main["methods"] and name != "flora"]
        together = merge_documents([main, variant], [main["reference"], variant["reference"], *rivals])
        with TemporaryDirectory() as folder:
            draw_matplotlib(comparison_figures(together)[0], Path(folder) / "pareto")
            shutil.copyfile(Path(folder) / "pareto.png", PAGE.parent / f"pareto-{city}.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="do not write; exit 1 if a table is stale")
    parser.add_argument("--pictures", action="store_true", help="draw the pictures too")
    given = parser.parse_args()
    before = PAGE.read_text("utf-8")
    after = rewritten(before)
    if given.check:
        sys.exit(int(before != after))
    PAGE.write_text(after, "utf-8")
    if given.pictures:
        draw_pictures()
