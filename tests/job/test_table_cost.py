"""What wide tables cost is told before they are written."""

from selection_job.manifest.noun import IMAGE
from selection_job.publishing.table_cost import note_table_cost


def test_the_cost_of_wide_tables_is_told_from_a_hundred_million_numbers():
    assert note_table_cost(99_999, 1000, IMAGE, ("CSV",)) == []
    assert note_table_cost(100_000, 1280, IMAGE, ("PARQUET",)) == []
    (note,) = note_table_cost(100_000, 1280, IMAGE, ("CSV",))
    assert "100,000 images with 1,280 numbers each" in note and "5.4 GB" in note and "53.8 s" in note
