"""The parts of a scheduler and a kubelet that a control plane without nodes lacks, played on the real API."""

import contextlib
import itertools
import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from testbed.rest import ApiError

CONTAINER = "selection-job"
_ADDRESSES = itertools.count(2)


def now():
    """Return the present second as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def make_node(rest, name):
    """Make a node object, so that the garbage collector leaves bound pods alone."""
    rest.create("nodes", None, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})


class PlayedPods:
    """What happens to the pods of one namespace."""

    def __init__(self, rest, namespace, node):
        self.rest, self.namespace, self.node = rest, namespace, node

    # -- the scheduler ------------------------------------------------------------------------------------------

    def bind(self, pod):
        """Give the pod its node."""
        target = {"apiVersion": "v1", "kind": "Node", "name": self.node}
        name = pod["metadata"]["name"]
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}
        with contextlib.suppress(ApiError):  # a pod that is bound already
            self.rest.create("pods", self.namespace, binding, "binding")
        self.set_status(pod, conditions=[_condition("PodScheduled", "True")])

    def leave_unschedulable(self, pod, message):
        """Say as the scheduler does why no node fits."""
        self.set_status(pod, conditions=[_condition("PodScheduled", "False", "Unschedulable", message)])

    # -- the kubelet --------------------------------------------------------------------------------------------

    def wait_in_container(self, pod, reason, message=""):
        """Let the container wait: ContainerCreating, ErrImagePull, CreateContainerConfigError …"""
        self.bind(pod)
        self.set_status(pod, containerStatuses=[_container({"waiting": {"reason": reason, "message": message}})])

    def run(self, pod, address="127.0.0.1"):
        """Let the container run, with an address for /progress."""
        self.bind(pod)
        state = _container({"running": {"startedAt": now()}}, ready=True, started=True)
        self.set_status(
            pod,
            phase="Running",
            podIP=address,
            podIPs=[{"ip": address}],
            startTime=now(),
            containerStatuses=[state],
            conditions=[_condition("Ready", "True")],
        )

    def end(self, pod, exit_code, last_word="", reason=None, conditions=()):
        """Let the container end; last_word is the termination message (text, or a dict that becomes JSON)."""
        message = json.dumps(last_word) if isinstance(last_word, dict) else last_word
        reason = reason or ("Completed" if exit_code == 0 else "Error")
        ended = {"exitCode": exit_code, "reason": reason, "message": message, "startedAt": now(), "finishedAt": now()}
        self.set_status(
            pod,
            phase="Failed" if exit_code else "Succeeded",
            containerStatuses=[_container({"terminated": ended})],
            conditions=[_condition("Ready", "False", "PodCompleted"), *conditions],
        )

    def disrupt(self, pod, reason="PreemptionByScheduler", last_word="", exit_code=143):
        """Take the pod away as preemption, eviction and drains do."""
        condition = _condition("DisruptionTarget", "True", reason, f"{reason} took the pod away")
        self.end(pod, exit_code, last_word, conditions=[condition])

    def finish_deletion(self, pod):
        """Let go of a pod that is being deleted, as the kubelet does once its containers have ended."""
        self.rest.delete("pods", self.namespace, pod["metadata"]["name"], gracePeriodSeconds=0)

    # -- ground -------------------------------------------------------------------------------------------------

    def set_status(self, pod, conditions=(), **fields):
        """Patch the pod's status; conditions are merged by type."""
        name = pod["metadata"]["name"]
        if conditions:
            present = self.rest.get("pods", self.namespace, name)
            known = {one["type"]: one for one in (present or pod)["status"].get("conditions", [])}
            known |= {one["type"]: one for one in conditions}
            fields["conditions"] = list(known.values())
        return self.rest.patch("pods", self.namespace, name, {"status": fields}, "status")

    def post_event(self, involved, reason, message, component="kubelet", kind="Warning"):
        """Post an Event about an object."""
        metadata = involved["metadata"]
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{metadata['name']}.", "namespace": self.namespace},
            "involvedObject": {
                "apiVersion": involved.get("apiVersion", "v1"),
                "kind": involved.get("kind", "Pod"),
                "name": metadata["name"],
                "namespace": self.namespace,
                "uid": metadata["uid"],
            },
            "reason": reason,
            "message": message,
            "type": kind,
            "source": {"component": component},
            "firstTimestamp": now(),
            "lastTimestamp": now(),
            "count": 1,
        }
        return self.rest.create("events", self.namespace, body)


def _condition(kind, status, reason="", message=""):
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now()}


def _container(state, **fields):
    return {
        "name": CONTAINER,
        "image": "localhost/selection-job:test",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": state,
        **fields,
    }


class ProgressPage:
    """A job's /progress on port 9090 of an address of its own; answer(handler) says what it answers."""

    def __init__(self, answer=None):
        self.address = _next_address()
        self.asked = []
        self.value = {"stage": "EMBEDDING", "done": 0, "total": 0}
        self._answer = answer
        self._server = _Server((self.address, 9090), self._make_handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _make_handler(self):
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                page.asked.append(self.path)
                with contextlib.suppress(OSError):
                    page._answer(self) if page._answer else answer_json(self, page.value)

            def log_message(self, *_):
                pass

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *_):
        """Say nothing: clients may leave whenever they like."""


def answer_json(handler, value, status=200):
    """Answer with JSON; bytes are sent as they are."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def _next_address():
    n = next(_ADDRESSES)
    return f"127.{90 + n // 65536}.{n // 256 % 256}.{n % 256}"
