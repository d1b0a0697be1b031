"""LocalStore against the file system itself: keys, links, odd files, atomic writes, the meaning of errors."""

import errno
import os
import socket
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selection_job.errors import ObjectMissing, ObjectRefused, StorageRefused, StorageUnavailable
from selection_job.stores.counting import CountingStore
from selection_job.stores.local.errors import translate_read_errors, translate_write_errors
from selection_job.stores.local.store import PARTIAL_PREFIX, LocalStore

ODD_NAMES = [
    "日本語.jpg",
    'it\'s "quoted".png',
    "new\nline.jpg",
    "a b+c%20d&e<f>.jpg",
    "back\\slash.jpg",
    "-rf",
    "*?[x].jpg",
]


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path, writable=True)


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK])
def test_one_creator_wins_where_the_file_system_has_no_hard_links(store, monkeypatch, code, tmp_path):
    def refuse(self, target):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("pathlib.Path.hardlink_to", refuse)
    assert store.create("sub/lock", b"one")
    assert not store.create("sub/lock", b"two")
    assert store.read("sub/lock") == b"one"
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["lock"]


def keys(store, prefix=""):
    return sorted(info.key for info in store.list(prefix))


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_survive_writing_listing_and_reading(store, name):
    store.write(f"sub/{name}", b"content")
    assert keys(store) == [f"sub/{name}"]
    assert store.read(f"sub/{name}") == b"content"


def test_a_name_that_is_not_utf8_is_listed_and_read(store, tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"content")
    (key,) = keys(store)
    assert key == "caf\udce9.jpg"
    assert store.read(key) == b"content"


def test_listing_gives_sizes_and_hidden_files(store):
    store.write("a.jpg", b"123")
    store.write(".lightly/runs/x.json", b"")
    assert {(info.key, info.size_bytes) for info in store.list()} == {("a.jpg", 3), (".lightly/runs/x.json", 0)}


@pytest.mark.parametrize("prefix", ["", "a", "a/", "a/b", "a/b/", "a/b/c", "a/bc", "x/", "a/b/c.jpg", "a/b/c.jpg/"])
def test_a_prefix_lists_what_starts_with_it(store, prefix):
    everything = ["a/b/c.jpg", "a/bc.jpg", "ab.jpg", "b.jpg", "a/b/d/e.jpg"]
    for key in everything:
        store.write(key, b"x")
    assert keys(store, prefix) == sorted(key for key in everything if key.startswith(prefix))


def test_the_version_changes_with_time_and_with_size(store, tmp_path):
    path = tmp_path / "a.jpg"
    versions = set()
    for content, nanoseconds in [(b"1", 1), (b"1", 2), (b"12", 2)]:
        path.write_bytes(content)
        os.utime(path, ns=(nanoseconds, nanoseconds))
        versions |= {info.version for info in store.list()}
    assert len(versions) == 3


def test_pipes_and_sockets_are_never_opened(store, tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "s.jpg"))
    assert keys(store) == []
    with pytest.raises(ObjectRefused, match="not a regular file"):
        store.read("pipe.jpg")


def test_links_to_files_are_followed_and_a_link_to_nothing_reads_as_gone(store, tmp_path):
    (tmp_path / "real.bin").write_bytes(b"content")
    (tmp_path / "link.jpg").symlink_to("real.bin")
    (tmp_path / "lost.jpg").symlink_to("nowhere")
    assert keys(store) == ["link.jpg", "lost.jpg", "real.bin"]
    assert store.read("link.jpg") == b"content"
    with pytest.raises(ObjectMissing):
        store.read("lost.jpg")


