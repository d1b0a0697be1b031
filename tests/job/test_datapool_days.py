"""The datapool over days: files are touched, renamed, moved, overwritten, restored and deleted; their bytes decide."""

import io
import os
import random
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
from PIL import Image

from selection_job.catalog.catalog import Catalog, Listing
from selection_job.catalog.embedded import Embedded
from selection_job.datapool.datapool import Datapool, ListedFiles, make_part, take_listing
from selection_job.datapool.known_contents import (
    NOTHING_KNOWN,
    KnownContents,
    digest_contents,
    digest_places,
    digest_versions,
    dump_known,
    parse_known,
)
from selection_job.datapool.pool_part import PartHeader, dump_part, parse_part
from selection_job.errors import UnusableData
from selection_job.formats.spellings import compose, decompose
from selection_job.stores.counting import CountingStore

N = 8


def sha_of(contents):
    """(n, 32) as a run has them: a text stands for a file's bytes."""
    rows = [np.frombuffer(text.encode().ljust(32, b"."), np.uint8) for text in contents]
    return np.array(rows, np.uint8).reshape(-1, 32)


def sizes_of(contents):
    return np.array([len(text) for text in contents], np.int64)


class Bucket:
    """Names, bytes and versions; every change and every copy gives a new version."""

    def __init__(self):
        self.files, self.n_versions = {}, 0

    def put(self, name, content):
        self.n_versions += 1
        self.files[name] = (content, f"etag-{self.n_versions}")

    def list(self):
        names = sorted(self.files)
        return Listing(names, sizes_of(self.files[name][0] for name in names), [self.files[name][1] for name in names])

    def contents(self, names):
        return [self.files[name][0] for name in names]


class Days:
    """Runs over a bucket, each of which selects some of what is new to it; beside them what the bytes alone say."""

    def __init__(self, rng):
        self.rng, self.bucket, self.parts, self.recognized = rng, Bucket(), (), NOTHING_KNOWN
        self.seen, self.selected = set(), {}  # name and bytes; the same of what was selected, with its place in order
        self.n_compared = 0

    def open(self):
        """Return what a run sees: listing, files with contents, pool."""
        listing, pool = self.bucket.list(), Datapool("d", "", self.parts, recognized=self.recognized)
        known_as = pool.spell(listing)
        versions = digest_versions(known_as)
        contents, rows = pool.known.find(versions), pool.find_unclear(known_as, versions)
        names, read = ([names[row] for row in rows] for names in (known_as.names, listing.names))
        contents[rows] = digest_contents(names, sha_of(self.bucket.contents(read)))
        known = KnownContents(versions[rows], contents[rows], digest_places(names, listing.sizes_bytes[rows]))
        self.recognized = parse_known(dump_known(pool.recognized.add(known)))
        self.n_compared += len(rows)
        return listing, known_as, ListedFiles(listing.names, versions, contents), pool

    def run(self, *, process_all=False):
        listing, known_as, listed, pool = self.open()
        is_new = pool.find_new(listed, process_all=process_all)
        members = pool.find_members(listed).names
        new = [name for name, taken in zip(listing.names, is_new, strict=True) if taken]
        members = [name if name in self.bucket.files else compose(name) for name in members]
        assert (new, members) == self.expect(process_all=process_all)
        if not new:
            return
        picks = sorted(self.rng.sample(range(len(new)), self.rng.randint(1, len(new))))
        part = self.make_part(new, picks, take_listing(known_as, is_new), len(self.parts) + 1)
        self.parts = (*self.parts, parse_part(dump_part(part)))
        for row, name in enumerate(new):
            image = (compose(name), self.bucket.files[name][0])
            self.seen.add(image)
            if row in picks:
                self.selected[image] = (len(self.parts), row)

    def expect(self, *, process_all):
        """Return what is new, and the members in their order, as a look at all bytes tells."""
        names = {compose(name): name for name in self.bucket.files}
        now = {name: self.bucket.files[names[name]][0] for name in names}
        done = self.selected if process_all else self.seen
        new = sorted(names[name] for name in now if (name, now[name]) not in done)
        last = {}
        for (name, content), place in sorted(self.selected.items(), key=lambda item: item[1]):
            if now.get(name, content) == content:
                last[name] = place
        return new, [names.get(name, name) for name in sorted(last, key=last.__getitem__)]

    def make_part(self, new, picks, known_as, number):
        contents = self.bucket.contents(new)
        listing = Listing(new, sizes_of(contents), known_as.versions)
        zeros = np.zeros(len(new), np.int32)
        catalog = Catalog(new, sha_of(contents), sizes_of(contents), zeros, zeros, np.arange(len(new)), {})
        header = PartHeader(f"run-{number}", number, "", "f", "")
        vectors = Embedded(catalog, np.zeros((len(new), 2), np.float32))
        return make_part(header, listing, vectors, np.array(picks), known_as=known_as, sha256=catalog.sha256)


def touch(days, name, content):
    days.bucket.put(name, content)


