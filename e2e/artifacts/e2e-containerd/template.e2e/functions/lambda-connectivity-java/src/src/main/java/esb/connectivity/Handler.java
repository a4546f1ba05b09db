package esb.connectivity;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.logging.LogLevel;
import com.amazonaws.services.lambda.runtime.serialization.PojoSerializer;
import com.amazonaws.services.lambda.runtime.serialization.factories.JacksonFactory;
import java.io.ByteArrayOutputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;

/** The smoke contract: one action for each thing that a function must be able to reach. */
public final class Handler implements RequestHandler<Map<String, Object>, Map<String, Object>> {
    @SuppressWarnings("rawtypes")
    private static final PojoSerializer<Map> JSON = JacksonFactory.getInstance().getSerializer(Map.class);

    /** Runs the request's {@code action}; any failure is a 500 that says what went wrong. */
    @Override
    public Map<String, Object> handleRequest(Map<String, Object> event, Context context) {
        Map<String, Object> request = request(event);
        if (Boolean.TRUE.equals(request.get("ping"))) {
            return Map.of("statusCode", 200, "body", "pong");
        }
        String action = (String) request.getOrDefault("action", "echo");
        Map<String, Object> body = new LinkedHashMap<>();
        body.put("action", action);
        int status = 200;
        try {
            body.putAll(Action.named(action).run(request));
            body.put("success", true);
        } catch (RuntimeException error) {
            context.getLogger().log("action " + action + " failed\n" + trace(error), LogLevel.ERROR);
            body.put("success", false);
            body.put("error", error.getClass().getSimpleName() + ": " + error.getMessage());
            status = 500;
        }
        return Map.of(
                "statusCode", status,
                "headers", Map.of("Content-Type", "application/json"),
                "body", json(body));
    }

    private static String trace(Throwable error) {
        StringWriter text = new StringWriter();
        error.printStackTrace(new PrintWriter(text, true));
        return text.toString();
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> request(Map<String, Object> event) {
        if (!event.containsKey("body")) {
            return event;
        }
        return event.get("body") instanceof String text && !text.isEmpty() ? JSON.fromJson(text) : Map.of();
    }

    /** Returns a value as JSON. */
    static String json(Map<String, ?> value) {
        ByteArrayOutputStream text = new ByteArrayOutputStream();
        JSON.toJson(value, text);
        return text.toString(StandardCharsets.UTF_8);
    }

    /** Returns the value of a JSON object. */
    static Map<?, ?> parse(String text) {
        return JSON.fromJson(text);
    }
}
