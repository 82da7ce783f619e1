"""Packages that a test installs, and the environment that it installs them in."""

import base64
import hashlib
import importlib.metadata
import os
import zipfile
from pathlib import Path

import pytest
from support.checkouts import PROJECT

TOOLS_PYTHON = Path(os.environ.get("TOOLS_PYTHON") or PROJECT / ".sandbox/3/tools/bin/python")

CLIENTS = ("micromamba", "mamba", "conda")


def write_wheel(folder, name, version, tag, files):
    """Write a wheel of {path in the wheel: bytes}, uncompressed; return its line in a lock."""
    info = f"{name}-{version}.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
    }
    record = f"{info}/RECORD,,\n"
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(content)}\n"
    wheel = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, content in {**files, f"{info}/RECORD": record.encode()}.items():
            member = zipfile.ZipInfo(path)
            member.external_attr = 0o100755 << 16
            archive.writestr(member, content)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return f"{name}=={version} \\\n    --hash=sha256:{digest}\n"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """A folder with the two wheels, and the lock that names them."""
    folder = tmp_path_factory.mktemp("wheels")
    uv = importlib.metadata.distribution("uv")
    binary = next(path for path in uv.files if path.name == "uv" and path.parent.name == "bin")
    module = {str(path): path.read_binary() for path in uv.files if path.suffix == ".py"}
    scripts = {f"uv-{uv.version}.data/scripts/uv": binary.read_binary()}
    lock = write_wheel(folder, "uv", uv.version, "py3-none-any", module | scripts)
    lock += write_wheel(
        folder, "tiny", "1.0", "py3-none-any", {"tiny/__init__.py": b"answer = 42\n"}
    )
    (folder / "lock.txt").write_text("# a lock as uv writes it\n" + lock)
    # The same wheels as an index, such as a company's mirror of PyPI.
    for wheel in folder.glob("*.whl"):
        page = folder / "simple" / wheel.name.split("-")[0] / "index.html"
        page.parent.mkdir(parents=True)
        page.write_text(f'<a href="../../{wheel.name}">{wheel.name}</a>')
    return folder


def environment(checkout, wheels, **variables):
    """A clean environment with no conda client on PATH, and the wheels as the only source."""
    path = [str(checkout.parent / "tools")]
    path += [place for place in ("/usr/local/bin", "/usr/bin", "/bin") if not has_client(place)]
    return {
        "HOME": str(checkout.parent / "home"),
        "TMPDIR": str(checkout.parent / "tmp"),
        "PATH": os.pathsep.join(path),
        "LANG": "C.UTF-8",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_CONFIG_FILE": os.devnull,
        # Refused at once: nobody listens on port 1.
        "MICROMAMBA_URL": "http://127.0.0.1:1",
        **variables,
    }


def has_client(place):
    return any(os.access(os.path.join(place, name), os.X_OK) for name in CLIENTS)
