"""From columns of text or numbers to vehicles, times and coordinates; a bad value is refused by its line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from fleetlora.errors import InputError
from fleetlora.limits import names_array

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Located", "TimeUnit", "Values"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
TimeUnit = Literal["s", "ms", "us", "ns"]

_PER_SECOND: dict[str, float] = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_ISO = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M")
_YEAR_2286_S = 1e10
_OFFSET = "give times with their offset (02:30:00+01:00), or leave such lines out with bad_rows = 'drop'"


class Located(Protocol):
    """A table that knows where in its file a value stands."""

    @property
    def frame(self) -> pl.DataFrame:
        """The columns."""
        ...

    def place(self, column: str, row: int) -> str:
        """Return where the value of ``column`` in ``row`` stands, as ``file:line``."""
        ...


class Values:
    """Reads the columns of one table and judges every value.

    Args:
        table: The table.
        drop: Whether rows with bad values are left out; otherwise the first one is an error.
    """

    def __init__(self, table: Located, drop: bool = False) -> None:
        self.table, self._drop = table, drop
        self._blank: Bools = np.zeros(table.frame.height, dtype=bool)
        if table.frame.width > 1:  # blank lines
            import polars as pl

            self._blank = table.frame.select(pl.all_horizontal(pl.all().is_null())).to_series().to_numpy()
        self._bad: Bools = np.zeros(table.frame.height, dtype=bool)

    @property
    def rows(self) -> Bools:
        """(n,) the rows to use: not blank, not dropped."""
        return ~(self._blank | self._bad)

    @property
    def n_dropped(self) -> int:
        """How many rows with bad values were left out."""
        return int(self._bad.sum())

    def judge(self, column: str, wrong: Bools, wanted: str, mend: str = "") -> None:
        """Drop the rows where ``wrong``, or refuse the first of them.

        Raises:
            InputError: The message names the line, the value and what was ``wanted`` instead.
        """
        wrong = wrong & self.rows
        if not wrong.any():
            return
        if self._drop:
            self._bad |= wrong
            return
        row = int(np.argmax(wrong))
        value = self.table.frame[column][row]
        blank = value is None or (isinstance(value, str) and not value.strip())
        said = "is empty" if blank else f"is {str(value)[:60]!r}, not {wanted}"
        raise InputError(
            f"column {column!r} {said}",
            where=self.table.place(column, row),
            mend=mend or "mend or remove the line, or leave such lines out with bad_rows = 'drop'",
        )

    def numbers(self, column: str, decimal: str = ".") -> Floats:
        """Return a column as (n,) finite float64; NaN in rows not to use."""
        import polars as pl

        series = self.table.frame[column]
        if series.dtype == pl.String:
            series = series.str.strip_chars()
            if decimal != ".":
                series = series.str.replace(decimal, ".", literal=True)
        found = np.array(series.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy())
        wrong = ~np.isfinite(found)
        mend = ""
        if wrong.any() and series.dtype == pl.String and _has_decimal_commas(series, wrong):
            mend = "the file writes decimals with a comma: set decimal = ','"
        self.judge(column, wrong, "a finite number", mend)
        return found

    def vehicles(self, column: str) -> NDArray[np.str_]:
        """Return a column as (n,) names of vehicles, without blanks around them."""
        import polars as pl

        series = self.table.frame[column]
        if series.dtype.is_float() and (series.drop_nulls() == series.drop_nulls().round()).all():
            series = series.cast(pl.Int64, strict=False)  # whole numbers that a missing value made floats
        series = series.cast(pl.String).str.strip_chars()
        self.judge(column, (series.is_null() | (series == "")).fill_null(True).to_numpy(), "a vehicle")
        coded = series.fill_null("").to_arrow().cast("large_string").dictionary_encode()
        names = names_array(coded.dictionary.to_pylist() or [""], "vehicle", f"column {column!r}")
        self._refuse_twins(column, series, set(names.tolist()))
        return np.asarray(names[coded.indices.to_numpy()])

    def _refuse_twins(self, column: str, series: pl.Series, names: set[str]) -> None:
        """Refuse ``1001`` beside ``1001.0``: one vehicle would become two."""
        for name in sorted(names):
            if name.endswith(".0") and name[:-2].isdigit() and name[:-2] in names:
                wrong = (series == name).fill_null(False).to_numpy()
                self.judge(column, wrong, f"{name[:-2]!r} as in other lines", "write each vehicle in one way")

    def times(self, column: str, fmt: str | None = None, unit: TimeUnit = "s", zone: str = "UTC") -> Floats:
        """Return a column as (n,) Unix seconds; NaN in rows not to use.

        Args:
            column: Name of the column.
            fmt: ``strptime`` format; None: Unix time where the values are numbers, else ISO 8601.
            unit: Unit of Unix times.
            zone: Time zone (IANA name) of times that say none.
        """
        import polars as pl

        series = self.table.frame[column]
        if series.dtype.is_temporal():
            return self._dated(column, series, zone, "a date and time")
        if series.dtype == pl.String:
            series = series.str.strip_chars()
        if fmt is not None:
            mend = "mend or remove the line, or check the format (marks as strptime knows them)"
            return self._dated(column, _by_format(series, fmt), zone, f"of the form {fmt!r}", mend)
        if series.dtype != pl.String or _mostly_numbers(series, self.rows):
            found = self.numbers(column) / _PER_SECOND[unit]
            mend = "set time_unit to 'ms', 'us' or 'ns' for Unix times in smaller units than seconds"
            self.judge(column, np.abs(np.nan_to_num(found)) > _YEAR_2286_S, "Unix seconds", mend)
            return found
        return self._dated(column, series, zone, "a time as 2024-02-19T09:40:06 (or set time_format)")

    def _dated(self, column: str, series: pl.Series, zone: str, wanted: str, mend: str = "") -> Floats:
        import polars as pl

        aware = naive = series
        if series.dtype == pl.String:
            aware = series.str.replace(" ", "T", literal=True).str.to_datetime(
                "%+", strict=False, time_unit="us"
            )
            plain = series.str.replace("T", " ", literal=True)
            tries = [plain.str.to_datetime(fmt, strict=False, time_unit="us") for fmt in _ISO]
            naive = tries[0].zip_with(tries[0].is_not_null(), tries[1])
        elif getattr(series.dtype, "time_zone", None) is None:
            naive = series.cast(pl.Datetime("us"))
            aware = pl.Series([None], dtype=pl.Datetime("us", "UTC")).new_from_index(0, len(series))
        else:
            naive = pl.Series([None], dtype=pl.Datetime("us")).new_from_index(0, len(series))
        local = naive.dt.replace_time_zone(zone, ambiguous="null", non_existent="null")
        seconds = [np.array(s.dt.epoch("us").fill_null(np.nan).to_numpy()) / 1e6 for s in (aware, local)]
        found = np.where(np.isnan(seconds[0]), seconds[1], seconds[0])
        wrong = np.isnan(found)
        if wrong.any():
            first = naive.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
            twice = f"one time in {zone}: clocks went back, and it came twice"
            self.judge(column, wrong & first.is_not_null().to_numpy(), twice, _OFFSET)
        self.judge(column, wrong, wanted, mend)
        return found


def _by_format(series: pl.Series, fmt: str) -> pl.Series:
    import polars as pl

    try:
        return series.cast(pl.String).str.to_datetime(fmt, strict=False, time_unit="us")
    except pl.exceptions.PolarsError as error:
        raise InputError(
            f"{fmt!r} is not a format of date and time",
            where="time_format",
            mend="use the marks of strptime, such as '%Y-%m-%d %H:%M:%S'",
        ) from error


def _mostly_numbers(series: pl.Series, rows: Bools) -> bool:
    """Return whether the first few values to use are numbers, at least half of them."""
    import polars as pl

    few = series.filter(pl.Series(rows)).drop_nulls().head(100)
    return len(few) > 0 and few.cast(pl.Float64, strict=False).is_not_null().sum() * 2 >= len(few)


def _has_decimal_commas(series: pl.Series, wrong: Bools) -> bool:
    import polars as pl

    return bool(series.filter(pl.Series(wrong)).head(1).str.contains(r"^[+-]?\d+,\d+$").any())
