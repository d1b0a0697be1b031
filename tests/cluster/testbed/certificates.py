"""A certificate authority for one test cluster, and the certificates it signs, made by openssl."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SERVER_NAMES = "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
SERVER_ADDRESSES = "IP:127.0.0.1,IP:10.244.0.1,IP:10.0.0.1"
CA_EXTENSIONS = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n"
LEAF_EXTENSIONS = (
    "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
    "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
)


@dataclass(frozen=True)
class Certificates:
    """Files of one folder, each with its key beside it."""

    folder: Path

    @property
    def ca(self):
        return self.folder / "ca.crt"

    @property
    def server(self):
        return self.folder / "server.crt"

    @property
    def kubelet_client(self):
        """What the apiserver shows to the kubelet."""
        return self.folder / "kubelet-client.crt"

    @property
    def kubelet(self):
        return self.folder / "kubelet.crt"

    @property
    def service_account_key(self):
        return self.folder / "service-account.key"


def key_of(certificate):
    """Return the file of the certificate's private key."""
    return certificate.with_suffix(".key")


def make_certificates(folder):
    """Make a CA, certificates for the apiserver and the kubelet, and the key that signs service-account tokens."""
    if not shutil.which("openssl"):
        raise RuntimeError("openssl is not on the PATH; run: python tests/cluster/testbed/prerequisites.py")
    folder.mkdir(parents=True, exist_ok=True)
    made = Certificates(folder)
    _make_key(made.service_account_key)
    _make_ca(made.ca)
    names = f"subjectAltName={SERVER_NAMES},{SERVER_ADDRESSES}\n"
    _sign(made, made.server, "/CN=kube-apiserver", f"extendedKeyUsage=serverAuth\n{names}")
    _sign(made, made.kubelet, "/CN=kubelet", f"extendedKeyUsage=serverAuth\n{names}")
    _sign(made, made.kubelet_client, "/O=system:masters/CN=kube-apiserver", "extendedKeyUsage=clientAuth\n")
    return made


def _make_key(path):
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path)
    path.chmod(0o600)


def _make_ca(ca):
    _make_request(ca, "/CN=selection-operator test CA")
    extensions = _write(ca.with_suffix(".ext"), CA_EXTENSIONS)
    request = ca.with_suffix(".csr")
    _openssl("x509", "-req", "-in", request, "-signkey", key_of(ca), "-days", "30", "-extfile", extensions, "-out", ca)


def _sign(made, certificate, subject, usage):
    _make_request(certificate, subject)
    extensions = _write(certificate.with_suffix(".ext"), LEAF_EXTENSIONS + usage)
    _openssl(
        "x509", "-req", "-in", certificate.with_suffix(".csr"), "-CA", made.ca, "-CAkey", key_of(made.ca),
        "-CAcreateserial", "-days", "30", "-extfile", extensions, "-out", certificate,
    )  # fmt: skip


def _make_request(certificate, subject):
    _make_key(key_of(certificate))
    _openssl("req", "-new", "-key", key_of(certificate), "-subj", subject, "-out", certificate.with_suffix(".csr"))


def _write(path, text):
    path.write_text(text)
    return path


def _openssl(*arguments):
    command = ["openssl", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
