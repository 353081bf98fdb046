"""Sites: where RSUs stand, as columns."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fleetlora.errors import InputError
from fleetlora.files import write_text
from fleetlora.roadside.ragged import Bools, Floats, Ints

__all__ = ["Sites"]


@dataclass(frozen=True)
class Sites:
    """J places for RSUs, in the metres of the tracks they serve.

    Attributes:
        name: (J,) str.
        x_m: (J,) metres east.
        y_m: (J,) metres north.
    """

    name: NDArray[np.str_]
    x_m: Floats
    y_m: Floats

    def __post_init__(self) -> None:
        if not (self.name.shape == self.x_m.shape == self.y_m.shape and self.name.ndim == 1):
            raise InputError(
                f"sites have {len(self.name)} names, {len(self.x_m)} x and {len(self.y_m)} y",
                mend="a placement must return one name, x and y per site",
            )
        bad = np.flatnonzero(~(np.isfinite(self.x_m) & np.isfinite(self.y_m)))
        if len(bad):
            raise InputError(
                f"site {str(self.name[bad[0]])!r} has no finite position",
                mend="leave it out or mend its coordinates",
            )

    def __len__(self) -> int:
        return len(self.name)

    @classmethod
    def of(cls, x_m: Floats, y_m: Floats, prefix: str = "rsu") -> Sites:
        """Return sites at given places, named ``rsu-0``, ``rsu-1``, …"""
        names = np.array([f"{prefix}-{i}" for i in range(len(x_m))], dtype=np.str_)
        return cls(names, np.asarray(x_m, dtype=np.float64), np.asarray(y_m, dtype=np.float64))

    def take(self, rows: Ints | Bools) -> Sites:
        """Return the sites at ``rows``, (n,) indices or a (J,) mask, in that order."""
        return Sites(self.name[rows], self.x_m[rows], self.y_m[rows])

    def merged(self, within_m: float = 1.0) -> Sites:
        """Return the sites without those that lie within ``within_m`` metres of an earlier one."""
        from scipy.spatial import cKDTree

        if len(self) < 2:
            return self
        pairs = cKDTree(np.column_stack([self.x_m, self.y_m])).query_pairs(within_m, output_type="ndarray")
        kept = np.ones(len(self), dtype=bool)
        for earlier, later in sorted(map(tuple, np.sort(pairs, axis=1).tolist())):
            if kept[earlier]:
                kept[later] = False
        return self.take(kept)

    def save(self, path: str | Path, crs: str = "local") -> Path:
        """Write the sites to a CSV file, whole or not at all; the placement ``points`` reads it back.

        Args:
            path: The file.
            crs: Coordinate system of the metres; with one, longitude and latitude are written beside them.

        Returns:
            The path.
        """
        columns: dict[str, NDArray[np.generic]] = {"name": self.name, "x_m": self.x_m, "y_m": self.y_m}
        if crs != "local":
            from pyproj import Transformer

            lon, lat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(self.x_m, self.y_m)
            columns |= {"lon": np.asarray(lon), "lat": np.asarray(lat)}
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
        target = Path(path)
        write_text(target, text.getvalue())
        return target
