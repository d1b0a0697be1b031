"""Which faults of a network call pass: one table, for buckets and for what is downloaded."""

UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"
"""OpenSSL's word: nothing but another certificate helps."""

TOO_MUCH_CODES = {"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "ServerBusy", "OperationTimedOut"}
"""Providers' words for too many requests."""

_PASSING_CODES = TOO_MUCH_CODES | {"OperationAborted"}
_PASSING_STATUSES = {408, 425, 429}
_NOT_BUILT = 501


def is_passing(status: int | None, code: str) -> bool:
    """Say whether the same request may succeed later.

    status  of HTTP; None where no whole answer came: the name was not found, nobody listened, silence, cut off. Names
            come and go with the DNS of a cluster, so none of these is held to be for ever
    code    the provider's or the library's word for it
    """
    if status is None:
        return code != UNTRUSTED
    return status in _PASSING_STATUSES or code in _PASSING_CODES or (status >= 500 and status != _NOT_BUILT)
