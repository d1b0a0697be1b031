"""Look for what the test cluster needs of this machine, and install what Debian has: `python …/prerequisites.py`.

Standard library only: it runs before there is an environment.
"""

import os
import re
import shutil
import subprocess
import sys

PACKAGES = {
    "openssl": "openssl",
    "runc": "runc",
    "buildah": "buildah",
    "chromium": "chromium",  # tests/job opens report.html in it
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "setpriv": "util-linux",
    "tar": "tar",
}
"""Programs, and the Debian packages that have them."""

OLDEST_GO = (1, 24)
PLACES = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"


def main():
    """Install what is missing where that is possible; return the exit code."""
    packages = sorted({package for program, package in PACKAGES.items() if not shutil.which(program, path=PLACES)})
    if packages and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"Installing {' '.join(packages)} …", flush=True)
        _install(packages)
        packages = [each for each in packages if not any(shutil.which(p, path=PLACES) for p in _programs_of(each))]
    wrong = [*_missing_packages(packages), *_wrong_go(), *_wrong_user()]
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    if wrong:
        print("`make test-fast` needs none of this.", file=sys.stderr)
    return 1 if wrong else 0


def _programs_of(package):
    return [program for program, each in PACKAGES.items() if each == package]


def _install(packages):
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages]
    for command in (["apt-get", "update", "--quiet"], install):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}", file=sys.stderr)


def _missing_packages(packages):
    if packages:
        programs = ", ".join(program for package in packages for program in _programs_of(package))
        yield f"The test cluster needs {programs}. On Debian, as root: apt-get install {' '.join(packages)}"


def _wrong_go():
    """Yield a sentence when there is no Go that knows the `tool` lines of tests/cluster/tools/*/go.mod."""
    found = ""
    if shutil.which("go"):
        found = subprocess.run(["go", "version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"go(\d+)\.(\d+)", found)
    if not match or (int(match[1]), int(match[2])) < OLDEST_GO:
        yield (
            "The test cluster is built from Go modules and needs go 1.24 or newer on the PATH "
            f"(found: {found.strip() or 'none'}); Debian's may be older: see the Go project's installation page."
        )


def _wrong_user():
    if os.geteuid() != 0 and not os.environ.get("TEST_KUBECONFIG"):
        yield (
            "A node (containerd, kubelet) is started by root only. Run the tests as root, "
            "or name an existing cluster in TEST_KUBECONFIG."
        )


if __name__ == "__main__":
    sys.exit(main())
