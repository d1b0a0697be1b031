"""Which files the lines of a list name, in their own spelling or in another one, told while the files are listed."""

from collections.abc import Set

from selection_job.formats.spellings import Spellings, compose


class NamedFiles:
    """The names of a list beside those of the input. One that is spelled otherwise names a file that no other is like.

    Memory: some 200 bytes a file that is named in another spelling than its own, or not composed.
    """

    def __init__(self, lines: Set[str]) -> None:
        self._lines = lines
        self._spellings = Spellings(lines, lines.__contains__)
        self._exact: set[str] = set()
        self._n_files: dict[str, int] = {}  # by composed form; without a file that is composed and named as it is

    def see(self, name: str) -> bool:
        """Take in the name of a file; say whether a line may name it, which `names` knows once all were seen."""
        is_exact = name in self._lines
        if is_exact:
            self._exact.add(name)
            if name == compose(name):
                return True
        elif not self._spellings.list_others(name):
            return False
        self._n_files[compose(name)] = self._n_files.get(compose(name), 0) + 1
        return True

    def names(self, name: str) -> bool:
        """Say whether a line names this file, now that all were seen."""
        return name in self._exact or self._count(name) == 1

    def list_lines(self, *, n_files: int) -> list[str]:
        """Return the lines, sorted, that are no file's name as it is spelled, and in other spellings that of so many.

        n_files  0, 1, or 2 for several
        """
        return sorted(line for line in self._lines - self._exact if min(self._count(line), 2) == n_files)

    def _count(self, name: str) -> int:
        composed = compose(name)
        return self._n_files.get(composed, 0) + (composed in self._exact)
