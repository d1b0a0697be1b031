"""Gitignore patterns: which paths do they match? The rules of gitignore(5), as `git check-ignore` applies them.

No pattern, however hostile, takes exponential time: a part between slashes is a regular expression that never goes
back over a star, and '**' is followed as a set of places.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": " \\t",
    "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": "!-/:-@\\[-`{-~",
    "space": "\\s",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}
_ANY_FOLDERS = None  # the part '**'

_Part = re.Pattern[str] | None


@dataclass(frozen=True)
class _Pattern:
    parts: list[_Part]
    anchored: bool  # matched against the whole path, else against its last part
    negated: bool
    folders_only: bool


def compile_gitignore(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Return a function that says of a file's path, with '/' between its parts, whether the patterns match it.

    Patterns apply in order and the last match decides; '!' takes back. As in git, a file below a matched folder is
    matched whatever patterns say of the file itself. '?' is one character, where git's is one byte.

    >>> matches = compile_gitignore(["sub/image_4*", "!sub/image_41.png"])
    >>> [matches(f"sub/image_{i}.png") for i in (3, 40, 41)]
    [False, True, False]
    """
    compiled = [pattern for text in patterns if (pattern := _compile(text)) is not None]

    def matches(path: str) -> bool:
        parts = path.split("/")
        folders = (parts[:depth] for depth in range(1, len(parts)))
        return any(_decide(compiled, folder, is_folder=True) for folder in folders) or _decide(
            compiled, parts, is_folder=False
        )

    return matches


def _decide(patterns: Sequence[_Pattern], path: list[str], *, is_folder: bool) -> bool:
    for pattern in reversed(patterns):
        if pattern.folders_only and not is_folder:
            continue
        if _match_parts(pattern.parts, path if pattern.anchored else path[-1:]):
            return not pattern.negated
    return False


def _match_parts(parts: Sequence[_Part], path: Sequence[str]) -> bool:
    """Follow all places in the path that the parts so far can reach."""
    places = {0}
    for at, part in enumerate(parts):
        if part is _ANY_FOLDERS:
            least = min(places) + (at == len(parts) - 1)  # at the end '**' takes what is inside, not the folder
            places = set(range(least, len(path) + 1))
        else:
            places = {place + 1 for place in places if place < len(path) and part.fullmatch(path[place])}
        if not places:
            return False
    return len(path) in places


def _compile(text: str) -> _Pattern | None:
    """Return the pattern, or None for one that matches nothing: empty, a comment, cut off."""
    negated = text.startswith("!")
    body = text.removeprefix("!")
    folders_only = body.endswith("/")
    body = body.removesuffix("/")
    anchored = "/" in body
    body = body.removeprefix("/")
    if not body or text.startswith("#"):
        return None
    try:
        parts = [_compile_part(tokens) for tokens in _split(body)]
    except (re.error, ValueError, KeyError):
        return None
    if not anchored and parts == [_ANY_FOLDERS]:
        parts = [re.compile(".*", re.DOTALL)]
    return _Pattern(parts, anchored, negated, folders_only)


_TOKEN = re.compile(
    r"(?P<slash>\\?/)|(?P<stars>\*+)|(?P<one>\?)|(?P<set>\[[!^]?\]?(?:\[:[a-z]+:\]|\\.|[^\]\\])*\])"
    r"|\\(?P<escaped>.)|(?P<plain>.)",
    re.DOTALL,
)


def _split(body: str) -> list[list[re.Match[str]]]:
    """Return the tokens of each part between slashes; a slash in a set ends nothing."""
    parts: list[list[re.Match[str]]] = [[]]
    for token in _TOKEN.finditer(body):
        if token.lastgroup == "slash":
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _compile_part(tokens: Sequence[re.Match[str]]) -> _Part:
    if len(tokens) == 1 and tokens[0]["stars"] == "**":
        return _ANY_FOLDERS
    segments = [""]
    for token in tokens:
        if token["stars"]:
            segments.append("")
        else:
            segments[-1] += _translate(token)
    if len(segments) == 1:
        return re.compile(segments[0], re.DOTALL)
    between = "".join(f"(?>.*?{segment})" for segment in segments[1:-1])  # the first fit is as good as any later one
    return re.compile(f"{segments[0]}{between}.*{segments[-1]}", re.DOTALL)


def _translate(token: re.Match[str]) -> str:
    if token["one"]:
        return "."
    if token["set"]:
        return _translate_set(token["set"][1:-1])
    if token["plain"] in ("[", "\\"):  # a set that never ends, a backslash at the end: git matches nothing
        raise ValueError(f"{token.string!r} is cut off")
    return re.escape(token["escaped"] or token["plain"])


def _translate_set(body: str) -> str:
    negated = body[:1] in ("!", "^")
    members = re.sub(r"\[:([a-z]+):\]|\\(.)|([\[\]^&~|])", _translate_member, body[1:] if negated else body)
    return f"[{'^' if negated else ''}{members}]"


def _translate_member(token: re.Match[str]) -> str:
    return _CLASSES[token[1]] if token[1] else re.escape(token[2] or token[3])
