"""Hugging Face datasets, streaming from Parquet: PNG images as it writes them itself, and the shards of vismae."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from peers.contender import PNG_FRAMES, batches, count, read_frames, serve, timed
from peers.png import encoded

NAME = f"datasets {datasets.__version__}"


def read_png(file: Path, folder: Path) -> None:
    """Reads PNG images that lie in Parquet."""
    folder.mkdir(parents=True, exist_ok=True)
    images = [{"bytes": image, "path": None} for image in encoded(read_frames(file))]
    column = pa.array(images, pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    features = datasets.Features({"image": datasets.Image()})
    table = pa.table({"image": column}, schema=features.arrow_schema)
    # As `datasets` itself advises for images: small row groups.
    pq.write_table(table, folder / "frames.parquet", row_group_size=100)
    _serve([folder / "frames.parquet"], len(images))
    shutil.rmtree(folder)


def read_shards(store: Path) -> None:
    """Reads as many frames of the corpus that vismae reads."""
    _serve(sorted(store.rglob("*.parquet")), PNG_FRAMES)


def _serve(files: list[Path], rows: int) -> None:
    paths = {"frames": [str(file) for file in files]}
    stream = datasets.load_dataset("parquet", data_files=paths, split="frames", streaming=True)
    stream = stream.select_columns(["image"]).take(rows).shuffle(seed=1, buffer_size=1000)

    def samples() -> Iterator[NDArray[np.uint8]]:
        for sample in stream:
            yield np.asarray(sample["image"])

    serve(NAME, lambda: timed(lambda: count(batches(samples()))))
