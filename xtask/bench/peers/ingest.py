"""Files to shards, as a careful user would write it with pydicom, nibabel, Pillow and pyarrow, on every core."""

import hashlib
import multiprocessing
import os
import shutil
import warnings
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pydicom

from peers import listing
from peers.contender import SIDE, serve, timed
from peers.decoding import Decoded, NotAnImage, Refused, decode, kind, labels
from peers.frames import frames, grey_range
from peers.listing import Groups, Item

PACKAGES = ("pydicom", "pylibjpeg", "nibabel", "pillow", "numpy", "pyarrow")
NAME = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
HEADER = f"P5 {SIDE} {SIDE} 255\n".encode()
GROUP_ROWS = 256
# Small enough that no core waits for another at the end, large enough that asking costs little.
HEADERS_AT_ONCE, UNITS_AT_ONCE = 64, 4
IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
TEXTS = ("sample_id", "modality", "group_id", "source", "split", "label")
SCHEMA = pa.schema(
    {"image": IMAGE, **dict.fromkeys(TEXTS, pa.string()), "width": pa.int32(), "height": pa.int32(), "mask": IMAGE}
)


@dataclass(slots=True)
class Outcome:
    """What became of a file: frames with masks, or the reason why not."""

    frames: list[bytes]
    masks: list[bytes | None]
    digests: list[str]
    nearly_empty: int = 0
    modality: str = ""
    patient: str | None = None
    refused: str | None = None
    is_image: bool = True


def run(folder: Path, data: Path) -> None:
    """Ingests everything anew in each pass; the shards of the last one stay."""
    counts: dict[str, int] = {}

    def work() -> tuple[int, int]:
        counts.clear()
        counts.update(ingest(folder, data))
        return counts["rows"], 0

    def once() -> dict[str, Any]:
        shutil.rmtree(folder, ignore_errors=True)
        return timed(work) | counts

    serve(NAME, once)


def ingest(folder: Path, data: Path) -> dict[str, int]:
    """Lists, decodes and normalises on every core, and writes shards in the order of the manifests."""
    items = listing.read(data)
    groups = Groups(items)
    shards = Shards(folder)
    counts = dict.fromkeys(("files", "rows", "quarantined", "not_images", "duplicates", "nearly_empty", "masks"), 0)
    refused: list[dict[str, str]] = []
    seen: set[str] = set()
    cores = len(os.sched_getaffinity(0))
    with multiprocessing.get_context("fork").Pool(
        cores, initializer=warnings.simplefilter, initargs=("ignore",)
    ) as pool:
        units = _units(items, pool.map(_series, items, HEADERS_AT_ONCE))
        for unit, outcomes in zip(units, pool.imap(_prepare, units, UNITS_AT_ONCE), strict=True):
            for item, outcome in zip(unit, outcomes, strict=True):
                counts["files"] += 1
                counts["not_images"] += not outcome.is_image
                counts["nearly_empty"] += outcome.nearly_empty
                assigned = groups.assign(item, outcome.patient) if outcome.frames else None
                if outcome.frames and not assigned:
                    outcome.refused = "group_straddles_splits"
                if outcome.refused:
                    counts["quarantined"] += 1
                    alias = hashlib.blake2b(str(item.path).encode(), key=listing.KEY, digest_size=16).hexdigest()
                    refused.append({"source": item.source, "file": alias, "code": outcome.refused})
                if not assigned:
                    continue
                for frame, mask, digest in zip(outcome.frames, outcome.masks, outcome.digests, strict=True):
                    if digest in seen:
                        counts["duplicates"] += 1
                        continue
                    seen.add(digest)
                    counts["rows"] += 1
                    counts["masks"] += mask is not None
                    shards.push(item, outcome.modality, assigned, (frame, mask, digest))
        pool.close()
        pool.join()
    shards.close()
    pq.write_table(pa.Table.from_pylist(refused), folder / "quarantine.parquet", compression="zstd")
    return counts


def _series(item: Item) -> tuple[Any, float] | None:
    """The stack that a DICOM slice belongs to, and its place there."""
    try:
        if kind(item.path) != "DICOM":
            return None
        tags = ["SeriesInstanceUID", "ImageOrientationPatient", "ImagePositionPatient", "Rows", "Columns"]
        header = pydicom.dcmread(item.path, stop_before_pixels=True, specific_tags=tags)
        direction, position = header.ImageOrientationPatient, header.ImagePositionPatient
        normal = np.cross(direction[:3], direction[3:])
        stack = (item.source, header.SeriesInstanceUID, tuple(np.round(normal, 3)), header.Rows, header.Columns)
        return stack, float(np.dot(normal, position))
    # Whatever is wrong with it is told when it is decoded.
    except Exception:
        return None


