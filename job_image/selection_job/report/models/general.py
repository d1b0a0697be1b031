"""generalInformation: who ran what, when, on which machine, and how many images or videos came and went."""

from typing import Literal

from selection_job.report.models.base import Count, MaybeAbsent, MaybeNumber, Number, ReportModel


class WorkerInformation(ReportModel):
    """The program and the machine."""

    build_version: str
    versions: dict[str, str]
    """Of each package the numbers depend on."""
    device: str
    threads: Count


class StageTime(ReportModel):
    """How long a stage took."""

    stage: str
    seconds: Number


class Credentials(ReportModel):
    """How each datasource came to its credentials: the method, never a secret."""

    input: str
    lightly: str


class HalfMatchInformation(ReportModel):
    """Whether the encoder tells images apart: how many left halves have their own right half nearest."""

    n_images: Count
    """Different images whose halves were embedded, chosen by the hash of their content; chance finds one of these."""
    n_matched: Count
    """Left halves nearest to their own right half, by the cosine of their embeddings."""
    n_matched_by_colors: Count
    """The same by histograms of colours, what an encoder has to be better than."""
    share: MaybeNumber
    """nMatched over nImages; null where there is no image."""
    chance: MaybeNumber
    """What guessing reaches: one over nImages."""
    verdict: Literal["TOO_FEW", "LOW", "FINE"]
    """TOO_FEW: less than 20 different images tell nothing. LOW: the encoder finds
    less than three in four, and no more than colours or luck do."""


class EncoderInformation(ReportModel):
    """Where the embeddings come from."""

    source: str
    fingerprint: str
    name: MaybeAbsent[str] = None
    """The network, as its makers call it."""
    licence: MaybeAbsent[str] = None
    """Of the network's weights, where their makers say it."""
    input_size: MaybeAbsent[Count] = None
    """Edge of the network's input in pixels."""
    preprocessing: MaybeAbsent[str] = None
    """How an image becomes the network's input."""
    half_match: MaybeAbsent[HalfMatchInformation] = None
    """Where images were embedded; absent also where an earlier version had embedded them."""


class RunInformation(ReportModel):
    """The run itself."""

    run_id: str
    run_name: str
    start_timestamp: str
    end_timestamp: str
    """When the results were complete; the report is drawn after."""
    total_processing_time_s: Number
    stages: list[StageTime]
    """In the order they ran."""
    input_url: str
    run_url: str
    credentials: Credentials
    encoder: EncoderInformation
    decoder: str
    bytes_read: Count
    bytes_reread: Count
    """The part of bytesRead that was read before in this run."""
    seed: int
    umap_seconds: Number


class DatasetSizes(ReportModel):
    """Counts of images. nInput is the sum of nCorrupt, nDuplicate, nRemoved and nSelected."""

    n_input: Count
    """Images listed; of videos the frames that were looked at."""
    n_corrupt: Count
    n_duplicate: Count
    """Exact copies left out of the selection."""
    n_removed: Count
    n_selected: Count
    n_preselected_datapool: Count
    """Images that were selected before, by earlier runs or by the table of embeddings; no part of nInput."""
    n_selected_with_datapool: Count
    """nSelected and nPreselectedDatapool."""


class VideoLevelSizes(ReportModel):
    """Counts of a run's videos. nInput is the sum of nCorrupt, nDuplicate, nRemoved and nSelected."""

    n_input: Count
    """Videos listed."""
    n_corrupt: Count
    """Videos that can't be used at all."""
    n_duplicate: Count
    """Videos whose usable frames were all left out as exact copies."""
    n_removed: Count
    """Usable videos without a selected frame."""
    n_selected: Count
    """Videos with a selected frame."""
    n_preselected_datapool: Count
    """Videos with a frame that earlier runs selected; no part of nInput."""
    n_selected_with_datapool: Count
    """Videos that are in one of these two."""


class DatasetInformation(ReportModel):
    """What the run was given."""

    dataset_name: str
    dataset_sizes: DatasetSizes
    video_level_sizes: MaybeAbsent[VideoLevelSizes] = None
    """Of a run over videos."""


class GeneralInformation(ReportModel):
    """The program, the run, and what it was given."""

    worker_information: WorkerInformation
    run_information: RunInformation
    dataset_information: DatasetInformation
