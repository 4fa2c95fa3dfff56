"""`python -m producer.serve`: prints docs/metrics.md, made from the metrics themselves.

Room: serve (IO: stdout).
"""

from __future__ import annotations

import sys

from producer.figures import BUCKETS_MS
from producer.serve.metrics import BEHIND, BEHIND_WORDS, METRICS, PREFIX

_HEAD = f"""# Metrics, health, status page

Made from the code by `python -m producer.serve`. With `http.listen` (`127.0.0.1:9108`, say) `pg-producer run` answers:

| | |
|---|---|
| `GET /metrics` | Prometheus's text format, the names below, all with the prefix `{PREFIX}` |
| `GET /health` | 200, or 503 with the reasons, as JSON: `status`, `state`, `phase`, `reasons` |
| `GET /` | the status page: live, without anything from elsewhere |
| `GET /status.json` | what the page shows |

`HEAD` is answered too; other methods get 405, other paths 404. Who may ask, and from where: [security.md](security.md).

[prometheus-rules.yml](prometheus-rules.yml) has alerts to begin with, [grafana-dashboard.json](grafana-dashboard.json)
a dashboard to import; both hold with any number of connectors: Prometheus's own `job` and `instance` tell them apart.

## Health

`/health` answers 503 when, and while,

- `reconnecting`: there is no session for more than 10 s (PostgreSQL, Kafka or the registry away);
- `still`: nothing was done, or `silent`: the server was not heard, for longer than `wal_sender_timeout`;
- `kafka`: Kafka owes acks, and has acked nothing for 30 s;
- `slot`: the slot's `wal_status` is `unreserved` or `lost`;
- `retained`: the slot holds back more than `slot.max.retained.bytes`.

A standby that waits for the slot is healthy, and says `"phase": "standby"`. An error that ends the process ends this
answer too. `state` is Kafka Connect's word: `RUNNING`, or `RESTARTING` behind a temporary fault.

## Metrics

All are of this process, and begin at 0 when it starts. One that has no value now (no slot yet) is absent.

| name | type | labels | meaning |
|---|---|---|---|
"""


def document() -> str:
    """The whole page."""
    rows: list[tuple[str, str, tuple[str, ...], str]] = [
        (metric.name, metric.kind, metric.labels, metric.words) for metric in METRICS
    ]
    limits = ", ".join(map(str, BUCKETS_MS))
    rows.append((BEHIND, "histogram", ("le",), f"{BEHIND_WORDS} Buckets up to {limits} ms."))
    lines = [
        f"| `{PREFIX}{name}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {words} |"
        for name, kind, labels, words in rows
    ]
    return _HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
