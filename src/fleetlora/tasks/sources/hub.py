"""Datasets of the Hugging Face hub, by id or as a local directory of data files.

A local directory needs neither the hub nor the ``datasets`` library: its Parquet, CSV, JSON and Arrow files
are read as they lie. A dataset script (a ``.py`` file) is never run.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fleetlora.errors import InputError, MissingDependencyError, first_line
from fleetlora.registry import suggest
from fleetlora.settings import quantity
from fleetlora.tasks.columns import SplitOptions, concatenate, refuse_common, split_of
from fleetlora.tasks.raw import TASK_SOURCES, RawSplit, RawTask
from fleetlora.tasks.tables import TABLE_SUFFIXES, Table, from_arrow, read_table

__all__ = ["HfDataset"]

#: Files that describe a dataset and hold none of its rows.
_NOTES = frozenset({"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"})
#: What the splits of most datasets are called: a file of one is no file of another, whichever are asked for.
_CUSTOMARY = ("train", "validation", "test")


@TASK_SOURCES.register("hf-dataset")
class HfDataset(SplitOptions):
    """A dataset of the hub (extra ``datasets``), or a local directory laid out like one."""

    dataset: str = quantity(..., "id", "id on the hub ('owner/name') or path of a local directory")
    subset: str | None = quantity(None, "name", "configuration of the dataset; locally a folder of that name")
    revision: str | None = quantity(None, "name", "commit or tag on the hub; pin it for reproducible runs")
    train: str = quantity("train", "split", "split to train on")
    test: str | None = quantity("test", "split", "split to measure on; leave it out with a test_share")
    text: str = quantity("text", "column", "the text")
    image: str | None = quantity(None, "column", "the image; images are read instead of texts when set")
    label: str = quantity("label", "column", "the class")
    group: str | None = quantity(None, "column", "origin of the row, for partition 'group'")

    def load(self) -> RawTask:
        """Read the splits.

        Raises:
            InputError: The dataset, a split or a column is missing or broken.
            ConfigError: Neither a test split nor a test share, or a split on both sides.
            MissingDependencyError: An id of the hub without the ``datasets`` library.
        """
        from fleetlora.assets import resolve

        test_name = None if self.test_share is not None else self.test
        if test_name is not None:  # the hub joins splits with a plus
            refuse_common(*(name.lower().split("+") for name in (self.train, test_name)))
        folder = Path(resolve(self.dataset))
        tables = self._local if folder.is_dir() else self._hub
        train, names = self._split(tables(folder, self.train))
        test = None if test_name is None else self._split(tables(folder, test_name))[0]
        return self.divide(train, test, self.dataset, names)

    @property
    def _columns(self) -> list[str]:
        return [self.image or self.text, self.label] + ([self.group] if self.group else [])

    def _split(self, tables: list[Table]) -> tuple[RawSplit, tuple[str, ...] | None]:
        text = None if self.image else self.text
        parts = [
            split_of(table, label=self.label, text=text, image=self.image, group=self.group)
            for table in tables
        ]
        return concatenate(parts), tables[0].class_names.get(self.label)

    def _local(self, folder: Path, split: str) -> list[Table]:
        base = folder / self.subset if self.subset else folder
        files = sorted(
            path
            for path in base.rglob("*")
            if path.suffix.lower() in TABLE_SUFFIXES and path.name not in _NOTES and path.is_file()
        )
        if not files:
            script = "; a dataset script is never run" if any(folder.glob("*.py")) else ""
            raise InputError(
                f"no data files{script}", where=str(base), mend=f"put {', '.join(TABLE_SUFFIXES)} files there"
            )
        said = {path: self._said(path.relative_to(base).with_suffix("")) for path in files}
        chosen = [path for path in files if said[path][-1:] == [split.lower()]]
        if not chosen:
            raise _absent(split, base, said)
        return [read_table(path, self._columns) for path in chosen]

    def _said(self, place: Path) -> list[str]:
        """Return the splits that a path names as whole words; the last one is the file's own."""
        asked = {*_CUSTOMARY, self.train.lower(), (self.test or self.train).lower()}
        longest_first = "|".join(sorted(map(re.escape, asked), key=len, reverse=True))
        return re.findall(rf"(?<![a-z0-9])(?:{longest_first})(?![a-z0-9])", place.as_posix().lower())

    def _hub(self, _folder: Path, split: str) -> list[Table]:
        try:
            import datasets
        except ImportError as error:
            raise MissingDependencyError(
                f"{self.dataset!r} is no local directory, and the hub needs the 'datasets' library",
                where="dataset",
                mend="correct the path, or: pip install 'fleetlora[datasets]'",
            ) from error
        try:
            loaded: Any = datasets.load_dataset(
                self.dataset, self.subset, split=split, revision=self.revision
            )
            read = loaded.with_format("arrow")[:]
        except Exception as error:  # the library raises errors of many kinds for a wrong name or no network
            reason = first_line(error)
            raise InputError(
                f"cannot load split {split!r} from the hub: {reason}",
                where=self.dataset,
                mend="check the id, subset and split, and the network; or download it and give the directory",
            ) from error
        return [from_arrow(Path(f"{self.dataset}[{split}]"), read, self._columns)]


def _absent(split: str, base: Path, said: dict[Path, list[str]]) -> InputError:
    """Return what is wrong where no file is of ``split``; ``said`` are the splits that each file names."""
    for path, names in said.items():
        if split.lower() in names:
            return InputError(
                f"no data file of split {split!r}; this one names it, but {names[-1]!r} last, which counts",
                where=str(path),
                mend=f"end the name of the file of split {split!r} with that word",
            )
    places = [str(path.relative_to(base).with_suffix("")).lower() for path in said]
    words = {word for place in places for word in re.split(r"[^a-z]+", place) if word}
    return InputError(f"no data file of split {split!r}", where=str(base), mend=suggest(split, sorted(words)))
