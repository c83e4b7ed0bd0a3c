"""Decoding alone, on one thread, by format."""

import csv
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pydicom
from PIL import Image

from peers import listing
from peers.contender import say, serve
from peers.decoding import decode, kind

PACKAGES = ("pydicom", "pylibjpeg-libjpeg", "pylibjpeg-openjpeg", "pylibjpeg-rle", "nibabel", "pillow")
# More of one format tell nothing more.
FILES_MAX = 200
# A format is read again until it has taken this long: a few small files tell nothing.
ENOUGH_SECONDS = 0.2
SYNTAXES = {
    "1.2.840.10008.1.2": "uncompressed",
    "1.2.840.10008.1.2.1": "uncompressed",
    "1.2.840.10008.1.2.2": "uncompressed",
    "1.2.840.10008.1.2.1.99": "deflated",
    "1.2.840.10008.1.2.5": "RLE",
    "1.2.840.10008.1.2.4.50": "JPEG",
    "1.2.840.10008.1.2.4.51": "JPEG",
    "1.2.840.10008.1.2.4.57": "JPEG lossless",
    "1.2.840.10008.1.2.4.70": "JPEG lossless",
    "1.2.840.10008.1.2.4.80": "JPEG-LS",
    "1.2.840.10008.1.2.4.81": "JPEG-LS",
    "1.2.840.10008.1.2.4.90": "JPEG 2000",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.4.201": "HTJ2K",
    "1.2.840.10008.1.2.4.202": "HTJ2K",
    "1.2.840.10008.1.2.4.203": "HTJ2K",
}


def write_list(target: Path, data: Path) -> None:
    """Lists files with their formats, evenly taken where they are many; of odd ones those that the peers decode."""
    warnings.simplefilter("ignore")
    odd = {path for folder in data.iterdir() for path in _odd(folder)}
    formats: dict[str, list[Path]] = {}
    for item in listing.read(data):
        try:
            if item.path in odd:
                decode(item.path)
            formats.setdefault(_format(item.path), []).append(item.path)
        # Broken files, which the odd sets are full of.
        except Exception:
            continue
    chosen = {name: _spread(files) for name, files in sorted(formats.items())}
    target.write_text("".join(f"{name}\t{file}\n" for name, files in chosen.items() for file in files))
    say({name: len(files) for name, files in chosen.items()})


def run(target: Path) -> None:
    """Decodes all of a list in each pass."""
    warnings.simplefilter("ignore")
    formats: dict[str, list[Path]] = {}
    for line in target.read_text().splitlines():
        name, path = line.split("\t")
        formats.setdefault(name, []).append(Path(path))
    name = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    serve(name, lambda: {"formats": {name: _measure(files) for name, files in formats.items()}})


def _measure(files: list[Path]) -> dict[str, Any]:
    started = time.perf_counter()
    decoded = values = refused = 0
    while not decoded + refused or time.perf_counter() - started < ENOUGH_SECONDS:
        for file in files:
            try:
                values += decode(file).planes.size
                decoded += 1
            # Counted, so that it is seen.
            except Exception:
                refused += 1
    seconds = time.perf_counter() - started
    return {"rows": decoded, "values": values, "refused": refused, "seconds": seconds}


def _odd(folder: Path) -> list[Path]:
    """The files of a set that says what must happen to each."""
    manifest = folder / "MANIFEST.csv"
    if not manifest.is_file():
        return []
    with manifest.open(newline="") as file:
        return [folder / row["file"] for row in csv.DictReader(file) if "expect" in row]


def _format(path: Path) -> str:
    match kind(path):
        case "DICOM":
            syntax = pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID
            return f"DICOM, {SYNTAXES[syntax]}"
        case "NIfTI":
            with path.open("rb") as file:
                return "NIfTI, gzip" if file.read(2) == b"\x1f\x8b" else "NIfTI, plain"
        case _:
            with Image.open(path) as image:
                return str(image.format)


def _spread(files: list[Path]) -> list[Path]:
    count = min(len(files), FILES_MAX)
    return [files[at * len(files) // count] for at in range(count)]
