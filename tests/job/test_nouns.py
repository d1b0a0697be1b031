"""Nouns, verbs and pronouns: each agrees with the number that stands before it."""

import pytest

from selection_job.catalog.listing_notes import note_foreign_files, note_respelled_files
from selection_job.manifest.noun import BOX, FILE, agree
from selection_job.stores.sidecar_files import ImageFiles

OF_ONE = {
    "are": "is",
    "have": "has",
    "were": "was",
    "they": "it",
    "them": "it",
    "their": "its",
    "pass": "passes",
    "reach": "reaches",
    "lie": "lies",
    "count": "counts",
}


@pytest.mark.parametrize("word", OF_ONE)
def test_a_word_is_as_one_takes_it_only_with_one(word):
    assert [agree(n, word) for n in (0, 1, 2, 1001)] == [word, OF_ONE[word], word, word]


def test_a_count_has_its_noun_its_verb_and_thousands_apart():
    assert BOX.count_with(1, "reach") == "1 box reaches"
    assert FILE.count_with(12000, "have") == "12,000 files have"


@pytest.mark.parametrize(
    ("n", "foreign", "respelled"),
    [
        (1, "1 file belongs to no image that takes part and is", "1 file is {} its image, and was"),
        (2, "2 files belong to no image that takes part and are", "2 files are {} their images, and were"),
    ],
)
def test_notes_on_files_beside_images_speak_of_one_and_of_several(n, foreign, respelled):
    files = ImageFiles("cars/", n_foreign=n, foreign=["x"], respelled={row: f"é{row}.json" for row in range(n)})
    assert note_foreign_files("cars", files) == [f"cars: {foreign} not read, such as 'x'"]
    (note,) = note_respelled_files("cars", files)
    said = respelled.format("spelled in another Unicode form (NFC or NFD) than")
    assert note.startswith(f"cars: {said} read: 'é0.json'")
    assert note_foreign_files("cars", ImageFiles("cars/")) == note_respelled_files("cars", ImageFiles("cars/")) == []
