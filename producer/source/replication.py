"""The replication stream: START_REPLICATION, messages in, confirms out.

Room: source (IO: PostgreSQL). PostgreSQL manual, "Streaming Replication Protocol", "Logical
Streaming Replication Protocol". All numbers big-endian, times in microseconds since 2000-01-01.
"""

from __future__ import annotations

import re
import select
import struct
from collections.abc import Callable, Mapping

import psycopg
from psycopg import sql
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from producer.clock import Clock
from producer.decode import wal2json
from producer.errors import DecodeError, PostgresUnavailable, ProducerError, PublicationLost, SlotLost
from producer.lsn import ZERO, Lsn
from producer.source.encoding import ToUtf8
from producer.source.wire import PUBLICATION_LOST, SLOT_GONE, Connection, Server, explain

# 'w', dataStart, walEnd, sendTime: what stands before an XLogData's payload.
XLOG_HEADER = 25
XLOG_DATA = ord("w")
KEEPALIVE = ord("k")
_STATUS = struct.Struct("!cQQQqB")
_KEEPALIVE = struct.Struct("!xQqB")
_END_SECONDS = 1.0
_TURN_MS = 100
_EPOCH_US = 946_684_800_000_000
_FIELD_SQLSTATE = ord("C")
_FIELD_MESSAGE = ord("M")
_FIELD_CONTEXT = ord("W")
_PLACE = re.compile(r"associated LSN ([0-9A-F]+/[0-9A-F]+)")
_INVALID_PARAMETER = b"22023"
_UNDEFINED_OBJECT = b"42704"


def data_start(message: bytes) -> Lsn:
    """The LSN in an XLogData message's header: true even where its payload is not."""
    return Lsn(int.from_bytes(message[1:9], "big"))


def sent_us(message: bytes) -> int:
    """When the server sent an XLogData message, by its own clock: microseconds since 1970."""
    return int.from_bytes(message[17:XLOG_HEADER], "big") + _EPOCH_US


