package esb.echo;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.LambdaLogger;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.logging.LogLevel;
import com.amazonaws.services.lambda.runtime.serialization.PojoSerializer;
import com.amazonaws.services.lambda.runtime.serialization.factories.JacksonFactory;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;

/** Says a message back, with the name of the user whose token came with the request. */
public final class Handler implements RequestHandler<Map<String, Object>, Map<String, Object>> {
    @SuppressWarnings("rawtypes")
    private static final PojoSerializer<Map> JSON = JacksonFactory.getInstance().getSerializer(Map.class);

    /** Answers {@code {"message": M}} with {@code Echo: M}; leaves one INFO and one DEBUG line in the log. */
    @Override
    public Map<String, Object> handleRequest(Map<String, Object> event, Context context) {
        Map<String, Object> request = request(event);
        if (Boolean.TRUE.equals(request.get("ping"))) {
            return Map.of("statusCode", 200, "body", "pong");
        }
        Object message = request.getOrDefault("message", "Hello");
        LambdaLogger log = context.getLogger();
        log.log("echo answers: " + message, LogLevel.INFO);
        log.log("echo was called with: " + request.keySet(), LogLevel.DEBUG);
        Map<String, Object> body = new LinkedHashMap<>();
        body.put("success", true);
        body.put("message", "Echo: " + message);
        body.put("user", user(event));
        return Map.of(
                "statusCode", 200,
                "headers", Map.of("Content-Type", "application/json"),
                "body", json(body));
    }

    private static Object user(Map<String, Object> event) {
        return event.get("requestContext") instanceof Map<?, ?> context
                        && context.get("authorizer") instanceof Map<?, ?> authorizer
                ? authorizer.get("cognito:username")
                : null;
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> request(Map<String, Object> event) {
        if (!event.containsKey("body")) {
            return event;
        }
        return event.get("body") instanceof String text && !text.isEmpty() ? JSON.fromJson(text) : Map.of();
    }

    private static String json(Map<String, Object> value) {
        ByteArrayOutputStream text = new ByteArrayOutputStream();
        JSON.toJson(value, text);
        return text.toString(StandardCharsets.UTF_8);
    }
}
