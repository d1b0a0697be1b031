"""The JSON files of images on every kind of storage."""

import pytest

from selection_job.stores.sidecar_files import ImageRows, list_image_files, read_image_files, stem_of

NAMES = sorted(
    ["100%.jpg", "a+b c.jpg", "Grüße/Äpfel.png", "写真/東京 <1> & 2.png", "what?.jpg", "half#.jpg", "x.y.jpg"]
)


@pytest.mark.parametrize("many", [40])
def test_files_of_odd_names_are_found_and_read(store, many):
    names = [*NAMES, *(f"frames/{i:03}.jpg" for i in range(many))]
    folder = ".lightly/predictions/t/"
    for name in names:
        store.write(f"{folder}{stem_of(name)}.json", name.encode())
    images = ImageRows([*names, "frames/without.jpg"])
    files = list_image_files(store, folder, images, others=())
    found = {images.names[file.row]: file.content for file in read_image_files(store, files, names, most_bytes=99)}
    assert found == {name: name.encode() for name in names}
    assert list_image_files(store, folder, images, others=()).fingerprint == files.fingerprint
    store.write(f"{folder}x.y.json", b"changed")
    assert list_image_files(store, folder, images, others=()).fingerprint != files.fingerprint
