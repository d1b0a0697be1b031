"""The relevant-filenames file: lines, wildcards, and what is said about those that name nothing."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selection_job.catalog.listing import list_images
from selection_job.catalog.relevant_filenames import parse_relevant_filenames
from selection_job.errors import UnusableData
from selection_job.stores.local.store import LocalStore

FILE = ".lightly/relevant_filenames.txt"
IMAGES = ["image_1.png", "my dir/a.jpg", "subdir/image_2.png", "subdir/image_3.png", "subdir/image_40.png"]
IMAGES += ["subdir/image_41.png", "subdir/deep/image_4.png", "#odd.jpg"]


@pytest.fixture
def choose(tmp_path):
    for name in [*IMAGES, "notes.txt"]:
        path = tmp_path / "input" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")

    def choose(content):
        path = tmp_path / "lightly" / FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        stores = LocalStore(tmp_path / "input"), LocalStore(tmp_path / "lightly")
        return list_images(*stores, relevant_filenames_file=FILE)

    return choose


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("image_1.png\nsubdir/image_3.png\n", ["image_1.png", "subdir/image_3.png"]),
        ("\ufeff\n# comment\r\n\r\n  \r\n./image_1.png \t\r\n", ["image_1.png"]),
        ("my dir/a.jpg\n\\#odd.jpg", ["#odd.jpg", "my dir/a.jpg"]),
        ("*", sorted(IMAGES)),
        ("my dir/*", ["my dir/a.jpg"]),
        ("subdir/image_*\nimage_1.png", ["image_1.png", *IMAGES[2:6]]),
        (
            "subdir/* subdir/image_4* !subdir/image_41.png",
            [*IMAGES[2:4], "subdir/image_41.png", "subdir/deep/image_4.png"],
        ),
        ("subdir/*\tdeep/", IMAGES[2:6]),
        ("* subdir/ my\\ dir/", ["#odd.jpg", "image_1.png"]),
        ("subdir/* *.png !image_2.png\nsubdir/image_3.png", ["subdir/image_2.png", "subdir/image_3.png"]),
    ],
)
def test_lines_take(choose, content, names):
    listing = choose(content)
    assert listing.names == sorted(names)
    assert listing.notes == ["1 other file of the input ends in .txt (1): not read."]


def test_duplicates_missing_names_and_odd_lines_are_noted(choose):
    listing = choose("image_1.png\nimage_1.png\n./image_1.png\nIMAGE_1.png\nnotes.txt\nnowhere/*\nsubdir/*.jpg\n")
    duplicates, odd, missing, _ = listing.notes
    assert duplicates == f"{FILE}: 2 lines repeat an earlier line."
    assert "text right after the first '*' of a line has no effect" in odd
    assert missing.startswith(f"{FILE}: 3 lines name no image of the input: 'IMAGE_1.png', 'notes.txt', 'nowhere/*'")
    assert missing.endswith("'image_1.png' in place of 'IMAGE_1.png'.")


def test_the_list_of_missing_names_is_bounded(choose):
    note, _ = choose("image_1.png\n" + "\n".join(f"gone_{row:05}.jpg" for row in range(20_000))).notes
    assert "20,000 lines" in note
    assert note.endswith("'gone_00009.jpg' and 19990 more")


@pytest.mark.parametrize("line", ["../secret.jpg", "a/../../b.jpg", "/etc/passwd", "../*", "./../x.jpg", "..", "a\0b"])
def test_lines_that_leave_the_input_are_refused(choose, line):
    with pytest.raises(UnusableData, match=r"line 2: .* leaves the input"):
        choose(f"image_1.png\n{line}\n")


def test_a_whole_path_is_refused_with_the_name_to_write(choose, tmp_path):
    with pytest.raises(UnusableData, match=r"Write 'sub/image_1\.png'\.$"):
        parse_relevant_filenames(b"/data/in/sub/image_1.png", where=FILE, input_url="/data/in/")
    with pytest.raises(UnusableData, match=r"Write 'image_1\.png'\.$"):
        choose("/image_1.png")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (json.dumps(["image_1.png", "image_2.png"]), "is JSON. Write one name a line, without brackets"),
        ("image_1.png\n".encode("utf-16"), "must be UTF-8 text; it is UTF-16: save it as UTF-8"),
        ('"image_1.png"\n', "'image_1.png' in place of '\"image_1.png\"'"),
        ("subdir\\image_3.png\n", "'subdir/image_3.png' in place of"),
        ("subdir/\n", "'subdir/*' takes all that is in a folder"),
        ("s3://bucket/in/subdir/image_3.png", "'subdir/image_3.png' in place of 's3://bucket/in/subdir/image_3.png'"),
    ],
    ids=["json", "utf-16", "quotes", "back slashes", "folder", "url"],
)
def test_a_list_in_another_form_is_told_with_what_to_write(choose, content, sentence):
    with pytest.raises(UnusableData, match=re.escape(sentence)):
        choose(content)


def test_lines_of_old_macs_are_lines(choose):
    assert choose("image_1.png\rsubdir/image_3.png\r").names == ["image_1.png", "subdir/image_3.png"]


def test_a_file_that_is_not_there_says_where_it_was_expected(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"x")
    store = LocalStore(tmp_path)
    with pytest.raises(UnusableData, match=f"expected at {tmp_path}/{FILE}"):
        list_images(store, store, relevant_filenames_file=FILE)


@pytest.mark.parametrize(("content", "said"), [("", "it is empty"), ("nothing.jpg", "'nothing.jpg'"), ("x/*", "'x/")])
def test_a_file_that_names_no_image_is_unusable(choose, content, said):
    with pytest.raises(UnusableData, match=f"None of the lines .* the 8 images in .*{said}"):
        choose(content)


def test_a_file_that_is_not_utf8_is_unusable(choose):
    with pytest.raises(UnusableData, match="must be UTF-8 text; byte 1 "):
        choose(b"a\xff.jpg\n")


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\n\r\0*"), min_size=1).filter(
    lambda name: (
        not name.startswith(("/", "./", "#", "\\#", "\ufeff")) and ".." not in name and name.rstrip(" \t") == name
    )
)


@given(
    st.lists(NAMES.filter(lambda name: name.strip(" \t")), max_size=20),
    st.sampled_from(["\n", "\r\n", "\n\n", "\n# x\n"]),
)
def test_any_names_that_are_written_are_read(names, line_end):
    parsed = parse_relevant_filenames(line_end.join(names).encode(), where="here")
    assert parsed.names == set(names)
    assert parsed.n_duplicates == len(names) - len(set(names))


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused(content):
    try:
        parsed = parse_relevant_filenames(content, where="here")
    except UnusableData as error:
        assert "here" in str(error)
    else:
        assert parsed.find("a/b.jpg") is None or parsed.wildcards or "a/b.jpg" in parsed.names
