"""Frame names: what a frame of a video is called, and back."""

import re

_FRAME = re.compile(r"(?P<stem>.*)-(?P<index>[0-9]{1,18})-(?P<extension>[^-./]+)\.png", re.DOTALL)


def name_frame(video: str, index: int, n_frames: int) -> str:
    """Return the name of a frame, as lightly gives it: as many digits as the number of frames has.

    video  a name with an extension, which keeps its case
    Names of one video sort like its frames, and no two frames of one bucket share a name. Raises ValueError where the
    video has no such frame, or where no name could be read back: there is no extension, or one with a '-'.

    >>> name_frame("cam/drive.mp4", 153, 5400)
    'cam/drive-0153-mp4.png'
    """
    stem, dot, extension = video.rpartition(".")
    if not dot or not extension or "-" in extension or "/" in extension:
        raise ValueError(f"{video!r} has no extension that frames could be named by")
    if not 0 <= index < n_frames:
        raise ValueError(f"{video!r} has no frame {index}, it has {n_frames}")
    return f"{stem}-{index:0{len(str(n_frames))}d}-{extension}.png"


def parse_frame_name(name: str) -> tuple[str, int] | None:
    """Return the video and the index that name_frame was given, or None where the name is no frame's.

    >>> parse_frame_name("cam/drive-0153-mp4.png")
    ('cam/drive.mp4', 153)
    """
    match = _FRAME.fullmatch(name)
    if match is None:
        return None
    return f"{match['stem']}.{match['extension']}", int(match["index"])


def make_thumbnail_key(video: str, index: int) -> str:
    """Return what the thumbnail of a frame is kept by while nobody knows its name: no image has such a name."""
    return f"{video}\0{index}"


def find_thumbnail_key(name: str) -> str:
    """Return the same for a frame that has its name."""
    parsed = parse_frame_name(name)
    return make_thumbnail_key(*parsed) if parsed else name
