"""Credentials for Google Cloud Storage: the Secret's service account, or what google-auth finds."""

import json
import os
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import google.auth
import google.auth.exceptions
import google.auth.transport.requests
from google.auth.credentials import AnonymousCredentials
from google.oauth2 import service_account

from selection_api.datasource import Datasource
from selection_job.errors import StorageRefused
from selection_job.stores.secrets_folder import find_secret, read_secret

if TYPE_CHECKING:
    from obstore.store import GCSCredential

SCOPES = ["https://www.googleapis.com/auth/devstorage.read_write"]
EMULATOR_VARIABLE = "STORAGE_EMULATOR_HOST"
"""Set by whoever runs an emulator, for all of Google's libraries: then, without a Secret, nobody signs in."""


class FreshToken:
    """Gives obstore the access token that google-auth holds, renewed by it when due."""

    def __init__(self, credentials: Any, method: str) -> None:
        self.credentials = credentials
        self.method = method
        """How they were found, for people."""
        self._lock = threading.Lock()
        self._request = google.auth.transport.requests.Request()

    def __call__(self) -> "GCSCredential":
        """Return the token as it is now."""
        if isinstance(self.credentials, AnonymousCredentials):
            return {"token": "anonymous", "expires_at": None}
        with self._lock:
            if not self.credentials.valid:
                self.credentials.refresh(self._request)
        expiry = self.credentials.expiry  # UTC without a zone
        until = expiry.replace(tzinfo=UTC) if expiry else datetime.now(UTC) + timedelta(minutes=5)
        return {"token": self.credentials.token, "expires_at": until}


def find_credentials(datasource: Datasource, purpose: str) -> FreshToken:
    """Return the datasource's credentials. Raises StorageRefused where there are none or the Secret is not usable."""
    if datasource.credentials_secret_ref is not None:
        return _from_secret(purpose, datasource.credentials_secret_ref.name)
    if EMULATOR_VARIABLE in os.environ:
        nobody = AnonymousCredentials()  # type: ignore[no-untyped-call]
        return FreshToken(nobody, f"nobody ({EMULATOR_VARIABLE} is set)")
    try:
        credentials, _ = google.auth.default(scopes=SCOPES)
    except google.auth.exceptions.GoogleAuthError as error:
        raise StorageRefused(
            f"spec.datasources.{purpose}: no credentials for Google Cloud Storage were found ({error}). Give "
            "credentialsSecretRef, or a service account with workload identity."
        ) from error
    return FreshToken(credentials, f"google.auth.default ({_describe(credentials)})")


def _from_secret(purpose: str, name: str) -> FreshToken:
    where = f"The Secret's key credentials (spec.datasources.{purpose}.credentialsSecretRef: {name})"
    text = read_secret(find_secret(purpose, name), ("credentials",))["credentials"]
    try:
        credentials = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
            json.loads(text), scopes=SCOPES
        )
    except (ValueError, TypeError, AttributeError, google.auth.exceptions.GoogleAuthError) as error:
        raise StorageRefused(
            f"{where} is no service-account JSON as Google gives it out ({type(error).__name__})."
        ) from error
    return FreshToken(credentials, f"Secret {name} ({_describe(credentials)})")


def _describe(credentials: Any) -> str:
    return getattr(credentials, "service_account_email", "") or type(credentials).__name__
