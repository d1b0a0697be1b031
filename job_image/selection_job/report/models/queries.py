"""queries: what the strategies on QUERIES looked for, and the images that fit best."""

from typing import Annotated

from pydantic import Field

from selection_job.report.models.base import MaybeAbsent, MaybeNumber, Number, ReportModel
from selection_job.selection.query_values import MOST_HITS

_MOST_TEXTS = 100


class QueryHit(ReportModel):
    """An image with one of the largest values."""

    filename: str
    value: Number
    """As the strategy has it."""
    cosine: MaybeAbsent[MaybeNumber] = None
    """With the nearest text or image of the query; absent where the query names alternatives."""
    text: MaybeAbsent[str] = None
    """Of several texts the one that it is nearest to."""


class QueryInformation(ReportModel):
    """A strategy on QUERIES."""

    strategy: str
    """Its name, as in selectionInformation.strategies."""
    type: str
    """SIMILARITY or THRESHOLD."""
    texts: Annotated[list[str], Field(max_length=_MOST_TEXTS)]
    other_texts: Annotated[list[str], Field(max_length=_MOST_TEXTS)]
    folder: MaybeAbsent[str] = None
    """The folder of the query's images."""
    measure: str
    """What the values are."""
    hits: Annotated[list[QueryHit], Field(max_length=MOST_HITS)]
    """The largest values first, whatever was selected; of images only what passes every THRESHOLD has a SIMILARITY."""
    remark: MaybeAbsent[str] = None
    """Where nothing fits, or where the values can't tell."""
