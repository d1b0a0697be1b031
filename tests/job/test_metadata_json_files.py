"""decode_json: the documents of users' files, and what is said of each that can't be used."""

import pytest

from selection_job.formats.json_reading import MAX_DEPTH, InvalidFile, decode_json

LIMIT = 1000


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[" + b" " * LIMIT + b"]", "is too large: 1,002 bytes, the limit is 1,000"),
        (b'{"a": 1,}', "is no JSON: .* at line 1, column 9"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe{\x00}\x00", r"is not UTF-8 text \(byte 0\)"),
        (b'{"a": 1, "b": 2, "a": 3}', "has the key the string 'a' twice in one object"),
        (b'{"a": NaN}', "holds NaN, which is no number in JSON"),
        (b'{"a": -Infinity}', "holds -Infinity"),
        (b'{"a": 1e999}', "holds 1e999…, which is beyond the range of numbers"),
        (b"9" * 301, "beyond the range of numbers"),
        (b'["\\ud800"]', "half a character"),
        (b'{"\\udfff": 1}', "half a character"),
        (b"[" * 900, "nested too deeply|no JSON"),
        (b"[" * 400 + b"]" * 400, f"is nested too deeply: more than {MAX_DEPTH} "),
        (b'{"a": 1} x', "is no JSON: Extra data at line 1, column 10"),
        (b"{'a': 1}", "is no JSON"),
    ],
)
def test_what_can_not_be_used_says_why(content, reason):
    with pytest.raises(InvalidFile, match=reason):
        decode_json(content, max_bytes=LIMIT)


def test_a_file_of_brackets_alone_is_too_deep():
    with pytest.raises(InvalidFile, match="nested too deeply"):
        decode_json(b"[" * 1_000_000, max_bytes=10**7)
    with pytest.raises(InvalidFile, match="nested too deeply"):
        decode_json(b'{"a":' * 100_000, max_bytes=10**7)


def test_depth_and_breadth_are_told_apart():
    deep = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert decode_json(deep, max_bytes=LIMIT)
    assert len(decode_json(b"[" + b"[],[{}]," * 100 + b"1]", max_bytes=LIMIT)) == 201


def test_characters_and_marks_of_utf8_are_read():
    assert decode_json(b'\xef\xbb\xbf{"a": "\\ud83d\\ude00"}', max_bytes=LIMIT) == {"a": "😀"}
