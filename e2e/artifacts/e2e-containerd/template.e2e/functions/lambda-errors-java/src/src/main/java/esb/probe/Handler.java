package esb.probe;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.LambdaLogger;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.logging.LogLevel;
import com.amazonaws.services.lambda.runtime.serialization.PojoSerializer;
import com.amazonaws.services.lambda.runtime.serialization.factories.JacksonFactory;
import java.io.ByteArrayOutputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;

/** Shows what the Java runtime gives a function, and fails in each way a Java function can. */
public final class Handler implements RequestHandler<Map<String, Object>, Object> {
    @SuppressWarnings("rawtypes")
    private static final PojoSerializer<Map> JSON = JacksonFactory.getInstance().getSerializer(Map.class);

    private static final String WORKER = UUID.randomUUID().toString();
    private static final int MIB = 1024 * 1024;
    private static int calls;

    /** What the action {@code raise} throws. */
    public static final class ProbeException extends RuntimeException {
        private static final long serialVersionUID = 1;

        ProbeException(String message) {
            super(message);
        }
    }

    /** Runs the request's {@code action}; unlike the other functions it lets failures out. */
    @Override
    public Object handleRequest(Map<String, Object> event, Context context) {
        calls++;
        Map<String, Object> request = request(event);
        if (Boolean.TRUE.equals(request.get("ping"))) {
            return Map.of("statusCode", 200, "body", "pong");
        }
        String action = text(request, "action");
        if (action.equals("not_json")) {
            return new Endless();
        }
        Map<String, Object> body = new LinkedHashMap<>();
        body.put("success", true);
        body.put("action", action);
        body.putAll(run(action, request, context));
        return Map.of(
                "statusCode", 200,
                "headers", Map.of("Content-Type", "application/json"),
                "body", json(body));
    }

    private static Map<String, Object> run(String action, Map<String, Object> request, Context context) {
        return switch (action) {
            case "context" -> context(context);
            case "environment" -> Map.of("environment", environment(request));
            case "state" -> Map.of("worker", WORKER, "calls", calls);
            case "log" -> log(text(request, "text"), context.getLogger());
            case "raise" -> throw new ProbeException((String) request.getOrDefault("text", "on demand"));
            case "exit" -> exit((int) number(request.getOrDefault("status", 3)));
            case "sleep" -> sleep(number(request.get("seconds")));
            case "overflow" -> overflow(request);
            case "allocate" -> allocate((int) number(request.get("mib")));
            default -> throw new IllegalArgumentException("unknown action '" + action + "'");
        };
    }

    private static Map<String, Object> context(Context context) {
        Map<String, Object> found = new LinkedHashMap<>();
        found.put("function_name", context.getFunctionName());
        found.put("function_version", context.getFunctionVersion());
        found.put("memory_limit_in_mb", context.getMemoryLimitInMB());
        found.put("invoked_function_arn", context.getInvokedFunctionArn());
        found.put("aws_request_id", context.getAwsRequestId());
        found.put("remaining_ms", context.getRemainingTimeInMillis());
        found.put("trace_header", System.getProperty("com.amazonaws.xray.traceHeader"));
        found.put("client_context", context.getClientContext() == null ? null : context.getClientContext().getCustom());
        return found;
    }

    private static Map<String, Object> environment(Map<String, Object> request) {
        Map<String, Object> found = new LinkedHashMap<>();
        for (Object name : (List<?>) request.get("names")) {
            found.put((String) name, System.getenv((String) name));
        }
        return found;
    }

    private static Map<String, Object> log(String text, LambdaLogger logger) {
        for (LogLevel level : List.of(LogLevel.DEBUG, LogLevel.INFO, LogLevel.WARN, LogLevel.ERROR)) {
            logger.log(text, level);
        }
        logger.log(text + " without a level");
        System.out.println(text + " on stdout");
        System.err.println(text + " on stderr");
        StringWriter trace = new StringWriter();
        new ProbeException(text).printStackTrace(new PrintWriter(trace, true));
        logger.log(text + " with a traceback\n" + trace, LogLevel.ERROR);
        return Map.of();
    }

    private static Map<String, Object> exit(int status) {
        System.exit(status);
        return Map.of();
    }

    private static Map<String, Object> overflow(Map<String, Object> request) {
        return new LinkedHashMap<>(overflow(request));
    }

    private static Map<String, Object> sleep(double seconds) {
        try {
            Thread.sleep((long) (seconds * 1000));
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
        return Map.of();
    }

    private static Map<String, Object> allocate(int mib) {
        byte[] block = new byte[mib * MIB];
        Arrays.fill(block, (byte) 1);
        return Map.of("bytes", block.length);
    }

    private static double number(Object value) {
        return value instanceof String text ? Double.parseDouble(text) : ((Number) value).doubleValue();
    }

    private static String text(Map<String, Object> request, String name) {
        if (request.get(name) instanceof String value) {
            return value;
        }
        throw new IllegalArgumentException("'" + name + "' is missing");
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

    /** Holds itself, which no JSON can say. */
    public static final class Endless {
        /** Returns this object. */
        public Endless getSelf() {
            return this;
        }
    }
}
