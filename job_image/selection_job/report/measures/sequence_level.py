"""What was chosen among sequences: each one vector, beside a random choice of as many sequences."""

from typing import Any

from selection_job.report.measures.choice_metrics import measure_level
from selection_job.report.measures.coverage import list_picks_for_radii
from selection_job.report.numbers import rounded
from selection_job.selection.sequence_selection import SequenceSelection

JsonObject = dict[str, Any]


def describe_sequence_level(chosen: SequenceSelection, *, normalize: bool, seed: int) -> JsonObject:
    """Return the report's sequenceInformation. Distances are between the means of the sequences' embeddings.

    One copy of the candidates' vectors is made.
    """
    sequences, selection = chosen.sequences, chosen.selection
    _, measured = measure_level(chosen.vectors, selection, "sequence", normalize=normalize, seed=seed)
    return {
        "length": sequences.length,
        "nSequences": len(sequences.rows),
        "nDuplicate": len(sequences.rows) - len(selection.candidates),
        "leftOut": {"nFramesInRests": len(sequences.left_over), "nFramesBesideCorrupt": len(sequences.broken)},
        **measured,
        "sequencesForRadius": [
            {"radius": rounded(radius), "nSequences": n_picks} for radius, n_picks in list_picks_for_radii(selection)
        ],
    }
