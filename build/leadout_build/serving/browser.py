"""The one place that finds a Chromium and knows the flags under which it has WebGPU.

Used by the tests, `leadout generate --device webgpu` and `leadout bench`. Run as a module it
prints the browser's path, or exits with 1 where there is none; `make setup` asks it so.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from leadout.errors import DeviceUnavailableError

#: Names that Chromium goes by on PATH, the first found wins.
EXECUTABLES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

#: Where the applications lie that are never on PATH.
APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)

#: Where `playwright install chromium` puts its browsers, newest revision last.
PLAYWRIGHT_FOLDERS = ("~/.cache/ms-playwright", "~/Library/Caches/ms-playwright")
PLAYWRIGHT_PATTERNS = (
    "chromium-*/chrome-linux*/chrome",
    "chromium-*/chrome-mac*/*.app/Contents/MacOS/*",
)

#: A test browser fetches nothing of its own accord.
QUIET_FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def find_browser() -> Path | None:
    """Return a Chromium's path: LEADOUT_CHROMIUM, one on PATH, an application, Playwright's.

    Raises:
        DeviceUnavailableError: LEADOUT_CHROMIUM is set and names no executable.
    """
    if chosen := os.environ.get("LEADOUT_CHROMIUM"):
        found = shutil.which(chosen)
        if found is None:
            message = f"LEADOUT_CHROMIUM is {chosen!r}, which is no executable; mend or unset it"
            raise DeviceUnavailableError(message, path=chosen)
        return Path(found)
    for name in (*EXECUTABLES, *APPLICATIONS):
        if found := shutil.which(name):
            return Path(found)
    folders = [os.environ.get("PLAYWRIGHT_BROWSERS_PATH", ""), *PLAYWRIGHT_FOLDERS]
    for folder in (Path(name).expanduser() for name in folders if name):
        for pattern in PLAYWRIGHT_PATTERNS:
            if revisions := sorted(folder.glob(pattern)):
                return revisions[-1]
    return None


def has_gpu() -> bool:
    """Tell whether this machine seems to have a GPU that Chromium can use."""
    if not sys.platform.startswith("linux"):
        return True
    return Path("/dev/nvidiactl").exists() or any(Path("/dev/dri").glob("renderD*"))


def launch_options(*, software: bool | None = None) -> dict[str, Any]:
    """Return keyword arguments for Playwright's `chromium.launch`.

    Args:
        software: True renders with SwiftShader on the CPU, False with the GPU; None (the
            default) takes the GPU where there is one.

    Raises:
        DeviceUnavailableError: there is no Chromium.
    """
    browser = find_browser()
    if browser is None:
        raise DeviceUnavailableError(
            "no Chromium found; install one (`playwright install chromium` does), or set "
            "LEADOUT_CHROMIUM to its path"
        )
    args = [*QUIET_FLAGS, "--enable-unsafe-webgpu"]
    if software or (software is None and not has_gpu()):
        args.append("--use-webgpu-adapter=swiftshader")
    elif sys.platform.startswith("linux"):
        args.append("--enable-features=Vulkan")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        args.append("--no-sandbox")  # Chromium refuses to start its sandbox as root
    return {"executable_path": str(browser), "headless": True, "args": args}


if __name__ == "__main__":
    path = find_browser()
    if path is None:
        sys.exit(1)
    print(path)
