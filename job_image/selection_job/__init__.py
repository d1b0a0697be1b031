"""selection_job: the Job's side of a SelectionRun, from a folder of images to a selection and its report."""