class ReplicationStream:
    """One walsender session in COPY mode, read without ever blocking.

    The hot loop calls `get` (the driver's own bound method) and, when it gives 0, `wait`.
    """

    def __init__(self, connection: Connection, server: Server, clock: Clock) -> None:
        self._connection = connection
        self._pgconn: PGconn = connection.pgconn
        self._server = server
        self._clock = clock
        self._poll = select.poll()
        self.get: Callable[[int], tuple[int, memoryview]] = self._pgconn.get_copy_data
        self.received: Lsn = ZERO
        """The highest LSN that the server sent: reported as written, never computed."""
        self.confirmed: Lsn = ZERO
        self.reply_requested = False
        self.patience = 0.0
        """wal_sender_timeout in seconds: how long the server waits for a word of ours; 0: for ever."""
        self._sent_at = clock.monotonic()
        self._lapse = 0.0
        """For how long we were silent when that was too long."""
        self._broken: DecodeError | None = None

    def on_notice(self, handler: Callable[[str, str], None]) -> None:
        """Give the server's notices to `handler`: SQLSTATE, and the first line in the server's language."""

        def handle(result: PGresult) -> None:
            state, text = (result.error_field(field) or b"" for field in (_FIELD_SQLSTATE, _FIELD_MESSAGE))
            handler(state.decode("utf-8", "replace"), text.decode("utf-8", "replace"))

        self._pgconn.notice_handler = handle

    def convert(self, to_utf8: ToUtf8) -> None:
        """Let `get` give the payloads in UTF-8: the database has another encoding.

        A payload that has no UTF-8 ends the stream, behind all that came before it.
        """
        receive = self._pgconn.get_copy_data

        def get(asynchronous: int) -> tuple[int, memoryview]:
            size, message = receive(asynchronous)
            if size <= 0 or message[0] != XLOG_DATA:
                return size, message
            raw = bytes(message)
            try:
                converted = raw[:XLOG_HEADER] + to_utf8(raw[XLOG_HEADER:])
            except DecodeError as error:
                where = f"the message at {data_start(raw)} ({wal2json.head(raw, XLOG_HEADER)})"
                self._broken = DecodeError(f"{where}: {error.message}", remedy=error.remedy)
                return -1, memoryview(b"")
            return len(converted), memoryview(converted)

        self.get = get

    def timeout_ms(self) -> int:
        """The server's wal_sender_timeout in milliseconds; 0 is off."""
        row = self._connection.execute(
            b"SELECT setting::bigint FROM pg_settings WHERE name = 'wal_sender_timeout'"
        ).fetchone()
        return int(str(row[0])) if row else 0

    def start(self, slot: str, position: Lsn, options: Mapping[str, str], *, optional: str = "") -> bool:
        """START_REPLICATION at our own position; False when the plugin does not know `optional`.

        Raises:
            SlotInUse, ServerNotReady, SlotLost, ...: as the server says.
        """
        statement = sql.SQL("START_REPLICATION SLOT {} LOGICAL {} ({})").format(
            sql.Identifier(slot),
            sql.SQL(str(position)),
            sql.SQL(", ").join(
                sql.SQL("{} {}").format(sql.Identifier(name), _option(value)) for name, value in options.items()
            ),
        )
        result = self._pgconn.exec_(statement.as_bytes(self._connection))
        if result.status != ExecStatus.COPY_BOTH:
            unknown = result.error_field(_FIELD_SQLSTATE) == _INVALID_PARAMETER
            if optional and unknown and optional.encode() in result.error_message:
                return False
            error = self._explain(result, f"starting the slot {slot} at {position}")
            if result.error_field(_FIELD_SQLSTATE) == _UNDEFINED_OBJECT:
                raise SlotLost(error.message, remedy=SLOT_GONE)
            raise error
        self._pgconn.nonblocking = 1
        self._poll.register(self._pgconn.socket, select.POLLIN)
        self.confirmed = position
        self._sent_at = self._clock.monotonic()
        return True

    def rewrite(self, change: Callable[[bytes], bytes]) -> None:
        """Let `change` make another of each message that holds data, its header included."""
        get = self.get

        def rewritten(mode: int) -> tuple[int, memoryview]:
            size, message = get(mode)
            if size > 0 and message[0] == XLOG_DATA:
                changed = change(bytes(message))
                return len(changed), memoryview(changed)
            return size, message

        self.get = rewritten

    def wait(self, timeout_ms: int) -> bool:
        """Wait for the socket and take in what has come; False when the time is over.

        Raises:
            PostgresUnavailable: the connection is gone.
        """
        if not self._poll.poll(timeout_ms):
            return False
        try:
            self._pgconn.consume_input()
        except psycopg.Error as error:
            raise explain(None, str(error), self._server, "reading the stream") from error
        return True

    def keepalive(self, message: bytes) -> Lsn:
        """Take a keep-alive: its walEnd, up to which all was sent; notes whether a reply is asked.

        Raises:
            DecodeError: it is cut off.
        """
        if len(message) != _KEEPALIVE.size:
            raise DecodeError(
                f"a keep-alive of {len(message)} bytes instead of {_KEEPALIVE.size}",
                remedy="is there something between us and PostgreSQL that changes what is sent? else report it",
            )
        wal_end, _, reply = _KEEPALIVE.unpack_from(message)
        if reply:
            self.reply_requested = True
        return self.note(Lsn(wal_end))

    def note(self, received: Lsn) -> Lsn:
        """Remember the highest LSN that the server sent."""
        if received > self.received:
            self.received = received
        return received

    def confirm(self, safe: Lsn, *, ask: bool = False) -> None:
        """Send a status update: received as written, `safe` as flushed; `ask` for a keep-alive.

        Raises:
            PostgresUnavailable: the connection is gone.
        """
        if safe > self.confirmed:
            self.confirmed = safe
        written = max(self.received, self.confirmed)
        now = self._clock.time_us() - _EPOCH_US
        try:
            self._pgconn.put_copy_data(_STATUS.pack(b"r", written, self.confirmed, self.confirmed, now, ask))
            self._flush()
        except psycopg.Error as error:
            raise explain(None, str(error), self._server, "confirming") from error
        self.reply_requested = False
        self._lapse = self._lapsed()
        self._sent_at = self._clock.monotonic()

    def stay_alive(self, status_seconds: float) -> None:
        """Keep the connection while nothing is read from it; call it often."""
        if self.silent_seconds >= status_seconds:
            self.confirm(self.confirmed)

    @property
    def pid(self) -> int:
        """The server's process that serves us."""
        return self._pgconn.backend_pid

    @property
    def silent_seconds(self) -> float:
        """Since our last status update."""
        return self._clock.monotonic() - self._sent_at

    @property
    def lapsed(self) -> bool:
        """Whether we were silent for too long, now or before our last word: another may read the slot."""
        return self._lapsed() > 0

    def refuse_lapse(self) -> None:
        """We were stopped, or a call took long: what we read and store now could be behind a successor's.

        Raises:
            PostgresUnavailable: it could.
        """
        if self.lapsed:
            raise PostgresUnavailable(
                f"PostgreSQL {self._server.where}: we were silent for {self._lapsed():.0f} s, longer than "
                "wal_sender_timeout: another may read the slot now",
                remedy="was the process or the machine suspended? we come back by ourselves",
            )

    def _lapsed(self) -> float:
        silent = self.silent_seconds
        return max(self._lapse, silent if 0 < self.patience < silent else 0.0)

    def ended(self) -> ProducerError:
        """Why `get` gave -1."""
        if self._broken is not None:
            return self._broken
        result = self._pgconn.get_result()
        if result is None or result.status == ExecStatus.COMMAND_OK:
            return PostgresUnavailable(
                f"PostgreSQL {self._server.where}: the server ended the stream",
                remedy="it is shutting down or restarting: we come back by ourselves",
            )
        # Where the plugin itself failed: the server says at which message.
        context = result.error_field(_FIELD_CONTEXT) or b""
        place = _PLACE.search(context.decode("utf-8", "replace"))
        found = self._explain(result, f"reading the message at {place[1]}" if place else "reading the stream")
        if result.error_field(_FIELD_SQLSTATE) == _UNDEFINED_OBJECT:
            # The slot is there: it is ours. Not every server says in English what is not.
            return PublicationLost(found.message, remedy=PUBLICATION_LOST)
        return found

    def close(self) -> None:
        """End the session, politely when the stream still runs: then the slot is free, if the server is quick."""
        try:
            if self._connection.closed:
                return
            self._pgconn.put_copy_end()
            self._flush()
            self._await_end()
        except (psycopg.Error, ProducerError):
            pass
        finally:
            self._connection.close()

    def _await_end(self) -> None:
        """Wait a moment: whoever looks once we have ended finds our last confirm, and a slot that nobody reads."""
        deadline = self._clock.monotonic() + _END_SECONDS
        # What it still sends was not confirmed, and comes again.
        while (size := self._pgconn.get_copy_data(1)[0]) >= 0:
            if self._clock.monotonic() > deadline:
                return
            if size == 0:
                self.wait(_TURN_MS)
        while self._pgconn.is_busy() and self._clock.monotonic() < deadline:
            self.wait(_TURN_MS)

    def _flush(self) -> None:
        deadline = self._clock.monotonic() + 5
        while self._pgconn.flush() == 1:
            if self._clock.monotonic() > deadline:
                raise psycopg.OperationalError("the server does not take our status updates")
            select.select([], [self._pgconn.socket], [], 0.1)

    def _explain(self, result: PGresult, doing: str) -> ProducerError:
        state = result.error_field(_FIELD_SQLSTATE)
        text = result.error_message.decode("utf-8", "replace")
        return explain(state.decode() if state else None, text, self._server, doing)


def _option(value: str) -> sql.SQL:
    # A literal of the replication grammar: a quote is doubled, a backslash is an ordinary character.
    return sql.SQL("'" + value.replace("'", "''") + "'")
