"""Makes the compressed images beside this file, of pixels that `codecs.rs` computes too.

pip install numpy==2.4.6 imagecodecs==2026.3.6 pyjpegls==1.5.1
JPEG-LS is written by CharLS, lossless JPEG by liblj92, JPEG 2000 by OpenJPEG, HTJ2K by OpenJPH.
"""

import pathlib

import imagecodecs
import jpeg_ls
import numpy as np

COLUMNS, ROWS = 16, 12
HERE = pathlib.Path(__file__).parent


def grey(bits: int) -> np.ndarray:
    """Flat on the left, which makes runs; steep on the right, which makes long codes."""
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    values = np.where(x < 6, y // 4 * 9, x * x + y * 5 + x * y % 7 * 3)
    return (values % 256 << (bits - 8)).astype(np.uint8 if bits <= 8 else np.uint16)


def colour() -> np.ndarray:
    """Three planes that are neither equal nor flat at the same places."""
    one = grey(8)
    return np.stack([one, one[::-1], np.roll(one, 3, axis=1)], axis=-1)


def put(name: str, stream: bytes) -> None:
    assert len(stream) < 1024, name
    (HERE / name).write_bytes(stream)


def main() -> None:
    rgb = colour()
    for bits in (8, 12, 16):
        put(f"grey{bits}.jls", bytes(jpeg_ls.encode_array(grey(bits))))
        put(f"grey{bits}_near2.jls", bytes(jpeg_ls.encode_array(grey(bits), lossy_error=2)))
    # The encoder takes planes as they are, and pixels for the other two orders of its output.
    planes = np.ascontiguousarray(rgb.transpose(2, 0, 1))
    for mode, (name, ordered) in enumerate([("planes", planes), ("lines", rgb), ("pixels", rgb)]):
        for near in (0, 3):
            stream = jpeg_ls.encode_array(ordered, lossy_error=near, interleave_mode=mode)
            put(f"rgb_{name}_near{near}.jls", bytes(stream))
    for bits in (8, 16):
        put(f"grey{bits}.ljpg", imagecodecs.ljpeg_encode(grey(bits), bitspersample=bits))
    signed = grey(12).astype(np.int16) - 2048
    for name, pixels in [("grey8", grey(8)), ("grey16", grey(16)), ("signed", signed), ("rgb", rgb)]:
        put(f"{name}.j2k", imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True, codecformat="J2K", mct=True))
        put(f"{name}.jph", imagecodecs.htj2k_encode(pixels, level=0))
    put("lossy.jph", imagecodecs.htj2k_encode(grey(8), level=0.01, reversible=False))


if __name__ == "__main__":
    main()
