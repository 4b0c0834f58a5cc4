import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.lifecycle.events.*;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.processor.SingleStreamTracker;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

/**
 * Reads a stream with the Kinesis client library, leases in DynamoDB, until standard input ends.
 *
 * Arguments: Kinesis endpoint, DynamoDB endpoint, stream, application, fanout or polling. Prints, tab separated:
 * `begin SHARD`, `record SHARD SEQUENCE SUBSEQUENCE KEY DATA` and `end SHARD` (all of a closed shard has been read).
 */
public class Kcl {
    public static void main(String[] given) throws Exception {
        var credentials = StaticCredentialsProvider.create(AwsBasicCredentials.create("test", "test"));
        var kinesis = KinesisAsyncClient.builder().endpointOverride(URI.create(given[0]))
                .region(Region.US_EAST_1).credentialsProvider(credentials).build();
        var dynamodb = DynamoDbAsyncClient.builder().endpointOverride(URI.create(given[1]))
                .region(Region.US_EAST_1).credentialsProvider(credentials).build();
        // Never spoken to: the metrics go nowhere.
        var cloudwatch = CloudWatchAsyncClient.builder().endpointOverride(URI.create("http://127.0.0.1:9"))
                .region(Region.US_EAST_1).credentialsProvider(credentials).build();
        var from = InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON);
        var configs = new ConfigsBuilder(new SingleStreamTracker(given[2], from), given[3], kinesis, dynamodb, cloudwatch,
                UUID.randomUUID().toString(), Processor::new);
        var retrieval = configs.retrievalConfig();
        if (given[4].equals("polling")) {
            retrieval.retrievalSpecificConfig(new PollingConfig(given[2], kinesis).idleTimeBetweenReadsInMillis(200));
        }
        var leases = configs.leaseManagementConfig().shardSyncIntervalMillis(1_000).failoverTimeMillis(2_000);
        leases.leasesRecoveryAuditorExecutionFrequencyMillis(1_000);
        leases.workerUtilizationAwareAssignmentConfig().disableWorkerMetrics(true).workerMetricsReporterFreqInMillis(500);
        var scheduler = new Scheduler(configs.checkpointConfig(),
                configs.coordinatorConfig().parentShardPollIntervalMillis(500).shardConsumerDispatchPollIntervalMillis(200),
                leases, configs.lifecycleConfig(), configs.metricsConfig().metricsFactory(new NullMetricsFactory()),
                configs.processorConfig().callProcessRecordsEvenForEmptyRecordList(false), retrieval);
        var worker = new Thread(scheduler);
        worker.setDaemon(true);
        worker.start();
        while (System.in.read() >= 0) { }
        scheduler.startGracefulShutdown().get(20, TimeUnit.SECONDS);
        System.exit(0);
    }

    static synchronized void say(String... words) {
        System.out.println(String.join("\t", words));
        System.out.flush();
    }

    static class Processor implements ShardRecordProcessor {
        private String shard;

        public void initialize(InitializationInput input) {
            shard = input.shardId();
            say("begin", shard);
        }

        public void processRecords(ProcessRecordsInput input) {
            for (var record : input.records()) {
                say("record", shard, record.sequenceNumber(), Long.toString(record.subSequenceNumber()),
                        record.partitionKey(), StandardCharsets.UTF_8.decode(record.data()).toString());
            }
            checkpoint(() -> input.checkpointer().checkpoint());
        }

        public void leaseLost(LeaseLostInput input) { }

        public void shardEnded(ShardEndedInput input) {
            say("end", shard);
            checkpoint(() -> input.checkpointer().checkpoint());
        }

        public void shutdownRequested(ShutdownRequestedInput input) {
            checkpoint(() -> input.checkpointer().checkpoint());
        }

        private interface Step { void run() throws Exception; }

        private void checkpoint(Step step) {
            try {
                step.run();
            } catch (Exception error) {
                throw new IllegalStateException(error);
            }
        }
    }
}
