"""Creates .venv from requirements.lock with uv, and brings uv where it is missing.

Runs under the system's python3, so it uses the standard library only.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV_VERSION = "0.13.8"
PYTHON = ">=3.11,<3.14"


def main() -> None:
    uv = find_uv()
    if not (ROOT / ".venv" / "bin" / "python").exists():
        run(uv, "venv", "--quiet", "--python", PYTHON, ".venv")
    run(uv, "pip", "sync", "--quiet", "--require-hashes", "requirements.lock")
    run(uv, "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", ".")


def find_uv() -> str:
    """The uv on PATH, or one of our own in .uv."""
    found = shutil.which("uv")
    if found:
        return found
    own = ROOT / ".uv" / "bin" / "uv"
    if own.exists():
        return str(own)
    print("Bringing uv, which sets up the rest ...", flush=True)
    ways = (
        [sys.executable, "-m", "venv", str(ROOT / ".uv")],
        [sys.executable, "-m", "virtualenv", "--quiet", str(ROOT / ".uv")],
    )
    for way in ways:
        shutil.rmtree(ROOT / ".uv", ignore_errors=True)
        if subprocess.run(way, capture_output=True, check=False).returncode == 0:
            run(str(ROOT / ".uv" / "bin" / "python"), "-m", "pip", "install", "--quiet", f"uv=={UV_VERSION}")
            return str(own)
    shutil.rmtree(ROOT / ".uv", ignore_errors=True)
    target = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--target",
        str(ROOT / ".uv"),
        f"uv=={UV_VERSION}",
    ]
    if subprocess.run(target, check=False).returncode == 0 and own.exists():
        return str(own)
    raise SystemExit(
        "This Python has neither venv nor pip, so uv cannot be brought automatically. Install one of them "
        "(Debian, Ubuntu: apt-get install python3-venv) or uv itself, and run make again."
    )


def run(*command: str) -> None:
    environment = {**os.environ, "VIRTUAL_ENV": str(ROOT / ".venv")}
    code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    if code:
        raise SystemExit(f"set-up failed (exit {code}): {' '.join(command)}")


if __name__ == "__main__":
    main()
