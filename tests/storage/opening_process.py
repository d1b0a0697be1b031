"""Opens a datasource in a process of its own: google-auth reads where its metadata server is when it is imported.

Arguments: the datasource as JSON. Prints how it came to its credentials, and what it read back; a refusal's sentence
on standard error, with its exit code.
"""

import sys

from selection_api.datasource import Datasource
from selection_job.errors import JobError
from selection_job.stores.opening import open_store

if __name__ == "__main__":
    try:
        store = open_store(Datasource.model_validate_json(sys.argv[1]), field="spec.datasources.lightly", writable=True)
        store.write("a.jpg", b"x")
        store.write("odd//.jpg", b"y")
        print(store.credentials)
        print(*sorted(store.read(info.key).decode() for info in store.list()))
    except JobError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
