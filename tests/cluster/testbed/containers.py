"""An image run as `docker run` would, by runc alone: a read-only root, no capabilities, a tmpfs for /tmp."""

import contextlib
import json
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path

from testbed.images import buildah

RUNC = ["runc", "--root", "/run/selection-operator-runc"]


@dataclass(frozen=True)
class Container:
    """A mounted image and the configuration in it."""

    rootfs: Path
    config: dict
    folder: Path

    def run(self, *arguments, volumes=(), user=None, entrypoint=None):
        """Run the entrypoint with arguments, volumes being (folder here, there); return the CompletedProcess."""
        command = [*(entrypoint or self.config["Entrypoint"]), *map(str, arguments)]
        spec = self._spec(command, volumes, user or self.config["User"])
        (self.folder / "config.json").write_text(json.dumps(spec))
        name = f"test-{secrets.token_hex(4)}"
        command = [*RUNC, "run", "--bundle", self.folder, name]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    def _spec(self, arguments, volumes, user):
        subprocess.run([*RUNC, "spec", "--bundle", self.folder], check=True)
        spec = json.loads((self.folder / "config.json").read_bytes())
        (self.folder / "config.json").unlink()
        uid, gid = map(int, user.split(":"))
        process = {
            "terminal": False,
            "args": arguments,
            "env": self.config["Env"],
            "cwd": self.config["WorkingDir"],
            "user": {"uid": uid, "gid": gid},
            "capabilities": {},
            "rlimits": [],
            "noNewPrivileges": True,
        }
        mounts = [{"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["mode=1777"]}]
        mounts += [_bind(here, there) for here, there in volumes]
        root = {"path": str(self.rootfs), "readonly": True}
        return {**spec, "process": process, "root": root, "mounts": [*spec["mounts"], *mounts]}


def _bind(here, there):
    return {"destination": str(there), "type": "bind", "source": str(here), "options": ["rbind", "rw"]}


@contextlib.contextmanager
def mounted(image, folder):
    """Mount an Image and yield it as a Container; containers' specs are written into the folder."""
    described = json.loads(buildah("inspect", "--type", "image", image.reference))
    name = buildah("from", "--pull-never", image.reference).strip()
    try:
        yield Container(Path(buildah("mount", name).strip()), described["OCIv1"]["config"], folder)
    finally:
        buildah("rm", name)
