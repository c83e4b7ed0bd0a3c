"""WebDataset: PNG in a tar archive."""

import io
import shutil
import tarfile
from importlib.metadata import version
from pathlib import Path

import webdataset as wds

from peers.contender import batches, count, read_frames, serve, timed
from peers.png import encoded


def read(file: Path, folder: Path) -> None:
    """Reads all of it in each pass, shuffled in a buffer of a thousand."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / "frames.tar"
    with tarfile.open(archive, "w") as tar:
        for number, image in enumerate(encoded(read_frames(file))):
            entry = tarfile.TarInfo(f"{number:06}.png")
            entry.size = len(image)
            tar.addfile(entry, io.BytesIO(image))
    # `l8`: grey levels of 8 bits in a numpy array.
    dataset = wds.WebDataset(str(archive), shardshuffle=False).shuffle(1000).decode("l8").to_tuple("png")
    serve(
        f"webdataset {version('webdataset')}",
        lambda: timed(lambda: count(batches(image for (image,) in dataset))),
    )
    shutil.rmtree(folder)
