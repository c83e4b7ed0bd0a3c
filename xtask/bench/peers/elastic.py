"""What PyTorch's own elastic launcher does when a worker dies: `python3 elastic.py KILLS WORKERS`, which only needs torch.

A small network is trained by DistributedDataParallel over Gloo under torchrun, on one node, which is the quickest way it has: no other node
has to notice anything. The first worker keeps what it has come to after every step, in memory (/dev/shm where there is one), so no step is
lost either. A worker is killed; what is measured is the time until the next step is done. What is printed is one line of JSON.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Longer than any restart that was seen, by far.
PATIENCE = 180.0
# Steps between a restart and the next kill.
CALM_STEPS = 50


def work(folder: Path) -> None:
    """One worker, from what was kept last to its death."""
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    (folder / f"pid-{rank}").write_text(str(os.getpid()))
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(256, 256), torch.nn.GELU(), torch.nn.Linear(256, 256))
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    kept, step = folder / "kept.pt", 0
    if kept.exists():
        state = torch.load(kept)
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        step = state["step"]
    model = torch.nn.parallel.DistributedDataParallel(network)
    while True:
        images = torch.randn(6, 256)
        loss = torch.nn.functional.mse_loss(model(images), images)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        step += 1
        if rank == 0:
            state = {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "step": step}
            torch.save(state, folder / "next.pt")
            (folder / "next.pt").replace(kept)
            with (folder / "steps").open("a") as steps:
                steps.write(f"{step} {time.time()}\n")
        # As long as a step of ours takes, about.
        time.sleep(0.02)


def steps_of(folder: Path) -> list[tuple[int, float]]:
    """Number and end of each step so far."""
    try:
        lines = (folder / "steps").read_text().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    cells = [line.split() for line in lines if line.endswith("\n")]
    return [(int(step), float(moment)) for step, moment in cells]


def wait_for(folder: Path, launcher: subprocess.Popen[bytes], step: int) -> list[tuple[int, float]]:
    """Every step, once there is one of this number."""
    began = time.time()
    while True:
        steps = steps_of(folder)
        if steps and steps[-1][0] >= step:
            return steps
        if launcher.poll() is not None or time.time() - began > PATIENCE:
            words = (folder / "log").read_text(errors="replace")[-2000:]
            sys.exit(f"no step {step} within {PATIENCE:.0f} s; the launcher's last words:\n{words}")
        time.sleep(0.05)


def measure(kills: int, workers: int, folder: Path) -> list[float]:
    """Seconds from each kill to the next step."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={workers}"]
    command += [f"--max-restarts={kills + 1}", __file__, "--work", str(folder)]
    chance = random.Random(1)
    # With the launcher's own store shared, workers of a restart look for those of the last attempt at their old ports, in this version.
    settings = {"OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    with (folder / "log").open("wb") as log:
        launcher = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | settings)
    try:
        seconds, steps = [], wait_for(folder, launcher, CALM_STEPS)
        for _ in range(kills):
            victim = int((folder / f"pid-{chance.randrange(workers)}").read_text())
            os.kill(victim, signal.SIGKILL)
            killed, last = time.time(), steps_of(folder)[-1][0]
            # One that was under way may end after the kill; the one behind it can't without all workers.
            steps = wait_for(folder, launcher, last + 2)
            seconds.append(next(moment for step, moment in steps if step == last + 2) - killed)
            wait_for(folder, launcher, last + CALM_STEPS)
        return seconds
    finally:
        launcher.terminate()
        launcher.wait()


def main() -> None:
    """Measures, in a folder that is gone afterwards."""
    kills, workers = map(int, sys.argv[1:])
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        print(json.dumps({"seconds": measure(kills, workers, Path(folder))}))


if sys.argv[1] == "--work":
    work(Path(sys.argv[2]))
else:
    main()
