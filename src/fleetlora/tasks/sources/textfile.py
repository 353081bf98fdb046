"""Texts of one's own: a CSV, JSON Lines, JSON or Parquet file with a text and a label column."""

from __future__ import annotations

from fleetlora.settings import quantity
from fleetlora.tasks.columns import SplitOptions, refuse_common_files, split_of
from fleetlora.tasks.raw import TASK_SOURCES, RawSplit, RawTask
from fleetlora.tasks.tables import read_table

__all__ = ["TextFile"]


@TASK_SOURCES.register("text-file")
class TextFile(SplitOptions):
    """A file of labelled texts, and a second one with the test set or a share of the first."""

    train: str = quantity(..., "path", "file of the texts (.csv, .tsv, .jsonl, .json, .parquet, .arrow)")
    test: str | None = quantity(None, "path", "file of the test set; else set test_share")
    text: str = quantity("text", "column", "the text")
    label: str = quantity("label", "column", "the class, a name or a whole number")
    group: str | None = quantity(
        None, "column", "origin of the row (a driver, a trip), for partition 'group'"
    )

    def load(self) -> RawTask:
        """Read the files.

        Raises:
            InputError: A file, column or value is missing or broken.
            ConfigError: Neither a test file nor a test share, or both, or one file on both sides.
        """
        if self.test is not None:
            refuse_common_files(self.train, self.test)
        test = None if self.test is None else self._read(self.test)
        return self.divide(self._read(self.train), test, self.train)

    def _read(self, path: str) -> RawSplit:
        from fleetlora.assets import resolve

        columns = [self.text, self.label] + ([self.group] if self.group else [])
        table = read_table(resolve(path), columns)
        return split_of(table, label=self.label, text=self.text, group=self.group)
