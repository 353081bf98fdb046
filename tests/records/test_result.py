from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fleetlora.errors import FleetLoraError
from fleetlora.records import RunIdentity, arrow_schema, arrow_table, build_result, digest_of
from fleetlora.records.measures import latency_s, overdraw_j
from tests.records.rows import contact_rows, ledger_rows, round_rows, update_rows

IDENTITY = RunIdentity("ucb-dual", "warsaw", seed=3, vehicles=5, rsus=3)
ADAPTERS = {"a.q.A": np.arange(6, dtype=np.float32).reshape(2, 3), "a.head": np.ones(2)}


def tables() -> dict[str, pa.Table]:
    return {
        "rounds": arrow_table("rounds", round_rows()),
        "updates": arrow_table("updates", update_rows()),
        "contacts": arrow_table("contacts", contact_rows()),
        "ledger": arrow_table("ledger", ledger_rows()),
    }


def result(**changes: Any) -> dict[str, Any]:
    return build_result(IDENTITY, tables(), **{"adapters": ADAPTERS} | changes)


def test_the_result_holds_what_tools_rely_on() -> None:
    got = result()
    assert {key: got[key] for key in ("method", "preset", "seed", "vehicles", "rsus", "rounds")} == {
        "method": "ucb-dual",
        "preset": "warsaw",
        "seed": 3,
        "vehicles": 5,
        "rsus": 3,
        "rounds": 2,
    }
    assert got["tasks"] == {
        "a": {"accuracy": 0.7, "accuracy_local": 0.6, "budget_j": 10.0, "energy_j": 8.0},
        "b": {"accuracy": 0.6, "accuracy_local": 0.5, "budget_j": None, "energy_j": 5.0},
    }
    assert got["mean_accuracy"] == pytest.approx(0.65)
    assert got["energy_j"] == {"total": 13.0, "rsu": 0.5}
    outcomes = dict.fromkeys(("delivered", "early", "handed_off", "abandoned", "lost"), 1)
    assert got["updates"] == {"started": 5, "arrived": 3} | outcomes
    assert (got["handoffs"], got["overdraw_j"], got["schema"], got["status"]) == (1, 0.0, 1, "complete")
    json.dumps(got, allow_nan=False)


def test_a_round_lasts_as_long_as_its_longest_task() -> None:
    # rounds 0 and 1 last max(20, 30) = 30 s and max(40, 10) = 40 s
    assert latency_s(tables()["rounds"]) == {"mean_round": 35.0, "total": 70.0}


def test_a_run_without_rounds_has_no_latency_and_no_accuracy() -> None:
    empty = {name: arrow_schema(name).empty_table() for name in tables()}
    got = build_result(IDENTITY, empty, tasks={"a": {}})
    assert got["latency_s"] == {"mean_round": None, "total": None}
    assert got["mean_accuracy"] is None
    assert got["tasks"] == {
        "a": {"accuracy": None, "accuracy_local": None, "budget_j": None, "energy_j": 0.0}
    }
    assert got["updates"]["started"] == 0


def test_spending_above_a_budget_shows() -> None:
    assert overdraw_j({"a": 12.0, "b": 3.0}, {"a": 10.0, "b": None}) == 2.0
    assert overdraw_j({"a": 10.0 + 1e-12}, {"a": 10.0}) == 0.0


def test_more_can_be_said_about_a_task_but_its_joules_come_from_the_ledger() -> None:
    got = result(tasks={"a": {"accuracy_head_only": np.float32(0.25), "energy_j": 0.0}})
    assert got["tasks"]["a"]["accuracy_head_only"] == 0.25
    assert got["tasks"]["a"]["energy_j"] == 8.0


def test_an_unknown_status_is_refused() -> None:
    with pytest.raises(FleetLoraError, match="status 'done'"):
        result(status="done")


def test_equal_results_have_equal_digests_whatever_the_host_did() -> None:
    assert result(host={"seconds": 1.0})["digest"] == result(host={"seconds": 2.0})["digest"]


