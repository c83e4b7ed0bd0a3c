"""From values to square frames of 8 bits, by modality: the recipe of `vismae_shards::normalise`."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from peers.contender import SIDE
from peers.decoding import Decoded, Refused

CT_WINDOW = (-160.0, 240.0)
PERCENTILES = (0.5, 99.5)
MINIMUM_CONTENT = 0.02
BACKGROUND_LEVEL = 8
# Values looked at for percentiles, at most: the same that vismae looks at.
SAMPLE_MAX = 1 << 15


def grey_range(volume: list[Decoded], modality: str) -> tuple[float, float]:
    """What becomes black and what becomes white in all files of a volume."""
    display = all(part.display for part in volume)
    if modality == "CT" and not display:
        return CT_WINDOW
    if display and modality in ("CT", "XR", "US"):
        return 0.0, 255.0
    stride = max(1, -(-sum(part.planes.size for part in volume) // SAMPLE_MAX))
    while np.gcd(stride, volume[0].planes.shape[-1]) > 1:
        stride += 1
    sample = np.concatenate([part.planes.reshape(-1)[::stride] for part in volume]).astype(np.float32)
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        raise Refused("nothing_finite")
    low, high = np.percentile(sample, PERCENTILES)
    if low < high:
        return float(low), float(high)
    finite = [part.planes[np.isfinite(part.planes)] for part in volume]
    return float(min(values.min() for values in finite)), float(max(values.max() for values in finite))


def frames(
    part: Decoded, classes: NDArray[np.uint8] | None, limits: tuple[float, float], modality: str, is_volume: bool
) -> tuple[list[bytes], list[bytes | None], int]:
    """Frames and masks of the slices that are worth keeping, and how many are not."""
    levels = _levels(part, limits, modality)
    kept, masks, nearly_empty = [], [], 0
    for index, plane in enumerate(levels):
        plane_classes = classes[index] if classes is not None else None
        if plane.shape == (SIDE, SIDE):
            square = np.ascontiguousarray(plane)
        else:
            square = np.asarray(Image.fromarray(plane).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
        marked = plane_classes is not None and plane_classes.any()
        if is_volume and not marked and np.count_nonzero(square > BACKGROUND_LEVEL) < MINIMUM_CONTENT * square.size:
            nearly_empty += 1
            continue
        kept.append(square.tobytes())
        masks.append(nearest(plane_classes).tobytes() if plane_classes is not None else None)
    return kept, masks, nearly_empty


def _levels(part: Decoded, limits: tuple[float, float], modality: str) -> NDArray[np.uint8]:
    inverted = part.inverted and modality != "CT"
    if part.planes.dtype == np.uint8 and limits == (0.0, 255.0):
        return 255 - part.planes if inverted else part.planes
    low, high = limits
    levels = np.subtract(part.planes, low, dtype=np.float32, order="C")
    levels *= 255.0 / (high - low) if high > low else 0.0
    np.nan_to_num(levels, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    np.clip(levels, 0, 255, out=levels)
    if inverted:
        np.subtract(255, levels, out=levels)
    levels += 0.5
    return levels.astype(np.uint8)


def nearest(classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Classes at the centres of the pixels of a frame."""
    rows, columns = ((2 * np.arange(SIDE) + 1) * length // (2 * SIDE) for length in classes.shape)
    return classes[rows[:, None], columns]
