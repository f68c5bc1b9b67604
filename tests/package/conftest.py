"""The distributions, built once from this checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Distributions:
    """Paths of what was built; `source` is the unpacked sdist, which the wheel was made from."""

    sdist: Path
    source: Path
    wheel: Path


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """The sdist built from the checkout; the wheel built from the sdist, with no Node on PATH."""
    target = tmp_path_factory.mktemp("dist")
    build(ROOT, target, "--sdist")
    (sdist,) = target.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(target, filter="data")
    source = target / sdist.name.removesuffix(".tar.gz")
    nowhere = target / "nowhere"
    nowhere.mkdir()
    build(source, target, "--wheel", path=str(nowhere))
    (wheel,) = target.glob("*.whl")
    return Distributions(sdist, source, wheel)


def build(source: Path, target: Path, kind: str, *, path: str | None = None) -> None:
    # The build compiles its hook, which would then be among the files that the sdist holds.
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    if path:
        env["PATH"] = path
    command = [sys.executable, "-m", "build", "--no-isolation", kind, "--outdir", str(target)]
    done = subprocess.run(
        [*command, str(source)], capture_output=True, text=True, env=env, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
