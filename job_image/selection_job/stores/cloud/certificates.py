"""Certificates: which authorities a datasource's connections trust, where its endpoint has one of its own."""

import atexit
import os
import ssl
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import requests
import requests.adapters

from selection_api.datasource import Datasource
from selection_job.errors import StorageRefused
from selection_job.stores.cloud.secrets_folder import read_secret

CERTIFICATES_KEY = "ca.crt"
"""Key of a datasource's Secret: PEM certificates that are trusted besides the public ones, for this datasource only."""

_VARIABLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


def find_certificates(datasource: Datasource, purpose: str) -> str | None:
    """Return the file of certificates to trust; None where those that the libraries bring are enough.

    The Secret's ca.crt comes on top of the file that the environment names (AWS_CA_BUNDLE, REQUESTS_CA_BUNDLE,
    SSL_CERT_FILE), else of the public authorities: the endpoint may be private and the place that gives out tokens not.
    Raises StorageRefused where ca.crt holds no certificate.
    """
    named = next((path for name in _VARIABLES if (path := os.environ.get(name))), None)
    if datasource.credentials_secret_ref is None:
        return named
    secret = datasource.credentials_secret_ref.name
    own = read_secret(purpose, secret, (), (CERTIFICATES_KEY,)).get(CERTIFICATES_KEY)
    if own is None:
        return named
    _check(own, f"The Secret {secret} of spec.datasources.{purpose}")
    others = Path(named or requests.utils.DEFAULT_CA_BUNDLE_PATH).read_text(encoding="utf-8")
    return _write_once(f"{own}\n{others}")


def _check(pem: str, whose: str) -> None:
    try:
        ssl.create_default_context().load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError) as error:
        raise StorageRefused(
            f"{whose}: its key {CERTIFICATES_KEY} is no certificate in PEM ({error}). Expected one or more blocks "
            "that begin with -----BEGIN CERTIFICATE-----."
        ) from error


class TrustingAdapter(requests.adapters.HTTPAdapter):
    """Connections of requests that trust the given file, whatever REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE say.

    requests puts those above a session's own setting, so that it has to be made below the session.
    """

    def __init__(self, certificates: str | None, *, connections: int = 10) -> None:
        self._certificates = certificates
        super().__init__(pool_maxsize=connections)

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        """Send it, its server's certificate checked against the file."""
        if self._certificates is not None:
            options["verify"] = self._certificates
        return super().send(request, *arguments, **options)


@cache
def _write_once(pem: str) -> str:
    """Return a file with this content, removed when the process ends. botocore and requests take files only."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".pem", delete=False) as file:
        file.write(pem)
    atexit.register(Path(file.name).unlink, missing_ok=True)
    return file.name
