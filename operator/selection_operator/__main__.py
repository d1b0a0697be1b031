"""selection-operator: run the operator. Its settings are SELECTION_* variables; see settings.py."""

import asyncio
import sys
from importlib.util import find_spec

from selection_operator.serving.logs import configure_logs
from selection_operator.settings import InvalidSettings, read_settings

_NEEDED = ("aiohttp", "kopf", "kubernetes", "prometheus_client")
"""What the extra brings, all of which is imported with watches."""


def main() -> int:
    """Run until SIGTERM; return 2 when the settings are wrong, 1 where the extra is not installed."""
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        print(
            f"selection-operator: needs the extra 'operator', and {missing[0]} is not installed: "
            "pip install 'selection-operator[operator]'",
            file=sys.stderr,
        )
        return 1
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
