"""Fields of CSV, quoted where they need it."""

import re

_SPECIAL = re.compile(r'[",\r\n]')


def quote_field(name: str) -> str:
    """Return the name as a field of CSV.

    >>> print(quote_field('a "b", c.jpg'))
    "a ""b"", c.jpg"
    """
    return '"' + name.replace('"', '""') + '"' if _SPECIAL.search(name) else name
