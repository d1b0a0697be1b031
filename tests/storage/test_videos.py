"""Videos in every kind of storage: all frames from one reading of their bytes, some frames from little more."""

import numpy as np
import pytest
from painted_videos import make_video, read_number

from selection_job.catalog.catalog import Listing
from selection_job.images.preprocessing import Preprocessing
from selection_job.reading.images import ReadOptions
from selection_job.reading.videos import VideoEnd, read_frames
from selection_job.stores.counting import CountingStore
from selection_job.stores.ranged_file import BLOCK_BYTES
from selection_job.videos.exact_frames import WantedFrame, read_exact
from selection_job.videos.frame_sampling import FrameSampling

OPTIONS = ReadOptions(preprocessing=Preprocessing(16), num_threads=2)


@pytest.fixture(scope="module")
def videos():
    """Two small videos, and one of many blocks, which noise makes large."""
    small = make_video(30), make_video(30, container="matroska")
    long = make_video(48, options={"crf": "1", "g": "10", "bf": "0"}, size=(640, 480), noise=True)
    return {"Grüße/a 1.mp4": small[0], "b.mkv.webm": small[1], "long.mp4": long}


def list_videos(store):
    infos = sorted((info for info in store.list()), key=lambda info: info.key)
    sizes = np.array([info.size_bytes for info in infos], dtype=np.int64)
    return Listing([info.key for info in infos], sizes, [info.version for info in infos])


def test_videos_are_read_once_and_frames_are_found_again(store, videos):
    for name, content in videos.items():
        store.write(name, content)
    counted, listing = CountingStore(store), list_videos(store)
    items = list(read_frames(counted, listing, options=OPTIONS, sampling=FrameSampling()))
    ends = [item for item in items if isinstance(item, VideoEnd)]
    assert [(end.n_frames, end.reason, end.notes) for end in ends] == [(30, None, ()), (30, None, ()), (48, None, ())]
    assert counted.bytes_read <= 1.05 * listing.sizes_bytes.sum()

    counted = CountingStore(store)
    long = [item for item in items if item.video_row == 2][30]
    wanted = [WantedFrame(long.index, long.pts, long.image.sha256)]
    size = int(listing.sizes_bytes[2])
    assert size > 12 * BLOCK_BYTES
    ((frame, picture),) = read_exact(counted, "long.mp4", size, listing.versions[2], wanted)
    assert (frame, read_number(picture)) == (wanted[0], 30)
    assert counted.bytes_read < size / 2
