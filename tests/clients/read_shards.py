"""Reads a corpus with pyarrow, DuckDB and Hugging Face datasets, and compares every pixel with the files it came from.

Usage: read_shards.py CORPUS_FOLDER SOURCES_FOLDER
The sources are grey PNG files of the size of the frames, so that an ingest keeps their pixels; each lies in the folder of its class.
"""

import io
import sys
from pathlib import Path

import datasets
import duckdb
import pyarrow.parquet as pq
from PIL import Image

data, sources = Path(sys.argv[1]) / "data", Path(sys.argv[2])


def pixels(image):
    return (image.size, image.mode, image.tobytes())


expected = sorted((pixels(Image.open(path)), path.parent.name) for path in sources.rglob("*.png"))

table = pq.read_table(data, partitioning=None)
classes = None
files = {"frames": str(data / "**" / "*.parquet")}
hugging_face = datasets.load_dataset("parquet", data_files=files, split="frames", cache_dir=str(sources.parent / "hf"))
classes = hugging_face.features["label"].names

by_pyarrow = sorted(
    (pixels(Image.open(io.BytesIO(row["image"]["bytes"]))), classes[row["label"]]) for row in table.to_pylist()
)
assert by_pyarrow == expected, "pyarrow and Pillow see other pixels or classes"

rows = duckdb.sql(f"select image.bytes, label from read_parquet('{data}/**/*.parquet')").fetchall()
by_duckdb = sorted((pixels(Image.open(io.BytesIO(image))), classes[label]) for image, label in rows)
assert by_duckdb == expected, "DuckDB sees other pixels or classes"

by_datasets = sorted((pixels(row["image"]), classes[row["label"]]) for row in hugging_face)
assert by_datasets == expected, "datasets sees other pixels or classes"

splits = duckdb.sql(f"select distinct modality, split from read_parquet('{data}/**/*.parquet', hive_partitioning=true)")
assert {modality for modality, _ in splits.fetchall()} == {"XR"}
print(f"{len(expected)} images of {len(classes)} classes")
