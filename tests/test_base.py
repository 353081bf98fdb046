"""Facts about the five small files that every room leans on, and about the public face."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

import fleetlora
from fleetlora.errors import ConfigError, FleetLoraError, InputError, MissingDependencyError
from fleetlora.registry import Registry, suggest
from fleetlora.rng import stream


def test_an_error_says_what_where_and_the_mend() -> None:
    error = InputError("not a number: 'x'", where="cabs.csv:7", mend="correct the line")
    assert str(error) == "cabs.csv:7: not a number: 'x'\n  → correct the line"


def test_errors_of_the_user_end_with_status_2_and_ours_with_1() -> None:
    assert FleetLoraError("x").exit_code == 1
    assert {e("x").exit_code for e in (InputError, ConfigError, MissingDependencyError)} == {2}


def test_an_error_keeps_its_parts_across_processes() -> None:
    error = pickle.loads(pickle.dumps(ConfigError("p", where="w", mend="m")))
    assert (type(error), error.problem, error.where, error.mend) == (ConfigError, "p", "w", "m")


def test_streams_depend_on_seed_and_name_alone() -> None:
    first = stream(7, "admission", 3).random(4)
    stream(7, "other").random(100)
    assert (stream(7, "admission", 3).random(4) == first).all()
    assert (stream(8, "admission", 3).random(4) != first).all()
    assert (stream(7, "admission", 4).random(4) != first).all()
    assert (stream(7, "a", "bc").random(4) != stream(7, "ab", "c").random(4)).all()


def test_a_registry_refuses_a_second_component_of_one_name() -> None:
    registry: Registry[type] = Registry("thing")
    registry.register("a")(int)
    registry.register("a")(int)
    with pytest.raises(ValueError, match="already registered"):
        registry.register("a")(str)


def test_an_unknown_component_may_be_ones_own_and_the_mend_says_how_it_is_found() -> None:
    registry: Registry[type] = Registry("some thing")
    registry.register("a")(int)
    with pytest.raises(ConfigError, match=r"known: a; your own: an entry point of fleetlora\.some_thing"):
        registry.get("thrifty")


def test_a_registry_imports_its_modules_when_first_asked() -> None:
    registry: Registry[object] = Registry("thing", modules=("fleetlora.no_such_module",))
    with pytest.raises(ModuleNotFoundError):
        registry.names()


def test_a_suggestion_names_the_nearest_and_all() -> None:
    assert suggest("corridr", ["grid", "corridor"]) == "did you mean 'corridor'? known: corridor, grid"
    assert suggest("zzz", ["grid"]) == "known: grid"


def test_the_public_names_are_sorted_and_all_importable() -> None:
    public = fleetlora.__all__
    assert public == sorted(public, key=lambda name: (not name.isupper(), name))
    assert all(getattr(fleetlora, name) is not None for name in public)
    assert set(public) <= set(dir(fleetlora))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        fleetlora.nothing  # noqa: B018


def _fresh_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_fleetlora_takes_less_than_a_third_of_a_second() -> None:
    code = "import time; t = time.perf_counter(); import fleetlora; print(time.perf_counter() - t)"
    assert min(float(_fresh_python(code)) for _ in range(3)) < 0.3


def test_importing_fleetlora_imports_nothing_heavy() -> None:
    heavy = {"torch", "transformers", "peft", "numpy", "polars", "pyarrow", "pydantic", "plotly", "libsumo"}
    loaded = _fresh_python("import fleetlora, sys; print(' '.join(m for m in sys.modules if '.' not in m))")
    assert not heavy & set(loaded.split())


def test_the_configuration_is_read_without_torch() -> None:
    loaded = _fresh_python("import fleetlora.config, sys; print(' '.join(sys.modules))").split()
    assert not {"torch", "transformers", "peft", "libsumo", "plotly", "matplotlib"} & set(loaded)
