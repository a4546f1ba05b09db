package esb.connectivity;

import java.util.Arrays;
import java.util.Locale;
import java.util.Map;
import java.util.UUID;
import java.util.stream.IntStream;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.services.cloudwatchlogs.model.InputLogEvent;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.awssdk.services.lambda.model.InvokeResponse;

/** What the smoke contract lets a caller ask for. */
enum Action {
    ECHO {
        @Override
        Map<String, ?> run(Map<String, Object> request) {
            return Map.of("message", "Echo: " + text(request, "message"));
        }
    },
    DYNAMODB_PUT {
        @Override
        Map<String, ?> run(Map<String, Object> request) {
            Map<String, AttributeValue> item =
                    Map.of(
                            "id", AttributeValue.fromS(text(request, "key")),
                            "value", AttributeValue.fromS(text(request, "value")));
            Clients.DYNAMODB.get().putItem(put -> put.tableName(System.getenv("TABLE_NAME")).item(item));
            return Map.of();
        }
    },
    S3_PUT {
        @Override
        Map<String, ?> run(Map<String, Object> request) {
            Clients.S3.get().putObject(
                    put -> put.bucket(text(request, "bucket")).key(text(request, "key")),
                    RequestBody.fromString(text(request, "content")));
            return Map.of();
        }
    },
    CHAIN_INVOKE {
        @Override
        Map<String, ?> run(Map<String, Object> request) {
            String target = text(request, "target");
            SdkBytes payload = SdkBytes.fromUtf8String(Handler.json(Map.of("message", "from-chain")));
            InvokeResponse answer =
                    Clients.LAMBDA.get().invoke(invoke -> invoke.functionName(target).payload(payload));
            Map<?, ?> child = Handler.parse(answer.payload().asUtf8String());
            if (answer.functionError() != null) {
                throw new IllegalStateException(target + " failed: " + child.get("errorMessage"));
            }
            return Map.of("child", child);
        }
    },
    TEST_CLOUDWATCH {
        @Override
        Map<String, ?> run(Map<String, Object> request) {
            String group = "/esb/connectivity/" + UUID.randomUUID();
            String stream = "events";
            long now = System.currentTimeMillis();
            String[] levels = {"DEBUG", "INFO", "WARNING", "ERROR"};
            InputLogEvent[] events =
                    IntStream.range(0, levels.length)
                            .mapToObj(i -> event(now + i, "[" + levels[i] + "] event " + i))
                            .toArray(InputLogEvent[]::new);
            var logs = Clients.LOGS.get();
            logs.createLogGroup(create -> create.logGroupName(group));
            logs.createLogStream(create -> create.logGroupName(group).logStreamName(stream));
            logs.putLogEvents(put -> put.logGroupName(group).logStreamName(stream).logEvents(events));
            return Map.of("cloudwatch", Map.of("log_group", group, "log_stream", stream));
        }
    };

    /** Does what is asked for and returns what goes into the answer. */
    abstract Map<String, ?> run(Map<String, Object> request);

    /** Returns the action of a request. */
    static Action named(String name) {
        return Arrays.stream(values())
                .filter(action -> action.name().toLowerCase(Locale.ROOT).equals(name))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("unknown action '" + name + "'"));
    }

    private static String text(Map<String, Object> request, String name) {
        if (request.get(name) instanceof String value) {
            return value;
        }
        throw new IllegalArgumentException("'" + name + "' is missing");
    }

    private static InputLogEvent event(long timestamp, String message) {
        return InputLogEvent.builder().timestamp(timestamp).message(message).build();
    }
}
