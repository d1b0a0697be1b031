"""Credentials for Azure Blob Storage: the Secret's SAS token or account key, or workload identity."""

import os
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.storage.blob import ContainerSasPermissions, generate_container_sas

from selection_api.datasource import Datasource
from selection_job.errors import StorageRefused, StorageUnavailable
from selection_job.stores.cloud.secrets_folder import read_secret

if TYPE_CHECKING:
    from obstore.store import AzureCredential

SCOPE = "https://storage.azure.com/.default"

_SIGNED_FOR = timedelta(hours=1)
_ASKED_AGAIN_AFTER = timedelta(minutes=5)


class AzureAccess:
    """One identity in the three forms that are needed: for the SDK, for obstore, for addresses that we make."""

    def __init__(self, method: str, for_sdk: Any) -> None:
        self.method = method
        """How it was found, for people."""
        self.for_sdk = for_sdk

    def __call__(self) -> "AzureCredential":
        """Return what obstore signs with."""
        raise NotImplementedError

    def sign_reading(self) -> tuple[str, dict[str, str]]:
        """Return what goes to the end of the query of a listing or a reading, and the headers."""
        raise NotImplementedError


class SasAccess(AzureAccess):
    """A shared access signature from the Secret."""

    def __init__(self, method: str, token: str) -> None:
        self._token = token.lstrip("?")
        super().__init__(method, AzureSasCredential(self._token))

    def __call__(self) -> "AzureCredential":
        """Return the token."""
        return {"sas_token": self._token, "expires_at": None}

    def sign_reading(self) -> tuple[str, dict[str, str]]:
        """Return the token."""
        return f"&{self._token}", {}


class KeyAccess(AzureAccess):
    """The account's key from the Secret."""

    def __init__(self, method: str, account: str, key: str, container: str) -> None:
        self._account, self._key, self._container = account, key, container
        self._signature, self._until = "", datetime.min.replace(tzinfo=UTC)
        super().__init__(method, AzureNamedKeyCredential(account, key))

    def __call__(self) -> "AzureCredential":
        """Return the key."""
        return {"access_key": self._key, "expires_at": None}

    def sign_reading(self) -> tuple[str, dict[str, str]]:
        """Return a signature of our own that lists and reads this container for an hour."""
        now = datetime.now(UTC)
        if now + _ASKED_AGAIN_AFTER > self._until:
            self._until = now + _SIGNED_FOR
            self._signature = generate_container_sas(
                self._account,
                self._container,
                self._key,
                permission=ContainerSasPermissions(list=True, read=True),
                expiry=self._until,
            )
        return f"&{self._signature}", {}


class TokenAccess(AzureAccess):
    """An identity of Microsoft Entra; azure-identity renews its tokens."""

    def __init__(self, method: str, credential: Any) -> None:
        self._credential = credential
        self._lock = threading.Lock()
        super().__init__(method, credential)

    def __call__(self) -> "AzureCredential":
        """Return the token as it is now."""
        with self._lock:
            token = self._credential.get_token(SCOPE)
        return {"token": token.token, "expires_at": datetime.fromtimestamp(token.expires_on, UTC)}

    def sign_reading(self) -> tuple[str, dict[str, str]]:
        """Return the token as a header."""
        return "", {"Authorization": f"Bearer {self._credential.get_token(SCOPE).token}"}


def find_access(datasource: Datasource, container: str, purpose: str, certificates: str | None = None) -> AzureAccess:
    """Return the datasource's identity. Raises StorageRefused where there is none or the Secret is not usable.

    certificates    file of the authorities that the address which gives out tokens may be signed by
    """
    if datasource.credentials_secret_ref is None:
        return _find_identity(purpose, certificates)
    name = datasource.credentials_secret_ref.name
    keys = read_secret(purpose, name, (), ("sas_token", "account_key"))
    if "sas_token" in keys:
        return SasAccess(f"Secret {name} (SAS token)", keys["sas_token"])
    if "account_key" in keys:
        return _use_key(datasource.account_name or "", keys["account_key"], container, purpose, name)
    raise StorageRefused(
        f"The Secret {name} of spec.datasources.{purpose} lacks credentials: expected the key sas_token or account_key."
    )


def _use_key(account: str, key: str, container: str, purpose: str, name: str) -> AzureAccess:
    access = KeyAccess(f"Secret {name} (account key)", account, key, container)
    try:
        access.sign_reading()
    except (ValueError, AzureError) as error:
        raise StorageRefused(
            f"The Secret {name} of spec.datasources.{purpose}: account_key is no account key, which is base64 "
            f"({type(error).__name__})."
        ) from error
    return access


def _find_identity(purpose: str, certificates: str | None) -> AzureAccess:
    """Return workload identity where a pod has it; in a pod nothing else is tried: that would be the node's."""
    from azure.identity import DefaultAzureCredential, WorkloadIdentityCredential

    if "AZURE_FEDERATED_TOKEN_FILE" in os.environ:
        missing = [name for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID") if not os.environ.get(name)]
        if missing:
            raise StorageRefused(
                f"spec.datasources.{purpose}: workload identity lacks {' and '.join(missing)}. Annotate the service "
                "account with azure.workload.identity/client-id."
            )
        identity = WorkloadIdentityCredential(connection_verify=certificates or True)
        return _try(TokenAccess(f"Azure workload identity (client {os.environ['AZURE_CLIENT_ID']})", identity), purpose)
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        raise StorageRefused(
            f"spec.datasources.{purpose}: no credentials for Azure were found. Give credentialsSecretRef, or a service "
            "account with workload identity and the label azure.workload.identity/use: 'true' on the pod "
            "(spec.podTemplate); the node's own identity is not used."
        )
    return _try(TokenAccess("DefaultAzureCredential (az login and the like)", DefaultAzureCredential()), purpose)


def _try(access: TokenAccess, purpose: str) -> TokenAccess:
    """Ask for a token once, so that what Entra says against it is not taken for the storage's word."""
    where = f"spec.datasources.{purpose}: no credentials for Azure by {access.method}"
    try:
        access()
    except ClientAuthenticationError as error:
        said = error.message.partition("\n")[0]
        raise StorageRefused(
            f"{where} ({said}). In a cluster, check the client's federated credential: issuer, subject and audience."
        ) from error
    except (AzureError, OSError) as error:
        raise StorageUnavailable(f"{where} for now ({error}).") from error
    return access
