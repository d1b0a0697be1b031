"""Credentials for Google Cloud Storage: the Secret's service account, or what google-auth finds.

A node's own service account is not used: its permissions are somebody else's. On GKE a pod has an identity of its own
where the GKE metadata server stands between it and the machine's; that server names itself in its Server header, and
the machine's own says "Metadata Server for VM" there.
"""

import json
import os
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import google.auth
import google.auth.exceptions
import google.auth.transport.requests
import requests
from google.auth import compute_engine, external_account
from google.auth.credentials import AnonymousCredentials, with_scopes_if_required
from google.oauth2 import credentials as user_credentials
from google.oauth2 import service_account

from selection_api.datasource import Datasource
from selection_job.errors import StorageRefused, StorageUnavailable
from selection_job.stores.cloud.certificates import TrustingAdapter
from selection_job.stores.cloud.secrets_folder import read_secret

if TYPE_CHECKING:
    from obstore.store import GCSCredential

SCOPES = ["https://www.googleapis.com/auth/devstorage.read_write"]
EMULATOR_VARIABLE = "STORAGE_EMULATOR_HOST"
"""Set by whoever runs an emulator, for all of Google's libraries: then, without a Secret, nobody signs in."""

_METADATA_TIMEOUT_S = 5.0
_LONGEST_KIND = 40  # of a credential's type in a message
_DEFAULT_HOST = "metadata.google.internal"
_NODES_ACCOUNT = "-compute@developer.gserviceaccount.com"
_POOL = ".svc.id.goog"


class FreshToken:
    """Gives obstore the access token that google-auth holds, renewed by it when due."""

    def __init__(self, credentials: Any, method: str, request: google.auth.transport.requests.Request) -> None:
        self.credentials = credentials
        self.method = method
        """How they were found, for people."""
        self.request = request
        """How tokens are asked for."""
        self._lock = threading.Lock()

    def __call__(self) -> "GCSCredential":
        """Return the token as it is now."""
        if isinstance(self.credentials, AnonymousCredentials):
            return {"token": "anonymous", "expires_at": None}
        with self._lock:
            if not self.credentials.valid:
                self.credentials.refresh(self.request)
        expiry = self.credentials.expiry  # UTC without a zone
        until = expiry.replace(tzinfo=UTC) if expiry else datetime.now(UTC) + timedelta(minutes=5)
        return {"token": self.credentials.token, "expires_at": until}


def find_credentials(datasource: Datasource, purpose: str, certificates: str | None = None) -> FreshToken:
    """Return the datasource's credentials. Raises StorageRefused where there are none or the Secret is not usable.

    certificates    file of the authorities that the address which gives out tokens may be signed by
    """
    session = requests.Session()
    session.mount("https://", TrustingAdapter(certificates))
    request = google.auth.transport.requests.Request(session)
    if datasource.credentials_secret_ref is not None:
        return FreshToken(*_from_secret(purpose, datasource.credentials_secret_ref.name), request)
    if EMULATOR_VARIABLE in os.environ:
        nobody = AnonymousCredentials()  # type: ignore[no-untyped-call]
        return FreshToken(nobody, f"nobody ({EMULATOR_VARIABLE} is set)", request)
    try:
        found, _ = google.auth.default(request=request)  # with scopes it would look up the project's name, elsewhere
    except google.auth.exceptions.GoogleAuthError as error:
        raise StorageRefused(
            f"spec.datasources.{purpose}: no credentials for Google Cloud Storage were found ({error}). Give "
            "credentialsSecretRef, or a service account with workload identity."
        ) from error
    credentials = with_scopes_if_required(found, SCOPES)  # type: ignore[no-untyped-call]
    if isinstance(credentials, compute_engine.Credentials):
        return FreshToken(credentials, _describe_machine(purpose), request)
    return FreshToken(credentials, _describe(credentials), request)


def _from_secret(purpose: str, name: str) -> tuple[service_account.Credentials, str]:
    where = f"The Secret's key credentials (spec.datasources.{purpose}.credentialsSecretRef: {name})"
    text = read_secret(purpose, name, ("credentials",))["credentials"]
    kind = "unknown"
    try:
        facts = json.loads(text)
        kind = str(facts.get("type"))[:_LONGEST_KIND]
        credentials = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
            facts, scopes=SCOPES
        )
    except (ValueError, TypeError, AttributeError, google.auth.exceptions.GoogleAuthError) as error:
        raise StorageRefused(
            f"{where} is no service-account JSON as Google gives it out (its type is {kind}; {type(error).__name__})."
        ) from error
    return credentials, f"Secret {name} (service-account key of {credentials.service_account_email})"


def _describe(credentials: Any) -> str:
    if isinstance(credentials, external_account.Credentials):
        return f"workload identity federation (external_account) {credentials.service_account_email or ''}".strip()
    if isinstance(credentials, service_account.Credentials):
        return f"service-account key of {credentials.service_account_email} (GOOGLE_APPLICATION_CREDENTIALS)"
    if isinstance(credentials, user_credentials.Credentials):
        return "a user's credentials (gcloud auth application-default login)"
    return type(credentials).__module__.rpartition(".")[2]


def _describe_machine(purpose: str) -> str:
    """Return whose credentials the metadata server gives out. Raises StorageRefused in a pod that has none of its own.

    Outside of Kubernetes they are the machine's, which is whoever started the run there.
    """
    email, server = _ask_metadata_server()
    if "KUBERNETES_SERVICE_HOST" not in os.environ:
        return f"the machine's service account {email}"
    if email.endswith(_POOL) or (server.startswith("GKE") and not email.endswith(_NODES_ACCOUNT)):
        return f"GKE workload identity {email}"
    raise StorageRefused(
        f"spec.datasources.{purpose}: the only credentials for Google Cloud Storage are the node's own ({email}), and "
        "those are not used. Give credentialsSecretRef, or bind the service account of spec.podTemplate by workload "
        "identity; the node pool needs --workload-metadata=GKE_METADATA."
    )


def _ask_metadata_server() -> tuple[str, str]:
    """Return the email of the account that tokens are for, and how the server names itself."""
    host = os.environ.get("GCE_METADATA_HOST") or os.environ.get("GCE_METADATA_ROOT") or _DEFAULT_HOST
    url = f"http://{host}/computeMetadata/v1/instance/service-accounts/default/email"
    try:
        answer = requests.get(url, headers={"Metadata-Flavor": "Google"}, timeout=_METADATA_TIMEOUT_S)
    except requests.RequestException as error:
        raise StorageUnavailable(f"The metadata server {host} does not say whose account it has: {error}.") from error
    if answer.status_code != 200:
        raise StorageUnavailable(f"The metadata server {host} does not say whose account it has: {answer.status_code}.")
    return answer.text.strip(), answer.headers.get("Server", "")
