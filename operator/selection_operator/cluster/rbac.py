"""What the operator may do at the API server; the chart's roles are held equal to this table by a test."""

from dataclasses import dataclass

from selection_api.names import GROUP, PLURAL


@dataclass(frozen=True)
class Rule:
    """Verbs on one resource of one API group."""

    group: str
    resource: str
    verbs: tuple[str, ...]


RULES = (
    Rule(GROUP, PLURAL, ("get", "list", "watch", "delete")),
    Rule(GROUP, f"{PLURAL}/status", ("update",)),
    Rule("batch", "jobs", ("get", "list", "watch", "create", "patch")),
    Rule("", "pods", ("list", "watch")),
    Rule("", "events", ("list", "create")),
)
"""Always. `delete` is for ttlSecondsAfterFinished; `patch` for suspend and for ending a Job that can't succeed."""

KUEUE_RULES = (Rule("kueue.x-k8s.io", "workloads", ("list", "patch")),)
"""With SELECTION_KUEUE_ENABLED."""
