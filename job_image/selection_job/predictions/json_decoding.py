"""JSON from users' files: decoded into a type and checked against it in one go, with a reason where that fails."""

import re
from typing import TypeVar

import msgspec

from selection_job.formats.json_reading import InvalidFile

MOST_BYTES = 8 * 1024**2
"""Of a file; larger ones are not read. Some 100,000 boxes, or a mask of four million runs."""

T = TypeVar("T")

_AT = re.compile(r" - at `\$\.?(.*)`$")


def decode_json(content: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
    """Return the decoded value. Raises InvalidFile where it is no JSON, too deep, or not of the decoder's type."""
    if len(content) > MOST_BYTES:
        raise InvalidFile(f"too large: {len(content)} bytes, the limit is {MOST_BYTES}")
    if not content:
        raise InvalidFile("empty")
    try:
        return decoder.decode(content.removeprefix(b"\xef\xbb\xbf"))
    except RecursionError:
        raise InvalidFile("nested too deeply") from None
    except UnicodeDecodeError as error:
        raise InvalidFile(f"not UTF-8: {error}") from None
    except msgspec.ValidationError as error:
        raise InvalidFile(_reword(str(error))) from None
    except msgspec.DecodeError as error:
        hint = "; NaN and Infinity are no numbers in JSON" if b"NaN" in content or b"Infinity" in content else ""
        raise InvalidFile(f"no JSON: {_reword(str(error))}{hint}") from None


def _reword(message: str) -> str:
    """Put the place first.

    >>> _reword("Expected `float`, got `str` - at `$.predictions[0].score`")
    'predictions[0].score: expected float, got str'
    """
    place = _AT.search(message)
    text = _AT.sub("", message).replace("`", "").replace(" | ", " or ")
    text = text[:1].lower() + text[1:] if text[:4] != "JSON" else text.removeprefix("JSON is ")
    return f"{place[1]}: {text}" if place and place[1] else text
