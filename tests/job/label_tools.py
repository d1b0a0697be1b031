"""The labelling tools' own libraries, in an environment of their own: they pin what the project needs otherwise."""

import functools
import json
import subprocess
import sys
from pathlib import Path

from testbed.cache import digest, make_once

PACKAGES = ("label-studio-sdk==2.1.2", "pycocotools==2.0.11")
_UV = Path(__file__).parents[2] / ".tools" / "bin" / "uv"


@functools.cache
def _environment():
    return make_once("label-tools", "environment", digest(*PACKAGES, sys.version), _install)


def _install(folder):
    subprocess.run([_UV, "venv", "--quiet", "--clear", "--python", sys.executable, folder], check=True)
    subprocess.run([_UV, "pip", "install", "--quiet", "--python", folder / "bin" / "python", *PACKAGES], check=True)


def ask_tools(program, *arguments):
    """Run a program with the tools' Python and return what it prints, which is JSON."""
    command = [_environment() / "bin" / "python", "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
