"""Build a local conda channel with two packages: `build_channel.py CHANNEL UV_WHEEL`.

`python` is made from the interpreter that runs this file, `uv` from its wheel. Both can be
relocated, as any conda package can. Read README.md beside it for what the channel is good for.
"""

import asyncio
import hashlib
import io
import json
import os
import platform
import shutil
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import rattler
import zstandard
from rattler.index import index_fs
from relocatable import PLACEHOLDER, python_tree


def uv_tree(root, wheel):
    """uv's wheel, unpacked; the package goes into bin, as it does on conda-forge."""
    (root / "bin").mkdir()
    with zipfile.ZipFile(wheel) as archive:
        member = next(name for name in archive.namelist() if name.endswith(".data/scripts/uv"))
        (root / "bin" / "uv").write_bytes(archive.read(member))
    (root / "bin" / "uv").chmod(0o755)


def pack(channel, name, version, depends, fill):
    """Write the conda package NAME of the files that FILL puts into an empty folder."""
    subdir = str(rattler.Subdir.current())
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        fill(root)
        paths = []
        for path in sorted(path for path in root.rglob("*") if path.is_symlink() or path.is_file()):
            content = path.read_bytes()
            entry = {
                "_path": path.relative_to(root).as_posix(),
                "path_type": "softlink" if path.is_symlink() else "hardlink",
                "sha256": hashlib.sha256(content).hexdigest(),
                "size_in_bytes": len(content),
            }
            if PLACEHOLDER.encode() in content:
                entry.update(prefix_placeholder=PLACEHOLDER, file_mode="text")
            paths.append(entry)
        index = {"name": name, "version": version, "depends": depends, "subdir": subdir}
        index.update(build="0", build_number=0)
        info = {
            "index.json": json.dumps(index),
            "paths.json": json.dumps({"paths": paths, "paths_version": 1}),
            "files": "".join(entry["_path"] + "\n" for entry in paths),
            "has_prefix": "".join(
                f'"{PLACEHOLDER}" text "{entry["_path"]}"\n'
                for entry in paths
                if "file_mode" in entry
            ),
        }
        target = channel / subdir / f"{name}-{version}-0.conda"
        target.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(target, "w") as archive:
            archive.writestr("metadata.json", '{"conda_pkg_format_version": 2}')
            archive.writestr(f"pkg-{target.stem}.tar.zst", tar_zst(root))
            shutil.rmtree(root)
            (root / "info").mkdir(parents=True)
            for file, text in info.items():
                (root / "info" / file).write_text(text)
            archive.writestr(f"info-{target.stem}.tar.zst", tar_zst(root))


def tar_zst(root):
    """All that is in the folder ROOT, as a compressed archive."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path in sorted(root.iterdir()):
            archive.add(path, path.name)
    return zstandard.compress(stream.getvalue(), 1)


def main():
    channel, wheel = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    pack(channel, "python", platform.python_version(), [], python_tree)
    pack(channel, "uv", wheel.name.split("-")[1], [], lambda root: uv_tree(root, wheel))
    (channel / "noarch").mkdir()
    asyncio.run(index_fs(channel))


if __name__ == "__main__":
    main()
    # All is done. rattler's threads can crash the interpreter's orderly end, so leave without one.
    sys.stdout.flush()
    os._exit(0)
