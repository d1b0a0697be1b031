"""selection_job: the Job's side of a SelectionRun, from a folder of images to a selection and its report."""

import os

# Other packages' plugins have no say in what a manifest means, and looking for them takes a quarter of `check`'s time.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
