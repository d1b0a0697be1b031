"""Keys: which ones the fast client reproduces, and which go through the vendor's own."""


def has_dot_parts(key: str) -> bool:
    """Say whether a part of the key is '.' or '..': an address with such a part is another one's.

    >>> [has_dot_parts(key) for key in ("x/../y", "./x", "a..b/c.", "...")]
    [True, True, False, False]
    """
    return any(part in (".", "..") for part in key.split("/"))


def is_plain(key: str) -> bool:
    r"""Say whether obstore requests exactly this key.

    Its paths have no empty, '.' and '..' parts and no ASCII control characters; a slash at the start or the end it
    drops silently, which would be another object.

    >>> [is_plain(key) for key in ("sub/a b+c%20ü.jpg", "/lead", "trail/", "a//b", "x/../y", "new\nline")]
    [True, False, False, False, False, False]
    """
    if any(character < " " or character == "\x7f" for character in key):
        return False
    return not has_dot_parts(key) and "" not in key.split("/")
