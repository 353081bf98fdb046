"""What a run leaves behind: its tables, its ledger of joules, its result, and reading them back."""

from fleetlora.records.checkpoint import Checkpoint, Checkpoints, CheckpointSettings
from fleetlora.records.digest import digest_of
from fleetlora.records.files import CHECKPOINTS, CONFIG, HEAD_ONLY, REPORT, TASK_NAME, TASK_NAME_CHARACTERS
from fleetlora.records.ledger import Ledger
from fleetlora.records.map_data import MapData, encode_map, read_map, street_lines, write_map
from fleetlora.records.measures import latency_s, ledger_error_j, outcome_counts, residence_factor
from fleetlora.records.result import RunIdentity, build_result
from fleetlora.records.run_reader import Run, open_run
from fleetlora.records.run_writer import RunWriter, check_run_directory
from fleetlora.records.schemas import (
    ARRIVED,
    OPTIONAL_TABLES,
    OUTCOMES,
    PHASES,
    SCHEMA,
    TABLES,
    arrow_schema,
    arrow_table,
)

__all__ = [
    "ARRIVED",
    "CHECKPOINTS",
    "CONFIG",
    "HEAD_ONLY",
    "OPTIONAL_TABLES",
    "OUTCOMES",
    "PHASES",
    "REPORT",
    "SCHEMA",
    "TABLES",
    "TASK_NAME",
    "TASK_NAME_CHARACTERS",
    "Checkpoint",
    "CheckpointSettings",
    "Checkpoints",
    "Ledger",
    "MapData",
    "Run",
    "RunIdentity",
    "RunWriter",
    "arrow_schema",
    "arrow_table",
    "build_result",
    "check_run_directory",
    "digest_of",
    "encode_map",
    "latency_s",
    "ledger_error_j",
    "open_run",
    "outcome_counts",
    "read_map",
    "residence_factor",
    "street_lines",
    "write_map",
]
