package esb.connectivity;

import java.util.function.Supplier;
import software.amazon.awssdk.services.cloudwatchlogs.CloudWatchLogsClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbClient;
import software.amazon.awssdk.services.lambda.LambdaClient;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.utils.Lazy;

/** One client for each service, made when it is first needed; their addresses come from the environment. */
final class Clients {
    static final Supplier<DynamoDbClient> DYNAMODB = new Lazy<>(DynamoDbClient::create)::getValue;
    static final Supplier<LambdaClient> LAMBDA = new Lazy<>(LambdaClient::create)::getValue;
    static final Supplier<CloudWatchLogsClient> LOGS = new Lazy<>(CloudWatchLogsClient::create)::getValue;
    static final Supplier<S3Client> S3 =
            new Lazy<>(() -> S3Client.builder().forcePathStyle(true).build())::getValue;

    private Clients() {}
}
