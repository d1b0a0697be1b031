"""RunFacts: what the report says about the run itself, gathered by the pipeline."""

from dataclasses import dataclass, field
from typing import Any

from selection_job.catalog.half_match import HalfMatch
from selection_job.process.energy import Energy


@dataclass(frozen=True)
class RunFacts:
    """Who, when, where, with what. Timestamps are ISO 8601 with a zone."""

    run_id: str
    name: str
    dataset_name: str
    started_at: str
    finished_at: str
    """When the results were complete; drawing the report comes after. By the clock of stage_seconds."""
    stage_seconds: dict[str, float]
    """Wall time of each finished stage, in the order they ran; together all time from started_at to finished_at."""
    device: str
    threads: int
    versions: dict[str, str]
    input_url: str
    output_url: str
    credentials: dict[str, str]
    """How each datasource, input and lightly, came to its credentials: the method, never a secret."""
    encoder_source: str
    encoder_fingerprint: str
    decoder: str
    bytes_read: int
    bytes_reread: int
    """The part of bytes_read that was read before in this run."""
    n_input: int
    """Images listed, corrupt ones included."""
    seed: int
    encoder_name: str = ""
    """The network, as its makers call it; '' where embeddings were given."""
    encoder_licence: str = ""
    """Of its weights, where their makers say it."""
    encoder_input_px: int | None = None
    encoder_preprocessing: str = ""
    """How an image becomes its input, in words."""
    every_nth_frame: int | None = None
    target_fps: float | None = None
    """Which frames of videos were looked at; all where neither is set."""
    half_match: HalfMatch | None = None
    """Whether the encoder tells the images apart; None where that was not looked at."""
    energy: Energy = field(default_factory=lambda: Energy(0.0))
    """What the run has used until the report was begun."""
    notes: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    """The manifest with every default filled in, as JSON values."""
    overrides: dict[str, Any] = field(default_factory=dict)
    """What the user set, as JSON values."""
