"""Query hits: the images that fit best to what each strategy on QUERIES looks for, and whether anything fits."""

import numpy as np

from selection_job.catalog.catalog import Catalog
from selection_job.manifest.query import Query
from selection_job.numeric.sentences import Fit, stand_out
from selection_job.report.models.queries import QueryHit, QueryInformation
from selection_job.selection.gathered_sources import GatheredSources
from selection_job.selection.query_values import find_best
from selection_job.selection.selection import Selection, StrategyRecord

_EVEN = 0.5
_FEWEST = 6
"""Values of which one can lie two standard deviations above the mean."""


def describe_queries(selection: Selection, sources: GatheredSources, catalog: Catalog) -> list[QueryInformation]:
    """Return what each strategy on QUERIES looked for, with the five best of all that could be chosen."""
    records = (*selection.thresholds, *selection.rankings)
    return [
        _describe(record, record.query, sources.query_fit(record.query), selection, catalog)
        for record in records
        if record.query is not None
    ]


def _describe(
    record: StrategyRecord, query: Query, fit: Fit, selection: Selection, catalog: Catalog
) -> QueryInformation:
    values = record.values
    assert values is not None
    is_threshold = record.kind == "THRESHOLD"
    best = find_best(values)
    rows = selection.candidates[best]
    hits = [
        QueryHit(
            filename=catalog.names[row],
            value=float(values[place]),
            cosine=None if query.other_texts else float(fit.values[row]),
            text=query.texts[fit.nearest[row]] if len(query.texts) > 1 else None,
        )
        for place, row in zip(best.tolist(), rows.tolist(), strict=True)
    ]
    return QueryInformation(
        strategy=record.name,
        type=record.kind,
        texts=list(query.texts),
        other_texts=list(query.other_texts),
        folder=query.folder or None,
        measure=_name_measure(query, is_threshold=is_threshold),
        hits=hits,
        remark=_remark(query, fit, selection, is_threshold=is_threshold),
    )


def _name_measure(query: Query, *, is_threshold: bool) -> str:
    if query.other_texts:
        return "probability of the texts among all sentences"
    if query.texts:
        return "share that fits less well" if is_threshold else "how far it stands out, 0 to 1"
    return "cosine with the nearest query image" if is_threshold else "nearness to the nearest query image, 0 to 1"


def _remark(query: Query, fit: Fit, selection: Selection, *, is_threshold: bool) -> str | None:
    fits = fit.values[selection.candidates]
    if query.other_texts:
        if fits.max() >= _EVEN:
            return None
        return "Nothing fits: everything is more probably one of the other texts."
    if not query.texts:
        return None
    remarks = []
    if is_threshold:
        remarks.append(
            "A share always keeps something, whether or not it is there: look before you rely on it, or name in "
            "other_texts what else there is."
        )
    if len(fits) >= _FEWEST and float(np.max(stand_out(fits, fits))) < _EVEN:
        remarks.append("Nothing stands out from the rest by two standard deviations: much fits, or nothing does.")
    return " ".join(remarks) or None
