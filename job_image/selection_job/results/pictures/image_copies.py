"""Copies of images among the results: data/sampled/, data/clean/ and the thumbnails of the selected images."""

import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain, count
from pathlib import PurePosixPath

from PIL import Image

from selection_api.datasource import Datasources
from selection_api.worker_config import WorkerConfig
from selection_job.catalog.catalog import Catalog
from selection_job.errors import ObjectMissing, ObjectRefused
from selection_job.formats.distinct_names import Renamed, list_renamed
from selection_job.images.decoding import MAX_PIXELS, CorruptImage, decode_rgb
from selection_job.process.parallel_calls import call_in_parallel, check_before_each
from selection_job.process.progress import Progress
from selection_job.selection.selection import Selection
from selection_job.stores.store import Store

_PIL_FORMATS = {"jpg": "JPEG", "jpeg": "JPEG", "tif": "TIFF", "pgm": "PPM"}
_PARALLEL_COPIES = 16  # each may hold an image


def dump_images(
    source: Store,
    target: Store,
    run_key: str,
    *,
    catalog: Catalog,
    selection: Selection,
    worker: WorkerConfig,
    progress: Progress,
    check_cheaply: Callable[[], None] = lambda: None,
) -> list[str]:
    """Copy the readable images to data/clean/ and the selected ones to data/sampled/; return notes on what was missing.

    clean/ is a copy of the bytes. sampled/ is so too, unless output_image_size says otherwise: then images are decoded,
    resized and written in output_image_format. Bytes that stay as they are don't come here where the storage copies
    them by itself.
    check_cheaply  called before each copy is begun; what it raises ends the copying after those under way
    """
    new = catalog.names[: catalog.n_new]
    recode = worker.output_image_size != -1
    change = partial(_resize, worker=worker) if recode else None
    selected = [catalog.names[row] for row in selection.selected.tolist()]
    sampled_names = name_copies(selected, worker.output_image_format if recode else None)
    clean = (partial(_copy, source, target, name, f"{run_key}data/clean/{name}", None) for name in new)
    sampled = (
        partial(_copy, source, target, name, f"{run_key}data/sampled/{copy_name}", change)
        for name, copy_name in zip(selected, sampled_names, strict=True)
    )
    notes: list[str] = []
    with progress.bar("Copying images", len(new) + len(selected)) as bar:
        copies = check_before_each(check_cheaply, chain(clean, sampled))
        for note in call_in_parallel(copies, min(target.parallel_reads, _PARALLEL_COPIES)):
            notes.extend(note)
            bar.advance()
    return notes


def name_copies(names: list[str], image_format: str | None) -> list[str]:
    """Return the file name of each copy: the same, or with the new format's extension, kept apart where two would meet.

    >>> name_copies(["a.jpg", "b.jpg", "b.png"], "png")
    ['a.png', 'b-jpg.png', 'b-png.png']
    """
    if image_format is None:
        return names
    stems = [name.rpartition(".")[0] for name in names]
    shared = Counter(stems)
    used: dict[str, None] = {}  # in order
    for name, stem in zip(names, stems, strict=True):
        base = stem if shared[stem] == 1 else f"{stem}-{name.rpartition('.')[2]}"
        numbered = (f"{base}-{number}.{image_format}" for number in count(2))
        used[next(copy for copy in chain([f"{base}.{image_format}"], numbered) if copy not in used)] = None
    return list(used)


def list_renamed_copies(names: list[str], image_format: str | None) -> list[Renamed]:
    """Return the copies that are not called as the image is, with the new format's extension."""
    usual = [f"{name.rpartition('.')[0]}.{image_format}" for name in names] if image_format else names
    return list_renamed("copy in data/sampled/", usual, names, name_copies(names, image_format))


def _copy(source: Store, target: Store, name: str, key: str, change: Callable[[bytes], bytes] | None) -> list[str]:
    """Copy one image; return notes on what was missing."""
    try:
        if change is None and source.copy_to(name, target, key):
            return []
        content = source.read(name)
        target.write(key, content if change is None else change(content))
    except (ObjectMissing, ObjectRefused, CorruptImage) as error:
        return [f"{name} could not be copied to {key}: {error}"]
    return []


def _resize(content: bytes, worker: WorkerConfig) -> bytes:
    """Return the image resized and encoded anew. Raises CorruptImage where it can't be had in that size or format."""
    return write_changed(decode_rgb(content), worker)


def write_changed(image: Image.Image, worker: WorkerConfig) -> bytes:
    """Return the image in output_image_size and output_image_format, encoded. Raises CorruptImage where that can't be.

    image  mode RGB
    """
    width, height = _target_size(image, worker.output_image_size)
    if width * height > MAX_PIXELS:
        raise CorruptImage(f"too large: resized it has {width} x {height} pixels, the limit is {MAX_PIXELS}")
    try:
        resized = image if image.size == (width, height) else image.resize((width, height))
        return encode_image(resized, worker.output_image_format)
    except (OSError, ValueError, MemoryError) as error:  # formats have limits of their own: WebP ends at 16383 pixels
        raise CorruptImage(f"{width} x {height} pixels can't be written as {worker.output_image_format}") from error


