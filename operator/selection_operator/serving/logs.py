"""Logs as JSON lines, one object a line, with the run they are about."""

import json
import logging
from datetime import UTC, datetime

FIELDS = ("namespace", "run", "uid")


class JsonFormatter(logging.Formatter):
    """time, level, logger, message, and namespace, run, uid where a line is about a run."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {field: getattr(record, field) for field in FIELDS if hasattr(record, field)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure_logs(level: str) -> None:
    """Let every logger write JSON lines to standard error; the libraries' only from WARNING on."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("selection_operator").setLevel(level)
