"""What values of rare types and of other modes are written as, and which cannot be carried."""

import fastavro
import pytest

from producer.events import PgType
from producer.schema.types import Modes
from producer.schema.types.temporal import zoned_time
from producer.transcode.plan import ColumnPlan, FormError, TablePlan
from producer.transcode.walker import Walker
from tests.unit.schema.pg_types import ADDRESS, MODES, MOOD, array, avro_type, base, domain, numeric

POINT = "000000000000f03f0000000000000040"


@pytest.mark.parametrize(
    ("type", "typmod", "modes", "schema", "text", "body"),
    [
        (base("numeric"), numeric(4, 1), Modes(decimals="double"), "double", b"1.5", "000000000000f83f"),
        (base("numeric"), -1, Modes(decimals="double"), "double", b"-Infinity", "000000000000f0ff"),
        (base("numeric"), -1, Modes(decimals="string"), "string", b"NaN", "064e614e"),
        (base("money"), -1, Modes(decimals="double"), "double", b"-$1,234.50", "0000000000" + "4a93c0"),
        (base("money"), -1, Modes(decimals="string"), "string", b"-$1,234.50", "10" + b"-1234.50".hex()),
        (base("money"), -1, Modes(money_digits=3), "bytes", b"$0.01", "020a"),
        (base("money"), -1, Modes(money_digits=0), "bytes", b"-$128.00", "0280"),
        (base("date"), -1, Modes(times="isostring"), "string", b"2005-05-12", "16" + b"2005-05-12Z".hex()),
        (base("date"), -1, Modes(times="isostring"), "string", b"0044-03-15 BC", "18" + b"-0043-03-15Z".hex()),
        (base("date"), -1, Modes(times="isostring"), "string", b"0001-03-15 BC", "16" + b"0000-03-15Z".hex()),
        (base("date"), -1, Modes(times="isostring"), "string", b"10000-01-01", "1a" + b"+10000-01-01Z".hex()),
        (base("date"), -1, Modes(times="isostring"), "string", b"infinity", "10" + b"infinity".hex()),
        (base("time"), 3, Modes(times="isostring"), "string", b"13:51:30.1", "16" + b"13:51:30.1Z".hex()),
        (base("date"), -1, Modes(times="connect"), "int", b"1970-01-02", "02"),
        (base("time"), -1, Modes(times="connect"), "int", b"00:00:00.001999", "02"),
        (base("timestamp"), -1, Modes(times="connect"), "long", b"1969-12-31 23:59:59.998001", "03"),
        (base("time"), 3, Modes(times="adaptive_time_microseconds"), "long", b"00:00:00.001", "d00f"),
        (base("timestamp"), 3, Modes(times="adaptive_time_microseconds"), "long", b"1970-01-01 00:00:00.001", "02"),
        (base("timestamp"), 3, Modes(times="microseconds"), "long", b"1970-01-01 00:00:00.001", "d00f"),
        (base("time"), 3, Modes(times="nanoseconds"), "long", b"00:00:00.000001", "d00f"),
        (base("timestamp"), -1, Modes(times="nanoseconds"), "long", b"1970-01-01 00:00:00.000001", "d00f"),
        (base("interval"), -1, Modes(intervals="numeric"), "long", b"PT0.000001S", "02"),
        (base("bytea"), -1, Modes(binaries="base64"), "string", b"\\xfbff", "08" + b"+/8=".hex()),
        (base("bytea"), -1, Modes(binaries="base64-url-safe"), "string", b"fbff", "08" + b"-_8=".hex()),
        (base("bytea"), -1, Modes(binaries="hex"), "string", b"\\xfbff", "08" + b"fbff".hex()),
        (base("hstore", "x"), -1, Modes(hstores="map"), "map", b'"a"=>"1", "b"=>NULL', "04026102023102620000"),
        (base("hstore", "x"), -1, Modes(hstores="map"), "map", b"", "00"),
        (base("hstore", "x"), -1, MODES, "string", rb'"k\"ey"=>"v\\al"', "22" + rb'{"k\"ey":"v\\al"}'.hex()),
        (base("bit"), 1, MODES, "boolean", b"1", "01"),
        (base("bit"), 2, MODES, "bytes", b"11", "0203"),
        (base("bit"), 2, MODES, "bytes", b"00", "00"),
        (base("bit"), 16, MODES, "bytes", b"1000000000000000", "040080"),
        (base("point"), -1, MODES, "record", b"(1,2)", POINT + "022a0101000000" + POINT + "00"),
        (base("vector", "x"), -1, MODES, "array", b"[1,2]", "04" + POINT + "00"),
        (base("geometry", "x"), -1, MODES, "record", b"0101000000" + POINT.encode(), "2a0101000000" + POINT + "00"),
        (
            base("geography", "x"),
            -1,
            MODES,
            "record",
            b"0101000020E6100000" + POINT.encode(),
            "320101000020e6100000" + POINT + "02cc43",
        ),
        (
            ADDRESS,
            -1,
            MODES,
            "record",
            b'(7,"{{a,NULL},{""b c"",d}}",)',
            "020e0204020402026100000204020662206302026400" + "0000",
        ),
    ],
)
def test_modes_and_rare_types(type: PgType, typmod: int, modes: Modes, schema: str, text: bytes, body: str) -> None:
    """The Avro type's name, and a value's bytes."""
    found = avro_type(type, typmod, 0, modes)
    assert (found.schema if isinstance(found.schema, str) else found.schema["type"]) == schema
    fastavro.parse_schema(found.schema)
    column = ColumnPlan(name="v", head=b"", value=found.value, nullable=False)
    plan = TablePlan(topic="t", columns=(column,), key=(0,), key_frame=b"", value_frame=b"", names=b"", json_names=b"")
    walker = Walker()
    walker.copy_row(text.replace(b"\\", b"\\\\") + b"\n", plan, 1)
    assert walker.key is not None
    assert walker.key.hex() == body


