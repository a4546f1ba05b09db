import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.logging.LogLevel;
import com.amazonaws.services.lambda.runtime.serialization.PojoSerializer;
import com.amazonaws.services.lambda.runtime.serialization.factories.JacksonFactory;
import java.io.ByteArrayOutputStream;
import java.util.Map;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.services.cloudwatchlogs.CloudWatchLogsClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbClient;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.awssdk.services.lambda.LambdaClient;
import software.amazon.awssdk.services.s3.S3Client;

/** Does once what functions do: the classes that this loads go into the archive that every function starts from. */
public final class Training implements RequestHandler<Map<String, Object>, Map<String, Object>> {
    @SuppressWarnings("rawtypes")
    private static final PojoSerializer<Map> JSON = JacksonFactory.getInstance().getSerializer(Map.class);

    @Override
    public Map<String, Object> handleRequest(Map<String, Object> event, Context context) {
        if (event.containsKey("end")) {
            System.exit(0);
        }
        context.getLogger().log("training", LogLevel.INFO);
        JSON.toJson(JSON.fromJson((String) event.get("body")), new ByteArrayOutputStream());
        Map<String, AttributeValue> item = Map.of("id", AttributeValue.fromS("training"));
        try (S3Client s3 = S3Client.builder().forcePathStyle(true).build();
                DynamoDbClient dynamodb = DynamoDbClient.create();
                LambdaClient lambda = LambdaClient.create();
                CloudWatchLogsClient logs = CloudWatchLogsClient.create()) {
            s3.putObject(put -> put.bucket("training").key("key"), RequestBody.fromString("content"));
            s3.getObjectAsBytes(get -> get.bucket("training").key("key"));
            dynamodb.putItem(put -> put.tableName("training").item(item));
            lambda.invoke(invoke -> invoke.functionName("training").payload(SdkBytes.fromUtf8String("{}")));
            logs.createLogGroup(create -> create.logGroupName("training"));
        }
        return Map.of("statusCode", 200, "headers", Map.of("Content-Type", "application/json"), "body", "{}");
    }
}
