"""selection-operator: run the operator. Its settings are SELECTION_* variables; see settings.py."""

import asyncio
import sys

from selection_operator.serving.logs import configure_logs
from selection_operator.settings import InvalidSettings, read_settings


def main() -> int:
    """Run until SIGTERM; return 2 when the settings are wrong."""
    try:
        settings = read_settings()
    except InvalidSettings as error:
        print(f"selection-operator: {error}", file=sys.stderr)
        return 2
    configure_logs(settings.log_level)
    from selection_operator.watches import operate

    asyncio.run(operate(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
