"""Make what uv downloads a Python from: `build_download.py FOLDER URL`.

FOLDER gets python.tar.gz, the interpreter that runs this file in the layout of
python-build-standalone, and downloads.json, the list that UV_PYTHON_DOWNLOADS_JSON_URL names. URL
is where FOLDER is going to be served.
"""

import hashlib
import json
import platform
import sys
import tarfile
import tempfile
from pathlib import Path

from relocatable import python_tree


def main():
    folder, url = Path(sys.argv[1]), sys.argv[2]
    archive = folder / "python.tar.gz"
    with tempfile.TemporaryDirectory() as root:
        python_tree(Path(root), keep=["ensurepip"])
        with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
            tar.add(root, "python")
    arch = {"arm64": "aarch64"}.get(platform.machine(), platform.machine())
    libc = "gnu" if sys.platform == "linux" else "none"
    major, minor, patch = sys.version_info[:3]
    download = {
        "name": "cpython",
        "arch": {"family": arch, "variant": None},
        "os": sys.platform,
        "libc": libc,
        "major": major,
        "minor": minor,
        "patch": patch,
        "prerelease": "",
        "url": f"{url}/{archive.name}",
        "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        "variant": None,
        "build": "20260101",
    }
    key = f"cpython-{major}.{minor}.{patch}-{sys.platform}-{arch}-{libc}"
    (folder / "downloads.json").write_text(json.dumps({key: download}))


if __name__ == "__main__":
    main()
