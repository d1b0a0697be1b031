"""Frame pixels: from what a decoder gives to upright RGB."""

import math
import struct
import threading
from hashlib import sha256
from typing import Any

import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

_MATRIX = struct.Struct("=9i")
_SideData: Any = SideDataContainer  # PyAV's stubs know no arguments of it
_WHOLE = 1 << 16
_OWN = threading.local()


def convert_rgb(frame: VideoFrame) -> NDArray[np.uint8]:
    """Return (h, w, 3) uint8: RGB, upright as a player shows it, contiguous.

    swscale converts with the matrix and the range that the frame names, BT.601 and limited range where it names none;
    more than 8 bits are scaled down, alpha is left out. Raises FFmpegError where swscale knows no way.
    Safe in threads: each has a converter of its own, which sets itself up once per format and size.
    """
    converter: VideoReformatter | None = getattr(_OWN, "converter", None)
    if converter is None:
        converter = _OWN.converter = VideoReformatter()
    plane = converter.reformat(frame, format="rgb24", threads=1).planes[0]
    stride = abs(plane.line_size)
    lines = np.frombuffer(memoryview(plane), dtype=np.uint8)[: stride * plane.height].reshape(plane.height, stride)
    if plane.line_size < 0:
        lines = lines[::-1]
    rgb = lines[:, : plane.width * 3].reshape(plane.height, plane.width, 3)
    return np.ascontiguousarray(_turn(rgb, _read_matrix(frame)))


def digest_rgb(rgb: NDArray[np.uint8]) -> bytes:
    """Return 32 bytes that tell one picture from another: SHA-256 over width, height and RGB bytes."""
    height, width, _ = rgb.shape
    digest = sha256(struct.pack("<II", width, height))
    digest.update(np.ascontiguousarray(rgb).data)
    return digest.digest()


def _read_matrix(frame: VideoFrame) -> tuple[int, int, int, int]:
    """Return how x and y on the screen follow from x and y in the picture: x of x, y of x, x of y, y of y."""
    try:  # frame.side_data would be kept by the frame and keep it: a cycle, which holds its pixels until it is found
        side_data = _SideData(frame).get("DISPLAYMATRIX")
    except ValueError:  # PyAV lists all of a frame's side data, and stumbles over kinds that it does not know
        return _matrix_of(frame.rotation)
    content = b"" if side_data is None else bytes(side_data)
    if len(content) < _MATRIX.size:
        return _matrix_of(0)
    x_of_x, y_of_x, _, x_of_y, y_of_y, *_ = _MATRIX.unpack_from(content)
    return x_of_x, y_of_x, x_of_y, y_of_y


def _matrix_of(degrees: int) -> tuple[int, int, int, int]:
    """Return the matrix of a turn against the clock."""
    angle = math.radians(degrees)
    sine, cosine = round(math.sin(angle) * _WHOLE), round(math.cos(angle) * _WHOLE)
    return cosine, -sine, sine, cosine


def _turn(rgb: NDArray[np.uint8], matrix: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Turn and mirror by the nearest of the eight ways that keep pixels whole."""
    x_of_x, y_of_x, x_of_y, y_of_y = matrix
    if abs(y_of_x) + abs(x_of_y) > abs(x_of_x) + abs(y_of_y):
        rgb = rgb.transpose(1, 0, 2)
        is_mirrored, is_upside_down = x_of_y < 0, y_of_x < 0
    else:
        is_mirrored, is_upside_down = x_of_x < 0, y_of_y < 0
    if is_mirrored:
        rgb = rgb[:, ::-1]
    return rgb[::-1] if is_upside_down else rgb
