"""ProviderClient: one bucket by its vendor's SDK. It takes every key, and its errors carry what the provider said."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from selection_job.stores.passing_faults import TOO_MUCH_CODES, UNTRUSTED, is_passing

if TYPE_CHECKING:
    from obstore import GetOptions


class VendorError(Exception):
    """What the provider answered instead of what was asked for."""

    def __init__(
        self, status: int | None, code: str, message: str, *, retry_after_s: float = 0.0, region: str = ""
    ) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.status = status
        """The HTTP status; None where no answer came, or only a part of one."""
        self.code = UNTRUSTED if status is None and UNTRUSTED in message else code
        """The provider's own word for it, such as NoSuchBucket; OpenSSL's where its certificate is not trusted."""
        self.message = message
        self.retry_after_s = retry_after_s
        """How long the provider asks to wait; 0 where it says nothing."""
        self.region = region
        """S3: where the bucket lies, where the provider says so."""

    @property
    def is_passing(self) -> bool:
        """Whether the same request may succeed later."""
        return is_passing(self.status, self.code)

    @property
    def is_too_much(self) -> bool:
        """Whether fewer requests at a time may help: throttled, overloaded, timed out, or no answer at all."""
        if self.status is None:
            return self.code != UNTRUSTED
        return self.status in (408, 429, 503, 504) or self.code in TOO_MUCH_CODES

    @property
    def forbids_copies(self) -> bool:
        """Whether the next copy between the same two buckets is going to fail as well."""
        return self.is_passing or (self.status in (401, 403, 405, 501) and not self.is_expired)

    @property
    def is_expired(self) -> bool:
        """Whether new credentials of the same kind would help."""
        return self.status == 401 or self.code in _EXPIRED_CODES


class OtherServiceError(VendorError):
    """The provider can't copy from there: it lies with another, or at another endpoint."""

    def __init__(self) -> None:
        super().__init__(501, "OtherService", "it lies with another provider or at another endpoint")


UNNAMEABLE = "UnnameableKey"
"""Our word for a key that the provider's addresses have no form for."""

_EXPIRED_CODES = {"ExpiredToken", "TokenRefreshRequired", "ExpiredTokenException", "InvalidToken", "RequestExpired"} | {
    "AuthenticationFailed",  # all that Azure says of a SAS token that has expired
}


Row = tuple[str, int, str]
"""Key, size in bytes and version of an object."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a listing; with full keys."""

    objects: list[Row]
    next_token: str | None
    folders: tuple[str, ...] = ()
    """Of a page by folders: the prefixes, ending in '/', below which further objects lie."""


class ProviderClient(Protocol):
    """A bucket through its vendor's SDK. Keys are full, all of them are possible. Every verb raises VendorError."""

    credentials: str
    """How it came to its credentials, for people: 'keys of the Secret', 'assume-role-with-web-identity'."""

    def list_page(self, prefix: str, token: str | None, by_folder: bool = False) -> Page:
        """Return the objects whose key starts with prefix, from where token points to.

        by_folder    only those whose key has no further '/', and the folders beside them
        """

    def get(self, key: str) -> bytes:
        """Return the whole object."""

    def get_range(self, key: str, start: int, end: int, version: str) -> bytes:
        """Return the bytes from start to end; VendorError 412 or 404 where the object has another version by now, and
        416 where it ends before start.
        """

    def pin(self, version: str) -> "GetOptions":
        """Return what makes obstore take no other version of an object than the listed one."""

    def get_into(self, key: str, path: Path) -> None:
        """Write the object into a file, in pieces."""

    def put(self, key: str, content: bytes, *, only_new: bool = False) -> None:
        """Write the object; with only_new a VendorError of status 409 or 412 where there is one already."""

    def put_from(self, key: str, path: Path) -> None:
        """Write the object from a file, in pieces where it is large."""

    def copy_from(self, source: "ProviderClient", source_key: str, key: str) -> None:
        """Have the provider copy an object of another bucket. VendorError 501 where that is no bucket of the same."""

    def head(self, key: str) -> None:
        """Return where the object is there; VendorError of status 404 where not."""

    def delete(self, key: str) -> None:
        """Remove the object; one that is not there may be a VendorError of status 404."""
