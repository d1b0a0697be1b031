"""How large the images are: python benchmarks/image_sizes.py (as root: it builds those that have changed)

Uncompressed, as a node keeps them, on the Debian of the tests, which is about as large as python:3.12-slim. What only
the CUDA build of torch brings is measured where this program runs.
"""

import sys
from importlib import import_module, metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "cluster"))

CUDA_FOLDERS = ("nvidia", "triton")


def main() -> None:
    """Build what is not there, measure, print."""
    images = import_module("testbed.images")
    print("| image | GB |\n|---|---|")
    for name in images.FOLDERS:
        inspected = images.buildah("images", "--format", "{{.Size}}", images.build(name).reference)
        print(f"| {name} | {inspected.strip()} |", flush=True)
    packages = Path(str(metadata.distribution("torch").locate_file("")))
    paths = (path for folder in CUDA_FOLDERS for path in (packages / folder).rglob("*"))
    print(
        f"| of it {' and '.join(CUDA_FOLDERS)} | {sum(p.stat().st_size for p in paths if p.is_file()) / 1e9:.1f} GB |"
    )


if __name__ == "__main__":
    main()
