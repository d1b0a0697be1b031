"""The Kubernetes API over plain HTTP requests: what a test reads and writes, without a process for each call."""

import json
import threading
import urllib.parse

import urllib3

APIS = {
    "selectionruns": "/apis/dataselection.io/v1alpha1",
    "jobs": "/apis/batch/v1",
    "workloads": "/apis/kueue.x-k8s.io/v1beta2",
    "customresourcedefinitions": "/apis/apiextensions.k8s.io/v1",
    "leases": "/apis/coordination.k8s.io/v1",
    "roles": "/apis/rbac.authorization.k8s.io/v1",
    "rolebindings": "/apis/rbac.authorization.k8s.io/v1",
}
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"


class ApiError(Exception):
    """An answer that is no success."""

    def __init__(self, verb, path, status, answer):
        self.status, self.answer = status, answer
        self.message = answer.get("message", "") if isinstance(answer, dict) else str(answer)
        super().__init__(f"{verb} {path}: {status} {self.message}")


class Rest:
    """One user's access to an API server; may be used by several threads."""

    def __init__(self, server, token, ca_file=None):
        self.server = server
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._ca_file = str(ca_file) if ca_file else None
        self._local = threading.local()

    @property
    def _pool(self):
        if not hasattr(self._local, "pool"):
            self._local.pool = urllib3.PoolManager(ca_certs=self._ca_file, retries=False)
        return self._local.pool

    def send(self, verb, path, body=None, content="application/json", **query):
        """Send one request and return the status and the decoded answer."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        address = f"{self.server}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        headers = self._headers | ({"Content-Type": content} if data is not None else {})
        answer = self._pool.request(verb, address, body=data, headers=headers, timeout=30)
        return answer.status, json.loads(answer.data) if answer.data[:1] in (b"{", b"[") else answer.data.decode()

    def request(self, verb, path, body=None, content="application/json", **query):
        """Send one request and return the decoded answer, or raise ApiError."""
        status, answer = self.send(verb, path, body, content, **query)
        if status >= 300:
            raise ApiError(verb, path, status, answer)
        return answer

    def list(self, plural, namespace=None, **query):
        """Return the items of a kind."""
        return self.request("GET", path_of(plural, namespace), **query)["items"]

    def get(self, plural, namespace, name):
        """Return an object, or None where there is none."""
        status, answer = self.send("GET", path_of(plural, namespace, name))
        if status == 404:
            return None
        if status >= 300:
            raise ApiError("GET", name, status, answer)
        return answer

    def create(self, plural, namespace, body, subresource="", **query):
        """Create an object (or, with a subresource, post to it) and return it."""
        name = body["metadata"]["name"] if subresource else ""
        return self.request("POST", path_of(plural, namespace, name, subresource), body, **query)

    def patch(self, plural, namespace, name, body, subresource=""):
        """Merge-patch an object, or apply a JSON patch where body is a list."""
        content = JSON_PATCH if isinstance(body, list) else MERGE
        return self.request("PATCH", path_of(plural, namespace, name, subresource), body, content)

    def replace(self, plural, namespace, body, subresource=""):
        """Replace an object."""
        return self.request("PUT", path_of(plural, namespace, body["metadata"]["name"], subresource), body)

    def delete(self, plural, namespace, name, **options):
        """Delete an object; one that is gone already is fine."""
        status, answer = self.send("DELETE", path_of(plural, namespace, name), options or None)
        if status >= 300 and status != 404:
            raise ApiError("DELETE", name, status, answer)


def path_of(plural, namespace=None, name="", subresource=""):
    """Return the path of a kind, an object or a subresource."""
    parts = [APIS.get(plural, "/api/v1"), *(["namespaces", namespace] if namespace else []), plural, name, subresource]
    return "/".join(part for part in parts if part)


def rest_of(plane):
    """Return a control plane's administrator as a Rest."""
    return Rest(plane.server, plane.token, plane.ca_file)
