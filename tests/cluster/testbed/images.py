"""The project's images, built by buildah from its Dockerfiles on a Debian made by debootstrap: no registry is needed.

Everything is kept in the cache under the hash of what it is made from. `python tests/cluster/testbed/images.py` builds
all of them.
"""

import functools
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from testbed import binaries, commands
from testbed.cache import cache_folder, digest, locked, make_once
from testbed.traces import mounts_under

ROOT = Path(__file__).parents[3]
SUITE, PACKAGES = "bookworm", "python3,python3-venv,ca-certificates"
BASE_DOCKERFILE = """\
FROM scratch
ADD rootfs.tar /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
CMD ["/bin/sh"]
"""
PAUSE_DOCKERFILE = 'FROM scratch\nCOPY pause /pause\nENTRYPOINT ["/pause"]\n'
SOURCES = [
    "pyproject.toml",
    "constraints.txt",
    "README.md",
    "LICENSE",
    ".dockerignore",
    "crds",
    "operator",
    "job_image",
]
FOLDERS = {"selection-operator": "operator", "selection-job": "job_image"}
CERTIFICATES = Path("/etc/ssl/certs")
RUNROOT = "/run/selection-operator-buildah"


@dataclass(frozen=True)
class Image:
    """An image in the cache's storage."""

    name: str
    key: str

    @property
    def reference(self):
        return f"localhost/{self.name}:{self.key}"


def buildah(*arguments):
    """Run buildah on the cache's own storage and return what it prints."""
    for program in ("buildah", "runc"):
        if not shutil.which(program):
            raise RuntimeError(f"{program} is not on the PATH; run: python tests/cluster/testbed/prerequisites.py")
    storage = ["--root", cache_folder() / "buildah", "--runroot", RUNROOT, "--storage-driver", "overlay"]
    return commands.run(["buildah", *storage, *arguments])


def build(name):
    """Return selection-operator or selection-job as an Image, built from the checkout if it has changed."""
    with locked("buildah"):
        _mend_storage()
        base = _base()
        image = Image(name, digest(base.key, *_contents()))
        if not _is_there(image):
            print(f"Building the image {name} …", file=sys.stderr, flush=True)
            dockerfile = ROOT / FOLDERS[name] / "Dockerfile"
            options = ["--layers", "--file", dockerfile, "--build-arg", f"BASE_IMAGE={base.reference}"]
            buildah("bud", *_isolation(), *options, *_network_settings(), "--tag", image.reference, ROOT)
            _remove_older(image)
        return image


def build_pause():
    """Return the image of the process that holds a pod together."""
    program = binaries.find("pause", "pause")
    with locked("buildah"):
        _mend_storage()
        return _build_once("pause", program.parent, PAUSE_DOCKERFILE)


def build_all():
    """Return all the images of a node."""
    return [build_pause(), *(build(name) for name in FOLDERS)]


def _base():
    key = digest(SUITE, PACKAGES, BASE_DOCKERFILE)
    folder = make_once("images", "base", key, _debootstrap)
    return _build_once("selection-base", folder, BASE_DOCKERFILE, key)


def _debootstrap(folder):
    print("Making a base image by debootstrap (once) …", file=sys.stderr, flush=True)
    if not shutil.which("debootstrap"):
        raise RuntimeError("debootstrap is not on the PATH; run: python tests/cluster/testbed/prerequisites.py")
    rootfs = folder / "rootfs"
    commands.run(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, rootfs])
    for unneeded in ("var/cache/apt/archives", "var/lib/apt/lists"):
        shutil.rmtree(rootfs / unneeded)
    commands.run(["tar", "-C", rootfs, "-cf", folder / "rootfs.tar", "."])
    shutil.rmtree(rootfs)


def _build_once(name, folder, dockerfile, key=None):
    image = Image(name, key or digest(folder.name, dockerfile))
    if not _is_there(image):
        written = cache_folder() / "images" / f"{name}.Dockerfile"
        written.parent.mkdir(parents=True, exist_ok=True)
        written.write_text(dockerfile)
        buildah("bud", *_isolation(), "--file", written, "--tag", image.reference, folder)
    return image


def _isolation():
    return ["--isolation", "chroot", "--network", "host"]


def _is_there(image):
    return image.reference in _references()


def _references():
    return buildah("images", "--format", "{{.Name}}:{{.Tag}}").splitlines()


def _remove_older(image):
    """Remove the earlier versions, and the layers that belong to no image any more."""
    for line in _references():
        name, _, key = line.rpartition(":")
        if name == f"localhost/{image.name}" and key != image.key:
            buildah("rmi", line)
    buildah("rmi", "--prune")


def _mend_storage():
    """Remove what builds that were killed have left; all of it where they have left it broken."""
    try:
        buildah("rm", "--all")
        _references()
    except RuntimeError:
        storage = cache_folder() / "buildah"
        for mounted in reversed(mounts_under(storage)):
            commands.run(["umount", "--lazy", mounted])
        shutil.rmtree(storage)


def _contents():
    """Yield names and bytes of all that an image is built from."""
    for source in SOURCES:
        for path in sorted((ROOT / source).rglob("*")) if (ROOT / source).is_dir() else [ROOT / source]:
            if path.is_file() and "__pycache__" not in path.parts:
                yield str(path.relative_to(ROOT))
                yield path.read_bytes()


def _network_settings():
    """Return the options by which packages are found from inside a build as they are from outside."""
    arguments = {key: os.environ[key] for key in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX") if key in os.environ}
    options = []
    bundle = Path(os.environ.get("SSL_CERT_FILE", CERTIFICATES / "ca-certificates.crt"))
    if bundle.is_relative_to(CERTIFICATES) and bundle.is_file():
        arguments |= {"PIP_CERT": bundle, "SSL_CERT_FILE": bundle, "UV_SYSTEM_CERTS": "1"}
        options += ["--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"]
    packages = _package_cache()
    if packages:
        arguments |= {"UV_NO_CACHE": "0"}
        options += ["--volume", f"{packages}:/root/.cache/uv"]
    return [*options, *(part for key, value in arguments.items() for part in ("--build-arg", f"{key}={value}"))]


@functools.cache
def _package_cache():
    """Return uv's cache of downloaded packages, if there is one: `make setup` has filled it."""
    uv = shutil.which("uv", path=f"{ROOT / '.tools' / 'bin'}:{os.environ['PATH']}")
    return commands.run([uv, "cache", "dir"]).strip() if uv else None


if __name__ == "__main__":
    for image in build_all():
        print(image.reference)
