"""PostgreSQL's programs: the machine's own, or those of an unpacked tree, run in it by chroot, or those of a jar.

Room: dev (IO). chroot(1) for root; unshare(1), in a user namespace of its own, for everybody else. Nothing is
mounted: each stack has a copy of the tree, and the server's data lies in it.
"""

from __future__ import annotations

import os
import pwd
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from dev.debian import installed_version, package_versions, postgres_tree
from dev.install import PG_BIN, PG_MAJOR
from dev.shell import StackError, run


class Programs(ABC):
    """Where the programs of one major are, and by what paths they know the server's folders."""

    environment: ClassVar[Mapping[str, str] | None] = None
    """Theirs; None: ours."""

    def __init__(self, major: int) -> None:
        self.major = major

    @property
    def wal2json_version(self) -> str:
        """The plugin's version, as its package's metadata tells: nothing else does. Empty where it is not there."""
        return self._package_version(f"postgresql-{self.major}-wal2json").partition("-")[0] or "unknown"

    @property
    def sets_oids(self) -> bool:
        """Whether there is pg_resetwal."""
        return True

    @abstractmethod
    def prepare(self) -> None:
        """Put them where the server can run them."""

    @abstractmethod
    def command(self, program: str, *arguments: str | Path) -> list[str]:
        """What runs a program as the server's user; paths among the arguments are the programs' own."""

    @abstractmethod
    def inside(self, path: Path) -> Path:
        """A path of the machine as the programs see it."""

    @abstractmethod
    def _package_version(self, package: str) -> str: ...


class Installed(Programs):
    """The machine's packages."""

    def __init__(self) -> None:
        super().__init__(PG_MAJOR)

    def prepare(self) -> None:
        """They are there: `dev.install` saw to it."""

    def command(self, program: str, *arguments: str | Path) -> list[str]:
        """Run as an unprivileged user: PostgreSQL refuses root."""
        return [*_as_user(), str(PG_BIN / program), *map(str, arguments)]

    def inside(self, path: Path) -> Path:
        """The same."""
        return path

    def _package_version(self, package: str) -> str:
        return installed_version(package)


class Unpacked(Programs):
    """A copy of a major's tree, with the server's data in it."""

    # The machine's locales are not there.
    environment: ClassVar[Mapping[str, str] | None] = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}

    def __init__(self, root: Path, cache: Path, major: int) -> None:
        super().__init__(major)
        self._root = root
        self._tree = postgres_tree(cache, major)

    def prepare(self) -> None:
        """Copy the tree, once, and give it what a server asks of a machine: a name, /dev/null, shared memory."""
        if not self._root.exists():
            self._make()
        try:
            run(self.command("postgres", "--version"), env=self.environment)
        except StackError as error:
            raise StackError(
                f"{error}\nPostgreSQL {self.major} runs in {self._root}, by chroot as root, else in a user namespace: "
                "run as root, or let the kernel allow user namespaces (sysctl user.max_user_namespaces)"
            ) from error

    def _make(self) -> None:
        unfinished = self._root.with_name(f"{self._root.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        run(["cp", "-a", "--reflink=auto", str(self._tree), str(unfinished)])
        uid, gid = _ids()
        (unfinished / "etc").mkdir(exist_ok=True)
        (unfinished / "etc" / "passwd").write_text(f"postgres:x:{uid}:{gid}::/:/bin/sh\n")
        (unfinished / "dev" / "shm").mkdir(parents=True)
        (unfinished / "dev" / "shm").chmod(0o1777)
        # A device could be made by root only, and a file does: what is written to it is little.
        (unfinished / "dev" / "null").touch()
        (unfinished / "dev" / "null").chmod(0o666)
        unfinished.rename(self._root)

    def command(self, program: str, *arguments: str | Path) -> list[str]:
        """Run in the tree, as an unprivileged user."""
        uid, gid = _ids()
        if os.geteuid() == 0:
            enter = ["chroot", f"--userspec={uid}:{gid}", "--groups=", str(self._root)]
        else:
            enter = ["unshare", "--user", f"--map-user={uid}", f"--map-group={gid}", f"--root={self._root}", "--"]
        return [*enter, f"/usr/lib/postgresql/{self.major}/bin/{program}", *map(str, arguments)]

    def inside(self, path: Path) -> Path:
        """Below the tree's root."""
        return "/" / path.relative_to(self._root)

    def _package_version(self, package: str) -> str:
        return package_versions(self._tree).get(package, "")


class Jar(Programs):
    """A copy of a jar's tree, whose programs run anywhere."""

    def __init__(self, root: Path, cache: Path, major: int) -> None:
        super().__init__(major)
        self._root = root
        self._tree = postgres_tree(cache, major)

    @property
    def wal2json_version(self) -> str:
        """It is not there."""
        return ""

    @property
    def sets_oids(self) -> bool:
        """It brings initdb and the server."""
        return False

    def prepare(self) -> None:
        """Copy the tree, once: the server's user can reach the copy."""
        if not self._root.exists():
            unfinished = self._root.with_name(f"{self._root.name}.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.parent.mkdir(parents=True, exist_ok=True)
            run(["cp", "-a", "--reflink=auto", str(self._tree), str(unfinished)])
            unfinished.rename(self._root)

    def command(self, program: str, *arguments: str | Path) -> list[str]:
        """Run as an unprivileged user."""
        return [*_as_user(), str(self._root / "bin" / program), *map(str, arguments)]

    def inside(self, path: Path) -> Path:
        """The same."""
        return path

    def _package_version(self, package: str) -> str:
        return ""


def server_user() -> pwd.struct_passwd | None:
    """Whom PostgreSQL runs as when we are root, which it refuses.

    Raises:
        StackError: there is nobody.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise StackError("PostgreSQL refuses root, and there is no user postgres or nobody: run as another user")


def _as_user() -> list[str]:
    user = server_user()
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"] if user else []


def own(folder: Path) -> None:
    """Make a folder that only the server's user may enter."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    if user := server_user():
        os.chown(folder, user.pw_uid, user.pw_gid)


def _ids() -> tuple[int, int]:
    user = server_user()
    return (user.pw_uid, user.pw_gid) if user else (os.geteuid(), os.getegid())
