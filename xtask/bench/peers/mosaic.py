"""MosaicML streaming, with raw arrays in its own format."""

import gc
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from peers.contender import BATCH, batches, count, read_frames, serve, timed

NAME = f"mosaicml-streaming {version('mosaicml-streaming')}"
COLUMNS = {"image": "ndarray:uint8:224,224"}


def _stand_in(name: str, *members: str) -> None:
    """An empty module: `streaming` imports these for texts and for sets of pictures that nothing here touches."""
    module = ModuleType(name)
    for member in members:
        setattr(module, member, type(member, (), {}))
    sys.modules[name] = module


_stand_in("transformers")
_stand_in("transformers.feature_extraction_utils", "BatchFeature")
_stand_in("transformers.tokenization_utils_base", "BatchEncoding")
_stand_in("transformers.models")
_stand_in("transformers.models.auto")
_stand_in("transformers.models.auto.tokenization_auto", "AutoTokenizer")
_stand_in("torchvision")
_stand_in("torchvision.datasets", "VisionDataset")
_stand_in("torchvision.transforms")
_stand_in("torchvision.transforms.functional", "to_tensor")

from streaming import MDSWriter, StreamingDataset  # noqa: E402
from streaming.base.util import clean_stale_shared_memory  # noqa: E402


def write_frames(frames: NDArray[np.uint8], folder: Path, compression: str | None) -> int:
    """Writes all frames; gives the bytes on disk."""
    shutil.rmtree(folder, ignore_errors=True)
    with MDSWriter(out=str(folder), columns=COLUMNS, compression=compression) as writer:
        for frame in frames:
            writer.write({"image": frame})
    return sum(file.stat().st_size for file in folder.iterdir())


def write(file: Path, folder: Path, codec: Path) -> None:
    """Writes the frames anew in each pass."""
    frames, compression = read_frames(file), _compression(codec)
    serve(NAME, lambda: timed(lambda: (len(frames), write_frames(frames, folder, compression))))
    shutil.rmtree(folder)


def read(file: Path, folder: Path, codec: Path) -> None:
    """Reads all frames, shuffled. What one pass has decompressed is gone before the next."""
    frames, compression = read_frames(file), _compression(codec)
    write_frames(frames, folder, compression)
    del frames
    clean_stale_shared_memory()
    epochs = iter(range(sys.maxsize))

    def once() -> dict[str, float]:
        if compression:
            for shard in folder.glob("*.mds"):
                shard.unlink()
        dataset = StreamingDataset(
            local=str(folder), shuffle=True, shuffle_seed=next(epochs), batch_size=BATCH, num_canonical_nodes=1
        )
        passed = timed(lambda: count(batches(sample["image"] for sample in dataset)))
        # Its shared memory goes with it, before the next one asks for as much.
        gc.collect()
        clean_stale_shared_memory()
        return passed

    serve(NAME, once)
    shutil.rmtree(folder)


def _compression(codec: Path) -> str | None:
    return None if codec.name == "raw" else codec.name
