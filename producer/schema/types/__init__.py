"""What each PostgreSQL type is in Avro: `avro_type` is the way in."""

from producer.schema.types.avro_type import AvroType, Modes, Schema, as_text
from producer.schema.types.table import avro_type, nullable_field

__all__ = ["AvroType", "Modes", "Schema", "as_text", "avro_type", "nullable_field"]
