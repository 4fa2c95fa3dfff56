"""The commands beside `run`: each looks, prints, and changes nothing but what its name says."""

from producer.commands.check import check
from producer.commands.grants import grants
from producer.commands.look import drop_slot, not_yet, schemas, tail
from producer.commands.status import status
from producer.commands.verify import verify

__all__ = ["check", "drop_slot", "grants", "not_yet", "schemas", "status", "tail", "verify"]
