"""A whole run over what people's folders hold: damage is found, the rest is used, and the report tells the rest."""

import csv
import io
import json
import struct
import zlib

import numpy as np
from PIL import Image


def encode(image_format, seed=0, **options):
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 13, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((90, 70), Image.Resampling.BICUBIC).save(buffer, image_format, **options)
    return buffer.getvalue()


def test_a_run_over_odd_files_tells_what_it_did(make_manifest, run_manifest, tmp_path):
    png, jpeg = encode("PNG", 1), encode("JPEG", 2, quality=95)
    body = b"iCCPname\0\0" + zlib.compress(np.random.default_rng(0).bytes(2_000_000))
    profile = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    files = {
        "a.jpg": encode("JPEG", 3),
        "a.png": png[:33] + profile + png[33:],
        "b.jpg": jpeg[:-2],
        "damaged.jpg": jpeg[: len(jpeg) // 2] + bytes(300) + jpeg[len(jpeg) // 2 + 300 :],
        "heic.jpg": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500),
        "raw.dng": b"II*\0",
    }
    (tmp_path / "input").mkdir()
    for name, content in files.items():
        (tmp_path / "input" / name).write_bytes(content)
    manifest = make_manifest(tmp_path / "input", workerConfig={"stopping_condition": {"n_samples": 3}})
    manifest["spec"]["datasources"]["lightly"]["thumbnailSuffix"] = ".lightly/thumbs/[filename].jpg"
    done = run_manifest(manifest)

    assert sorted(done.selected) == ["a.jpg", "a.png", "b.jpg"]
    corrupt = json.loads((done.folder / "data/corruptness_check_information.json").read_text())["corrupt_samples"]
    reasons = {name: reason.partition(":")[0] for name, reason in corrupt.items()}
    assert reasons == {"damaged.jpg": "damaged", "heic.jpg": "not read"}
    notes = json.dumps(done.report)
    assert "1 other file of the input ends in .dng (1): not read." in notes
    assert "their pixels are used: 1 ('a.png')." in notes
    thumbs = tmp_path / "output/.lightly/thumbs"
    assert sorted(path.name for path in thumbs.iterdir()) == ["a-png.jpg", "a.jpg", "b.jpg"]
    with (done.folder / "data/output_names.csv").open(newline="") as file:
        assert list(csv.reader(file))[1:] == [["thumbnail", "a.png", ".lightly/thumbs/a-png.jpg"]]
