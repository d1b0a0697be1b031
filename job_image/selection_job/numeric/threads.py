"""How many threads numeric code may use."""


def count_threads() -> int:
    """Return as many as torch has, which the job sets by num_processes."""
    import torch  # takes seconds, and what needs no threads does without it

    return max(torch.get_num_threads(), 1)