def test_linked_folders_are_listed_once_and_real_names_win(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    (inside / "real").mkdir(parents=True)
    outside.mkdir()
    (inside / "real" / "a.jpg").write_bytes(b"a")
    (outside / "b.jpg").write_bytes(b"b")
    links = {"alias": inside / "real", "loop": inside, "real/up": "..", "far": outside, "far2": outside, "around": "/"}
    for name, target in links.items():
        (inside / name).symlink_to(target)
    (inside / "circle").symlink_to("circle")
    assert keys(LocalStore(inside)) == ["circle", "far/b.jpg", "real/a.jpg"]


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a/.", "a/", "nul\0"])
def test_keys_that_leave_the_folder_are_refused(store, key):
    for verb in (store.read, store.delete, store.exists, lambda key: store.write(key, b"")):
        with pytest.raises(StorageRefused, match="no key inside"):
            verb(key)


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_no_key_reaches_outside(tmp_path_factory, key):
    base = tmp_path_factory.mktemp("base")
    (base / "in").mkdir()
    store = LocalStore(base / "in")
    try:
        store.write(key, b"x")
    except StorageRefused:
        assert list((base / "in").rglob("*")) == []
    else:
        assert keys(store) == [key]
    assert [path.name for path in base.iterdir()] == ["in"]


def test_nothing_is_written_or_deleted_through_a_link_that_leaves(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    (outside / "sub").mkdir(parents=True)
    (outside / "sub" / "keep.txt").write_bytes(b"x")
    (inside / ".lightly").symlink_to(outside)
    store = LocalStore(inside)
    for act in (lambda: store.write(".lightly/x", b""), lambda: store.delete_folder(".lightly/sub/")):
        with pytest.raises(StorageRefused, match="leaves"):
            act()
    with pytest.raises(StorageRefused, match="is a link"):
        store.delete_folder(".lightly/")
    assert (outside / "sub" / "keep.txt").exists()


def test_a_missing_object_is_missing_for_every_verb(store, tmp_path):
    store.write("file", b"")
    for key in ("nothing", "file/below", "x" * 300):
        assert not store.exists(key)
        with pytest.raises(ObjectMissing):
            store.read(key)
        with pytest.raises(ObjectMissing):
            store.download(key, tmp_path / "copy")
    store.delete("nothing")
    store.delete("file/below")
    store.delete_folder("nothing/")


def test_upload_and_download_copy(store, tmp_path):
    content = os.urandom(3_000_000)
    (tmp_path / "source").write_bytes(content)
    store.upload("deep/er/copy", tmp_path / "source")
    store.download("deep/er/copy", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content
    assert (tmp_path / "source").exists()


def test_readers_see_the_old_or_the_new_content(store):
    contents = {bytes([letter]) * 200_000 for letter in b"ab"}
    store.write("x", min(contents))

    def write():
        for _ in range(30):
            for content in contents:
                store.write("x", content)

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while writer.is_alive():
        seen.add(store.read("x"))
    writer.join()
    assert seen <= contents


def test_a_failed_write_keeps_the_old_content_and_leaves_nothing(store, tmp_path, monkeypatch):
    store.write("sub/x", b"old")

    def fail(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageUnavailable, match="no space left"):
        store.write("sub/x", b"new")
    assert store.read("sub/x") == b"old"
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["x"]


def test_a_file_size_limit_reads_as_no_space_left(tmp_path):
    """The real thing, in a process of its own: a limit on file sizes stands for the full disk."""
    script = """
import resource, sys
from pathlib import Path
from selection_job.stores.local.store import LocalStore
from selection_job.errors import StorageUnavailable
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
try:
    LocalStore(Path(sys.argv[1])).write("x", bytes(100_000))
except StorageUnavailable as error:
    sys.exit(0 if "no space left" in str(error) else 3)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], env=environment, check=False)
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_left_over_partial_files_are_no_objects_and_go_with_their_folder(store, tmp_path):
    store.write("run/x", b"")
    (tmp_path / "run" / f"{PARTIAL_PREFIX}0123").write_bytes(b"half")
    assert keys(store) == ["run/x"]
    store.delete_folder("run/")
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_a_folder_is_needed_is_refused(store):
    store.write("a", b"")
    with pytest.raises(StorageRefused, match="can't be written"):
        store.write("a/b", b"")


@pytest.mark.parametrize("writable", [False, True])
def test_a_missing_folder_and_a_file_are_refused_with_what_is_needed(tmp_path, writable):
    (tmp_path / "file").write_bytes(b"")
    needs = "LIST, READ and WRITE" if writable else "LIST and READ"
    with pytest.raises(StorageRefused, match=f"{tmp_path}/nowhere does not exist.*{needs}"):
        LocalStore(tmp_path / "nowhere", writable=writable)
    with pytest.raises(StorageRefused, match=f"not a folder.*{needs}"):
        LocalStore(tmp_path / "file", writable=writable)


def test_a_folder_without_permission_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(
        os, "access", lambda path, mode: not mode & os.W_OK
    )  # tests may run as root, whom nothing stops
    LocalStore(tmp_path)
    with pytest.raises(StorageRefused, match=r"No permission on the folder .* WRITE"):
        LocalStore(tmp_path, writable=True)


def test_a_folder_that_disappears_is_refused_not_empty(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    store = LocalStore(folder)
    folder.rmdir()
    with pytest.raises(StorageRefused, match="does not exist"):
        list(store.list())


@pytest.mark.parametrize(
    ("number", "translate", "expected"),
    [
        (errno.EACCES, translate_read_errors, ObjectRefused),
        (errno.EIO, translate_read_errors, StorageUnavailable),
        (errno.ESTALE, translate_read_errors, StorageUnavailable),
        (errno.ENOENT, translate_read_errors, ObjectMissing),
        (errno.EROFS, translate_write_errors, StorageRefused),
        (errno.EDQUOT, translate_write_errors, StorageUnavailable),
        (errno.EIO, translate_write_errors, StorageUnavailable),
    ],
)
def test_errors_of_the_system_mean(number, translate, expected):
    with pytest.raises(expected, match=r"/folder/key\.jpg"), translate("/folder/", "key.jpg"):
        raise OSError(number, os.strerror(number))


@pytest.fixture
def faulty(tmp_path):
    """A store with a file that gives EIO whenever it is read (nothing is mapped at address 0), and the waits of it."""
    (tmp_path / "faulty.jpg").symlink_to("/proc/self/mem")
    waits = []
    return LocalStore(tmp_path, sleep=waits.append), waits


@pytest.mark.parametrize("part", [False, True])
def test_a_file_that_always_gives_an_input_output_error_is_refused_alone(faulty, part):
    store, waits = faulty
    (version,) = [info.version for info in store.list()]
    with pytest.raises(ObjectRefused, match=r"faulty\.jpg gives an input/output error each time"):
        store.read_range("faulty.jpg", 0, 10, version=version) if part else store.read("faulty.jpg")
    assert waits == [1.0, 4.0]


def test_an_input_output_error_of_the_whole_folder_is_a_passing_fault(faulty, monkeypatch):
    def fail(folder):
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(folder))

    store, _ = faulty
    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(StorageUnavailable, match="failed for now: Input/output error"):
        store.read("faulty.jpg")


def test_a_file_that_gives_an_error_in_passing_is_read(tmp_path):
    (tmp_path / "faulty.jpg").symlink_to("/proc/self/mem")

    def mend(wait_s):
        (tmp_path / "faulty.jpg").unlink()
        (tmp_path / "faulty.jpg").write_bytes(b"whole")

    assert LocalStore(tmp_path, sleep=mend).read("faulty.jpg") == b"whole"


def test_counting_store_counts_what_was_read(store, tmp_path):
    counting = CountingStore(store)
    counting.write("a", b"12345")
    counting.upload("b", tmp_path / "a")
    counting.read("a")
    counting.download("b", tmp_path / "c")
    assert counting.bytes_read == 10
    assert counting.url == store.url
