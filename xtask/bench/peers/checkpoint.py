"""PyTorch's own ways to keep tensors while it goes on: how long the caller stands still, and when they are kept."""

import json
import shutil
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp

from peers.contender import say

DTYPES = {"F32": torch.float32, "F64": torch.float64, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64}


def run(tensors: Path, folder: Path, step: Path, rounds: Path) -> None:
    """Keeps tensors of the shapes in a safetensors file, so many times in each way, and computes for `step` seconds and more between."""
    state = {name: torch.zeros(shape, dtype=dtype).add_(1) for name, (shape, dtype) in _shapes(tensors).items()}
    dist.init_process_group("gloo", rank=0, world_size=1, store=dist.HashStore())
    seconds: dict[str, list[float]] = {"async": [], "async_kept": [], "save": []}
    # The first of each is not counted: modules are imported, threads started and memory taken.
    for round_ in range(int(str(rounds)) + 1):
        for path in folder.glob("*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        folder.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        upload = dcp.async_save(state, checkpoint_id=folder / f"{round_}", no_dist=False)
        stood = time.perf_counter() - began
        # Training goes on meanwhile, on all cores.
        while not upload.done():
            _compute(0.05)
        kept = time.perf_counter() - began
        upload.result()
        _compute(float(str(step)))
        began = time.perf_counter()
        torch.save(state, folder / f"{round_}.pt")
        saved = time.perf_counter() - began
        _compute(float(str(step)))
        if round_ > 0:
            for name, value in [("async", stood), ("async_kept", kept), ("save", saved)]:
                seconds[name].append(value)
    say({"torch": torch.__version__, **seconds})


def _shapes(file: Path) -> dict[str, tuple[list[int], torch.dtype]]:
    with file.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    header.pop("__metadata__", None)
    return {name: (entry["shape"], DTYPES[entry["dtype"]]) for name, entry in header.items()}


def _compute(seconds: float) -> None:
    """What a step does with the cores."""
    one, end = torch.ones(512, 512), time.perf_counter() + seconds
    while time.perf_counter() < end:
        one @ one
