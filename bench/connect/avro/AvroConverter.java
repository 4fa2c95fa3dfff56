package bench.connect;

import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.storage.Converter;

/**
 * Connect data as Avro in Confluent's wire format: the thinnest converter that can be, so that what a run costs is
 * Debezium's and Connect's. A schema is walked and registered once for a topic; a value is then written by its plan.
 * Called by one task's thread only. It only writes.
 */
public final class AvroConverter implements Converter {
    private final Map<String, Plan> plans = new HashMap<>();
    private final Output output = new Output();
    private Registry registry;
    private String suffix;

    /** Takes <code>schema.registry.url</code>. */
    @Override
    public void configure(Map<String, ?> settings, boolean isKey) {
        registry = new Registry(settings.get("schema.registry.url").toString());
        suffix = isKey ? "-key" : "-value";
    }

    @Override
    public ConfigDef config() {
        return new ConfigDef()
                .define("schema.registry.url", ConfigDef.Type.STRING, ConfigDef.Importance.HIGH, "The registry.");
    }

    @Override
    public byte[] fromConnectData(String topic, Schema schema, Object value) {
        if (value == null) {
            return null;
        }
        if (schema == null) {
            throw new DataException("a record of " + topic + " has no schema");
        }
        Plan plan = plans.get(topic);
        if (plan == null || plan.schema() != schema) {
            plan = plan != null && plan.schema().equals(schema) ? plan.of(schema) : register(topic, schema);
            plans.put(topic, plan);
        }
        output.begin(plan.id());
        plan.writer().write(value, output);
        return output.bytes();
    }

    @Override
    public SchemaAndValue toConnectData(String topic, byte[] value) {
        throw new UnsupportedOperationException("this converter only writes");
    }

    private Plan register(String topic, Schema schema) {
        int id = registry.register(topic + suffix, new AvroSchema().of(schema));
        return new Plan(schema, id, Writer.of(schema));
    }

    private record Plan(Schema schema, int id, Writer writer) {
        Plan of(Schema same) {
            return new Plan(same, id, writer);
        }
    }
}
