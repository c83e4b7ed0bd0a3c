"""Whether two ingests of the same files come to the same frames."""

from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from peers.contender import PIXELS, SIDE, say
from peers.tables import HEADER

SAMPLE = 400
# Frames are found by what is left of them when squares of so many pixels become one.
COARSE = 14
# Grey levels, of which two roundings cost one.
CLOSE = 2.0


def run(ours: Path, theirs: Path) -> None:
    """Looks for frames of ours, evenly taken, among those of the other; gives how far their grey levels lie apart."""
    one, other = _frames(ours), _frames(theirs)
    differences = []
    for key, frames in one.items():
        count = max(1, SAMPLE * len(frames) // sum(map(len, one.values())))
        sample = frames[np.linspace(0, len(frames) - 1, count, dtype=np.int64)]
        candidates = other.get(key)
        if candidates is None:
            differences += [255.0] * count
            continue
        coarse, coarse_candidates = _coarse(sample), _coarse(candidates)
        squares = (coarse_candidates**2).sum(1)[None] - 2 * coarse @ coarse_candidates.T
        nearest = candidates[squares.argmin(1)]
        differences += np.abs(sample.astype(np.int16) - nearest).mean((1, 2)).tolist()
    say(
        {
            "compared": len(differences),
            "median": float(np.median(differences)),
            "mean": float(np.mean(differences)),
            "p95": float(np.percentile(differences, 95)),
            "close": float(np.mean(np.array(differences) < CLOSE)),
        }
    )


def _frames(folder: Path) -> dict[tuple[str, str], NDArray[np.uint8]]:
    """All frames, by their set and modality."""
    parts: dict[tuple[str, str], list[NDArray[np.uint8]]] = {}
    for path in sorted(folder.rglob("data/*/*/*.parquet")):
        table = pq.ParquetFile(path).read(columns=["image.bytes", "source", "modality"])
        sources = pc.unique(table.column("source")).to_pylist()
        for source in sources:
            of_source = table.filter(pc.equal(table.column("source"), source))
            images = of_source.column("image").combine_chunks().field("bytes").to_pylist()
            pixels = np.frombuffer(b"".join(images), np.uint8).reshape(-1, len(HEADER) + PIXELS)[:, len(HEADER) :]
            parts.setdefault((source, of_source.column("modality")[0].as_py()), []).append(pixels)
    return {key: np.concatenate(pixels).reshape(-1, SIDE, SIDE) for key, pixels in parts.items()}


def _coarse(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    cells = SIDE // COARSE
    return frames.reshape(-1, cells, COARSE, cells, COARSE).mean((2, 4), dtype=np.float32).reshape(len(frames), -1)
