"""pyarrow, on the shards that vismae reads, and writing the same frames."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from peers.contender import PIXELS, SIDE, batches, count, read_frames, serve, timed

NAME = f"pyarrow {pa.__version__}"
GROUP_ROWS = 256
SCHEMA = pa.schema({"image": pa.struct({"bytes": pa.binary(), "path": pa.string()}), "label": pa.int64()})
HEADER = f"P5 {SIDE} {SIDE} 255\n".encode()


def read(store: Path) -> None:
    """Reads row groups a column at a time: as quick as pyarrow gets."""
    _serve_epochs(store, lambda table: iter([pixels(table)]))


def read_rows(store: Path) -> None:
    """Reads row groups a row at a time, as is usual: each image is a Python object first."""

    def by_rows(table: pa.Table) -> Iterator[NDArray[np.uint8]]:
        rows = table.column("image").to_pylist()
        length = len(HEADER)
        return batches(np.frombuffer(row["bytes"], np.uint8, PIXELS, length).reshape(SIDE, SIDE) for row in rows)

    _serve_epochs(store, by_rows)


def _serve_epochs(store: Path, to_batches: Callable[[pa.Table], Iterator[NDArray[np.uint8]]]) -> None:
    files = [pq.ParquetFile(path) for path in sorted(store.rglob("*.parquet"))]
    groups = np.array([(at, group) for at, file in enumerate(files) for group in range(file.num_row_groups)])
    random = np.random.default_rng(1)

    def epoch() -> Iterator[NDArray[np.uint8]]:
        # All row groups, in a new order in each pass.
        for at, group in random.permutation(groups):
            yield from to_batches(files[at].read_row_group(group, columns=["image.bytes", "label"]))

    serve(NAME, lambda: timed(lambda: count(epoch())))


def pixels(table: pa.Table) -> NDArray[np.uint8]:
    """The images of a table in one piece, without a Python object for each."""
    images = table.column("image").combine_chunks().field("bytes")
    if images.null_count:
        raise ValueError("a frame has no image")
    offsets = np.frombuffer(images.buffers()[1], np.int32)[images.offset : images.offset + len(images) + 1]
    length = len(HEADER) + PIXELS
    if not (np.diff(offsets) == length).all():
        raise ValueError("a frame is of another size")
    rows = np.frombuffer(images.buffers()[2], np.uint8)[offsets[0] : offsets[-1]].reshape(-1, length)
    return np.ascontiguousarray(rows[:, len(HEADER) :]).reshape(-1, SIDE, SIDE)


def write(file: Path, folder: Path) -> None:
    """Writes row groups a column at a time: as quick as pyarrow gets."""
    _serve_writing(file, folder, table)


def write_rows(file: Path, folder: Path) -> None:
    """Writes row groups from rows, as is usual: each image is a Python object first."""

    def of_rows(frames: NDArray[np.uint8]) -> pa.Table:
        rows = [{"image": {"bytes": HEADER + frame.tobytes(), "path": None}, "label": None} for frame in frames]
        return pa.Table.from_pylist(rows, schema=SCHEMA)

    _serve_writing(file, folder, of_rows)


def _serve_writing(file: Path, folder: Path, to_table: Callable[[NDArray[np.uint8]], pa.Table]) -> None:
    frames = read_frames(file).reshape(-1, PIXELS)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "frames.parquet"

    def work() -> tuple[int, int]:
        # One file, with the codec and the row groups of vismae.
        with pq.ParquetWriter(
            target, SCHEMA, compression="zstd", compression_level=-1, use_dictionary=False, write_statistics=False
        ) as writer:
            for start in range(0, len(frames), GROUP_ROWS):
                writer.write_table(to_table(frames[start : start + GROUP_ROWS]), row_group_size=GROUP_ROWS)
        return len(frames), target.stat().st_size

    serve(NAME, lambda: timed(work))
    shutil.rmtree(folder)


def table(frames: NDArray[np.uint8]) -> pa.Table:
    """Frames as PGM, without a Python object for each."""
    rows = np.empty((len(frames), len(HEADER) + PIXELS), np.uint8)
    rows[:, : len(HEADER)] = np.frombuffer(HEADER, np.uint8)
    rows[:, len(HEADER) :] = frames
    offsets = np.arange(len(frames) + 1, dtype=np.int32) * rows.shape[1]
    images = pa.Array.from_buffers(pa.binary(), len(frames), [None, pa.py_buffer(offsets), pa.py_buffer(rows)])
    paths = pa.nulls(len(frames), pa.string())
    struct = pa.StructArray.from_arrays([images, paths], fields=list(SCHEMA.field("image").type))
    return pa.table([struct, pa.nulls(len(frames), pa.int64())], schema=SCHEMA)