def overwrite(days, name, _):
    days.bucket.put(name, f"picture {days.rng.randrange(4)}")


def restore(days, name, content):
    days.bucket.put(name, days.rng.choice([old for known, old in sorted(days.seen) if known == name] or [content]))


def delete(days, name, _):
    del days.bucket.files[name]


def rename(days, name, content):
    delete(days, name, content)
    days.bucket.put(f"moved/{name[-3:]}", content)


def add(days, _, content):
    days.bucket.put(f"{days.rng.randrange(100):03}", content)


def leave(*_):
    pass


def move_between_systems(days, name, _):
    other = decompose(name) if name == compose(name) else compose(name)
    days.bucket.files[other] = days.bucket.files.pop(name)


def copy_between_systems(days, name, content):
    delete(days, name, content)
    days.bucket.put(decompose(name) if name == compose(name) else compose(name), content)


CHANGES = [touch, overwrite, restore, delete, rename, add, leave]
SPELLINGS = [touch, move_between_systems, copy_between_systems, delete, leave]


def change(days, changes=CHANGES):
    """Do to some of the bucket's files what people do."""
    make = days.rng.choice(changes)
    for name, (content, _) in sorted(days.bucket.files.items()):
        if days.rng.random() < 0.4:
            make(days, name, content)


@pytest.mark.parametrize("seed", range(60))
def test_the_same_bytes_at_the_same_name_are_the_same_image_whatever_their_versions(seed):
    days = Days(random.Random(seed))
    for number in range(N):
        days.bucket.put(f"{number:03}", f"picture {number}")
    for _ in range(12):
        days.run(process_all=days.rng.random() < 0.2)
        change(days)
        if days.rng.random() < 0.1:
            days.recognized = NOTHING_KNOWN  # somebody deleted the file: it only saves reading


@pytest.mark.parametrize("seed", range(30))
def test_names_in_another_unicode_form_are_the_same_images_whatever_their_versions(seed):
    days = Days(random.Random(seed))
    for number in range(N):
        days.bucket.put(normalize(days.rng.choice(["NFC", "NFD"]), f"Größe {number} é.jpg"), f"picture {number}")
    for day in range(8):
        days.run(process_all=days.rng.random() < 0.2)
        change(days, SPELLINGS)
        days.bucket.put(normalize(days.rng.choice(["NFC", "NFD"]), f"später {day}.jpg"), f"picture {day}")
        if days.rng.random() < 0.1:
            days.recognized = NOTHING_KNOWN


def test_a_file_that_is_spelled_otherwise_now_and_has_other_bytes_of_the_same_size_is_another_image():
    days = Days(random.Random(0))
    days.bucket.put(name := normalize("NFC", "café.jpg"), "picture 1")
    days.run()
    copy_between_systems(days, name, "picture 2")
    days.run()
    assert days.n_compared == 1
    assert days.parts[1].names == [normalize("NFD", name)]
    copy_between_systems(days, normalize("NFD", name), "picture 2")
    _, _, listed, pool = days.open()
    assert days.n_compared == 2
    assert pool.find_seen(listed).all()


def test_each_touched_file_is_read_once_and_an_untouched_or_grown_one_never():
    days = Days(random.Random(0))
    for number in range(N):
        days.bucket.put(f"{number:03}", f"picture {number}")
    days.run()
    days.open()
    assert days.n_compared == 0
    for number in range(3):
        days.bucket.put(f"{number:03}", f"picture {number}")
    days.bucket.put("007", "a picture of another size")
    days.bucket.put("009", "picture 1")
    for _ in range(2):  # as a run does that ends with an error
        _, _, listed, pool = days.open()
        assert days.n_compared == 3
        assert np.flatnonzero(pool.find_new(listed, process_all=False)).tolist() == [7, 8]


def test_a_pool_of_0_1_knows_the_bytes_of_what_was_selected_and_of_no_more():
    days = Days(random.Random(1))
    for number in range(N):
        days.bucket.put(f"{number:03}", f"picture {number}")
    days.run()
    with np.load(io.BytesIO(dump_part(days.parts[0]))) as columns:
        old = {name: values for name, values in columns.items() if name not in ("contents", "places")}
    np.savez(buffer := io.BytesIO(), **old)
    days.parts = (parse_part(buffer.getvalue()),)
    selected = days.parts[0].names
    for name in sorted(days.bucket.files):
        days.bucket.put(name, days.bucket.files[name][0])
    listing, _, listed, pool = days.open()
    assert pool.find_members(listed).names == selected
    is_new = pool.find_new(listed, process_all=False)
    assert [name for name, taken in zip(listing.names, is_new, strict=True) if not taken] == sorted(selected)


@pytest.mark.parametrize(
    "content", [b"", b"no archive", dump_known(NOTHING_KNOWN)[:-30]], ids=["empty", "text", "cut off"]
)
def test_what_was_recognized_is_told_from_any_other_file(content):
    with pytest.raises(ValueError, match=r"zip|damaged|file"):
        parse_known(content)


