"""The talk with the one who holds the watch; `dataset-shards/benches/corpus/contender.rs` is the same in Rust."""

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE = 224
PIXELS = SIDE * SIDE
BATCH = 256
# Loaders of PNG need seconds for as many: all of the frames would only make them wait longer.
PNG_FRAMES = 1024

# Libraries that print would break into the answers.
_answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
sys.stdout = sys.stderr


def say(line: dict[str, Any]) -> None:
    """Gives one line of the answer."""
    print(json.dumps(line), file=_answers, flush=True)


def serve(name: str, once: Callable[[], dict[str, Any]]) -> None:
    """Says that all is ready, and answers every line of the input with one pass."""
    say({"ready": name})
    for _ in sys.stdin:
        say(once())


def timed(work: Callable[[], tuple[int, int]]) -> dict[str, Any]:
    """Does the work, which gives its rows and bytes, by the wall clock and by the processors' time."""
    processor, wall = _processor_time(), time.perf_counter()
    rows, size = work()
    seconds = time.perf_counter() - wall
    return {"rows": rows, "bytes": size, "seconds": seconds, "cpu_seconds": _processor_time() - processor}


def _processor_time() -> float:
    """Seconds that all cores together have spent on this process and on those that it has started and seen end."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def read_frames(file: Path) -> NDArray[np.uint8]:
    """The frames, as (frame, row, column)."""
    return np.fromfile(file, np.uint8).reshape(-1, SIDE, SIDE)


def batches(samples: Iterator[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    """Samples as contiguous batches, of which the last may be short."""
    batch, filled = np.empty((BATCH, SIDE, SIDE), np.uint8), 0
    for sample in samples:
        batch[filled] = sample
        filled += 1
        if filled == BATCH:
            yield batch
            batch, filled = np.empty((BATCH, SIDE, SIDE), np.uint8), 0
    if filled:
        yield batch[:filled]


def count(stream: Iterator[NDArray[np.uint8]]) -> tuple[int, int]:
    """Takes all batches; gives their rows and bytes."""
    rows = sum(len(batch) for batch in stream)
    return rows, rows * PIXELS
