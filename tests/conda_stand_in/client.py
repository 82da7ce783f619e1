"""A stand-in for a conda client: `client.py env create -q -p PREFIX -f FILE`, and `--version`.

It solves and installs for real, with rattler, and knows of a client's configuration only what the
test needs: channel_alias in the file that CONDARC names, and CONDA_PKGS_DIRS. Read README.md beside
it for what that proves.
"""

import argparse
import asyncio
import os
import sys
from pathlib import Path

import rattler
import yaml


def arguments():
    parser = argparse.ArgumentParser(prog="stand-in")
    parser.add_argument("--version", action="version", version="2.8.1")
    create = (
        parser.add_subparsers(required=True)
        .add_parser("env")
        .add_subparsers(required=True)
        .add_parser("create")
    )
    create.add_argument("-q", action="store_true", required=True)
    create.add_argument("-p", dest="prefix", type=Path, required=True)
    create.add_argument("-f", dest="file", type=Path, required=True)
    return parser.parse_args()


async def create(prefix, file):
    wanted = yaml.safe_load(file.read_text(encoding="utf-8"))
    unknown = set(wanted) - {"name", "channels", "dependencies"}
    if unknown:
        sys.exit(f"stand-in: {file} has keys that this client does not know: {sorted(unknown)}")
    alias = yaml.safe_load(Path(os.environ["CONDARC"]).read_text(encoding="utf-8"))["channel_alias"]
    packages = Path(os.environ["CONDA_PKGS_DIRS"])

    records = await rattler.solve(
        [rattler.Channel(f"{alias}/{name}") for name in wanted["channels"]],
        wanted["dependencies"],
        gateway=rattler.Gateway(cache_dir=packages / "repodata"),
        virtual_packages=rattler.VirtualPackage.detect(),
    )
    await rattler.install(records, prefix, cache_dir=packages, show_progress=False)
    print(
        "stand-in:", ", ".join(f"{record.name.normalized} {record.version}" for record in records)
    )


def main():
    args = arguments()
    if sys.stdin.read():
        sys.exit("stand-in: stdin must be /dev/null; a real client would take it as an answer")
    if args.prefix.exists():
        sys.exit(f"stand-in: {args.prefix} exists; real clients differ wildly there")
    asyncio.run(create(args.prefix, args.file))


if __name__ == "__main__":
    main()
    # All is done. rattler's threads can crash the interpreter's orderly end, so leave without one.
    sys.stdout.flush()
    os._exit(0)
