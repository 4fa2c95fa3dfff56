package bench.connect;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** The bytes of one record: Avro's binary encoding behind Confluent's header. Used again for every record. */
final class Output {
    private static final int LONGEST_NUMBER = 10;

    private byte[] buffer = new byte[4096];
    private int length;

    /** Begins a record of this schema. */
    void begin(int schemaId) {
        buffer[0] = 0;
        buffer[1] = (byte) (schemaId >>> 24);
        buffer[2] = (byte) (schemaId >>> 16);
        buffer[3] = (byte) (schemaId >>> 8);
        buffer[4] = (byte) schemaId;
        length = 5;
    }

    /** The record, whole. */
    byte[] bytes() {
        return Arrays.copyOf(buffer, length);
    }

    void number(long value) {
        room(LONGEST_NUMBER);
        long rest = (value << 1) ^ (value >> 63);
        while ((rest & ~0x7FL) != 0) {
            buffer[length++] = (byte) (rest | 0x80);
            rest >>>= 7;
        }
        buffer[length++] = (byte) rest;
    }

    void octet(int value) {
        room(1);
        buffer[length++] = (byte) value;
    }

    void text(String value) {
        sized(value.getBytes(StandardCharsets.UTF_8));
    }

    void sized(byte[] value) {
        number(value.length);
        room(value.length);
        System.arraycopy(value, 0, buffer, length, value.length);
        length += value.length;
    }

    void littleEndian(long bits, int bytes) {
        room(bytes);
        for (int i = 0; i < bytes; i++) {
            buffer[length++] = (byte) (bits >>> (8 * i));
        }
    }

    private void room(int bytes) {
        if (buffer.length - length < bytes) {
            buffer = Arrays.copyOf(buffer, Math.max(2 * buffer.length, length + bytes));
        }
    }
}
