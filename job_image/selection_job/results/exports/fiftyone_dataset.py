"""fiftyone/: a dataset in FiftyOne's serialized form, which fo.types.LegacyFiftyOneDataset imports without copies."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from selection_job.formats.distinct_names import Renamed, keep_apart, list_renamed
from selection_job.formats.json_writing import dump, open_new, write_items
from selection_job.results.exports.chosen_images import ChosenImage, ChosenImages, FoundObject

_TAG = "selected"
_OWN_FIELDS = frozenset({"id", "filepath", "tags", "metadata", "filename", "rank"})
_RESERVED = frozenset({
    "DoesNotExist", "MultipleObjectsReturned", "STRICT", "add_field", "add_implied_field", "cascade_save",
    "clean", "clear_field", "collection", "collection_name", "compare_indexes", "copy", "create_index",
    "created_at", "dataset", "dataset_id", "delete", "drop_collection", "ensure_index", "ensure_indexes",
    "fancy_repr", "field_names", "frame_number", "frames", "from_dict", "from_json", "get_field",
    "get_field_schema", "get_text_score", "group", "has_field", "in_dataset", "in_db", "ingest_time",
    "iter_fields", "last_modified_at", "list_indexes", "media_type", "merge", "merge_field_schema", "meta",
    "modify", "my_metadata", "objects", "pk", "pprint", "register_delete_rule", "reload", "sample_id", "save",
    "select_related", "set_field", "switch_collection", "switch_db", "to_dbref", "to_dict", "to_json",
    "to_mongo", "to_mongo_dict", "update", "update_fields", "validate",
})  # fmt: skip
"""What samples of FiftyOne and the documents behind them are called otherwise: set_field refuses these words."""


def write_fiftyone(folder: Path, chosen: ChosenImages) -> None:
    """Write samples.json and metadata.json. Paths are absolute for a folder, addresses for a bucket.

    Fields that can't be called as in the run are listed in metadata.json as info.renamed_fields, name by field.
    """
    kinds = {name: task.kind for name, task in chosen.tasks.items()}
    fields = _name_fields(chosen)
    renamed = {field: name for (_, name), field in fields.items() if name != field}
    info = {"renamed_fields": renamed} if renamed else {}
    with open_new(folder / "fiftyone" / "metadata.json") as file:
        file.write(dump({"name": "selection", "media_type": "image", "info": info}) + "\n")
    with open_new(folder / "fiftyone" / "samples.json") as file:
        file.write('{"samples":')
        write_items(file, (_sample(chosen, image, kinds, fields) for image in chosen))
        file.write("}\n")


def name_fields(values: Sequence[str], tasks: Sequence[str]) -> dict[tuple[str, str], str]:
    """Return the field of each ("value", name) and ("task", name): one that FiftyOne takes, and no two the same."""
    named = [*(("value", name) for name in values), *(("task", name) for name in tasks)]
    return dict(zip(named, keep_apart([_name_field(name) for _, name in named], _OWN_FIELDS | _RESERVED), strict=True))


def list_fiftyone_fields(chosen: ChosenImages) -> list[Renamed]:
    """Return the values and tasks whose field is another's already, or which FiftyOne refuses."""
    fields = _name_fields(chosen)
    names = [name for _, name in fields]
    return list_renamed("FiftyOne field", [_usual_field(name) for name in names], names, list(fields.values()))


def _name_fields(chosen: ChosenImages) -> dict[tuple[str, str], str]:
    return name_fields(chosen.value_names, list(chosen.tasks))


def _name_field(name: str) -> str:
    """Return the usual field; none of FiftyOne's own begins with '_', and one stands behind a word that it refuses."""
    field = _usual_field(name).lstrip("_") or "field"
    return f"{field}_" if field in _OWN_FIELDS | _RESERVED else field


def _usual_field(name: str) -> str:
    """Return the name with what a field of FiftyOne can't hold as '_', and one behind a name of the sample's own."""
    field = "".join(letter if letter.isalnum() or letter == "_" else "_" for letter in name)
    return f"{field}_" if field in _OWN_FIELDS else field


def _sample(
    chosen: ChosenImages, image: ChosenImage, kinds: dict[str, str], fields: dict[tuple[str, str], str]
) -> dict[str, Any]:
    sample: dict[str, Any] = {
        "filepath": chosen.place.name_uri(image.file_name),
        "tags": [_TAG],
        "metadata": None,
        "filename": image.name,
        "rank": image.rank,
    }
    sample |= {fields["value", name]: value for name, value in image.values.items()}
    return sample | {fields["task", name]: label for name, label in _labels(image, kinds)}


def _labels(image: ChosenImage, kinds: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, objects in image.objects.items():
        if kinds[name] == "classification":
            label = {"_cls": "Classification", "tags": [], "attributes": {}, "label": objects[0].category}
            yield name, {**label, "confidence": objects[0].score}
        elif boxes := [_detection(image, found) for found in objects if found.box_px and image.width_px]:
            yield name, {"_cls": "Detections", "detections": boxes}


def _detection(image: ChosenImage, found: FoundObject) -> dict[str, Any]:
    assert found.box_px is not None
    x, y, width, height = found.box_px
    box = [x / image.width_px, y / image.height_px, width / image.width_px, height / image.height_px]
    return {
        "_cls": "Detection",
        "tags": [],
        "attributes": {},
        "label": found.category,
        "bounding_box": box,
        "confidence": found.score,
    }
