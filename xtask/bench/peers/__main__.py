"""Starts one contender: `python3 -m peers NAME ARGUMENTS`. Only what it needs is imported."""

import importlib
import sys
from pathlib import Path

CONTENDERS = {
    "read-pyarrow": ("tables", "read"),
    "read-pyarrow-rows": ("tables", "read_rows"),
    "write-pyarrow": ("tables", "write"),
    "write-pyarrow-rows": ("tables", "write_rows"),
    "read-mosaicml": ("mosaic", "read"),
    "write-mosaicml": ("mosaic", "write"),
    "read-webdataset": ("tar", "read"),
    "read-datasets-png": ("hugging_face", "read_png"),
    "read-datasets-shards": ("hugging_face", "read_shards"),
    "ingest": ("ingest", "run"),
    "list-formats": ("formats", "write_list"),
    "decode": ("formats", "run"),
    "compare": ("compare", "run"),
    "checkpoint": ("checkpoint", "run"),
}


def main() -> None:
    """Hands over to the module that has the contender."""
    name, *arguments = sys.argv[1:]
    module, function = CONTENDERS[name]
    getattr(importlib.import_module(f"peers.{module}"), function)(*map(Path, arguments))


main()