@pytest.mark.parametrize(
    ("type", "typmod", "modes", "text", "words"),
    [
        (base("numeric"), -1, Modes(decimals="double"), b"1" * 400, "does not fit"),
        (base("money"), -1, Modes(money_digits=1), b"$0.01", "money.fraction.digits"),
        (base("timestamp"), -1, Modes(times="nanoseconds"), b"2262-04-12 00:00:00", "2262"),
        (base("timestamp"), -1, Modes(times="nanoseconds"), b"1677-09-20 00:00:00", "2262"),
        (base("interval"), -1, Modes(intervals="numeric"), b"P178000000Y", "longer"),
        (base("interval"), -1, Modes(intervals="numeric"), b"infinity", "infinite"),
        (MOOD, -1, MODES, b"furious", "label"),
        (ADDRESS, -1, MODES, b"(1,,,)", "attributes"),
        (array(base("int4")), -1, MODES, b"{{1}}", "more dimensions"),
        (domain(array(ADDRESS)), -1, MODES, b"[0:0]={}", "lower bounds"),
    ],
)
def test_what_cannot_be_carried(type: PgType, typmod: int, modes: Modes, text: bytes, words: str) -> None:
    column = ColumnPlan(name="v", head=b"", value=avro_type(type, typmod, 0, modes).value)
    plan = TablePlan(topic="t", columns=(column,), key=(), key_frame=b"", value_frame=b"", names=b"", json_names=b"")
    with pytest.raises(FormError, match=words) as caught:
        Walker().copy_row(text + b"\n", plan, 1)
    assert text.decode() not in caught.value.reason
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        (b"13:51:30.123789+02", b"13:51:30.123789+02:00"),
        (b"13:51:30+00", b"13:51:30Z"),
        (b"24:00:00+00", b"24:00:00Z"),
        (b"00:00:00-00", b"00:00:00Z"),
        (b"00:00:00+15:59", b"00:00:00+15:59"),
        (b"23:59:59.999999-15:59:59", b"23:59:59.999999-15:59:59"),
        (b"08:00:00-00:30", b"08:00:00-00:30"),
        (b"08:00:00.5-00:00:01", b"08:00:00.5-00:00:01"),
    ],
)
def test_timetz_keeps_its_offset(text: bytes, sent: bytes) -> None:
    encoded = zoned_time(text)
    assert encoded[1:] == sent
    assert encoded[0] == len(sent) * 2


@pytest.mark.parametrize("text", [b"", b"13:51:30", b"13:51:30 +02", b"13:51+02", b"13:51:30+02:00:00:00"])
def test_what_is_no_timetz(text: bytes) -> None:
    with pytest.raises(FormError) as caught:
        zoned_time(text)
    assert text.decode() not in caught.value.reason or not text
