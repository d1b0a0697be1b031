"""Keys of frames' thumbnails, which are kept while nobody knows how many digits the frame's name will have."""

from selection_job.videos.frame_names import parse_frame_name


def make_key(video: str, index: int) -> str:
    """Return what the thumbnail of a frame is kept by; no image has such a name."""
    return f"{video}\0{index}"


def find_key(name: str) -> str:
    """Return the same for a frame that has its name."""
    parsed = parse_frame_name(name)
    return make_key(*parsed) if parsed else name
