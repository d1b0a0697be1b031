"""Text tokens: sentences as the numbers that a text tower was trained with.

CLIP's vocabulary comes with open_clip. Others come from the folder's tokenizer.json, which the library tokenizers reads
as data; nothing asks transformers, which would look for Python files beside it.
"""

import html
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any, Protocol

import ftfy
import torch
from tokenizers import Tokenizer
from torch import Tensor

from selection_job.encoder.folders.folder_files import SPECIAL_TOKENS, TOKENIZER, TOKENIZER_CONFIG, FolderFiles
from selection_job.encoder.folders.open_clip_import import open_clip
from selection_job.encoder.folders.unusable_folder import UnusableFolder, explain_failure
from selection_job.errors import UnusableData

CLIP_VOCABULARY = 49_408
_SHOWN = 60
_PUNCTUATION = str.maketrans("", "", string.punctuation)


class TokenMaker(Protocol):
    """Makes tokens of texts."""

    @property
    def fingerprint(self) -> str:
        """64 hex digits of all that decides over the tokens."""

    def make(self, texts: Sequence[str]) -> Tensor:
        """Return (m, context) int64, padded. Raises UnusableData for a text that is longer than the context."""


def clean_whitespace(text: str) -> str:
    """Return the text with broken characters mended and single spaces."""
    return " ".join(mend(text).split())


def clean_lower(text: str) -> str:
    """Return the same in lower case."""
    return clean_whitespace(text).lower()


def clean_canonicalize(text: str) -> str:
    """Return the text in lower case without punctuation, as SigLIP was trained.

    >>> clean_canonicalize("A night-time photo, of  a CAR_park!")
    'a nighttime photo of a car park'
    """
    return " ".join(mend(text).replace("_", " ").translate(_PUNCTUATION).lower().split())


CLEANERS: dict[str, Callable[[str], str]] = {
    "whitespace": clean_whitespace,
    "lower": clean_lower,
    "canonicalize": clean_canonicalize,
}
"""By the name that open_clip's configurations give."""


class ClipTokens:
    """Tokens of CLIP's own vocabulary, as open_clip makes them."""

    def __init__(self, context: int, clean: str) -> None:
        self._tokenizer = _read_clip_vocabulary(clean)
        self._context = context
        self.fingerprint = sha256(f"clip {context} {clean}".encode()).hexdigest()

    def make(self, texts: Sequence[str]) -> Tensor:
        """Return the tokens between those of start and end, padded with 0."""
        tokens = torch.zeros(len(texts), self._context, dtype=torch.int64)
        for row, text in zip(tokens, texts, strict=True):
            ids = [
                self._tokenizer.sot_token_id,
                *self._tokenizer.encode(text),
                self._tokenizer.eot_token_id,
            ]
            check_length(text, len(ids), self._context)
            row[: len(ids)] = torch.tensor(ids)
        return tokens


@dataclass(frozen=True)
class FileTokens:
    """Tokens of a folder's tokenizer.json, padded to the context."""

    tokenizer: Tokenizer
    fingerprint: str
    context: int
    vocabulary: int
    clean: Callable[[str], str]
    pad_id: int
    end_ids: tuple[int, ...]
    """What a text has to end with, one of them; () where the folder does not say."""
    zeroed_id: int | None = None
    """A token that is written as 0."""

    def make(self, texts: Sequence[str]) -> Tensor:
        """Return the tokens as tokenizer.json says, with those of start and end that it adds itself."""
        tokens = torch.full((len(texts), self.context), self.pad_id, dtype=torch.int64)
        for row, text in zip(tokens, texts, strict=True):
            ids = self._encode(self.clean(text))
            check_length(text, len(ids), self.context)
            self._check(ids)
            row[: len(ids)] = torch.tensor(ids, dtype=torch.int64)
        if self.zeroed_id is not None:
            tokens[tokens == self.zeroed_id] = 0
        return tokens

    def _encode(self, text: str) -> list[int]:
        try:
            ids: list[int] = self.tokenizer.encode(text).ids
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic of the library is no Exception
            raise UnusableFolder(f"{TOKENIZER} can't be used: {explain_failure(error)}") from None
        return ids

    def _check(self, ids: list[int]) -> None:
        if self.end_ids and (not ids or ids[-1] not in self.end_ids):
            raise UnusableFolder(
                f"{TOKENIZER} does not end texts with the token that {TOKENIZER_CONFIG} names: the vectors would be "
                "wrong. Take both files from one repository"
            )
        if any(number >= self.vocabulary for number in ids):
            raise UnusableFolder(
                f"{TOKENIZER} makes the token {max(ids):,}, and the text tower knows {self.vocabulary:,}. Take all "
                "files from one repository"
            )


def read_file_tokens(
    files: FolderFiles, *, context: int, vocabulary: int, clean: str, zero_separator: bool = False
) -> FileTokens:
    """Read a folder's tokenizer. Raises UnusableFolder, also where nothing says which token pads.

    clean           one of CLEANERS
    zero_separator  whether the separator is written as 0, which CLIPA's models were trained with
    """
    content = files.fetch(TOKENIZER).read_bytes()
    tokenizer = _parse(content)
    named = {**files.read_object(SPECIAL_TOKENS), **files.read_object(TOKENIZER_CONFIG)}
    pad_id = _find(tokenizer, named, "pad_token")
    if pad_id is None:
        pad_id = (tokenizer.padding or {}).get("pad_id")
    if not isinstance(pad_id, int) or not 0 <= pad_id < vocabulary:
        raise UnusableFolder(
            f"nothing says which token fills a text up: expected pad_token in {TOKENIZER_CONFIG} or {SPECIAL_TOKENS}, "
            f"a token of {TOKENIZER} below {vocabulary:,}"
        )
    tokenizer.no_padding()
    tokenizer.no_truncation()
    separator = _find(tokenizer, named, "sep_token")
    ends = tuple(end for end in (_find(tokenizer, named, "eos_token"), separator) if end is not None)
    digest = sha256(content)
    digest.update(f"{context} {clean} {pad_id} {zero_separator}".encode())
    zeroed = separator if zero_separator else None
    return FileTokens(tokenizer, digest.hexdigest(), context, vocabulary, CLEANERS[clean], pad_id, ends, zeroed)


def check_length(text: str, length: int, context: int) -> None:
    """Raise UnusableData where a text has more tokens than the tower reads."""
    if length > context:
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        raise UnusableData(
            f"The text {shown!r} has {length:,} tokens, and the encoder's text tower reads {context:,}. Make it "
            "shorter: what is beyond would not count"
        )


def mend(text: str) -> str:
    """Return the text with broken characters mended and HTML's entities written out."""
    return html.unescape(html.unescape(ftfy.fix_text(text))).strip()


@cache
def _read_clip_vocabulary(clean: str) -> Any:
    """Return open_clip's tokenizer, which takes half a second to read its vocabulary."""
    return open_clip.SimpleTokenizer(clean=clean)


def _parse(content: bytes) -> Tokenizer:
    try:
        return Tokenizer.from_str(content.decode())
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of the library is no Exception
        raise UnusableFolder(f"{TOKENIZER} can't be read: {explain_failure(error)}") from None


def _find(tokenizer: Tokenizer, named: dict[str, Any], role: str) -> int | None:
    """Return the number of the token that the configuration names, as text or as an object with its content."""
    token = named.get(role)
    if isinstance(token, dict):
        token = token.get("content")
    number: int | None = tokenizer.token_to_id(token) if isinstance(token, str) else None
    return number
