"""AWS's IAM before an S3 that has none: which permission a request takes, and whether a policy gives it."""

import fnmatch
import re
from urllib.parse import parse_qs, unquote, urlsplit


def as_list(value):
    return value if isinstance(value, list) else [value]


def allows(policy, action, resource, prefix=""):
    """Say whether a policy of AWS allows an action; of conditions it knows s3:prefix."""
    for statement in policy["Statement"]:
        patterns = statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix", ["*"])
        if (
            statement["Effect"] == "Allow"
            and any(fnmatch.fnmatchcase(action, pattern) for pattern in as_list(statement["Action"]))
            and any(fnmatch.fnmatchcase(resource, pattern) for pattern in as_list(statement["Resource"]))
            and any(fnmatch.fnmatchcase(prefix, pattern) for pattern in as_list(patterns))
        ):
            return True
    return False


class Iam:
    """AWS's IAM before an S3 that has none: access key -> its policies."""

    def __init__(self, policies):
        self.policies, self.done, self.denied = policies, [], []

    def __call__(self, request):
        key = re.search(r"Credential=([A-Z0-9]+)", request.headers.get("authorization", "") + request.path)[1]
        for action, resource, prefix in self._needs(request):
            allowed = any(allows(policy, action, resource, prefix) for policy in self.policies[key])
            (self.done if allowed else self.denied).append((key, action))
            if not allowed:
                body = f"<Error><Code>AccessDenied</Code><Message>not authorized to perform: {action}</Message></Error>"
                return 403, {}, body.encode()
        return None

    def _needs(self, request):
        """Yield action, resource and prefix of all that the request takes (AWS: actions for Amazon S3)."""
        parts = urlsplit(request.path)
        query = parse_qs(parts.query, keep_blank_values=True)
        place = f"arn:aws:s3:::{unquote(parts.path.removeprefix('/'))}"
        if "list-type" in query:
            yield "s3:ListBucket", place.rstrip("/"), query.get("prefix", [""])[0]
        elif request.method in ("GET", "HEAD"):
            yield "s3:GetObject", place, ""
        elif request.method == "DELETE":
            yield ("s3:AbortMultipartUpload" if "uploadId" in query else "s3:DeleteObject"), place, ""
        else:
            yield "s3:PutObject", place, ""
            if source := request.headers.get("x-amz-copy-source"):
                yield "s3:GetObject", f"arn:aws:s3:::{unquote(source).removeprefix('/')}", ""