def _target_size(image: Image.Image, size: int | Sequence[int]) -> tuple[int, int]:
    """Return width and height: of `size` on the shorter edge, or of the two numbers height and width; -1: as it is."""
    if size == -1:
        return image.size
    if not isinstance(size, int):
        height, width = size
        return width, height
    scale = size / min(image.size)
    return max(1, round(image.width * scale)), max(1, round(image.height * scale))


def encode_image(image: Image.Image, image_format: str) -> bytes:
    """Return the image in the format that a file extension names; OSError or KeyError where Pillow knows none."""
    buffer = io.BytesIO()
    extension = image_format.lower()
    image.save(buffer, _PIL_FORMATS.get(extension, extension.upper()))
    return buffer.getvalue()


def write_thumbnails(
    target: Store,
    datasources: Datasources,
    names: Iterable[str],
    thumbnail: Callable[[str], bytes | None],
    *,
    renamed: Mapping[str, str] | None = None,
    check_cheaply: Callable[[], None] = lambda: None,
) -> list[str]:
    """Write a thumbnail of each named image to the lightly datasource by thumbnailSuffix; return notes on failures.

    thumbnail      name -> JPEG, or None where there is none; called in threads
    renamed        what find_meeting_thumbnails returns
    check_cheaply  as in dump_images
    """
    suffix = find_suffix(datasources)
    if not suffix:
        return []
    keys = ((name, (renamed or {}).get(name) or thumbnail_key(suffix, name)) for name in names)
    calls = (partial(_write_thumbnail, target, key, name, thumbnail) for name, key in keys)
    parallel = min(target.parallel_reads, _PARALLEL_COPIES)
    return list(chain.from_iterable(call_in_parallel(check_before_each(check_cheaply, calls), parallel)))


def find_suffix(datasources: Datasources) -> str:
    """Return thumbnailSuffix, '' where thumbnails are not wanted."""
    return datasources.lightly.thumbnail_suffix or datasources.input.thumbnail_suffix or ""


def find_meeting_thumbnails(suffix: str, names: Sequence[str]) -> dict[str, str]:
    """Return the keys of those thumbnails that would have an earlier one's key: theirs have the extension in the name.

    names  of all images that may ever have one, in the order in which they come to the key that is theirs as usual
    Where [extension] stands behind the last '.', no two keys meet. Elsewhere takes about 150 bytes a name.

    >>> find_meeting_thumbnails("thumbs/[filename].jpg", ["a.jpg", "a.png", "b.png"])
    {'a.png': 'thumbs/a-png.jpg'}
    """
    if not suffix or (suffix.endswith(".[extension]") and suffix.count("[") == 2):
        return {}
    used: set[str] = set()
    meeting = []
    for name in names:
        key = thumbnail_key(suffix, name)
        if key in used:
            meeting.append(name)
        used.add(key)
    found = {}
    for name in meeting:
        stem, _, extension = name.rpartition(".")
        spelled = chain([f"{stem}-{extension}"], (f"{stem}-{extension}-{number}" for number in count(2)))
        keys = (thumbnail_key(suffix, f"{longer}.{extension}") for longer in spelled)
        found[name] = next(key for key in keys if key not in used)
        used.add(found[name])
    return found


def _write_thumbnail(target: Store, key: str, name: str, thumbnail: Callable[[str], bytes | None]) -> list[str]:
    content = thumbnail(name)
    if content is None:
        return []
    try:
        target.write(key, _as_extension(content, name))
    except ObjectRefused as error:
        return [f"{name} has no thumbnail in the lightly datasource: {error}"]
    return []


def thumbnail_key(suffix: str, name: str) -> str:
    """Return where the thumbnail of an image lies.

    >>> thumbnail_key(".lightly/thumbnails/[filename]_thumb.[extension]", "sub/image_3.png")
    '.lightly/thumbnails/sub/image_3_thumb.png'
    """
    path = PurePosixPath(name)
    parts = {"[filename]": name.removesuffix(path.suffix), "[extension]": path.suffix.removeprefix(".")}
    return re.sub(r"\[(?:filename|extension)\]", lambda match: parts[match[0]], suffix)


def _as_extension(jpeg: bytes, name: str) -> bytes:
    extension = PurePosixPath(name).suffix.removeprefix(".").lower()
    if extension in ("jpg", "jpeg"):
        return jpeg
    with Image.open(io.BytesIO(jpeg)) as image:
        image.load()
        return encode_image(image, extension)
