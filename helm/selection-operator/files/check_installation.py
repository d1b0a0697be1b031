"""What `helm test` runs: the operator is well, and the API server takes a SelectionRun (a dry run: none is made)."""

import json
import os
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
CLAIM = {"claimName": "helm-test"}
SAMPLE = {
    "apiVersion": "dataselection.io/v1alpha1",
    "kind": "SelectionRun",
    "metadata": {"name": "helm-test"},
    "spec": {
        "datasources": {
            "input": {"type": "LOCAL", "resourcePath": "/data/images/", "persistentVolumeClaim": CLAIM},
            "lightly": {"type": "LOCAL", "resourcePath": "/data/", "persistentVolumeClaim": CLAIM},
        },
        "workerConfig": {"enable_training": True, "stopping_condition": {"n_samples": 0.1}},
    },
}


def main() -> None:
    """Check the operator, then the API server; end with a sentence, and with 1 when something is wrong."""
    namespace = os.environ["NAMESPACE"]
    selector = quote(os.environ["SELECTOR"])
    pods = call_api(f"/api/v1/namespaces/{namespace}/pods?labelSelector={selector}")["items"]
    staying = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    addresses = [pod["status"]["podIP"] for pod in staying if pod["status"].get("podIP")]
    if not addresses:
        raise SystemExit(f"There is no operator: no pod of namespace {namespace} with {selector} has an address.")
    for address in addresses:
        print(f"The operator at {address} answers {ask_health(address)}.")
    call_api(f"/apis/dataselection.io/v1alpha1/namespaces/{namespace}/selectionruns?dryRun=All", SAMPLE)
    print("The API server takes a SelectionRun.")


def ask_health(address: str) -> str:
    """Return what the operator says of itself."""
    host = f"[{address}]" if ":" in address else address
    url = f"http://{host}:{os.environ['PORT']}/healthz"
    try:
        with open_directly(url, timeout=10) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        raise SystemExit(f"The operator at {address} is not well: {error.read().decode()}") from error
    except OSError as error:
        raise SystemExit(f"The operator at {address} does not answer: {error}. Is a NetworkPolicy between?") from error


def call_api(path: str, body: dict[str, Any] | None = None) -> Any:
    """Return the API server's decoded answer to a GET, or to a POST of body."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    address = f"[{host}]" if ":" in host else host
    headers = {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}", "Content-Type": "application/json"}
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(f"https://{address}:{port}{path}", data, headers)
    try:
        with open_directly(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise SystemExit(f"The API server refuses {path}: {error.read().decode()}") from error


def open_directly(request: urllib.request.Request | str, timeout: float) -> Any:
    """Send a request past any proxy: both the API server and the operator's pod are near."""
    secure = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt")))
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), secure).open(request, timeout=timeout)


main()
