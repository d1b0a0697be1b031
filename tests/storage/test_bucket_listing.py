"""Listing folder by folder: every object once, whatever the folders, the pages and who lists at the same time."""

import threading
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selection_job.errors import StorageRefused, StorageUnavailable
from selection_job.stores.cloud.listing import PARALLEL_LISTINGS, list_rows
from selection_job.stores.cloud.provider_client import Page

KEYS = st.sets(
    st.lists(st.sampled_from(["a", "b", "", "..", "c d"]), min_size=1, max_size=4).map("/".join).filter(bool),
    max_size=40,
)


class Shelf:
    """Lists keys as S3 does, page_size entries at a time; folders count as entries."""

    def __init__(self, keys, page_size):
        self.keys, self.page_size, self.requests = sorted(keys), page_size, []

    def ask(self, prefix, token, by_folder):
        self.requests.append((prefix, token, by_folder))
        entries = sorted({self._entry(key, prefix, by_folder) for key in self.keys if key.startswith(prefix)})
        start = int(token or 0)
        shown, after = entries[start : start + self.page_size], start + self.page_size
        objects = [(key, len(key), f"version of {key}") for is_folder, key in shown if not is_folder]
        folders = tuple(key for is_folder, key in shown if is_folder)
        return Page(objects, str(after) if after < len(entries) else None, folders)

    def _entry(self, key, prefix, by_folder):
        head, slash, _ = key[len(prefix) :].partition("/")
        return (True, prefix + head + "/") if by_folder and slash else (False, key)


def listed(shelf, prefix=""):
    return [row for rows in list_rows(shelf.ask, prefix) for row in rows]


@given(KEYS, st.integers(1, 50), st.sampled_from(["", "a", "a/", "b/a", "/"]))
def test_every_object_is_listed_once_whatever_the_pages_and_folders(keys, page_size, prefix):
    wanted = sorted((key, len(key), f"version of {key}") for key in keys if key.startswith(prefix))
    assert sorted(listed(Shelf(keys, page_size), prefix)) == wanted


def test_what_fits_a_page_takes_one_request():
    shelf = Shelf([f"{i}/x" for i in range(10)], 10)
    assert len(listed(shelf)) == 10
    assert shelf.requests == [("", None, False)]


def test_one_folder_without_folders_is_listed_in_one_go():
    shelf = Shelf([f"in/{i:03}" for i in range(100)], 10)
    assert len(listed(shelf, "in/")) == 100
    assert len(shelf.requests) == 10


def test_a_level_of_more_than_a_page_is_not_divided():
    shelf = Shelf([f"{i:03}/x" for i in range(100)], 10)
    assert len(listed(shelf)) == 100
    assert len(shelf.requests) == 11


def test_folders_are_listed_at_the_same_time():
    shelf, together = Shelf([f"{i}/{j}" for i in range(8) for j in range(8)], 8), threading.Barrier(8, timeout=30)

    def ask(prefix, token, by_folder):
        if prefix:
            together.wait()
        return shelf.ask(prefix, token, by_folder)

    assert len([row for rows in list_rows(ask, "") for row in rows]) == 64


def test_who_wants_a_few_waits_for_no_more():
    shelf = Shelf([f"{i}/{j}" for i in range(50) for j in range(50)], 60)
    assert len(list(islice((row for rows in list_rows(shelf.ask, "") for row in rows), 1))) == 1
    assert len(shelf.requests) <= 2 + 2 * PARALLEL_LISTINGS


def test_pages_wait_for_whoever_looks_at_them():
    shelf = Shelf([f"{i:02}/{j:02}" for i in range(50) for j in range(20)], 50)
    pages = list_rows(shelf.ask, "")
    seen = [row for rows in islice(pages, 3) for row in rows]
    assert len(shelf.requests) <= 2 + 2 * PARALLEL_LISTINGS + len(seen) // 20
    seen += [row for rows in pages for row in rows]
    assert len({key for key, _, _ in seen}) == len(seen) == 1000


@pytest.mark.parametrize("folders", [("",), ("in/",), ("elsewhere/",)])
def test_folders_that_lie_nowhere_below_are_not_followed(folders):
    keys = [f"in/a/{i}" for i in range(4)]

    def ask(prefix, token, by_folder):
        if by_folder:
            return Page([], None, folders)
        return Page([(key, 1, "v") for key in (keys[2:] if token else keys[:2])], None if token else "t")

    assert [key for rows in list_rows(ask, "in/") for key, _, _ in rows] == keys


def test_where_folders_may_not_be_asked_for_the_listing_goes_on_without():
    shelf = Shelf([f"{i}/{j}" for i in range(8) for j in range(8)], 8)

    def ask(prefix, token, by_folder):
        if by_folder:
            raise StorageRefused("no")
        return shelf.ask(prefix, token, by_folder)

    assert len([row for rows in list_rows(ask, "") for row in rows]) == 64


def test_a_fault_in_one_folder_ends_the_listing():
    shelf = Shelf([f"{i}/{j}" for i in range(8) for j in range(8)], 8)

    def ask(prefix, token, by_folder):
        if prefix == "5/":
            raise StorageUnavailable("no")
        return shelf.ask(prefix, token, by_folder)

    with pytest.raises(StorageUnavailable):
        list(list_rows(ask, ""))


def test_a_page_by_folders_has_the_objects_of_the_level_and_the_folders(bucket):
    contents = {"a.jpg": 1, "sub/b.jpg": 2, "sub/deep/c.jpg": 3, "sub two/ä+b%20.jpg": 4, "写真 1/d.jpg": 5}
    for key, size_bytes in contents.items():
        bucket.write(key, b"x" * size_bytes)
    prefix = bucket._prefix
    page = bucket._connected().vendor.list_page(prefix, None, True)
    assert [(key.removeprefix(prefix), size_bytes) for key, size_bytes, _ in page.objects] == [("a.jpg", 1)]
    assert sorted(page.folders) == sorted(f"{prefix}{folder}/" for folder in ("sub", "sub two", "写真 1"))
    assert page.next_token is None
