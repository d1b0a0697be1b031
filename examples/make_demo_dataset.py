"""Make the demo's dataset: a folder of some hundred photographs, with everything that real collections have.

python examples/make_demo_dataset.py [--input FOLDER] [--output FOLDER] [--images 400] [--seed 0]

The photographs are crops of those that come with scikit-image, taken at different places and scales: single shots, and
walks (the frames of a camera that pans or zooms: near-duplicates). Among them lie exact copies under other names,
damaged and empty files, a text file called .jpg, scans that nobody asked for, and names with blanks, '&', '<' and
Japanese letters. A relevant-filenames file in the output folder lists everything but the scans.
The same arguments make the same bytes; files that are there already are left as they are.
"""

import argparse
import io
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import numpy as np
import skimage
from PIL import Image

DEFAULT_FOLDER = Path("/tmp/selection-demo")  # noqa: S108 - the manifest of the demo names it too
RELEVANT_FILENAMES = ".lightly/relevant_filenames.txt"

PHOTOGRAPHS = {
    "astronaut": "astronaut.png",
    "beach pebbles": "gravel.png",
    "brick wall": "brick.png",
    "cameraman": "camera.png",
    "cat": "chelsea.png",
    "coffee": "coffee.png",
    "coins": "coins.png",
    "galaxies": "hubble_deep_field.jpg",
    "lawn": "grass.png",
    "moon": "moon.png",
    "motorcycle": "motorcycle_left.png",
    "retina": "retina.jpg",
    "rocket": "rocket.jpg",
    "tissue": "ihc.png",
}
SCANS = {"page": "page.png", "handwriting": "text.png"}
WALKED = ("astronaut", "cat", "coffee", "galaxies", "motorcycle", "rocket")

FRAMES_PER_WALK = 12
N_COPIES = 16
N_SCANS = 12
ODD_NAMES = (
    "写真/東京の猫 01.jpg",
    "odd names/coffee & cake, no. 1.jpg",
    "odd names/close-up <1 m>.jpg",
    "odd names/100% retina + 'quotes'.PNG",
)
N_BROKEN = 6
LEAST_IMAGES = N_COPIES + N_SCANS + len(ODD_NAMES) + len(WALKED) * FRAMES_PER_WALK + len(PHOTOGRAPHS) * 2

_ASPECTS = (4 / 3, 3 / 2, 1.0, 3 / 4)
_LONG_SIDES_PX = (200, 640)
_QUALITY = 90

Files = dict[str, bytes]


def make_dataset(n_images: int, seed: int) -> Files:
    """Return n_images readable files and N_BROKEN damaged ones: name (relative to the input folder) to content.

    n_images    at least LEAST_IMAGES; copies, scans and walks are fixed in number, single shots make up the rest
    """
    if n_images < LEAST_IMAGES:
        raise ValueError(f"The demo's dataset has at least {LEAST_IMAGES} images, not {n_images}.")
    walks = _walks(seed)
    n_shots = n_images - len(walks) - N_COPIES - N_SCANS - len(ODD_NAMES)
    shots = _single_shots(n_shots, seed)
    return shots | walks | _odd_names(seed) | _scans(seed) | _copies(shots) | _broken(shots)


def _single_shots(n_shots: int, seed: int) -> Files:
    """Shots at random places and scales, the subjects in turn."""
    subjects = sorted(PHOTOGRAPHS)
    shots = {}
    for shot in range(n_shots):
        subject = subjects[shot % len(subjects)]
        rng = np.random.default_rng([seed, 1, shot])
        shots[f"photos/{subject}/IMG_{shot:04}.jpg"] = _encode(_crop(load_photograph(PHOTOGRAPHS[subject]), rng))
    return shots


def _walks(seed: int) -> Files:
    """For each walked subject one camera that moves a little from frame to frame; every other one zooms in as well."""
    frames = {}
    for walk, subject in enumerate(WALKED):
        source = load_photograph(PHOTOGRAPHS[subject])
        rng = np.random.default_rng([seed, 2, walk])
        start, direction = rng.uniform(0.05, 0.25, 2), rng.uniform(0.3, 1.0, 2)
        for frame in range(FRAMES_PER_WALK):
            zoom = 1 - 0.015 * frame if walk % 2 else 1.0
            width, height = 0.6 * source.width * zoom, 0.6 * source.height * zoom
            left, top = (start + 0.01 * frame * direction) * source.size
            view = source.crop((round(left), round(top), round(left + width), round(top + height)))
            frames[f"walks/{subject}/frame_{frame:04}.jpg"] = _encode(_shrink(view, 480))
    return frames


def _odd_names(seed: int) -> Files:
    sources = [load_photograph(PHOTOGRAPHS[subject]) for subject in ("cat", "coffee", "lawn", "retina")]
    crops = [_crop(source, np.random.default_rng([seed, 3, row])) for row, source in enumerate(sources)]
    return {name: _encode(crop, name) for name, crop in zip(ODD_NAMES, crops, strict=True)}


