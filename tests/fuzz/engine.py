"""One process that fuzzes one reader: executions, findings, and what they took.

With atheris, coverage of this project's code guides the changes; without it a seed draws them blindly. A
finding is an exception that is not ours, an execution that computes for longer than :data:`SLOW_S`, or one
that leaves the process with more than :data:`MUCH_BYTES`. An execution that outlasts :data:`HANG_S`, or kills
the process, is found by whoever started it.
"""

from __future__ import annotations

import hashlib
import json
import random
import resource
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from fleetlora import registry
from tests.fuzz.cases import Bench, Reader

SLOW_S = 10.0
HANG_S = 300
MUCH_BYTES = 2 << 30

#: Longest input that is thought up, bytes.
LONGEST = 4096


@dataclass
class Tally:
    """What became of the executions so far."""

    reader: str
    executions: int = 0
    refused: int = 0
    seconds: float = 0.0
    slowest_s: float = 0.0
    peak_bytes: int = 0
    findings: dict[str, dict[str, Any]] = field(default_factory=dict)


class Executor:
    """Lets a reader meet inputs and keeps the tally.

    Args:
        reader: The reader.
        scratch: An empty folder, best one in memory.
        found: Where the inputs of findings go.
    """

    def __init__(self, reader: Reader, scratch: Path, found: Path) -> None:
        self.bench = Bench(reader, scratch)
        self.tally = Tally(reader.name)
        self.found = found
        self.last = scratch.parent / "last"

    def meet(self, data: bytes) -> None:
        """Let the reader meet one input."""
        from fleetlora.errors import FleetLoraError

        self.last.write_bytes(data)  # for whoever finds this process dead
        began = time.process_time()
        try:
            self.bench.meet(data)
        except FleetLoraError:
            self.tally.refused += 1
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic in Rust is no Exception
            self._find(_signature(error), data, "".join(traceback.format_exception(error)[-8:]))
        took_s = time.process_time() - began
        self.tally.executions += 1
        self.tally.seconds += took_s
        self.tally.slowest_s = max(self.tally.slowest_s, took_s)
        if took_s > SLOW_S:
            self._find("slow", data, f"{took_s:.1f} s")
        if self.tally.executions % 100 == 1:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            if self.tally.peak_bytes <= MUCH_BYTES < peak:
                self._find("memory", data, f"{peak} bytes")
            self.tally.peak_bytes = max(self.tally.peak_bytes, peak)

    def _find(self, signature: str, data: bytes, told: str) -> None:
        known = self.tally.findings.setdefault(signature, {"times": 0, "told": told})
        known["times"] += 1
        if known["times"] == 1:
            self.found.mkdir(parents=True, exist_ok=True)
            name = hashlib.sha256(signature.encode()).hexdigest()[:12]
            (self.found / name).write_bytes(data)
            known["input"] = name


def _signature(error: BaseException) -> str:
    """Return the exception's kind and the last place in this project that it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/fleetlora/" in frame.filename] or list(frames)
    place = f"{Path(ours[-1].filename).name}:{ours[-1].name}" if ours else "?"
    return f"{type(error).__name__} in {place}"


def fuzz(reader: Reader, runs: int, seed: int, out: Path, found: Path, guided: bool) -> None:
    """Run ``runs`` executions and write the tally to ``out``, now and then and at the end."""
    warnings.simplefilter("ignore")
    registry.entry_points = cache(registry.entry_points)  # type: ignore[attr-defined]  # none is added meanwhile
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        scratch = Path(name) / "cases"
        scratch.mkdir()
        executor = Executor(reader, scratch, found)
        executor.last = out.with_suffix(".last")
        saved = [0.0]

        def meet(data: bytes) -> None:
            executor.meet(data)
            now = time.monotonic()
            if executor.tally.executions >= runs or now - saved[0] > 2.0:
                saved[0] = now
                out.write_text(json.dumps(asdict(executor.tally)), "utf-8")

        begins = list(dict.fromkeys(executor.bench.beginnings()))
        if guided:
            _guided(meet, begins, runs, seed, Path(name))
        else:
            _blind(meet, begins, runs, seed)


def _guided(meet: Any, begins: list[bytes], runs: int, seed: int, folder: Path) -> None:
    import atheris

    corpus = folder / "corpus"
    corpus.mkdir()
    for number, data in enumerate(begins):
        (corpus / f"{number:04d}").write_bytes(data)
    options = [
        f"-runs={runs}",
        f"-seed={seed + 1}",
        f"-max_len={LONGEST}",
        f"-timeout={HANG_S}",
        "-verbosity=0",
    ]
    options += [f"-artifact_prefix={folder}/", "-rss_limit_mb=8192"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], meet)
    atheris.Fuzz()  # ends the process


def _blind(meet: Any, begins: list[bytes], runs: int, seed: int) -> None:
    draws = random.Random(seed)
    for number in range(runs):
        if number < len(begins):
            meet(begins[number])
        else:
            meet(changed(draws.choice(begins), draws))


def changed(data: bytes, draws: random.Random) -> bytes:
    """Return ``data`` with a few changes as a careless or hostile hand makes them."""
    spoilt = bytearray(data)
    for _ in range(draws.choice((1, 1, 2, 4, 8))):
        at = draws.randrange(len(spoilt) + 1)
        what = draws.randrange(6)
        if what == 0 and spoilt:
            spoilt[at % len(spoilt)] ^= 1 << draws.randrange(8)
        elif what == 1:
            del spoilt[at : at + draws.randrange(1, 9)]
        elif what == 2:
            spoilt[at:at] = draws.choice(HOSTILE)
        elif what == 3 and spoilt:
            start = draws.randrange(len(spoilt))
            spoilt[at:at] = spoilt[start : start + draws.randrange(1, 33)]
        elif what == 4:
            spoilt[at : at + 1] = bytes([draws.randrange(256)])
        else:
            spoilt[at : at + draws.randrange(1, 5)] = draws.choice(HOSTILE)
    return bytes(spoilt[:3] + spoilt[3:LONGEST])


#: What has broken readers before.
HOSTILE = (
    *(
        b"\0",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\r\n",
        b"\r",
        b'"',
        b"\\ud800",
        b"[" * 200,
        b'{"":' * 200,
        b"NaN",
    ),
    *(
        b"1e999",
        b"-1",
        b"99999999999999999999",
        b"null",
        b"true",
        b"{}",
        b"[]",
        b"../",
        b"/",
        b"\xed\xa0\x80",
    ),
    *(
        b"\x80",
        b"inf",
        b"1" * 400,
        b"0x7fffffff",
        b"\x7f\xff\xff\xff",
        b"\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"=",
    ),
)
