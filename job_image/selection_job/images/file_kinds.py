"""What files are that carry an image's name and are none that is read: told by their first bytes."""

import re

_BRANDS = {
    "HEIC": (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"),
    "AVIF": (b"avif", b"avis"),
    "JPEG 2000": (b"jp2 ", b"jpx ", b"jpm ", b"mjp2"),
    "Canon CR3": (b"crx ",),
}
_IMAGES = {
    "JPEG 2000": (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
    "JPEG XL": (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"),
    "Fujifilm RAF": (b"FUJIFILMCCD-RAW",),
    "Photoshop": (b"8BPS",),
    "OpenEXR": (b"\x76\x2f\x31\x01",),
    "Radiance HDR": (b"#?RADIANCE", b"#?RGBE"),
    "icon": (b"\0\0\1\0",),
    "GIMP": (b"gimp xcf",),
}
_OTHERS = {
    "a web page (HTML), such as an error that was saved in its place": (b"<!doctype html", b"<html"),
    "an answer in XML, such as an error of a bucket": (b"<?xml", b"<error>"),
    "a drawing (SVG)": (b"<svg",),
    "a PDF document": (b"%PDF-",),
    "PostScript": (b"%!PS",),
    "a pointer of Git LFS: run 'git lfs pull' where it was cloned": (b"version https://git-lfs",),
    "a pointer of git-annex: run 'git annex get' where it was cloned": (b"/annex/objects/",),
    "a ZIP archive": (b"PK\3\4",),
    "gzip": (b"\x1f\x8b",),
    "a film (Matroska or WebM)": (b"\x1a\x45\xdf\xa3",),
    "a NumPy array": (b"\x93NUMPY",),
    "what macOS keeps beside a file (AppleDouble)": (b"\0\5\x16\7",),
}
_LONGEST = 200
_FILM = "a film (MP4 or QuickTime)"


def name_image_kind(content: bytes) -> str:
    r"""Return the name of an image format that only some programs know, '' for others.

    >>> name_image_kind(b"\0\0\0\x24ftypheic\0\0\0\0mif1heic")
    'HEIC'
    """
    if content[4:8] == b"ftyp":
        return _name_brand(content)
    if content[128:132] == b"DICM":
        return "DICOM"
    return next((kind for kind, starts in _IMAGES.items() if content.startswith(starts)), "")


def name_other_kind(content: bytes) -> str:
    """Return in words what a file is that is no image at all, '' where its first bytes don't tell.

    >>> name_other_kind(b"%PDF-1.7")
    'a PDF document'
    """
    if content[4:8] == b"ftyp":
        return _FILM
    start = re.sub(rb"\A(?:\xef\xbb\xbf)?\s+", b"", content[:_LONGEST])
    lowered = start.lower()
    kinds = _OTHERS.items()
    return next((kind for kind, starts in kinds if start.startswith(starts) or lowered.startswith(starts)), "")


def _name_brand(content: bytes) -> str:
    """Return the format that an ISO media file's own brand names, or one that it is compatible with."""
    end = min(int.from_bytes(content[:4], "big"), _LONGEST)
    brands = [content[8:12], *(content[at : at + 4] for at in range(16, end, 4))]
    if brands[0] in (b"mif1", b"msf1") and any(brand in _BRANDS["AVIF"] for brand in brands):
        return "AVIF"
    return next((kind for brand in brands for kind, known in _BRANDS.items() if brand in known), "")
