from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from fleetlora.errors import InputError, MissingDependencyError
from fleetlora.records import open_run
from fleetlora.report import build_report
from fleetlora.report.cards import headline_cards
from fleetlora.report.figures import all_figures
from fleetlora.report.markup import element, json_script, table
from fleetlora.report.palette import darkened
from fleetlora.report.settings_table import settings_html
from fleetlora.report.to_plotly import draw_plotly
from fleetlora.report.words import count, joules, percent, span
from tests.report.synthetic import City, make_run

HOSTILE = "</script><img src=x onerror=alert(1)>&<b>b"
TINY = City(tasks=("a",), vehicles=30, rounds=3, frames=8, blocks=6)


def embedded(page: str, name: str) -> dict[str, object]:
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.S)
    assert found
    data: dict[str, object] = json.loads(found.group(1))
    return data


def test_every_figure_lies_beside_the_report_as_svg_and_png(reported: Path) -> None:
    names = [figure.name for figure in all_figures(open_run(reported))] + ["map"]
    for name in names:
        assert ElementTree.parse(reported / "figures" / f"{name}.svg").getroot().tag.endswith("svg")
        with Image.open(reported / "figures" / f"{name}.png") as image:
            assert image.width >= 1200
            assert np.asarray(image.convert("L")).std() > 3  # not blank


def test_the_report_is_one_small_file_that_refers_to_nothing_outside(reported: Path) -> None:
    page = (reported / "report.html").read_text(encoding="utf-8")
    assert len(page.encode()) < 12e6
    own = re.sub(r"<script>.*?</script>", "", page, flags=re.S)
    assert not re.search(r'(src|href)\s*=\s*["\']?(https?:|//|\.|/)', own)
    assert "connect-src" not in page
    assert "default-src 'none'" in page


def test_the_report_tells_who_how_and_what_came_of_it(reported: Path) -> None:
    page = (reported / "report.html").read_text(encoding="utf-8")
    result = json.loads((reported / "result.json").read_text(encoding="utf-8"))
    for said in (
        ">2.0 %<",  # of the time for checkpoints
        "grid-city",
        "ucb-dual",
        "seed 7",
        result["digest"],
        "2.13.0",
        "asset:warsaw-buses/data_0.txt",
    ):
        assert said in page
    for task in result["tasks"].values():
        assert percent(task["accuracy"]) in page
        assert percent(task["accuracy_head_only"]) in page
    assert "interrupted" not in re.sub(r"<script>.*?</script>", "", page, flags=re.S)


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    made = [make_run(tmp_path / name, TINY) for name in ("one", "two")]
    for run in made:
        build_report(run)
    for file in ("report.html", "figures/energy.svg", "figures/map.svg", "figures/map.png"):
        assert (made[0] / file).read_bytes() == (made[1] / file).read_bytes()


def test_an_interrupted_run_has_a_report_that_says_so(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", TINY, finish=False)
    page = build_report(run).read_text(encoding="utf-8")
    assert "interrupted: shows what was recorded until then" in page
    assert "3 rounds" in page


@pytest.mark.parametrize(
    "city",
    [
        City(tasks=("a",), rounds=0, with_map=False),
        City(tasks=("a",), vehicles=30, rounds=2, with_map=False, all_lost=True),
        City(tasks=("a",), vehicles=30, rounds=1, with_map=False, budget_j=0.0),
        City(tasks=tuple("abcdefgh"), vehicles=60, rounds=2, with_map=False, budget_j=None),
        City(tasks=("日本", "_x $a^b$"), vehicles=30, rounds=2, with_map=False),
    ],
    ids=["no round", "nothing delivered", "nothing to spend", "eight tasks and no budget", "odd names"],
)
def test_unusual_runs_have_reports_too(tmp_path: Path, city: City) -> None:
    page = build_report(make_run(tmp_path / "run", city))
    assert page.stat().st_size > 4e6
    assert (page.parent / "figures" / "energy.png").exists()


def test_names_from_data_cannot_become_markup_or_script(tmp_path: Path) -> None:
    city = City(
        tasks=(HOSTILE,),
        vehicles=30,
        rounds=2,
        frames=4,
        preset=HOSTILE,
        unit_name=HOSTILE,
        vehicle_name=HOSTILE,
    )
    config = f"{json.dumps(HOSTILE)} = {json.dumps(HOSTILE)}\n[section.{json.dumps(HOSTILE)}]\nx = 1\n"
    page = build_report(make_run(tmp_path / "run", city, config=config)).read_text(encoding="utf-8")
    assert "<img" not in re.sub(r"<script>.*?</script>", "", page, flags=re.S)
    world = embedded(page, "map-data")["world"]
    assert isinstance(world, dict)
    assert world["vehicle_ids"][0] == f"{HOSTILE} 000"
    assert embedded(page, "figure-data")


def test_data_in_a_script_element_cannot_end_it() -> None:
    data = {"a": "</script><!--\u2028&", "b": [1.5, None]}
    markup = json_script("x", data)
    assert markup.count("<") == markup.count(">") == 2
    assert "\u2028" not in markup
    assert json.loads(markup[markup.index(">") + 1 : markup.rindex("<")]) == data


def test_text_in_markup_is_escaped() -> None:
    assert element("p", "<b>", 'a"b') == '<p class="a&quot;b">&lt;b&gt;</p>'
    assert "<i>" not in table(["<i>"], [["<i>", "<i>"]])


def test_every_colour_of_a_figure_has_a_dark_twin(reported: Path) -> None:
    known = darkened()
    for figure in all_figures(open_run(reported)):
        for colour in re.findall(r'"(#[0-9a-fA-F]{6})"', json.dumps(draw_plotly(figure))):
            assert colour in known, figure.name


def test_settings_are_shown_section_by_section() -> None:
    shown = settings_html({"seed": 3, "lora": {"ranks": [1, 2]}, "devices": [{"name": "nano", "on": True}]})
    for said in ("experiment", "lora", "1, 2", "[nano].on", "true"):
        assert said in shown


def test_a_card_compares_the_accuracy_with_the_head_alone(reported: Path) -> None:
    cards = {card.name: card for card in headline_cards(open_run(reported))}
    card = cards["reuters52 accuracy"]
    assert re.fullmatch(r"head only 62\.0 %, gain \d+\.\d points", card.note)
    assert cards["vehicles"].value == "200"
    assert re.fullmatch(r"\d+\.\d % of 510 kJ", cards["vehicles' energy"].note)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (span(4.234), "4.23 s"),
        (span(75), "1 min 15 s"),
        (span(3599.7), "1 h"),
        (span(7500), "2 h 5 min"),
        (span(100_000), "1 d 4 h"),
        (span(None), "–"),
        (joules(0.0123), "12.3 mJ"),
        (joules(0.0), "0 J"),
        (joules(1999), "1,999 J"),
        (joules(478_000), "478 kJ"),
        (joules(float("inf")), "–"),
        (percent(0.8764), "87.6 %"),
        (percent(None), "–"),
        (count(12345), "12,345"),
    ],
)
def test_numbers_are_written_as_people_read_them(said: str, meant: str) -> None:
    assert said == meant


@pytest.mark.parametrize("name", ["plotly", "matplotlib"])
def test_a_missing_library_is_named_with_the_way_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    run = make_run(tmp_path / "run", City(tasks=("a",), vehicles=30, rounds=2, with_map=False))
    for module in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'fleetlora\[report\]'"):
        build_report(run)
    assert not (run / "report.html").exists()


def test_a_directory_without_a_run_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a run directory"):
        build_report(tmp_path)
