"""The report as one HTML page that holds everything it needs."""

from __future__ import annotations

from collections.abc import Sequence
from string import Template
from typing import TYPE_CHECKING

from fleetlora.records import encode_map
from fleetlora.report.cards import cards_html, headline_cards
from fleetlora.report.figure import Figure
from fleetlora.report.frame import figures_section, static, whole_page, words_section
from fleetlora.report.guarded import privacy_section, quarantine_section
from fleetlora.report.map_still import view_box, whole_box
from fleetlora.report.markup import element, json_script, table
from fleetlora.report.settings_table import provenance_html, settings_html
from fleetlora.report.went_wrong import faults_section
from fleetlora.report.words import count, joules, percent, span, stand_in

if TYPE_CHECKING:
    from fleetlora.records import MapData, Run

__all__ = ["page"]

_WORDS = (
    ("roadside unit, RSU", "A radio station with a small computer beside the road, for vehicles near it."),
    ("round", "Vehicles near an RSU receive the shared model, train it on their data and send back"
     " what changed; then the RSU merges the changes."),
    ("adapter, rank", "The small trainable addition to a large frozen model (LoRA). Its rank is its size:"
     " a vehicle with rank 8 trains and sends twice as many numbers as one with rank 4."),
    ("head", "The task's own small output layer on top of the model."),
    ("handoff", "A moving vehicle is passed from one RSU to the next."),
    ("virtual time", "Time inside the simulation. It does not depend on the computer the simulation ran on."),
    ("joule", "Energy. A 10-watt computer uses 10 joules every second."),
)  # fmt: skip


def page(run: Run, figures: Sequence[Figure], world: MapData | None) -> str:
    """Return the report of ``run`` as the text of one HTML file.

    Args:
        run: The run.
        figures: Its figures, in order.
        world: Data of the map, ``None`` when there is none.

    Raises:
        MissingDependencyError: plotly is not installed.
    """
    title = f"{run.identity.preset} · {run.identity.method} · seed {run.identity.seed}"
    body = [
        _header(run),
        cards_html(headline_cards(run)),
        _map_section(world) if world is not None else "",
        figures_section(figures),
        _tasks_section(run),
        faults_section(run),
        quarantine_section(run),
        privacy_section(run),
        _settings_section(run),
        "<footer>Every figure also lies beside this page as SVG and PNG, in the folder figures.</footer>",
    ]
    scripts = [
        _map_data(run, world) if world is not None else "",
        f"<script>{static('map.js')}</script>" if world is not None else "",
    ]
    return whole_page(title, body, figures, scripts)


def _header(run: Run) -> str:
    result, identity = run.result, run.identity
    chips = [identity.method, f"seed {identity.seed}", f"{count(result.get('rounds'))} rounds"]
    shown = "".join(element("span", chip, "chip") for chip in chips)
    if not run.complete:
        shown += element("span", "interrupted: shows what was recorded until then", "chip warning")
    if "learner" in result:
        shown += element("span", stand_in(result["learner"]), "chip warning")
    n_tasks = len(run.tasks)
    tasks = {0: "no task yet", 1: "one task"}.get(n_tasks, f"{count(n_tasks)} tasks together")
    fleet = f"{count(identity.vehicles)} vehicles" if identity.vehicles else "A fleet of vehicles"
    units = f" and {count(identity.rsus)} roadside units" if identity.rsus else " and roadside units"
    told = (
        f"{fleet}{units} fine-tuned a shared model for {tasks}. While a vehicle is near a roadside unit it"
        " receives a small adapter, trains it on its own data, and sends it back; the roadside units and a"
        " cloud merge what they receive."
    )
    spent, total_s = result["energy_j"]["total"], result["latency_s"]["total"]
    if total_s is not None:
        told += f" That took {span(total_s)} of virtual time and {joules(spent)} of the vehicles' energy."
    return (
        f'<header><div class="overline">fleetlora · report of a run</div>{element("h1", identity.preset)}'
        f'<div class="chips">{shown}</div>{element("p", told, "lead")}</header>'
    )


def _map_section(world: MapData) -> str:
    reach = world.coverage_m
    said = f"{reach / 1000:.1f} km" if reach >= 1000 else f"{reach:.0f} m"
    return Template(static("map.html")).substitute(reach=said)


def _map_data(run: Run, world: MapData) -> str:
    spans: dict[int, tuple[float, float]] = {}
    for number, start_s, end_s in run.rounds.select("round", "t_start_s", "t_end_s").iter_rows():
        first_s, last_s = spans.get(number, (start_s, end_s))
        spans[number] = (min(first_s, start_s), max(last_s, end_s))
    rounds = [[number, *spans[number]] for number in sorted(spans)]
    views = {"home": view_box(world), "whole": whole_box(world)}
    return json_script("map-data", {"world": encode_map(world), "views": views, "rounds": rounds})


def _tasks_section(run: Run) -> str:
    head = ("task", "accuracy", "head only", "on vehicles", "energy", "budget", "spent")
    rows = []
    for name, task in run.result["tasks"].items():
        budget, energy = task.get("budget_j"), task.get("energy_j", 0.0)
        rows.append(
            (
                name,
                percent(task.get("accuracy")),
                percent(task.get("accuracy_head_only")),
                percent(task.get("accuracy_local")),
                joules(energy),
                "none" if budget is None else joules(budget),
                percent(energy / budget) if budget else "–",
            )
        )
    note = (
        "Accuracy is that of the shared model on test data no vehicle has. On vehicles: the mean of the"
        " vehicles' own models on samples each held back, before merging."
    )
    return (
        '<section class="panel wide" id="tasks"><h2>The tasks in numbers</h2>'
        f"{table(head, rows, 'numbers')}{element('p', note)}</section>"
    )


def _settings_section(run: Run) -> str:
    return (
        f"{words_section(_WORDS)}"
        '<section class="panel wide" id="provenance"><h2>Where these numbers come from</h2>'
        f"{provenance_html(run)}<p>A run with the same settings and seed gives the same digest.</p></section>"
        '<section class="panel wide" id="settings"><h2>All settings</h2>'
        f"{settings_html(run.config)}</section>"
    )