@pytest.fixture
def pool(tmp_path, make_manifest, run_manifest):
    """Runs of one dataset over a folder of pictures."""
    return PoolOfPictures(tmp_path / "pictures", tmp_path / "output", make_manifest, run_manifest)


class PoolOfPictures:
    def __init__(self, folder, output, make_manifest, run_manifest):
        self.folder, self.output = folder, output
        self._make, self._run = make_manifest, run_manifest

    def paint(self, *numbers):
        for number in numbers:
            path = self.folder / f"{number:02}.jpg"
            path.parent.mkdir(exist_ok=True)
            pixels = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((64, 48), Image.Resampling.BICUBIC).save(path)

    def touch(self):
        for path in self.folder.rglob("*.jpg"):
            os.utime(path, (path.stat().st_mtime + 1000,) * 2)

    def respell(self):
        """Give each file the other Unicode form of its name."""
        for path in list(self.folder.rglob("*.jpg")):
            path.rename(path.with_name((decompose if path.name == compose(path.name) else compose)(path.name)))

    def run(self, name, *, n_samples=2, **worker):
        stop = {"n_samples": n_samples}
        worker = {"use_datapool": True, "stopping_condition": stop, "n_example_images": 0, **worker}
        manifest = self._make(self.folder, dataset={"name": "cameras"}, workerConfig=worker)
        manifest["metadata"] = {"name": name}
        return self._run(manifest)


@pytest.fixture
def reads(monkeypatch):
    """Names of the files whose whole content is read, in order."""
    read, names = CountingStore.read, []

    def note(store, key):
        names.append(key)
        return read(store, key)

    monkeypatch.setattr(CountingStore, "read", note)
    return names


@pytest.mark.slow
def test_touched_pictures_stay_selected_and_are_compared_once(pool, reads):
    pool.paint(*range(6))
    (pool.folder / "broken.jpg").write_bytes(b"no picture")
    first = pool.run("monday").selected
    pool.touch()
    pool.paint(10, 11, 12)
    reads.clear()
    tuesday = pool.run("tuesday")
    assert tuesday.summary.counts.input == 3
    assert set(tuesday.selected) < {"10.jpg", "11.jpg", "12.jpg"}
    assert reads.count("00.jpg") == 1
    assert "Datapool cameras: of 7 images with a new date or ETag, 7 hold the same bytes as before." in (
        tuesday.report_notes
    )
    assert tuesday.report["generalInformation"]["datasetInformation"]["datasetSizes"]["nPreselectedDatapool"] == 2
    reads.clear()
    with pytest.raises(UnusableData, match="Nothing is new: all 10 images"):
        pool.run("wednesday")
    assert reads == []
    assert len(first) == 2


@pytest.mark.slow
def test_touched_pictures_whose_names_are_in_another_unicode_form_stay_selected(pool, reads):
    pool.paint(*range(4))
    for path in list(pool.folder.rglob("*.jpg")):
        path.rename(path.with_name(normalize("NFC", f"é{path.name}")))
    first = pool.run("monday").selected
    pool.touch()
    pool.respell()
    pool.paint(10, 11, 12)
    tuesday = pool.run("tuesday")
    assert tuesday.summary.counts.input == 3
    notes = [note for note in tuesday.report_notes if note.startswith("Datapool")]
    assert notes[1:] == [
        "Datapool cameras: of 4 images with a new date or ETag, 4 hold the same bytes as before.",
        "Datapool cameras: 4 listed images are spelled in another Unicode form (NFC or NFD) than in the pool, "
        "and count as the same.",
    ]
    table = (tuesday.folder / "data/selected_embeddings_including_datapool.csv").read_text("utf-8")
    names = [line.partition(",")[0] for line in table.splitlines()[1:]]
    assert names == [*[normalize("NFD", name) for name in first], *tuesday.selected]
    reads.clear()
    with pytest.raises(UnusableData, match="Nothing is new: all 7 images"):
        pool.run("wednesday")
    assert reads == []


@pytest.mark.slow
def test_a_table_of_embeddings_keeps_what_was_selected_and_looks_at_the_rest_again(pool, reads):
    pool.paint(*range(6))
    table = Path(pool.output) / ".lightly/embeddings/mine.csv"
    table.parent.mkdir(parents=True)
    vectors = np.random.default_rng(0).normal(size=(8, 3))
    rows = [f"{number:02}.jpg,{','.join(map(str, vectors[number]))},0" for number in range(8)]
    table.write_text("\n".join(["filenames,embedding_0,embedding_1,embedding_2,labels", *rows]) + "\n")
    given = {"embeddings": "mine.csv", "checkpoint": ""}
    first = pool.run("monday", **given).selected
    pool.touch()
    pool.paint(6, 7)
    reads.clear()
    tuesday = pool.run("tuesday", **given)
    assert tuesday.summary.counts.input == 6  # 4 that were not selected, and 2 new ones
    assert not set(first) & set(tuesday.selected)
    assert [name for name in reads if name in first] == sorted(first)
