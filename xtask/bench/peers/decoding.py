"""From a file to planes of values, by pydicom, nibabel and Pillow."""

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut
from pydicom.uid import RLELossless

from peers.listing import MODALITIES

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
IMAGE_ENDINGS = (
    ".dcm",
    ".ima",
    ".nii",
    ".gz",
    ".hdr",
    ".png",
    ".jpg",
    ".jpeg",
    ".tif",
    ".tiff",
    ".bmp",
    ".gif",
    ".webp",
)
RASTERS = (b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"BM")


class NotAnImage(Exception):
    """A file that holds no image, which is no fault."""


class Refused(Exception):
    """A file that cannot be used; the argument is the code of the reason."""


@dataclass(slots=True)
class Decoded:
    """Planes, rows and columns of values in source units."""

    planes: NDArray[np.generic]
    modality: str | None = None
    patient: str | None = None
    # Levels of 8 bits, to be shown as they are.
    display: bool = False
    inverted: bool = False


def kind(path: Path) -> str:
    """What a file is, by its first bytes."""
    with path.open("rb") as file:
        start = file.read(348)
    if start[128:132] == b"DICM":
        return "DICOM"
    if start[:2] == b"\x1f\x8b" or start[344:347] in (b"n+1", b"ni1") or start[4:8] == b"n+2\0":
        return "NIfTI"
    if start.startswith(RASTERS) and not path.name.startswith("._"):
        return "raster"
    if path.name.startswith(".") or not path.name.lower().endswith(IMAGE_ENDINGS):
        raise NotAnImage
    raise Refused("unknown_format")


def decode(path: Path) -> Decoded:
    """Decodes a file of any kind."""
    match kind(path):
        case "DICOM":
            return dicom(path)
        case "NIfTI":
            return Decoded(nifti(path))
        case _:
            return raster(path)


def dicom(path: Path) -> Decoded:
    """Values after the modality transform of each frame."""
    dataset = pydicom.dcmread(path)
    if "PixelData" not in dataset:
        if "Rows" in dataset:
            raise Refused("malformed")
        raise NotAnImage
    if dataset.file_meta.TransferSyntaxUID == RLELossless:
        # Whatever this plugin refuses would be tried by one in Python, which takes seconds to refuse it too.
        dataset.pixel_array_options(decoding_plugin="pylibjpeg")
    stored = dataset.pixel_array
    photometric = dataset.PhotometricInterpretation
    if photometric == "PALETTE COLOR":
        stored = apply_color_lut(stored, dataset)
    colour = (stored.ndim > 2 and dataset.get("SamplesPerPixel", 1) == 3) or photometric == "PALETTE COLOR"
    if colour:
        stored = stored @ LUMA
    planes = stored.reshape(-1, *stored.shape[-2:])
    transformed = _transform(dataset, planes)
    display = dataset.BitsStored <= 8 and transformed is planes
    return Decoded(
        transformed,
        modality=MODALITIES.get(str(dataset.get("Modality", ""))),
        patient=str(dataset.get("PatientID", "")) or None,
        display=display,
        inverted=photometric == "MONOCHROME1",
    )


def _transform(dataset: Dataset, planes: NDArray[np.generic]) -> NDArray[np.generic]:
    # What makes SUV of PET is one factor for a volume, which the percentiles that PET is scaled by take out again.
    shared = dataset.get("SharedFunctionalGroupsSequence")
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or []
    steps = [_rescale(frame) for frame in frames]
    if not any(steps):
        steps = [_rescale(shared[0])] if shared else []
    if any(steps):
        slopes, intercepts = (np.array([step or (1.0, 0.0) for step in steps], np.float32).T).reshape(2, -1, 1, 1)
        return planes * slopes + intercepts
    if "ModalityLUTSequence" in dataset:
        return apply_modality_lut(planes, dataset).astype(np.float32)
    slope, intercept = float(dataset.get("RescaleSlope", 1) or 1), float(dataset.get("RescaleIntercept", 0) or 0)
    if (slope, intercept) == (1, 0):
        return planes
    return planes * np.float32(slope) + np.float32(intercept)


def _rescale(group: Dataset) -> tuple[float, float] | None:
    sequence = group.get("PixelValueTransformationSequence")
    return (float(sequence[0].RescaleSlope), float(sequence[0].RescaleIntercept)) if sequence else None


def nifti(path: Path) -> NDArray[np.generic]:
    """The first volume, cut across its thickest axis and turned as a radiologist looks at it."""
    image = nib.load(path)
    values = np.asanyarray(image.dataobj)
    if values.dtype.kind not in "iuf":
        raise Refused("unsupported")
    while values.ndim > 3:
        values = values[..., 0]
    values = values.reshape(values.shape + (1,) * (3 - values.ndim))
    # Views all of them: nothing is copied before the planes are scaled.
    turned = nib.apply_orientation(values, nib.io_orientation(image.affine))
    zooms = np.abs(np.linalg.norm(image.affine[:3, :3], axis=0))
    zooms = zooms[np.argsort(nib.io_orientation(image.affine)[:, 0])]
    through = (
        int(zooms.argmax()) if zooms.max() > 1.01 * np.sort(zooms)[1] else int(nib.io_orientation(image.affine)[2, 0])
    )
    return np.moveaxis(turned, through, 0).transpose(0, 2, 1)[:, ::-1, ::-1]


def raster(path: Path) -> Decoded:
    """Grey levels; colours become luma, and transparency is ignored."""
    with Image.open(path) as image:
        turned = ImageOps.exif_transpose(image)
        if turned.mode.startswith("I") or turned.mode == "F":
            return Decoded(np.asarray(turned)[None])
        grey = turned if turned.mode == "L" else turned.convert("RGB").convert("L")
        return Decoded(np.asarray(grey)[None], display=True)


def labels(path: Path, decoded: Decoded) -> NDArray[np.uint8]:
    """Classes on the grid of an image."""
    if path.name.endswith((".nii", ".nii.gz")):
        classes = nifti(path).astype(np.uint8)
    else:
        with Image.open(path) as image:
            classes = np.asarray(image.convert("L"))[None]
        if classes.max() == 255:
            classes = (classes > 127).astype(np.uint8)
    if classes.shape != decoded.planes.shape:
        raise Refused("mask_shape")
    return classes
