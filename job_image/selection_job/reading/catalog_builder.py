"""CatalogBuilder: from the images as they were read to the catalog."""

from array import array
from collections.abc import Sequence

import numpy as np

from selection_job.catalog.catalog import Catalog
from selection_job.catalog.copies import find_first_equal
from selection_job.catalog.image_names import quote_some
from selection_job.images.upright import AS_STORED
from selection_job.reading.images import ReadImage


class CatalogBuilder:
    """Collects images in their order, in columns: about 61 bytes an image beside its name, 8 for each measure."""

    def __init__(self, measures: Sequence[str] = ()) -> None:
        self._measures = {name: array("d") for name in measures}
        self._names: list[str] = []
        self._digests = bytearray()
        self._sizes_bytes = array("q")
        self._widths_px = array("i")
        self._heights_px = array("i")
        self._orientations = array("B")
        self._n_transparent = 0
        self._corrupt: dict[str, str] = {}
        self._with_left_out: list[str] = []
        self._corrupt_sha256: dict[str, bytes] = {}

    def add(self, image: ReadImage) -> None:
        """Add an image; one with a reason is corrupt."""
        if image.reason is not None:
            self._corrupt[image.name] = image.reason
            if image.sha256:
                self._corrupt_sha256[image.name] = image.sha256
            return
        self._names.append(image.name)
        if image.has_left_out:
            self._with_left_out.append(image.name)
        self._digests += image.sha256
        self._sizes_bytes.append(image.size_bytes)
        self._widths_px.append(image.width_px)
        self._heights_px.append(image.height_px)
        self._orientations.append(image.orientation)
        self._n_transparent += image.is_transparent
        for values, value in zip(self._measures.values(), image.measures, strict=True):
            values.append(value)

    def build(self) -> Catalog:
        """Return the catalog of what was added so far."""
        digests = np.frombuffer(bytes(self._digests), dtype=np.uint8).reshape(-1, 32)
        orientations = np.array(self._orientations, dtype=np.uint8)
        return Catalog(
            names=list(self._names),
            sha256=digests,
            sizes_bytes=np.array(self._sizes_bytes, dtype=np.int64),
            widths_px=np.array(self._widths_px, dtype=np.int32),
            heights_px=np.array(self._heights_px, dtype=np.int32),
            orientations=orientations if (orientations != AS_STORED).any() else None,
            n_transparent=self._n_transparent,
            duplicate_of=find_first_equal(digests),
            corrupt=dict(self._corrupt),
            corrupt_sha256=dict(self._corrupt_sha256),
            measures={name: np.array(values, dtype=np.float64) for name, values in self._measures.items()},
            image_notes=_note_left_out(self._with_left_out),
        )


def _note_left_out(names: list[str]) -> tuple[str, ...]:
    if not names:
        return ()
    return (
        "Files whose metadata (texts, colour profiles, makers' notes) are too large or damaged and were not read, "
        f"while their pixels are used: {len(names)} ({quote_some(names)}).",
    )
