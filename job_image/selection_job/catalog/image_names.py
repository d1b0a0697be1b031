"""Image names: what a key says about its object, and how odd ones are written."""

from selection_job.manifest.medium import IMAGES, VIDEOS

IMAGE_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""What counts as an image by its name, in any case: lightly's own list."""

VIDEO_EXTENSIONS = (".mp4", ".mov", ".avi", ".mpg", ".hevc", ".m4v", ".webm", ".mpeg")
"""What counts as a video by its name, in any case: lightly's own list."""

EXTENSIONS = {IMAGES: IMAGE_EXTENSIONS, VIDEOS: VIDEO_EXTENSIONS}

_MAX_QUOTED = 10


def is_hidden(key: str) -> bool:
    """Say whether the file or a folder on its way starts with '.': .lightly/ and what people hide.

    Parts that are '.' or '..' as a whole hide nothing: in a bucket they are letters like others.

    >>> [is_hidden(key) for key in ("a.jpg", ".lightly/a.jpg", "sub/.cache/a.jpg", "sub/a..jpg", "sub/../a.jpg")]
    [False, True, True, False, False]
    """
    if not key.startswith(".") and "/." not in key:
        return False
    return any(part.startswith(".") and part not in (".", "..") for part in key.split("/"))


def is_utf8(name: str) -> bool:
    """Say whether the name can be written as UTF-8; file names that are other bytes reach Python as lone surrogates."""
    if name.isascii():
        return True
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def escape_name(name: str) -> str:
    r"""Return the name with what is not UTF-8 as \x.., so that it can be written anywhere.

    >>> escape_name("caf\udce9.jpg")
    'caf\\xe9.jpg'
    """
    if is_utf8(name):
        return name
    try:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # surrogates that no file name brought in
        return name.encode("utf-8", "backslashreplace").decode()


def quote_some(names: list[str]) -> str:
    """Return the first ten names in quotes and how many more there are, for messages.

    >>> quote_some(["a", "b"])
    "'a', 'b'"
    """
    more = f" and {len(names) - _MAX_QUOTED} more" if len(names) > _MAX_QUOTED else ""
    return ", ".join(repr(escape_name(name)) for name in names[:_MAX_QUOTED]) + more
