"""docs/physics.md names every default with its unit and source, and its numbers are those of the code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import fleetlora.physics as physics
from fleetlora.physics import DEFAULT_DEVICES, Link, ShadowField, Umi
from fleetlora.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "physics.md"


def show(value: object) -> str:
    """Return a default as the page prints it."""
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value).lower()


def rows(kind: type[Settings], only: set[str] | None = None) -> list[str]:
    """Return the table rows that the page must hold for one section of the configuration."""
    lines = []
    for name, field in kind.model_fields.items():
        if only is not None and name not in only:
            continue
        extra = field.json_schema_extra
        default = "required" if field.is_required() else show(field.default)
        lines.append(
            f"| `{name}` | {default} | {extra['unit']} | {field.description} | {extra['source'] or '-'} |"
        )
    return lines


def device_rows() -> list[str]:
    """Return the rows of the table of device classes."""
    return [
        f"| {d.name} | {d.share:g} | {d.flops_per_s:g} | {d.power_compute_w:g} | {d.power_idle_w:g} "
        f"| {d.frequency_hz:g} | {d.source} |"
        for d in DEFAULT_DEVICES
    ]


def rate_rows() -> list[str]:
    """Return the rows of the table of rates over distance."""
    radio = Umi()
    link = Link(radio, ShadowField(radio, 1, seed=0), [0.0], [0.0])
    lines = []
    for d in (50, 100, 200, 300, 400):
        loss_db = radio.mean_path_loss_db(d)
        sinr_db = [float(radio.sinr_db(loss_db, up)) for up in (False, True)]
        rate = [float(link.mean_rate_bps(d, up)) / 1e6 for up in (False, True)]
        lines.append(
            f"| {d} | {radio.los_probability(d):.2f} | {loss_db:.1f} "
            f"| {sinr_db[0]:.1f} | {sinr_db[1]:.1f} | {rate[0]:.1f} | {rate[1]:.1f} |"
        )
    return lines


SECTIONS = {
    "Umi": rows(physics.Umi),
    "SingleSlope": rows(
        physics.SingleSlope,
        {"exponent", "reference_m", "sigma_db", "eta_down", "eta_up", "se_max_down", "se_max_up"},
    ),
    **{
        kind.__name__: rows(kind)
        for kind in (
            physics.Shadowing,
            physics.Sampling,
            physics.DeviceClass,
            physics.EnergyModel,
            physics.RsuPower,
            physics.Backhaul,
        )
    },
    "DEFAULT_DEVICES": device_rows(),
    "rates": rate_rows(),
}


@pytest.mark.parametrize("section", SECTIONS)
def test_the_page_holds_every_default_with_unit_and_source(section: str) -> None:
    page = PAGE.read_text(encoding="utf-8").splitlines()
    missing = [row for row in SECTIONS[section] if row not in page]
    assert not missing, "docs/physics.md lacks:\n" + "\n".join(missing)


def test_the_page_gives_the_coverage() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for radio in (physics.Umi(), physics.SingleSlope()):
        assert f"{radio.coverage_m(-6.0):.0f} m" in page


def test_public_names_are_sorted_and_there() -> None:
    constants = [name for name in physics.__all__ if name.isupper()]
    classes = [name for name in physics.__all__ if name[0].isupper() and not name.isupper()]
    functions = [name for name in physics.__all__ if name[0].islower()]
    assert physics.__all__ == sorted(constants) + sorted(classes) + sorted(functions)
    assert all(hasattr(physics, name) for name in physics.__all__)


def test_importing_the_room_loads_nothing_heavy() -> None:
    heavy = "{'scipy', 'torch', 'pyarrow', 'polars', 'pyproj', 'matplotlib'}"
    code = f"import sys, fleetlora.physics; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
