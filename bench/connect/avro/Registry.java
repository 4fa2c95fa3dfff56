package bench.connect;

import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.kafka.connect.errors.ConnectException;

/** The schema registry's Confluent interface: registering, no more. */
final class Registry {
    private static final Pattern ID = Pattern.compile("\"id\"\\s*:\\s*(\\d+)");

    private final HttpClient client = HttpClient.newHttpClient();
    private final String url;

    Registry(String url) {
        this.url = url;
    }

    /** The schema's id. */
    int register(String subject, String schema) {
        String place = url + "/subjects/" + URLEncoder.encode(subject, StandardCharsets.UTF_8) + "/versions";
        // The text holds neither backslashes nor control characters: AvroSchema checks its names.
        String body = "{\"schema\":\"" + schema.replace("\"", "\\\"") + "\"}";
        HttpRequest request = HttpRequest.newBuilder(URI.create(place))
                .header("Content-Type", "application/vnd.schemaregistry.v1+json")
                .POST(HttpRequest.BodyPublishers.ofString(body))
                .build();
        try {
            HttpResponse<String> answer = client.send(request, HttpResponse.BodyHandlers.ofString());
            Matcher id = ID.matcher(answer.body());
            if (answer.statusCode() != 200 || !id.find()) {
                throw new ConnectException(subject + " was refused: " + answer.body() + "\n" + schema);
            }
            return Integer.parseInt(id.group(1));
        } catch (IOException error) {
            throw new ConnectException("the registry does not answer: " + url, error);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            throw new ConnectException(error);
        }
    }
}
