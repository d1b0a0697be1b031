"""What the corruptness check hears of JPEGs: python benchmarks/jpeg_damage.py [n files]

n files damaged inside their image data in ten ways, and n that are odd but whole in as many as cameras and copying make
them so, all from the demo's photographs, encoded in seven ways (Huffman tables, progressive, subsampling, restarts).
"Pillow" is what its decoder refuses by itself, "checked" what a run calls corrupt (of the whole files also what decodes
to another picture); of the missed ones "visible" differ from the undamaged picture in more than 1% of their pixels.
"""

import io
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from selection_job.images.decoding import CorruptImage, check_data, load_rgb, open_image

Random = np.random.Generator
Change = Callable[[bytes, Random], bytes]

ENCODINGS: dict[str, dict[str, Any]] = {
    "4:2:0": {},
    "own tables": {"optimize": True},
    "progressive": {"progressive": True},
    "4:4:4": {"subsampling": 0},
    "a restart a row": {"restart_marker_rows": 1},
    "a restart in 4 blocks": {"restart_marker_blocks": 4},
    "4:2:2": {"subsampling": 1},
}
_END = b"\xff\xd9"
_RESTART = re.compile(rb"(?=\xff[\xd0-\xd7])")


def find_data(jpeg: bytes) -> int:
    """Return where the first scan's data begin."""
    position = 2
    while jpeg[position + 1] != 0xDA:
        position += 2 + int.from_bytes(jpeg[position + 2 : position + 4], "big")
    return position + 2 + int.from_bytes(jpeg[position + 2 : position + 4], "big")


def overwrite(n: int, *, zeros: bool = False) -> Change:
    """Give n bytes other values."""

    def change(jpeg: bytes, rng: Random) -> bytes:
        start, size = _choose(jpeg, rng, n)
        return jpeg[:start] + (bytes(size) if zeros else rng.bytes(size)) + jpeg[start + size :]

    return change


def lose(most: int) -> Change:
    """Take 1 to so many bytes out, so that what follows moves up."""

    def change(jpeg: bytes, rng: Random) -> bytes:
        start, size = _choose(jpeg, rng, int(rng.integers(1, most + 1)))
        return jpeg[:start] + jpeg[start + size :]

    return change


