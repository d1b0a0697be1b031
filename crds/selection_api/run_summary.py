"""RunSummary: the job's last word, small enough for a termination message."""

from typing import Annotated, Self

from pydantic import Field

from selection_api.model import ServerModel
from selection_api.names import LONGEST_SUMMARY_BYTES, REASON_OF_EXIT, ExitCode, Stage
from selection_api.status import Counts, Outputs

CUT = " […]"


class RunSummary(ServerModel):
    """How a run ended, what it found, and where its results are."""

    run_id: str = ""
    """The name of the run's folder."""

    exit_code: Annotated[ExitCode, Field(strict=False)]
    """The process's exit code."""

    reason: str = ""
    """One word for the end, such as Complete or UnusableData."""

    message: str = ""
    """A sentence for the user; the first thing that is cut when the summary grows too long."""

    stage: Annotated[Stage, Field(strict=False)] = Stage.INITIALIZING
    """The stage that was reached."""

    counts: Counts | None = None
    """What became of the input images, as far as it was known."""

    outputs: Outputs | None = None
    """Where the results are; none before they were written."""

    @classmethod
    def of_exit(cls, exit_code: ExitCode, message: str, *, stage: Stage = Stage.INITIALIZING, run_id: str = "") -> Self:
        """Make the summary of an end that has no results, with the reason that belongs to the exit code."""
        return cls(run_id=run_id, exit_code=exit_code, reason=REASON_OF_EXIT[exit_code], message=message, stage=stage)

    def to_bytes(self) -> bytes:
        """Write JSON of at most 4096 bytes in UTF-8; what doesn't fit is cut: first the message, then outputs."""
        for summary in (self, self.model_copy(update={"outputs": None})):
            content = summary._encode()
            excess = len(content) - LONGEST_SUMMARY_BYTES
            if excess <= 0:
                return content
            shortened = summary._shorten_message(excess)
            if shortened is not None:
                return shortened._encode()
        return self.model_copy(update={"outputs": None, "message": "", "reason": "", "run_id": ""})._encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read what to_bytes wrote; raises ValueError for anything else."""
        return cls.model_validate_json(content, by_alias=True, by_name=False)

    def _encode(self) -> bytes:
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()

    def _shorten_message(self, excess: int) -> Self | None:
        """Cut the message until the summary fits; None when cutting it to nothing is not enough."""
        fits = None
        low, high = 0, len(self.message)
        while low < high:
            kept = (low + high) // 2
            candidate = self.model_copy(update={"message": self.message[:kept] + CUT})
            if len(candidate._encode()) <= LONGEST_SUMMARY_BYTES:
                fits, low = candidate, kept + 1
            else:
                high = kept
        return fits
