"""Finds a Chromium, and has the flags that it needs for WebGPU. No other module does this.

The tests, `leadout generate --device webgpu` and `leadout bench` use it. `make setup` runs it as a
module: it prints the browser's path, or exits with 1 if there is none.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from leadout.errors import DeviceUnavailableError

#: Names of Chromium on PATH; the first one found is used.
EXECUTABLES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

#: Paths of applications that are never on PATH.
APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)

#: Where `playwright install chromium` puts its browsers, with the newest revision last.
PLAYWRIGHT_FOLDERS = ("~/.cache/ms-playwright", "~/Library/Caches/ms-playwright")
PLAYWRIGHT_PATTERNS = (
    "chromium-*/chrome-linux*/chrome",
    "chromium-*/chrome-mac*/*.app/Contents/MacOS/*",
)

#: Flags that keep the browser from fetching anything that no page asks for.
QUIET_FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def find_browser() -> Path | None:
    """Return the path of a Chromium: LEADOUT_CHROMIUM, on PATH, an application, or Playwright's.

    Raises:
        DeviceUnavailableError: LEADOUT_CHROMIUM is set, but is not an executable.
    """
    if chosen := os.environ.get("LEADOUT_CHROMIUM"):
        found = shutil.which(chosen)
        if found is None:
            message = f"LEADOUT_CHROMIUM is {chosen!r}, which is no executable; correct or unset it"
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
            default) uses the GPU if there is one.

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
