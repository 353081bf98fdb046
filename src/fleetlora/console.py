"""Progress for a person: bars on a terminal, plain lines where there is none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["Progress", "Quiet", "progress_on"]


class Progress(Protocol):
    """Is told how a long piece of work goes."""

    def say(self, line: str) -> None:
        """Show a line that stays."""
        ...

    def begin(self, what: str, total: int) -> None:
        """Begin a piece of work of ``total`` steps."""
        ...

    def advance(self, note: str = "") -> None:
        """One more step is done."""
        ...


class Quiet:
    """Says nothing."""

    def say(self, line: str) -> None:
        """Ignore the line."""

    def begin(self, what: str, total: int) -> None:
        """Ignore the beginning."""

    def advance(self, note: str = "") -> None:
        """Ignore the step."""


class _Plain:
    """Lines on standard error, at most about twenty for one piece of work."""

    def __init__(self) -> None:
        self._what, self._total, self._done = "", 0, 0

    def say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    def begin(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, total, 0

    def advance(self, note: str = "") -> None:
        self._done += 1
        stride = max(1, self._total // 20)
        if self._done % stride == 0 or self._done == self._total:
            self.say(f"{self._what} {self._done}/{self._total} {note}".rstrip())


class _Bars:
    """A bar on standard error for the piece of work that is going on."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = Console(stderr=True)
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", style="dim"),
            console=self._console,
        )
        self._task: object = None

    def say(self, line: str) -> None:
        self.bars.console.print(line, markup=False, highlight=False)

    def begin(self, what: str, total: int) -> None:
        self._task = self.bars.add_task(what, total=total, note="")

    def advance(self, note: str = "") -> None:
        self.bars.update(self._task, advance=1, note=note)  # type: ignore[arg-type]


@contextmanager
def progress_on(quiet: bool = False) -> Iterator[Progress]:
    """Yield the progress that fits standard error: bars, plain lines, or nothing if ``quiet``."""
    if quiet:
        yield Quiet()
    elif sys.stderr.isatty():
        shown = _Bars()
        with shown.bars:
            yield shown
    else:
        yield _Plain()
