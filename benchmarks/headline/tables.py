"""Write the tables of docs/results.md and README.md from the JSON files beside this file, between markers.

    python benchmarks/headline/tables.py            # rewrites the tables; --check tells if they are fresh
    python benchmarks/headline/tables.py --pictures # draws docs/pareto-CITY.png too

Means, and differences in most tables, have the bootstrap's intervals, those of a verdict Student's; a dagger
marks a difference that only the bootstrap tells from none. Both come from the recorded runs.

A table stands between `<!-- table NAME -->` and `<!-- end -->`, where NAME is one of

    headline            the three cities in brief
    RESULT              a comparison; RESULT/verdict: with the best rival of each measure; RESULT/quick: of
                        the quick variant
    tuned-steps, tuned-deadlines, tuned    what methods came to on the tuning slice with each step size,
                        deadline and value of a constant of theirs
    departures-CITY     what a rule for departing vehicles delivers and wastes
    sensitivity-CITY    the verdict in other worlds
    develop-curve       what a price of a second comes to
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
from fleetlora.methods import method_values
from fleetlora.report.compared.figures import comparison_figures
from fleetlora.report.to_matplotlib import draw_matplotlib

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"
PAGES = (DOCS / "results.md", DOCS.parent / "README.md")

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
#: The cities as the table in brief calls them.
_CITIES = {
    "warsaw": "Warsaw, buses (tuned on other hours of that day)",
    "sf": "San Francisco, taxis",
    "ingolstadt": "Ingolstadt, SUMO",
}
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


def headline(_: str) -> str:
    """Return both forms of ours beside the most accurate rival and the quickest one, a row a city."""
    head = ("city", "UCB-DUAL, %", "most accurate rival, %", "points more", "round latency beside it")
    head += ("`ucb-dual-quick`, %", "points more", "round latency, against the shortest of all rivals")
    rows = []
    for city, called in _CITIES.items():
        main, variant = _read(f"main-{city}"), _read(f"quick-{city}")
        if main is None or variant is None:
            return _NOT_PLAYED
        cells, best = [called], main["best_rival"]["accuracy"]["rival"]
        cells += [_accuracy_of(main, main["reference"]), f"{_accuracy_of(main, best)}, {best}"]
        cells += _apart(main, best)
        found = {key: variant["best_rival"][key]["rival"] for key in ("accuracy", "latency_s")}
        points, latency = (_apart(variant, rival)[i] for i, rival in enumerate(found.values()))
        cells += [_accuracy_of(variant, variant["reference"]), points, f"{latency}, {found['latency_s']}"]
        rows.append(cells)
    below = "Means of three seeds; in brackets Student's 95 % intervals of differences paired by seed."
    return f"{_markdown(head, rows)}\n\n{below}"


def _accuracy_of(document: dict[str, Any], method: str) -> str:
    return f"{100 * document['results'][method]['accuracy']['value']:.1f}"


def _apart(document: dict[str, Any], rival: str) -> tuple[str, str]:
    """Return by how many points, and by how many percent of the latency, the reference is apart."""
    apart = document["differences"][rival]
    number, *ends = _signed(apart["latency_percent"], "t_").partition(" ")
    return _signed(apart["accuracy_points"], "t_"), f"{number} %{''.join(ends)}"


def departures(city: str) -> str:
    """Return what each rule for departing vehicles delivers and wastes, and by how much it beats dropping."""
    document = _read(f"departures-{city}")
    if document is None:
        return _NOT_PLAYED
    head = ("method", "delivered, %", "early", "handed off", "residence off by", "wasted, J", "accuracy, %")
    head += ("delivered, points more", "wasted, J less", "accuracy, points more")
    rows = [_departure(document, name, drop) for drop, *rules in _DEPARTURES for name in (drop, *rules)]
    return f"{_markdown(head, rows)}\n\n{_seeds(document)}"


def _departure(document: dict[str, Any], name: str, drop: str) -> list[str]:
    one = document["results"][name]
    cells = [name, _number(one["delivered_share"], 100)]
    cells += [f"{one[key]['value']:.1f}" for key in ("early", "handed_off")]
    cells += [f"{one['residence_factor']['value']:.1f}×", _number(one["wasted_j"], 1, 1)]
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
    """Return what methods came to on the tuning slice with each step size, deadline or constant."""
    document = _read(f"tuned-{what}" if what else "tuned")
    if document is None:
        return _NOT_PLAYED
    head, rows, told = _TUNED[what](document)
    return f"{_markdown(head, rows)}\n\nAccuracy, %, with seed {document['seeds'][0]}{told}; bold: chosen."


def _steps(document: dict[str, Any]) -> tuple[Sequence[str], list[list[str]], str]:
    """Return the table of step sizes, each cell with one accuracy per deadline."""
    tried = _tried(document, (STEP, DEADLINE))
    sizes, waits = (sorted({key[i] for scores in tried.values() for key in scores}) for i in (0, 1))
    rows = []
    for name, scores in tried.items():
        best = max(scores, key=lambda key: scores[key]["accuracy"])
        cells = [
            [_accuracy(scores.get((size, wait)), (size, wait) == best) for wait in waits] for size in sizes
        ]
        rows.append([name, *(" / ".join(cell) if set(cell) != {"–"} else "–" for cell in cells)])
    told = f", deadlines of {' / '.join(f'{wait:g} s' for wait in waits)}"
    return ("method", *(f"{size:g}×" for size in sizes)), rows, told


def _limits(document: dict[str, Any]) -> tuple[Sequence[str], list[list[str]], str]:
    """Return the table of deadlines, each tried with the step size of the method."""
    tried = _tried(document, (DEADLINE,))
    waits = sorted({key for scores in tried.values() for key in scores})
    rows = []
    for name, scores in tried.items():
        chosen = _numbers(document["methods"][name]["overrides"])
        cells = [_accuracy(scores.get(wait), wait == (chosen[DEADLINE],)) for wait in waits]
        rows.append([name, f"{chosen[STEP]:g}×", *cells])
    return ("method", "step size", *(f"{wait:g} s" for (wait,) in waits)), rows, ""


def _constants(document: dict[str, Any]) -> tuple[Sequence[str], list[list[str]], str]:
    """Return the table of the constants that single methods have, a row each."""
    rows = []
    for name, one in document["methods"].items():
        if not one.get("scores"):
            continue
        key = one["overrides"][-1].partition("=")[0]
        tried, chosen = _tried(document, (key,))[name], _numbers(one["overrides"])
        cells = [f"{v[0]:g}: {_accuracy(s, v == (chosen[key],))}" for v, s in sorted(tried.items())]
        wait = chosen.get(DEADLINE) or method_values(name)["round"]["deadline_s"]
        settings = f"{chosen[STEP]:g}×, {wait:g} s"
        rows.append([name, settings, f"`{key}`", ", ".join(cells)])
    return ("method", "step size, deadline", "constant", "accuracy with each value"), rows, ""


def _tried(document: dict[str, Any], keys: Sequence[str]) -> dict[str, dict[tuple[float, ...], Any]]:
    """Return the scores of every method that was tuned, by the values of some keys."""
    found = {}
    for name, one in document["methods"].items():
        scores = [(_numbers(score["overrides"]), score) for score in one.get("scores", ())]
        kept = {
            tuple(numbers[key] for key in keys): score for numbers, score in scores if {*keys} <= {*numbers}
        }
        if kept:
            found[name] = kept
    return found


def _accuracy(score: dict[str, Any] | None, is_chosen: bool) -> str:
    if score is None:
        return "–"
    shown = f"{100 * score['accuracy']:.1f}"
    return f"**{shown}**" if is_chosen else shown


_TUNED = {"steps": _steps, "deadlines": _limits, "": _constants}


def _numbers(overrides: Sequence[str]) -> dict[str, float]:
    """Return what tuning chose or tried, ``key=value`` each."""
    return {key: float(value) for key, _, value in (text.partition("=") for text in overrides)}


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
    "headline": headline,
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
            shutil.copyfile(Path(folder) / "pareto.png", DOCS / f"pareto-{city}.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="do not write; exit 1 if a table is stale")
    parser.add_argument("--pictures", action="store_true", help="draw the pictures too")
    given = parser.parse_args()
    texts = {page: page.read_text("utf-8") for page in PAGES}
    stale = {page: rewritten(text) for page, text in texts.items() if rewritten(text) != text}
    if given.check:
        sys.exit(int(bool(stale)))
    for page, text in stale.items():
        page.write_text(text, "utf-8")
    if given.pictures:
        draw_pictures()
