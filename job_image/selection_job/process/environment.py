"""The process's environment variables, all of which are set before the first thread that reads them.

C libraries read them in threads, libjpeg at each picture, and setenv of glibc before 2.41 moves them meanwhile: the
process then dies by SIGSEGV. So what the job or a library would set later is set at the start.
"""

import os

_VARIABLES = {
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # arithmetic that repeats to the bit; read when CUDA starts
    "HF_HUB_OFFLINE": "1",  # timm and open_clip never ask the hub, whatever an encoder's folder names
    "KMP_DUPLICATE_LIB_OK": "True",  # this one and the next as scikit-learn sets them when it is imported
    "KMP_INIT_AT_FORK": "FALSE",
}


def complete_environment() -> None:
    """Set what is not set yet."""
    for name, value in _VARIABLES.items():
        os.environ.setdefault(name, value)
