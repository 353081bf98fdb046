"""The numbers at the head of a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fleetlora.report.markup import element
from fleetlora.report.palette import TASKS
from fleetlora.report.words import count, joules, percent, span

if TYPE_CHECKING:
    from fleetlora.records import Run

__all__ = ["Card", "cards_html", "headline_cards"]

#: With more tasks than this their accuracies are left to the table of tasks.
_MOST_TASKS = 6


@dataclass(frozen=True)
class Card:
    """One number.

    Attributes:
        name: What it is.
        value: The number with its unit.
        note: What to compare it with, may be empty.
        filled: Share of a bar below it, in [0, 1], or ``None``.
        colour: Colours of its edge, an index of a task, or ``None``.
    """

    name: str
    value: str
    note: str = ""
    filled: float | None = None
    colour: int | None = None


def headline_cards(run: Run) -> list[Card]:
    """Return the cards of ``run``."""
    result, tasks = run.result, run.result["tasks"]
    cards = [Card("mean accuracy", percent(result.get("mean_accuracy")), f"over {len(tasks)} tasks")]
    if len(tasks) <= _MOST_TASKS:
        cards = [_accuracy(index, name, task) for index, (name, task) in enumerate(tasks.items())]
    started, arrived = result["updates"]["started"], _arrived(result["updates"])
    cards += [
        Card("mean round latency", span(result["latency_s"]["mean_round"]), "slowest task of each round"),
        Card("virtual time", span(result["latency_s"]["total"]), f"{count(result.get('rounds'))} rounds"),
        _energy(result),
        Card(
            "updates that reached the model",
            percent(arrived / started) if started else "–",
            f"{count(arrived)} of {count(started)} started",
            filled=arrived / started if started else None,
        ),
        Card("handoffs", count(result.get("handoffs")), "vehicle passed from one RSU to the next"),
        Card("vehicles", count(run.identity.vehicles or None)),
        Card("roadside units", count(run.identity.rsus or None)),
    ]
    return cards


def cards_html(cards: list[Card]) -> str:
    """Return the cards as HTML."""
    return f'<div class="cards">{"".join(_card_html(card) for card in cards)}</div>'


def _accuracy(index: int, name: str, task: dict[str, Any]) -> Card:
    accuracy, head_only = task.get("accuracy"), task.get("accuracy_head_only")
    note = ""
    if head_only is not None:
        note = f"head only {percent(head_only)}"
        if accuracy is not None:
            gain = 100 * (accuracy - head_only)
            note += f", {'gain' if gain >= 0 else 'loss'} {abs(gain):.1f} points"
    return Card(f"{name} accuracy", percent(accuracy), note, filled=accuracy, colour=index)


def _arrived(updates: dict[str, int]) -> int:
    return sum(updates.get(outcome, 0) for outcome in ("delivered", "early", "handed_off"))


def _energy(result: Any) -> Card:
    spent, budgets = result["energy_j"]["total"], [t.get("budget_j") for t in result["tasks"].values()]
    if not budgets or any(budget is None for budget in budgets):
        return Card("vehicles' energy", joules(spent), "no budget set")
    budget = sum(budgets)
    share = spent / budget if budget else None
    return Card("vehicles' energy", joules(spent), f"{percent(share)} of {joules(budget)}", filled=share)


def _card_html(card: Card) -> str:
    style = ""
    if card.colour is not None:
        pair = TASKS[card.colour % len(TASKS)]
        style = f' style="--edge:{pair.light};--edge-dark:{pair.dark}"'
    bar = ""
    if card.filled is not None:
        width = 100 * min(max(card.filled, 0.0), 1.0)
        bar = f'<div class="meter"><div style="width:{width:.1f}%"></div></div>'
    note = element("div", card.note, "note") if card.note else ""
    name, value = element("div", card.name, "name"), element("div", card.value, "value")
    return f'<div class="card"{style}>{name}{value}{bar}{note}</div>'
