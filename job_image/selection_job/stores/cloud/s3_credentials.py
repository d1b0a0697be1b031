"""Credentials for S3: the Secret's keys, or what boto3's chain finds; a role assumed on top where one is named."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3  # type: ignore[import-untyped]
import botocore.session  # type: ignore[import-untyped]
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials  # type: ignore[import-untyped]
from botocore.exceptions import (  # type: ignore[import-untyped]
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from selection_api.datasource import Datasource
from selection_job.errors import StorageRefused, StorageUnavailable
from selection_job.stores.cloud.secrets_folder import read_secret
from selection_job.stores.passing_faults import UNTRUSTED

if TYPE_CHECKING:
    from obstore.store import S3Credential

_ASKED_AGAIN_AFTER = timedelta(minutes=5)  # botocore itself decides when to renew
_REFUSAL = re.compile(r"non 200 response 4\d\d")  # of the agent of EKS Pod Identity

_FOUND_BY = {
    "env": "environment variables (AWS_ACCESS_KEY_ID)",
    "assume-role": "a role of the AWS configuration file",
    "sso": "IAM Identity Center (sso)",
    "shared-credentials-file": "the shared credentials file",
    "config-file": "the AWS configuration file",
    "custom-process": "a credential process of the AWS configuration file",
    "iam-role": "the machine's instance role",
}
"""Words for the places that botocore's chain looks at; the others keep botocore's name."""


class FreshCredentials:
    """Gives obstore what botocore holds, renewed by it when due."""

    def __init__(self, credentials: Any, method: str) -> None:
        self.method = method
        """How they were found, for people."""
        self._credentials = credentials

    def __call__(self) -> "S3Credential":
        """Return the keys as they are now."""
        frozen = self._credentials.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _ASKED_AGAIN_AFTER,
        }


def find_credentials(
    datasource: Datasource, purpose: str, certificates: str | None = None
) -> tuple[boto3.Session, FreshCredentials]:
    """Return a session of its own with the datasource's credentials, and those for obstore.

    certificates    file of the authorities that STS's address may be signed by
    Raises StorageRefused where the Secret lacks a key, where there are no credentials at all or STS refuses them, and
    StorageUnavailable where STS or the agent on the node fails for now.
    """
    inner = botocore.session.Session()
    for name, value in (("region", datasource.region), ("ca_bundle", certificates)):  # for STS too
        if value is not None:
            inner.set_config_variable(name, value)
    if datasource.credentials_secret_ref is not None:
        method = _use_secret(inner, purpose, datasource.credentials_secret_ref.name)
    else:
        method = _use_chain(inner, purpose)
    if datasource.role_arn:
        method = _assume_role(inner, datasource, method)
    credentials = FreshCredentials(inner.get_credentials(), method)
    with _translated(purpose, method):
        credentials()
    return boto3.Session(botocore_session=inner), credentials


@contextmanager
def _translated(purpose: str, method: str) -> Iterator[None]:
    """Raise the job's errors in place of botocore's, where credentials are exchanged for others."""
    where = f"spec.datasources.{purpose}: no credentials for S3 by {method}"
    try:
        yield
    except ClientError as error:
        answer, status = error.response.get("Error", {}), error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
        said = f"{answer.get('Code')}: {answer.get('Message')}"
        if status >= 500 or "Throttl" in said:
            raise StorageUnavailable(f"{where} for now ({said}).") from error
        raise StorageRefused(f"{where} ({said}). Check the role's trust policy, and who may assume it.") from error
    except CredentialRetrievalError as error:
        if _REFUSAL.search(str(error)):
            raise StorageRefused(f"{where} ({error}). Check the association of the service account.") from error
        raise StorageUnavailable(f"{where} for now ({error}).") from error
    except (HTTPClientError, BotoConnectionError) as error:
        if UNTRUSTED in str(error):
            raise StorageRefused(f"{where} ({error}). Put the authority into the Secret's key ca.crt.") from error
        raise StorageUnavailable(f"{where} for now ({error}).") from error
    except (BotoCoreError, OSError) as error:
        raise StorageRefused(f"{where} ({error}).") from error


def _use_secret(inner: Any, purpose: str, name: str) -> str:
    keys = read_secret(purpose, name, ("access_key", "secret_access_key"), ("session_token",))
    inner.set_credentials(keys["access_key"], keys["secret_access_key"], keys.get("session_token"))
    return f"Secret {name} ({'session token' if 'session_token' in keys else 'secret access key'})"


def _use_chain(inner: Any, purpose: str) -> str:
    """Let botocore look; in a pod the node's role is none of the places: that would be someone else's permission."""
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        inner.get_component("credential_provider").remove("iam-role")
    with _translated(purpose, "what the environment names"):
        credentials = inner.get_credentials()
    if credentials is None:
        raise StorageRefused(
            f"spec.datasources.{purpose}: no credentials for S3 were found. Give credentialsSecretRef, or a service "
            "account with a role (IRSA or EKS Pod Identity); the node's own role is not used."
        )
    return _describe(str(credentials.method))


def _describe(method: str) -> str:
    if method == "assume-role-with-web-identity":
        return f"web identity (IRSA) of {os.environ.get('AWS_ROLE_ARN', 'the AWS configuration file')}"
    if method == "container-role":
        agent = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE" in os.environ
        return "EKS Pod Identity" if agent else "the container's role (AWS_CONTAINER_CREDENTIALS_*)"
    return _FOUND_BY.get(method, method)


def _assume_role(inner: Any, datasource: Datasource, method: str) -> str:
    """Put the role's temporary credentials in place of those that may assume it; botocore renews them."""
    options = {"RoleSessionName": "selection-operator"}
    if datasource.external_id:
        options["ExternalId"] = datasource.external_id
    source = inner.get_credentials()
    fetcher = AssumeRoleCredentialFetcher(inner.create_client, source, datasource.role_arn, extra_args=options)
    # botocore has no setter for credentials that renew themselves
    inner._credentials = DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")
    words = "assumed role, with external id," if datasource.external_id else "assumed role"
    return f"{words} {datasource.role_arn} by {method}"
