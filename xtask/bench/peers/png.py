"""Frames as PNG, as most image sets come."""

import io
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from peers.contender import PNG_FRAMES


def encoded(frames: NDArray[np.uint8]) -> Iterator[bytes]:
    """Some of the frames, spread over all, with Pillow's own settings."""
    count = min(PNG_FRAMES, len(frames))
    for at in range(count):
        buffer = io.BytesIO()
        Image.fromarray(frames[at * len(frames) // count]).save(buffer, "PNG")
        yield buffer.getvalue()