def _units(items: list[Item], places: list[tuple[Any, float] | None]) -> list[list[Item]]:
    """Files that are scaled together, in the order of their places: slices of a stack, and every other file alone."""
    stacks: dict[Any, list[tuple[float, Item]]] = {}
    for at, (item, place) in enumerate(zip(items, places, strict=True)):
        stack, position = place or (at, 0.0)
        stacks.setdefault(stack, []).append((position, item))
    return [[item for _, item in sorted(stack, key=lambda slice: slice[0])] for stack in stacks.values()]


def _prepare(unit: list[Item]) -> list[Outcome]:
    """Decodes and normalises files that are scaled together."""
    outcomes = [Outcome([], [], []) for _ in unit]
    read: list[tuple[Decoded, Any] | None] = [
        _read(item, outcome) for item, outcome in zip(unit, outcomes, strict=True)
    ]
    for modality in {outcome.modality for outcome, part in zip(outcomes, read, strict=True) if part}:
        parts = [
            (outcome, *part)
            for outcome, part in zip(outcomes, read, strict=True)
            if part and outcome.modality == modality
        ]
        is_volume = sum(len(decoded.planes) for _, decoded, _ in parts) > 1
        try:
            limits = grey_range([decoded for _, decoded, _ in parts], modality)
        except Refused as refusal:
            for outcome, _, _ in parts:
                outcome.refused = str(refusal)
            continue
        for outcome, decoded, classes in parts:
            kept = frames(decoded, classes, limits, modality, is_volume)
            outcome.frames, outcome.masks, outcome.nearly_empty = kept
            outcome.digests = [hashlib.blake2b(frame, digest_size=16).hexdigest() for frame in outcome.frames]
    return outcomes


def _read(item: Item, outcome: Outcome) -> tuple[Decoded, Any] | None:
    try:
        decoded = decode(item.path)
        modality = item.modality or decoded.modality
        if not modality:
            raise Refused("modality_unknown")
        if item.modality and decoded.modality and item.modality != decoded.modality:
            raise Refused("modality_conflict")
        outcome.modality, outcome.patient = modality, decoded.patient
        return decoded, labels(item.mask, decoded) if item.mask else None
    except NotAnImage:
        outcome.is_image = False
    except Refused as refusal:
        outcome.refused = str(refusal)
    # Libraries raise whatever a broken file brings about.
    except Exception as error:
        outcome.refused = type(error).__name__
    return None


class Shards:
    """One Parquet file for each modality and split, with the codec and the row groups of vismae."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[tuple[str, str], pq.ParquetWriter] = {}
        self._waiting: dict[tuple[str, str], list[dict[str, Any]]] = {}
        folder.mkdir(parents=True)

    def push(
        self, item: Item, modality: str, assigned: tuple[str, str], frame: tuple[bytes, bytes | None, str]
    ) -> None:
        """Adds a frame, and writes a row group where it is full."""
        (group, split), (levels, classes, digest) = assigned, frame
        row = {
            "image": {"bytes": HEADER + levels, "path": f"{digest}.pgm"},
            "sample_id": digest,
            "modality": modality,
            "group_id": group,
            "source": item.source,
            "split": split,
            "label": item.label,
            "width": SIDE,
            "height": SIDE,
            "mask": {"bytes": HEADER + classes, "path": f"{digest}.pgm"} if classes else None,
        }
        waiting = self._waiting.setdefault((modality, split), [])
        waiting.append(row)
        if len(waiting) == GROUP_ROWS:
            self._flush((modality, split))

    def close(self) -> None:
        """Writes what waits, and ends the files."""
        for key in list(self._waiting):
            self._flush(key)
        for writer in self._writers.values():
            writer.close()

    def _flush(self, key: tuple[str, str]) -> None:
        rows = self._waiting.pop(key)
        if key not in self._writers:
            folder = self._folder / "data" / f"modality={key[0]}" / f"split={key[1]}"
            folder.mkdir(parents=True)
            dictionaries = [name for name in TEXTS if name != "sample_id"]
            self._writers[key] = pq.ParquetWriter(
                folder / "part-00000.parquet",
                SCHEMA,
                compression="zstd",
                compression_level=-1,
                use_dictionary=dictionaries,
            )
        self._writers[key].write_table(pa.Table.from_pylist(rows, schema=SCHEMA), row_group_size=GROUP_ROWS)