def _scans(seed: int) -> Files:
    sources = sorted(SCANS)
    scans = {}
    for scan in range(N_SCANS):
        kind = sources[scan % len(sources)]
        name = f"scans/{kind}_{scan:02}.png"
        scans[name] = _encode(_crop(load_photograph(SCANS[kind]), np.random.default_rng([seed, 4, scan])), name)
    return scans


def _copies(shots: Files) -> Files:
    """Exact copies of evenly spread shots, as backups hold them."""
    names = sorted(shots)
    originals = (names[row] for row in np.linspace(0, len(names) - 1, N_COPIES, dtype=int))
    return {f"usb stick/backup/{Path(name).stem} (copy).jpg": shots[name] for name in originals}


def _broken(shots: Files) -> Files:
    """Three truncated files, two empty ones, and a text file that calls itself .jpg."""
    whole = shots[min(shots)]
    return {
        "broken/cut in the middle.jpg": whole[: len(whole) // 2],
        "broken/cut near the end.jpg": whole[: len(whole) * 9 // 10],
        "broken/only the header.jpg": whole[:300],
        "broken/empty.jpg": b"",
        "broken/empty.png": b"",
        "broken/shopping list.jpg": b"milk\neggs\nbread\na card with more room for photographs\n",
    }


@cache
def load_photograph(file_name: str) -> Image.Image:
    """Return a photograph of scikit-image's own folder; nothing is downloaded."""
    with Image.open(Path(skimage.__file__).parent / "data" / file_name) as image:
        return image.convert("L" if image.mode == "L" else "RGB")


def _crop(source: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a window at a random place, of random scale and aspect, 200 to 640 px long."""
    aspect = float(rng.choice(_ASPECTS))
    fit = min(source.width, source.height * aspect)
    width = rng.uniform(0.4, 1.0) * fit
    height = width / aspect
    left, top = rng.uniform(0, source.width - width), rng.uniform(0, source.height - height)
    window = (round(left), round(top), round(left + width), round(top + height))
    low, high = _LONG_SIDES_PX
    long_px = min(high, max(low, round(max(width, height) * rng.uniform(0.7, 1.3))))
    view = source.crop(window)
    scale = long_px / max(view.size)
    return view.resize((round(view.width * scale), round(view.height * scale)), Image.Resampling.LANCZOS)


def _shrink(image: Image.Image, longest_px: int) -> Image.Image:
    scale = min(1.0, longest_px / max(image.size))
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)


def _encode(image: Image.Image, name: str = ".jpg") -> bytes:
    buffer = io.BytesIO()
    if name.lower().endswith(".png"):
        image.save(buffer, "PNG")
    else:
        image.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def list_relevant(names: Iterable[str]) -> str:
    """Return the relevant-filenames file: everything but the scans, with a comment, a blank line and a missing name."""
    lines = sorted(name for name in names if not name.startswith("scans/"))
    head = ["# The demo's images, one name a line, relative to the input. Left out: the scans.", ""]
    tail = ["", "# An image that was deleted since this list was written:", "photos/cat/IMG_9999.jpg"]
    return "\n".join([*head, *lines, *tail]) + "\n"


def write_new(folder: Path, files: Files) -> int:
    """Write the files that are not there with the same content; return how many were written.

    The others keep their time of change, by which a run knows that its input is the same.
    """
    written = 0
    for name, content in files.items():
        path = folder / name
        if path.is_file() and path.read_bytes() == content:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        written += 1
    return written


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    description, _, epilog = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add: Callable[..., object] = parser.add_argument
    add("--input", type=Path, default=DEFAULT_FOLDER / "input", help="where the images go (default: %(default)s)")
    add("--output", type=Path, default=DEFAULT_FOLDER / "output", help="where results go (default: %(default)s)")
    add("--images", type=int, default=400, help=f"readable images, at least {LEAST_IMAGES} (default: %(default)s)")
    add("--seed", type=int, default=0, help="another number makes other crops (default: %(default)s)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Make the dataset and say what is in it; return the exit code."""
    options = _parse(arguments)
    try:
        files = make_dataset(options.images, options.seed)
    except ValueError as error:
        print(f"make_demo_dataset: {error}", file=sys.stderr)
        return 2
    written = write_new(options.input, files)
    write_new(options.output, {RELEVANT_FILENAMES: list_relevant(files).encode()})
    size_mb = sum(map(len, files.values())) / 1e6
    print(
        f"{options.input}: {options.images} photographs ({size_mb:.0f} MB), {N_COPIES} of them exact copies and "
        f"{N_SCANS} scans; {N_BROKEN} broken files. Written now: {written}."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
