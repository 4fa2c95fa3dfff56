"""PostgreSQL types as the catalogue tells them, and what they become."""

from producer.events import PgType, TypeField, TypeKind
from producer.schema import types
from producer.schema.types import AvroType, Modes

MODES = Modes(prefix="shop")


def numeric(precision: int, scale: int) -> int:
    return (precision << 16 | scale & 0x7FF) + 4


def avro_type(type: PgType, typmod: int, dimensions: int, modes: Modes = MODES) -> AvroType:
    return types.avro_type(type, typmod, dimensions, modes)


def base(name: str, schema: str = "pg_catalog", category: str = "U") -> PgType:
    return PgType(oid=1, schema=schema, name=name, kind="base", category=category)


def array(element: PgType) -> PgType:
    return PgType(oid=2, schema=element.schema, name=f"_{element.name}", kind="base", category="A", element=element)


def domain(over: PgType, typmod: int = -1) -> PgType:
    return PgType(oid=3, schema="public", name="dom", kind="domain", base=over, base_typmod=typmod)


def of_kind(kind: TypeKind, name: str = "addr", schema: str = "public") -> PgType:
    return PgType(oid=4, schema=schema, name=name, kind=kind)


MOOD = PgType(oid=5, schema="public", name="mood", kind="enum", labels=("sad", "ok", "happy"))
ADDRESS = PgType(
    oid=6,
    schema="q s",
    name="addr ess",
    kind="composite",
    fields=(
        TypeField(name="zip code", type=base("int4")),
        TypeField(name="tags", type=array(base("text")), dimensions=2),
        TypeField(name="price", type=base("numeric"), typmod=numeric(4, 1)),
    ),
)
