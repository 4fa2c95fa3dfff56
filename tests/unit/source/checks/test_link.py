"""What stands between us and the server, from where several sessions are."""

from __future__ import annotations

from producer.source.checks.link import Place, between

HERE = ("10.0.0.1", 5432, "2026-01-01", False)
THERE = ("10.0.0.2", 5432, "2026-01-02", True)


def _place(pid: int, server: tuple[object, ...] = HERE, announced: int | None = None) -> Place:
    return Place(announced_pid=pid if announced is None else announced, pid=pid, server=server)


def test_the_server_itself() -> None:
    """Each session has a process of its own, which greeted it."""
    found = between([_place(1), _place(2), _place(3)], [1, 1])
    assert found.status == "ok"
    assert "primary at 10.0.0.1:5432" in found.detail


def test_a_load_balancer() -> None:
    """Two servers, though the second one be the same host restarted."""
    found = between([_place(1), _place(2, THERE)], [1])
    assert found.status == "failed"
    assert "load balancer" in found.detail
    assert "standby at 10.0.0.2:5432" in found.detail


def test_a_pooler() -> None:
    """One that shares sessions cannot do; one that gives each its own is warned of."""
    for places, again in (([_place(1), _place(1, announced=7)], [1]), ([_place(1), _place(2)], [1, 2])):
        shared = between(places, again)
        assert shared.status == "failed"
        assert "pooler" in shared.detail
    private = between([_place(1, announced=9), _place(2)], [1])
    assert private.status == "warning"
    assert "database.hostname" in private.remedy