def test_the_digest_does_not_see_how_a_table_was_put_together() -> None:
    whole = tables()
    rows = whole["updates"]
    parts = pa.concat_tables([rows.slice(0, 2), rows.slice(2)])
    longer_words = pa.array(["other", "a"]).dictionary_encode().slice(1)
    relabelled = rows.set_column(1, rows.schema.field(1), [pa.concat_arrays([longer_words] * 5)])
    for same in (parts, relabelled, rows.slice(0)):
        assert digest_of({}, whole | {"updates": same}, {}) == digest_of({}, whole, {})


def test_the_digest_reads_every_nan_and_every_zero_alike() -> None:
    odd_nan = np.array([0x7FF8000000000001], dtype=np.uint64).view(np.float64)
    for one, other in ((np.array([np.nan]), odd_nan), (np.array([0.0]), np.array([-0.0]))):
        assert digest_of({}, {}, {"w": one}) == digest_of({}, {}, {"w": other})


@pytest.mark.parametrize(
    "changed",
    [
        {"rounds": {"accuracy": np.array([0.5, 0.6, np.nextafter(0.7, 1), np.nan])}},
        {"rounds": {"accuracy": np.array([0.5, 0.6, np.nan, 0.7])}},
        {"rounds": {"synced": np.array([True, False, True, True])}},
        {"rounds": {"task": ["a", "b", "b", "a"]}},
        {"updates": {"rank": np.array([1, 2, 4, 8, 15])}},
        {"updates": {"device": "xavier"}},
    ],
)
def test_the_digest_sees_every_value_of_every_table(changed: dict[str, dict[str, Any]]) -> None:
    rows = {"rounds": round_rows, "updates": update_rows}
    other = tables() | {name: arrow_table(name, rows[name](**c)) for name, c in changed.items()}
    assert digest_of({}, other, {}) != digest_of({}, tables(), {})


@pytest.mark.parametrize(
    "adapters",
    [
        {},
        {"a.q.A": ADAPTERS["a.q.A"]},
        ADAPTERS | {"a.q.A": ADAPTERS["a.q.A"].reshape(3, 2)},
        ADAPTERS | {"a.q.A": ADAPTERS["a.q.A"].astype(np.float64)},
        ADAPTERS | {"a.head": np.array([1.0, np.nextafter(1.0, 2.0)])},
    ],
)
def test_the_digest_sees_every_bit_of_every_adapter(adapters: dict[str, np.ndarray]) -> None:
    assert digest_of({}, {}, adapters) != digest_of({}, {}, ADAPTERS)


def test_the_digest_sees_the_result() -> None:
    assert digest_of({"seed": 1}, {}, {}) != digest_of({"seed": 2}, {}, {})
    assert digest_of({"x": [0.0, None]}, {}, {}) == digest_of({"x": (-0.0, None)}, {}, {})


def test_the_digest_of_a_run_never_changes() -> None:
    assert result()["digest"] == "a90f3bd60149e52aa7aa763da3d76285ce25db00dafe2c7f5cecc5f0871bf765"


def test_the_residence_factor_is_the_median_of_how_far_off_predictions_were() -> None:
    import pyarrow as pa

    from fleetlora.records import residence_factor

    # factors 2, 2 and 4, and a stay below a second counts as one second: factor 3
    predicted, true = [10.0, 40.0, 40.0, 3.0], [20.0, 20.0, 10.0, 0.1]
    updates = pa.table({"residence_predicted_s": predicted, "residence_true_s": true})
    assert residence_factor(updates) == pytest.approx(6**0.5)  # between 2 and 3 in the logarithm
    assert residence_factor(updates.slice(0, 0)) is None


def test_the_digest_reads_words_from_the_middle_of_a_table_and_between_nulls() -> None:
    words = pa.array(["x", "ü", None, "", "abc", "x"]).dictionary_encode()
    whole = digest_of({}, {"t": pa.table({"word": words.slice(1, 4)})}, {})
    again = pa.chunked_array(
        [pa.array(["ü", None]).dictionary_encode(), pa.array(["", "abc"]).dictionary_encode()]
    )
    assert digest_of({}, {"t": pa.table({"word": again})}, {}) == whole
    moved = pa.array(["üa", None, "", "bc"]).dictionary_encode()
    assert digest_of({}, {"t": pa.table({"word": moved})}, {}) != whole
