"""PostgreSQL of another Debian suite, unpacked into a folder: nothing of it is installed on the machine.

Room: dev (IO). apt.conf(5), apt-get(8), dpkg-deb(1). apt works on a state of its own, so the machine's own
lists, packages and pins neither change nor count; hosts and keys are the machine's own.
"""

from __future__ import annotations

import fnmatch
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from dev.shell import StackError, run, say

# Each suite has one major, and one wal2json: 2.3, 2.6, 2.7. (bookworm's 15 and 2.5 are installed, not unpacked.)
SUITES = {13: "bullseye", 17: "trixie", 18: "sid"}
_PGVECTOR_SINCE = 17
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_OF_DEBIAN = ("stable", "oldstable", "testing", "unstable")
_APT_CONF = """\
Dir::State "{place}/state";
Dir::State::status "{place}/status";
Dir::Cache "{place}/cache";
Dir::Etc::sourcelist "{place}/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::preferences "-";
Dir::Etc::preferencesparts "-";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
APT::Sandbox::User "{user}";
"""
# What a server runs by. The shell is initdb's, which starts postgres by it; the locale is in libc-bin.
_WANTED = ("postgresql-{major}", "postgresql-{major}-wal2json", "dash", "libc-bin")
# Dependencies that serve the installation, Debian's own clusters or the JIT compiler: half of the size.
_NOT_NEEDED = (
    "*perl*", "adduser", "base-passwd", "coreutils", "debconf", "dpkg", "gcc-*-base", "init-system-helpers",
    "libc-l10n", "libdb5.3*", "libllvm*", "libpam-modules*", "libsemanage*", "libsystemd-shared", "libz3-4",
    "locales", "login.defs", "lsb-base", "netbase", "openssl*", "passwd", "postgresql-*common*", "procps",
    "sensible-utils", "ssl-cert", "systemd", "systemd-*", "sysvinit-utils", "tar", "ucf",
)  # fmt: skip
_LEFT_OUT = ("./usr/share/doc", "./usr/share/man", "./usr/share/locale", "*/lib/bitcode", "*/llvmjit*")


def postgres_tree(cache: Path, major: int) -> Path:
    """The folder of a major's unpacked packages."""
    return cache / f"postgres-{major}"


def package_versions(tree: Path) -> dict[str, str]:
    """The versions of the packages that were unpacked, by name."""
    return dict(line.split() for line in _list(tree).read_text().splitlines())


def installed_version(package: str) -> str:
    """The version of a package of this machine; empty where it is not installed by dpkg."""
    try:
        return run(["dpkg-query", "-W", "-f", "${Version}", package])
    except StackError:
        return ""


def unpack_postgres(tree: Path, major: int) -> None:
    """Download the packages of a major and what they need, and unpack them into a new folder.

    Raises:
        StackError: this is no Debian, or its registry has no such suite or package; says what to do.
    """
    suite = SUITES[major]
    say(f"fetching PostgreSQL {major} of Debian's {suite} (50 MB)")
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise StackError(f"there is no {program}: PostgreSQL {major} comes as Debian's packages. {_OTHERWISE}")
    place = tree.parent / "apt"
    environment = _private_state(place, suite)
    try:
        run(["apt-get", "update", "-qq"], env=environment)
        packages = _selected(major, environment)
        run(
            ["apt-get", "download", "-qq", *(f"{name}={version}" for name, version in packages.items())],
            env=environment, cwd=_folder(place / "packages"),
        )  # fmt: skip
    except StackError as error:
        raise StackError(f"{error}\nthe suite {suite} is needed for PostgreSQL {major}. {_OTHERWISE}") from error
    _links_of_merged_usr(tree)
    for package in sorted((place / "packages").glob("*.deb")):
        _unpack(package, tree)
    for program in (
        "bin/sh",
        f"usr/lib/postgresql/{major}/bin/postgres",
        f"usr/lib/postgresql/{major}/lib/wal2json.so",
    ):
        if not (tree / program).exists():
            raise StackError(f"the packages of {suite} brought no {program}: did a package's name change?")
    _list(tree).write_text("".join(f"{name} {version}\n" for name, version in packages.items()))


_OTHERWISE = "Leave DEV_POSTGRES_MAJOR unset for the machine's own, or try again where Debian's packages can be reached"


def _private_state(place: Path, suite: str) -> dict[str, str]:
    """An apt that knows this suite only; the environment to run it in."""
    for folder in ("state/lists/partial", "cache/archives/partial"):
        _folder(place / folder)
    (place / "status").touch()
    main, security = _archives()
    signed = f"[signed-by={_KEYRING}] " if _KEYRING.exists() else ""
    sources = [f"deb {signed}{main} {suite} main\n"]
    # sid has no security suite: repairs arrive there first.
    if security and suite != "sid":
        sources.append(f"deb {signed}{security} {suite}-security main\n")
    (place / "sources.list").write_text("".join(sources))
    user = "root" if os.geteuid() == 0 else ""
    (place / "apt.conf").write_text(_APT_CONF.format(place=place, user=user))
    return {**os.environ, "APT_CONFIG": str(place / "apt.conf"), "LC_ALL": "C.UTF-8"}


def _archives() -> tuple[str, str]:
    """Where this machine gets Debian's packages, and its security suite, from: as its own apt says."""
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    found: dict[str, str] = {}
    for line in run(
        ["apt-get", "indextargets", "--no-release-info", "--format", "$(RELEASE) $(REPO_URI)"]
    ).splitlines():
        release, _, uri = line.partition(" ")
        found.setdefault(release, uri)
    names = (codename, *_OF_DEBIAN)
    main = next((found[name] for name in names if name in found), None)
    if main is None:
        raise StackError(f"this machine's apt knows no Debian {codename}: see /etc/apt/sources.list.d. {_OTHERWISE}")
    return main, next((found[f"{name}-security"] for name in names if f"{name}-security" in found), "")


def _selected(major: int, environment: dict[str, str]) -> dict[str, str]:
    """The packages to download, with their versions, as apt resolves them for an empty machine."""
    wanted = [name.format(major=major) for name in _WANTED]
    if major >= _PGVECTOR_SINCE:
        wanted.append(f"postgresql-{major}-pgvector")
    shown = run(["apt-get", "install", "-s", "-q", "--no-install-recommends", *wanted], env=environment)
    found = dict(re.findall(r"^Inst (\S+) \((\S+) ", shown, re.MULTILINE))
    return {
        name: version
        for name, version in found.items()
        if name in wanted or not any(fnmatch.fnmatchcase(name, pattern) for pattern in _NOT_NEEDED)
    }


def _links_of_merged_usr(tree: Path) -> None:
    for name in ("bin", "sbin", "lib", "lib64"):
        _folder(tree / "usr" / name)
        (tree / name).symlink_to(f"usr/{name}")


def _unpack(package: Path, tree: Path) -> None:
    """Only the files: no script of the package runs."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as files:
        unpacked = subprocess.run(
            ["tar", "-x", "-C", tree, "--keep-directory-symlink", "--no-same-owner",
             *(f"--exclude={pattern}" for pattern in _LEFT_OUT)],
            stdin=files.stdout, capture_output=True, text=True, check=False,
        )  # fmt: skip
    if unpacked.returncode or files.returncode:
        raise StackError(f"{package.name} cannot be unpacked: {unpacked.stderr.strip()}: is the disk full?")


def _list(tree: Path) -> Path:
    return tree / "packages"


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path
