"""Credentials for S3: the Secret's keys, or what boto3's chain finds; a role assumed on top where one is named."""

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3  # type: ignore[import-untyped]
import botocore.session  # type: ignore[import-untyped]
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials  # type: ignore[import-untyped]
from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]

from selection_api.datasource import Datasource
from selection_job.errors import StorageRefused
from selection_job.stores.secrets_folder import find_secret, read_secret

if TYPE_CHECKING:
    from obstore.store import S3Credential

_ASKED_AGAIN_AFTER = timedelta(minutes=5)  # botocore itself decides when to renew


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


def find_credentials(datasource: Datasource, purpose: str) -> tuple[boto3.Session, FreshCredentials]:
    """Return a session of its own with the datasource's credentials, and those for obstore.

    Raises StorageRefused where the Secret lacks a key, or where there are no credentials at all.
    """
    inner = botocore.session.Session()
    if datasource.credentials_secret_ref is not None:
        method = _use_secret(inner, purpose, datasource.credentials_secret_ref.name)
    else:
        method = _use_chain(inner, purpose)
    if datasource.role_arn:
        method = _assume_role(inner, datasource, method)
    session = boto3.Session(botocore_session=inner, region_name=datasource.region)
    return session, FreshCredentials(inner.get_credentials(), method)


def _use_secret(inner: Any, purpose: str, name: str) -> str:
    keys = read_secret(find_secret(purpose, name), ("access_key", "secret_access_key"), ("session_token",))
    inner.set_credentials(keys["access_key"], keys["secret_access_key"], keys.get("session_token"))
    return f"Secret {name}"


def _use_chain(inner: Any, purpose: str) -> str:
    """Let botocore look; in a pod the node's role is none of the places: that would be someone else's permission."""
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        inner.get_component("credential_provider").remove("iam-role")
    try:
        credentials = inner.get_credentials()
    except BotoCoreError as error:
        raise StorageRefused(f"spec.datasources.{purpose}: the credentials can't be read ({error}).") from error
    if credentials is None:
        raise StorageRefused(
            f"spec.datasources.{purpose}: no credentials for S3 were found. Give credentialsSecretRef, or a service "
            "account with a role (IRSA or EKS Pod Identity); the node's own role is not used."
        )
    return str(credentials.method)


def _assume_role(inner: Any, datasource: Datasource, method: str) -> str:
    """Put the role's temporary credentials in place of those that may assume it; botocore renews them."""
    options = {"RoleSessionName": "selection-operator"}
    if datasource.external_id:
        options["ExternalId"] = datasource.external_id
    source = inner.get_credentials()
    fetcher = AssumeRoleCredentialFetcher(inner.create_client, source, datasource.role_arn, extra_args=options)
    # botocore has no setter for credentials that renew themselves
    inner._credentials = DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")
    return f"assume-role {datasource.role_arn} with {method}"
