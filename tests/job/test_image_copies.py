"""Copies of images: where they lie, what they hold, what happens to one that is gone."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from selection_job.results.image_copies import encode_image, name_copies, thumbnail_key

SUFFIX = ".lightly/thumbnails/[filename]_thumb.[extension]"
NAMES = st.lists(
    st.builds(
        "{}.{}".format,
        st.text("a/-", max_size=3).flatmap(lambda stem: st.sampled_from([stem, f"{stem}-jpg", f"{stem}-png-2"])),
        st.sampled_from(["jpg", "png", "webp"]),
    ),
    unique=True,
)


@given(NAMES)
def test_no_two_copies_share_a_name(names):
    assert len(set(name_copies(names, "png"))) == len(names)


def test_copies_of_bytes_keep_their_names():
    assert name_copies(["a.jpg", "sub/b.PNG"], None) == ["a.jpg", "sub/b.PNG"]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("image_1.png", ".lightly/thumbnails/image_1_thumb.png"),
        ("sub.dir/image.v2.JPG", ".lightly/thumbnails/sub.dir/image.v2_thumb.JPG"),
        ("写真/東京.webp", ".lightly/thumbnails/写真/東京_thumb.webp"),
        ("[extension].jpg", ".lightly/thumbnails/[extension]_thumb.jpg"),
    ],
)
def test_thumbnails_lie_where_the_suffix_says(name, key):
    assert thumbnail_key(SUFFIX, name) == key


@pytest.mark.parametrize("extension", ["jpg", "JPEG", "png", "webp", "bmp", "tif", "tiff", "ppm", "pgm"])
def test_every_listed_extension_can_be_written(extension):
    content = encode_image(Image.new("RGB", (4, 3), "red"), extension)
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (4, 3)
