"""Any table of fixes: CSV, TSV and the like, gzipped or not, or Parquet, with the user's column names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self
from zoneinfo import available_timezones

from pydantic import field_validator, model_validator

from fleetlora.errors import ConfigError, InputError
from fleetlora.parquet import read_parquet
from fleetlora.registry import suggest
from fleetlora.settings import quantity
from fleetlora.traces.fixes import DEGREES, LOCAL, RawFixes
from fleetlora.traces.reading import Reading, with_bad_rows
from fleetlora.traces.sources import TRACE_SOURCES
from fleetlora.traces.textfile import find_file, no_column, read_table
from fleetlora.traces.values import Located, TimeUnit, Values

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Table"]


@TRACE_SOURCES.register("table")
class Table(Reading):
    """A table with one fix a row; the columns may have any names, and other columns may be there too."""

    path: str = quantity(..., "1", "the file: CSV or TSV, may be gzipped, or Parquet")
    vehicle: str = quantity("vehicle", "1", "column of the vehicle's name")
    t: str = quantity("t", "1", "column of the time")
    lat: str = quantity("lat", "degree", "column of the latitude (WGS 84)")
    lon: str = quantity("lon", "degree", "column of the longitude (WGS 84)")
    x: str | None = quantity(None, "m", "column of metres east, instead of longitude")
    y: str | None = quantity(None, "m", "column of metres north, instead of latitude")
    crs: str = quantity(LOCAL, "1", "system of x and y: 'local', or a projected one such as 'EPSG:25832'")
    time_format: str | None = quantity(
        None, "1", "strptime format of the times; without, Unix time or ISO 8601 is recognised"
    )
    time_unit: TimeUnit = quantity("s", "1", "unit of Unix times: s, ms, us or ns")
    timezone: str = quantity("UTC", "1", "time zone (IANA name) of times that say none")
    delimiter: str | None = quantity(
        None, "1", "what separates columns; found by itself if not given", min_length=1, max_length=1
    )
    names: tuple[str, ...] | None = quantity(
        None, "1", "names of all columns, for a file without a header line"
    )
    decimal: Literal[".", ","] = quantity(".", "1", "decimal mark of the numbers")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        if name not in available_timezones():
            close = suggest(name, sorted(available_timezones())).split("known:")[0].strip()
            raise ValueError(f"{name!r} is not a time zone {close}".rstrip())
        return name

    @model_validator(mode="after")
    def _both_axes(self) -> Self:
        if (self.x is None) != (self.y is None):
            raise ValueError("x and y belong together: give both columns, or neither")
        return self

    def read(self) -> RawFixes:
        """Return the fixes of all rows."""
        path = find_file(self.path)
        places = ("x", "y") if self.x else ("lon", "lat")
        crs = _checked_crs(self.crs) if self.x else DEGREES
        wanted = [getattr(self, option) for option in ("vehicle", "t", *places)]
        options = dict(zip(wanted, ("vehicle", "t", *places), strict=True))
        *_, east, north = wanted
        table: Located = (
            _ParquetTable.open(path, options)
            if _is_parquet(path)
            else read_table(path, wanted, self.delimiter, self.names, options)
        )
        values = Values(table, drop=self.bad_rows == "drop")
        raw = RawFixes(
            vehicle=values.vehicles(self.vehicle),
            t_s=values.times(self.t, self.time_format, self.time_unit, self.timezone),
            x=values.numbers(east, self.decimal),
            y=values.numbers(north, self.decimal),
            crs=crs,
            origin=self.path,
            name=path.name.split(".")[0],
        )
        return self.cut(with_bad_rows(raw, values.rows, values.n_dropped), self.timezone)


@dataclass(frozen=True)
class _ParquetTable:
    """Columns of a Parquet file; a value's place is its row, counted from 1."""

    frame: pl.DataFrame
    path: Path

    def place(self, column: str, row: int) -> str:
        return f"{self.path}: row {row + 1}"

    @classmethod
    def open(cls, path: Path, options: Mapping[str, str]) -> _ParquetTable:
        """Read the columns of a file; ``options`` says by which option each was named."""
        import polars as pl
        import pyarrow as pa

        def choose(schema: pa.Schema) -> tuple[str, ...]:
            for name in options:
                if name not in schema.names:
                    raise _no_column(name, schema.names, path, options)
                if pa.types.is_nested(schema.field(name).type):
                    problem = f"column {name!r} holds {schema.field(name).type}, not one value a row"
                    raise InputError(problem, where=str(path), mend="write one fix a row")
            return tuple(options)

        try:
            frame = pl.from_arrow(read_parquet(path, "make it anew", choose))
        except pl.exceptions.PolarsError as error:
            raise InputError(
                f"Parquet that Polars cannot read: {error}", where=str(path), mend="make it anew"
            ) from error
        assert isinstance(frame, pl.DataFrame)
        return cls(frame, path)


def _no_column(name: str, known: list[str], path: Path, options: Mapping[str, str]) -> InputError:
    if {"new_piece", "x_m", "y_m"} <= set(known):
        mend = "these are tracks that fleetlora saved; read them with source = 'tracks'"
        return InputError(f"there is no column {name!r}", where=str(path), mend=mend)
    return no_column(name, known, path, options)


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _checked_crs(name: str) -> str:
    """Return ``name`` if it is a plane in metres."""
    if name == LOCAL:
        return name
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        system = CRS.from_user_input(name)
    except CRSError as error:
        raise ConfigError(
            f"{name!r} is not a coordinate system", where="traces.crs", mend="use a code such as 'EPSG:25832'"
        ) from error
    if not system.is_projected or {axis.unit_name for axis in system.axis_info} != {"metre"}:
        raise ConfigError(
            f"{name!r} is not in metres",
            where="traces.crs",
            mend="give degrees (WGS 84) as lat and lon, or project them to a system in metres",
        )
    return name
