"""Query values: what SIMILARITY and THRESHOLD on QUERIES make of how well each item fits."""

import numpy as np
from numpy.typing import NDArray

from selection_job.manifest.query import Query, list_texts
from selection_job.numeric.sentences import share_below, stand_out

MOST_HITS = 5
"""Images that are shown for a query."""


def value_for_threshold(query: Query, fits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (m,) what a THRESHOLD compares: a probability, of texts alone the share that fits less well, or a cosine.

    fits  (m,) of all that could be chosen
    """
    return share_below(fits) if query.texts and not query.other_texts else fits


def weigh_texts(query: Query, fits: NDArray[np.float64], n_open: int) -> NDArray[np.float64]:
    """Return (m,) 0..1 what SIMILARITY adds up for texts: a probability, or how far an item stands out.

    fits    (m,) of all that could be chosen, and behind these of those that were selected before
    n_open  how many could be chosen: those that an item stands out among
    """
    return fits if query.other_texts else stand_out(fits, fits[:n_open])


def find_best(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the places of the five largest values, or as many as there are, the largest first; never NaN's."""
    known = np.flatnonzero(np.isfinite(values))
    return known[np.argsort(-values[known], kind="stable")[:MOST_HITS]]


def explain_nothing(query: Query, values: NDArray[np.float64], names: list[str]) -> str:
    """Say that a THRESHOLD keeps no image, with the best and their values.

    values, names  of the best, the largest first; names may be empty
    """
    of_what = list_texts(query.texts) if query.texts else query.describe()
    among = f" among {len(query.sentences)} sentences" if query.other_texts else ""
    told = ", ".join(f"{name} ({value:.2g})" for name, value in zip(names, values.tolist(), strict=False))
    best = f". The best: {told}" if told else ""
    return f"THRESHOLD keeps no image: the best has {values[0]:.2g} for {of_what}{among}{best}"