def _choose(jpeg: bytes, rng: Random, n: int) -> tuple[int, int]:
    first, last = find_data(jpeg), len(jpeg) - len(_END)
    size = min(n, (last - first) // 2)
    return int(rng.integers(first, last - size)), size


def _flip_bit(jpeg: bytes, rng: Random) -> bytes:
    place, _ = _choose(jpeg, rng, 1)
    return jpeg[:place] + bytes([jpeg[place] ^ 1 << int(rng.integers(8))]) + jpeg[place + 1 :]


def _swap_sectors(jpeg: bytes, rng: Random) -> bytes:
    start, size = _choose(jpeg, rng, 1024)
    half = size // 2
    swapped = jpeg[start + half : start + 2 * half] + jpeg[start : start + half]
    return jpeg[:start] + swapped + jpeg[start + 2 * half :]


def _cut(jpeg: bytes, rng: Random) -> bytes:
    return jpeg[: _choose(jpeg, rng, 1)[0]]


def _zero_rest(jpeg: bytes, rng: Random) -> bytes:
    cut = _cut(jpeg, rng)
    return cut + bytes(len(jpeg) - len(cut))


DAMAGE: dict[str, Change] = {
    "cut off": _cut,
    "cut off, with an end marker": lambda jpeg, rng: _cut(jpeg, rng) + _END,
    "zeros from somewhere on": _zero_rest,
    "512 bytes are zeros": overwrite(512, zeros=True),
    "512 bytes are others": overwrite(512),
    "up to 4096 bytes are lost": lose(4096),
    "two sectors have changed places": _swap_sectors,
    "6 bytes are others": overwrite(6),
    "one byte is lost": lose(1),
    "one bit is another": _flip_bit,
}


def insert_segment(marker: int, body: bytes) -> Change:
    """A segment more, right behind the start."""
    segment = b"\xff" + bytes([marker]) + (len(body) + 2).to_bytes(2, "big") + body
    return lambda jpeg, rng: jpeg[:2] + segment + jpeg[2:]


def append(tail: bytes | Callable[[Random], bytes], *, replacing_end: bool = False) -> Change:
    """Something stands behind the end marker, or in its place."""

    def change(jpeg: bytes, rng: Random) -> bytes:
        more = tail if isinstance(tail, bytes) else tail(rng)
        return (jpeg[: -len(_END)] if replacing_end else jpeg) + more

    return change


def pad(padding: Callable[[Random], bytes], *, before: re.Pattern[bytes] = re.compile(rb"(?=\xff\xd9\Z)")) -> Change:
    """Bytes that belong to nothing stand before markers of the image data."""

    def change(jpeg: bytes, rng: Random) -> bytes:
        start = find_data(jpeg)
        return jpeg[:start] + before.sub(lambda _: padding(rng), jpeg[start:])

    return change


def _insert_behind_first_segment(jpeg: bytes, rng: Random) -> bytes:
    end = 4 + int.from_bytes(jpeg[4:6], "big")
    return jpeg[:end] + bytes(57) + jpeg[end:]


_FILM = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"
ODDITIES: dict[str, Change] = {
    "8 bytes behind the end": append(b"dvr\x59\x19\x01\0\0"),
    "10 kB of zeros behind the end": append(bytes(10_000)),
    "noise behind the end": append(lambda rng: rng.bytes(5_000)),
    "a second JPEG behind the end": lambda jpeg, rng: jpeg + jpeg,
    "a film behind the end": append(lambda rng: _FILM + rng.bytes(2_000)),
    "no end marker": append(b"", replacing_end=True),
    "zeros in place of the end marker": append(bytes(600), replacing_end=True),
    "a trailer in place of the end marker": append(b"SEFH" + bytes(range(256)) * 10, replacing_end=True),
    "text in place of the end marker": append(b"camera 12345, 2020-01-01\n" * 5, replacing_end=True),
    "noise in place of the end marker": append(lambda rng: rng.bytes(1_000), replacing_end=True),
    "zeros before the end marker": pad(lambda rng: bytes(int(rng.integers(1, 600)))),
    "fill bytes before the end marker": pad(lambda rng: b"\xff" * int(rng.integers(1, 600))),
    "3 stray bytes before the end marker": pad(lambda rng: bytes(rng.integers(0, 255, 3, dtype=np.uint8))),
    "zeros before restart markers": pad(lambda rng: bytes(9), before=_RESTART),
    "a stray byte before restart markers": pad(lambda rng: b"\x2a", before=_RESTART),
    "fill bytes at the start": lambda jpeg, rng: jpeg[:2] + b"\xff" * 5 + jpeg[2:],
    "57 bytes between two segments": _insert_behind_first_segment,
    "a maker's segment of 60 kB": lambda jpeg, rng: insert_segment(0xE5, rng.bytes(60_000))(jpeg, rng),
    "a comment of 65 kB": insert_segment(0xFE, b"c" * 65_000),
    "an ICC profile without its first part": insert_segment(0xE2, b"ICC_PROFILE\0\x02\x02" + bytes(100)),
    "an unknown Adobe transform": insert_segment(0xEE, b"Adobe\0\x64\0\0\0\0\x01\0"),
    "an unknown JFIF version": lambda jpeg, rng: jpeg[:11] + b"\x03" + jpeg[12:],
}


def encode_in_turns(photographs: list[Image.Image], rng: Random) -> Iterator[bytes]:
    """Yield JPEGs without end: the photographs and the encodings in turns, at qualities by chance."""
    number = 0
    while True:
        image = photographs[number % len(photographs)]
        options = dict(list(ENCODINGS.values())[number % len(ENCODINGS)])
        if image.mode == "L":
            options.pop("subsampling", None)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=int(rng.choice([50, 75, 90, 95])), **options)
        yield buffer.getvalue()
        number += 1


