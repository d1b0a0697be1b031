"""What write_report takes of a run over videos, without a video: frames of a few scenes, some corrupt, some copies."""

from dataclasses import replace

import numpy as np

from selection_job.catalog.frame_names import name_frame
from selection_job.catalog.frames import Frames

FPS = 10.0


def make_video_input(
    make_report_input, lengths, k, *, corrupt=(), broken=(), every_nth=1, timed=True, pool=(), **options
):
    """Return the keywords of write_report.

    make_report_input  conftest's factory
    lengths            {video: frames}
    corrupt            (video, index) of frames that can't be used
    broken             {video: reason} of videos that can't be used at all
    pool               names of frames that earlier runs selected
    """
    videos = sorted([*lengths, *broken])
    wanted = [(video, i) for video in sorted(lengths) for i in range(0, lengths[video], every_nth)]
    places = [place for place in wanted if place not in corrupt]
    names = [name_frame(video, i, lengths[video]) for video, i in places]
    reasons = {name_frame(video, i, lengths[video]): "the image is damaged: 3 bytes" for video, i in corrupt}
    order = sorted(range(len(names)), key=names.__getitem__)
    facts = {"every_nth_frame": every_nth if every_nth > 1 else None, **options.pop("facts", {})}
    given = make_report_input(len(names), k, names=names, corrupt=reasons, facts=facts, **options)
    frames = Frames(
        videos=videos,
        n_frames=np.array([lengths.get(video, 0) for video in videos]),
        video_rows=np.array([videos.index(places[i][0]) for i in order], dtype=np.int32),
        indices=np.array([places[i][1] for i in order]),
        pts=np.array([512 * places[i][1] if timed else -1 for i in order]),
        seconds=np.array([places[i][1] / FPS if timed else np.nan for i in order]),
        corrupt_videos=dict(broken),
    )
    return _add_pool({**given, "catalog": replace(given["catalog"], frames=frames.checked())}, list(pool))


def _add_pool(given, pool):
    catalog, n, p = given["catalog"], len(given["catalog"].names), len(pool)
    columns = {name: getattr(catalog, name) for name in ("sha256", "sizes_bytes", "widths_px", "heights_px")}
    joined = {name: np.concatenate([column, column[:p]]) for name, column in columns.items()}
    own_rows = np.arange(n, n + p)
    duplicate_of = np.concatenate([catalog.duplicate_of, own_rows])
    return {
        **given,
        "catalog": replace(catalog, names=catalog.names + pool, n_pool=p, duplicate_of=duplicate_of, **joined),
        "embeddings": np.concatenate([given["embeddings"], 0.9 * given["embeddings"][:p]]),
        "selection": replace(given["selection"], preselected=own_rows),
    }
