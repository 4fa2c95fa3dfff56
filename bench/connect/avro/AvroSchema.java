package bench.connect;

import java.util.HashMap;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.kafka.connect.data.Decimal;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.errors.DataException;

/** A Connect schema as an Avro schema's JSON text: an optional value is a union with null, a record is named once. */
final class AvroSchema {
    private static final String NAME = "[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)*";

    private final Map<String, Schema> records = new HashMap<>();

    /** The text; refuses what the benchmark's tables do not have. */
    String of(Schema schema) {
        return schema.isOptional() ? "[\"null\"," + present(schema) + "]" : present(schema);
    }

    private String present(Schema schema) {
        return switch (schema.type()) {
            case INT8, INT16, INT32 -> plain("int", schema);
            case INT64 -> plain("long", schema);
            case FLOAT32 -> plain("float", schema);
            case FLOAT64 -> plain("double", schema);
            case BOOLEAN -> plain("boolean", schema);
            case STRING -> plain("string", schema);
            case BYTES -> Decimal.LOGICAL_NAME.equals(schema.name()) ? decimal(schema) : plain("bytes", schema);
            case ARRAY -> "{\"type\":\"array\",\"items\":" + of(schema.valueSchema()) + "}";
            case STRUCT -> struct(schema);
            default -> throw new DataException("this converter does not know " + schema.type());
        };
    }

    private static String plain(String type, Schema schema) {
        if (schema.name() == null) {
            return "\"" + type + "\"";
        }
        return "{\"type\":\"" + type + "\",\"connect.name\":\"" + checked(schema.name()) + "\"}";
    }

    private static String decimal(Schema schema) {
        Map<String, String> parameters = schema.parameters();
        String precision = parameters.getOrDefault("connect.decimal.precision", "64");
        return "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":" + Integer.parseInt(precision)
                + ",\"scale\":" + Integer.parseInt(parameters.get(Decimal.SCALE_FIELD)) + "}";
    }

    private String struct(Schema schema) {
        String name = checked(schema.name());
        Schema before = records.putIfAbsent(name, schema);
        if (before != null) {
            if (!before.fields().equals(schema.fields())) {
                throw new DataException("two records are called " + name);
            }
            return "\"" + name + "\"";
        }
        return "{\"type\":\"record\",\"name\":\"" + name + "\",\"fields\":["
                + schema.fields().stream().map(this::field).collect(Collectors.joining(",")) + "]}";
    }

    private String field(Field field) {
        String start = "{\"name\":\"" + checked(field.name()) + "\",\"type\":" + of(field.schema());
        return start + (field.schema().isOptional() ? ",\"default\":null}" : "}");
    }

    private static String checked(String name) {
        if (name == null || !name.matches(NAME)) {
            throw new DataException(name + " is no name in Avro");
        }
        return name;
    }
}
