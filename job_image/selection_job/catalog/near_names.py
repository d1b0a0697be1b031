"""Near names: how names that people wrote would have to read to be those of the listing, for messages."""

from collections.abc import Sequence
from pathlib import PurePosixPath

_MOST_LOOKED_AT = 1000
_MOST_NAMESAKES = 1000
_QUOTES = "\"'`"


def explain_spelling(given: Sequence[str], listed: Sequence[str], url: str) -> str:
    """Return a sentence with an example where most of the names are listed ones in another spelling; '' where not.

    given   names that are none of the listed ones; the first thousand are looked at
    listed  as they are in the datasource
    url     of the datasource: whole paths begin with it

    Told apart are blanks, quotes, './', '/' or the datasource in front, back slashes, capitals, a folder too many or
    too few, and another ending. A matter of some 0.5 µs a listed name.
    """
    looked_at = given[:_MOST_LOOKED_AT]
    namesakes: dict[str, list[str]] = {_stem(_clean(name, url)): [] for name in looked_at}
    for name in listed:
        found = namesakes.get(_stem(name))
        if found is not None and len(found) < _MOST_NAMESAKES:
            found.append(name)
    pairs = [(name, _choose(_clean(name, url), namesakes[_stem(_clean(name, url))])) for name in looked_at]
    spelled = [(name, right) for name, right in pairs if right and right != name]
    if not spelled or 2 * len(spelled) < len(looked_at):
        return ""
    wrong, right = spelled[0]
    return f"Write names as the input has them, letter by letter: {right!r} in place of {wrong[:200]!r}."


def _clean(name: str, url: str) -> str:
    """Return the name as a path below the datasource."""
    path = name.strip().strip(_QUOTES).strip().replace("\\", "/").removeprefix(url)
    while path.startswith(("./", "/")):
        path = path.removeprefix(".").lstrip("/")
    return path


def _stem(path: str) -> str:
    return PurePosixPath(path).stem.casefold() if "/" in path else path.rpartition(".")[0].casefold() or path.casefold()


def _choose(path: str, namesakes: list[str]) -> str:
    """Return the listed name that the path may mean: the first test that only one passes."""
    folded = path.casefold()
    tests = (
        lambda name: name == path,
        lambda name: name.casefold() == folded,
        lambda name: folded.endswith(f"/{name.casefold()}") or name.casefold().endswith(f"/{folded}"),
        lambda name: _without_ending(name) == _without_ending(path),
    )
    for is_meant in tests:
        found = [name for name in namesakes if is_meant(name)]
        if len(found) == 1:
            return found[0]
    return ""


def _without_ending(path: str) -> str:
    return str(PurePosixPath(path).with_suffix("")).casefold() if path else ""
