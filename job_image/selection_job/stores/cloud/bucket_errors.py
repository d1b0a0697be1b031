"""What a provider's answers mean for the run, and the sentence for whoever can mend it."""

from dataclasses import dataclass

from selection_job.errors import JobError, ObjectMissing, ObjectRefused, StorageRefused, StorageUnavailable
from selection_job.stores.cloud.provider_client import UNNAMEABLE, VendorError
from selection_job.stores.passing_faults import UNTRUSTED

_NO_BUCKET = {"NoSuchBucket", "ContainerNotFound", "InvalidBucketName", "InvalidResourceName"}
_OF_ONE_OBJECT = {"AccessDenied", "forbidden", "InvalidObjectState", "BlobArchived", "AuthorizationPermissionMismatch"}
"""Refusals that may concern one object while others are given out: a policy on tags, a KMS key, an archive tier."""

_NO_SUCH_NAME = {"KeyTooLongError", UNNAMEABLE}
_VERBS = {"READ": "read", "DELETE": "deleted"}

_WAYS_OUT = {
    "InvalidAccessKeyId": "The access key does not exist there: check access_key, and that the region and the endpoint "
    "belong to it.",
    "SignatureDoesNotMatch": "The secret does not belong to the access key: check secret_access_key for a typing error "
    "or a line break.",
    "AuthenticationFailed": "The SAS token or account key is wrong or has expired, or the machine's clock is wrong.",
    "InvalidAuthenticationInfo": "The token is for another tenant or audience: check the identity.",
    "ExpiredToken": "The session token has expired: renew the Secret, or use workload identity, which renews itself.",
    "InvalidToken": "The session token is malformed or belongs to other keys: check session_token.",
    "RequestTimeTooSkewed": "This machine's clock differs from the provider's: set the node's clock (NTP).",
    "RefreshError": "Google does not give out a token for it: the key was deleted or disabled, or this machine's clock "
    "is wrong.",
    "NoCredentials": "Give credentialsSecretRef, or a service account with workload identity.",
    "NoSuchBucket": "Create it, or correct resourcePath, region and endpoint; it may also lie in another account.",
    "ContainerNotFound": "Create it, or correct containerName and accountName.",
    "KMS.DisabledException": "The KMS key is disabled: enable it or name another in kmsKeyArn.",
    "KMS.NotFoundException": "The KMS key does not exist in the bucket's region: check kmsKeyArn.",
    "InvalidObjectState": "It is archived (Glacier): restore it or leave it out.",
    "BlobArchived": "It is in the archive tier: rehydrate it or leave it out.",
}

_OUT_OF_TIME = ("Request has expired", "Request is not valid yet")
"""What S3 says of a signed address where this machine's clock is wrong; its code is AccessDenied."""


@dataclass(frozen=True)
class Attempt:
    """What was tried, for messages."""

    permission: str  # LIST, READ, WRITE, OVERWRITE, DELETE
    url: str  # of the datasource: s3://bucket/prefix/
    key: str = ""  # relative; '' for the datasource as a whole
    credentials: str = ""


def translate(error: VendorError, attempt: Attempt) -> JobError | ObjectMissing:
    """Return the job's error for a provider's, with bucket, prefix, permission and the provider's own code."""
    where = f"{attempt.url}{attempt.key}"
    said = f"{error.code}: {error.message}" if error.message else error.code
    if error.code in _NO_BUCKET or (error.status == 404 and not attempt.key):
        return StorageRefused(f"No such bucket: {where} ({said}). {_WAYS_OUT['NoSuchBucket']}")
    if error.status == 404:
        return ObjectMissing(f"{where} is not there ({said}).")
    if error.code == UNTRUSTED:
        return StorageRefused(
            f"{attempt.permission} on {attempt.url}: the certificate of the server is not trusted ({error.message}). "
            "Put that of its authority into the Secret's key ca.crt, as PEM."
        )
    if error.code in _NO_SUCH_NAME:
        return ObjectRefused(f"{where} can't be {_VERBS.get(attempt.permission, 'written')} there ({said}).")
    if error.is_passing:
        return StorageUnavailable(f"{attempt.permission} on {where} failed for now, also when tried again: {said}.")
    kind = ObjectRefused if attempt.permission == "READ" and error.code in _OF_ONE_OBJECT else StorageRefused
    if error.status not in (301, 401, 403) and error.code not in _WAYS_OUT and not error.region:
        return kind(f"{attempt.permission} of {where} was refused ({said}).")
    return kind(f"No permission to {attempt.permission} {where} ({said}). {_way_out(error, attempt)}")


def _way_out(error: VendorError, attempt: Attempt) -> str:
    if error.region:
        return f"The bucket lies in the region {error.region}: set region: {error.region}."
    out_of_time = any(words in error.message for words in _OUT_OF_TIME)
    known = _WAYS_OUT.get("RequestTimeTooSkewed" if out_of_time else error.code)
    if known:
        return known
    if error.status == 301:
        return "The bucket lies in another region or behind another address: check region and endpoint."
    who = f"the credentials in use ({attempt.credentials})" if attempt.credentials else "the credentials in use"
    return f"Allow {attempt.permission} there for {who}; docs/credentials.md has a policy for it."
