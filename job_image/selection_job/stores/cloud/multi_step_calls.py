"""What the vendor's SDK is asked in more than one step, or whose refusal is an answer."""

from selection_job.stores.cloud.provider_client import ProviderClient, VendorError


def is_there(vendor: ProviderClient, full_key: str) -> bool:
    """Say whether the object is there."""
    try:
        vendor.head(full_key)
    except VendorError as error:
        if error.status == 404 and error.code != "NoSuchBucket":
            return False
        raise
    return True


def get_range(vendor: ProviderClient, full_key: str, start: int, end: int, version: str) -> bytes:
    """Return the bytes from start to end, b"" where the object ends before; VendorError 404 where it is another one."""
    try:
        return vendor.get_range(full_key, start, end, version)
    except VendorError as error:
        if error.status == 416:
            return b""
        if error.status == 412:
            raise VendorError(404, "Changed", "it was replaced after it was listed") from error
        raise


def create(vendor: ProviderClient, full_key: str, content: bytes) -> bool:
    """Create the object; return False where there is one of another content."""
    try:
        vendor.put(full_key, content, only_new=True)
    except VendorError as error:
        if error.status in (409, 412):
            return _holds(vendor, full_key, content)
        raise
    return True


def _holds(vendor: ProviderClient, full_key: str, content: bytes) -> bool:
    try:
        return vendor.get(full_key) == content
    except VendorError as error:
        if error.status == 404:
            return False
        raise


def delete(vendor: ProviderClient, full_key: str) -> None:
    """Delete the object; one that is not there is fine."""
    try:
        vendor.delete(full_key)
    except VendorError as error:
        if error.status != 404 or error.code == "NoSuchBucket":
            raise