def make_files(
    changes: dict[str, Change], photographs: list[Image.Image], n: int, seed: int
) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield n changed files: the change's name, the file before it and behind it. Each change meets each encoding."""
    rng = np.random.default_rng(seed)
    names, made = list(changes), 0
    for number, jpeg in enumerate(encode_in_turns(photographs, rng)):
        name = names[number // len(ENCODINGS) % len(names)]
        changed = changes[name](jpeg, rng)
        if changed != jpeg:
            yield name, jpeg, changed
            made += 1
        if made == n:
            return


def decode(jpeg: bytes) -> NDArray[np.uint8] | None:
    """Return the pixels, None where the file is refused."""
    try:
        return np.asarray(load_rgb(open_image(jpeg)))
    except CorruptImage:
        return None


def is_corrupt(jpeg: bytes) -> bool:
    """Say whether a run calls the file corrupt."""
    try:
        opened = open_image(jpeg)
        load_rgb(opened)
        check_data(opened)
    except CorruptImage:
        return True
    return False


def differs_visibly(jpeg: bytes, changed: bytes) -> bool:
    """Say whether more than 1% of the pixels are others."""
    pixels, others = decode(jpeg), decode(changed)
    if pixels is None or others is None or pixels.shape != others.shape:
        return True
    return bool((np.abs(pixels.astype(int) - others).max(axis=2) > 16).mean() > 0.01)


def _refused_by_pillow(jpeg: bytes) -> bool:
    try:
        Image.open(io.BytesIO(jpeg), formats=("JPEG",)).convert("RGB")
    except OSError:
        return True
    return False


def count_damaged(photographs: list[Image.Image], n: int, seed: int = 1) -> Counter[tuple[str, str]]:
    """Return for each damage how many files there are, what refuses them, and what is missed."""
    counts = Counter[tuple[str, str]]()
    for name, jpeg, damaged in make_files(DAMAGE, photographs, n, seed):
        is_heard = is_corrupt(damaged)
        counts[name, "files"] += 1
        counts[name, "Pillow"] += _refused_by_pillow(damaged)
        counts[name, "checked"] += is_heard
        counts[name, "visible"] += not is_heard and differs_visibly(jpeg, damaged)
    return counts


def count_odd(photographs: list[Image.Image], n: int, seed: int = 2) -> Counter[tuple[str, str]]:
    """Return for each oddity how many files there are, and how many are refused or decode to another picture."""
    counts = Counter[tuple[str, str]]()
    for name, jpeg, odd in make_files(ODDITIES, photographs, n, seed):
        counts[name, "files"] += 1
        counts[name, "Pillow"] += _refused_by_pillow(odd)
        counts[name, "checked"] += is_corrupt(odd) or differs_visibly(jpeg, odd)
    return counts


def _open_demo() -> list[Image.Image]:
    sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
    from make_demo_dataset import LEAST_IMAGES, make_dataset

    files = make_dataset(LEAST_IMAGES + 60, seed=0)
    names = sorted(name for name in files if not name.startswith("broken/"))
    return [Image.open(io.BytesIO(files[name])).convert("RGB" if row % 9 else "L") for row, name in enumerate(names)]


def _measure_cost(photographs: list[Image.Image]) -> float:
    """Return what the check takes over what decoding takes."""
    jpegs = [jpeg for jpeg, _ in zip(encode_in_turns(photographs, np.random.default_rng(0)), range(140), strict=False)]
    opened = [open_image(jpeg) for jpeg in jpegs]
    start = time.process_time()
    for file in opened:
        load_rgb(file)
    decoded = time.process_time()
    for file in opened:
        check_data(file)
    return (time.process_time() - decoded) / (decoded - start)


def _print_table(counts: Counter[tuple[str, str]], columns: list[str], title: str) -> None:
    print(f"| {title} | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}")
    names = list(dict.fromkeys(name for name, _ in counts))
    for name in names:
        print(f"| {name} | {' | '.join(str(counts[name, column]) for column in columns)} |")
    sums = [str(sum(counts[name, column] for name in names)) for column in columns]
    print(f"| all | {' | '.join(sums)} |\n")


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    photographs = _open_demo()
    _print_table(count_damaged(photographs, n), ["files", "Pillow", "checked", "visible"], "damage")
    _print_table(count_odd(photographs, n), ["files", "Pillow", "checked"], "odd but whole")
    print(f"The check takes {_measure_cost(photographs):.2f} of what decoding takes.")


if __name__ == "__main__":
    main()
