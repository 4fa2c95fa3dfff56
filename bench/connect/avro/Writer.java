package bench.connect;

import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.util.List;
import org.apache.kafka.connect.data.Decimal;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.errors.DataException;

/** How a value of one Connect schema is written; made once for a schema. Agrees with {@link AvroSchema}. */
interface Writer {
    int NULL = 0;
    int PRESENT = 2;

    void write(Object value, Output output);

    /** The writer of this schema; refuses what the benchmark's tables do not have. */
    static Writer of(Schema schema) {
        Writer present = present(schema);
        if (!schema.isOptional()) {
            return present;
        }
        return (value, output) -> {
            if (value == null) {
                output.octet(NULL);
            } else {
                output.octet(PRESENT);
                present.write(value, output);
            }
        };
    }

    private static Writer present(Schema schema) {
        return switch (schema.type()) {
            case INT8, INT16, INT32, INT64 -> number(schema);
            case FLOAT32 -> (value, output) -> output.littleEndian(Float.floatToIntBits((Float) value), 4);
            case FLOAT64 -> (value, output) -> output.littleEndian(Double.doubleToLongBits((Double) value), 8);
            case BOOLEAN -> (value, output) -> output.octet((Boolean) value ? 1 : 0);
            case STRING -> (value, output) -> output.text((String) value);
            case BYTES -> bytes(schema);
            case ARRAY -> array(of(schema.valueSchema()));
            case STRUCT -> struct(schema);
            default -> throw new DataException("this converter does not know " + schema.type());
        };
    }

    private static Writer number(Schema schema) {
        if (schema.name() != null && schema.name().startsWith("org.apache.kafka.connect.data.")) {
            throw new DataException("this converter does not know " + schema.name());
        }
        return (value, output) -> output.number(((Number) value).longValue());
    }

    private static Writer bytes(Schema schema) {
        if (!Decimal.LOGICAL_NAME.equals(schema.name())) {
            return (value, output) -> output.sized(value instanceof ByteBuffer buffer ? copy(buffer) : (byte[]) value);
        }
        int scale = Integer.parseInt(schema.parameters().get(Decimal.SCALE_FIELD));
        return (value, output) -> {
            BigDecimal decimal = (BigDecimal) value;
            if (decimal.scale() != scale) {
                throw new DataException(decimal + " has not the scale " + scale);
            }
            output.sized(decimal.unscaledValue().toByteArray());
        };
    }

    private static byte[] copy(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        return bytes;
    }

    private static Writer array(Writer element) {
        return (value, output) -> {
            List<?> elements = (List<?>) value;
            if (!elements.isEmpty()) {
                output.number(elements.size());
                for (Object each : elements) {
                    element.write(each, output);
                }
            }
            output.octet(0);
        };
    }

    private static Writer struct(Schema schema) {
        Field[] fields = schema.fields().toArray(new Field[0]);
        Writer[] writers = new Writer[fields.length];
        for (int i = 0; i < fields.length; i++) {
            writers[i] = of(fields[i].schema());
        }
        return (value, output) -> {
            Struct struct = (Struct) value;
            for (int i = 0; i < fields.length; i++) {
                writers[i].write(struct.get(fields[i]), output);
            }
        };
    }
}
