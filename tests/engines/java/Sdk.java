import java.net.URI;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.model.*;

/**
 * Puts records with Amazon's SDK for Java (CBOR, HTTP/2), reads them by iterator and by subscription, and compares.
 *
 * Arguments: endpoint, stream, key id, secret, records. Prints a line a step; ends with 1 if anything is not as it was put.
 */
public class Sdk {
    private static final int BATCH = 250;

    private final KinesisAsyncClient kinesis;
    private final String stream;

    Sdk(KinesisAsyncClient kinesis, String stream) {
        this.kinesis = kinesis;
        this.stream = stream;
    }

    public static void main(String[] given) throws Exception {
        var credentials = AwsBasicCredentials.create(given[2], given[3]);
        try (var kinesis = KinesisAsyncClient.builder()
                .endpointOverride(URI.create(given[0]))
                .region(Region.US_EAST_1)
                .credentialsProvider(StaticCredentialsProvider.create(credentials))
                .build()) {
            new Sdk(kinesis, given[1]).run(Integer.parseInt(given[4]));
        }
        System.out.println("done");
        System.exit(0);
    }

    private void run(int count) throws Exception {
        var summary = kinesis.describeStreamSummary(r -> r.streamName(stream)).get().streamDescriptionSummary();
        check(summary.streamStatus() == StreamStatus.ACTIVE, "the stream is " + summary.streamStatus());
        var put = put(count);
        System.out.println("put " + put.size());
        var shards = kinesis.listShards(r -> r.streamName(stream)).get().shards();
        compare("iterators", put, iterate(shards));
        compare("subscriptions", put, subscribe(summary.streamARN(), shards, count));
        refusals();
    }

    /** What was put, by sequence number: key, space, data. */
    private Map<String, String> put(int count) throws Exception {
        var put = new TreeMap<String, String>();
        for (int first = 0; first < count; first += BATCH) {
            var entries = new ArrayList<PutRecordsRequestEntry>();
            for (int n = first; n < Math.min(first + BATCH, count); n++) {
                var line = "{\"timestamp\":\"2026-11-22T10:00:00Z\",\"endpoint\":\"/e" + n % 7 + "\",\"status\":" + n + "}";
                entries.add(PutRecordsRequestEntry.builder()
                        .data(SdkBytes.fromUtf8String(line)).partitionKey("/e" + n % 7).build());
            }
            var answer = kinesis.putRecords(r -> r.streamName(stream).records(entries)).get();
            check(answer.failedRecordCount() == 0, "records failed");
            for (int n = 0; n < entries.size(); n++) {
                put.put(answer.records().get(n).sequenceNumber(),
                        entries.get(n).partitionKey() + " " + entries.get(n).data().asUtf8String());
            }
        }
        return put;
    }

    private Map<String, String> iterate(List<Shard> shards) throws Exception {
        var found = new TreeMap<String, String>();
        for (var shard : shards) {
            var iterator = kinesis.getShardIterator(r -> r.streamName(stream).shardId(shard.shardId())
                    .shardIteratorType(ShardIteratorType.TRIM_HORIZON)).get().shardIterator();
            while (true) {
                var at = iterator;
                var answer = kinesis.getRecords(r -> r.shardIterator(at).limit(1000)).get();
                answer.records().forEach(each -> found.put(each.sequenceNumber(), text(each)));
                iterator = answer.nextShardIterator();
                if (iterator == null || (answer.records().isEmpty() && answer.millisBehindLatest() == 0)) break;
            }
        }
        return found;
    }

    private Map<String, String> subscribe(String arn, List<Shard> shards, int count) throws Exception {
        var consumer = kinesis.registerStreamConsumer(r -> r.streamARN(arn).consumerName("sdk")).get().consumer();
        while (kinesis.describeStreamConsumer(r -> r.consumerARN(consumer.consumerARN())).get()
                .consumerDescription().consumerStatus() != ConsumerStatus.ACTIVE) Thread.sleep(100);
        var found = Collections.synchronizedMap(new TreeMap<String, String>());
        var whole = new CompletableFuture<Void>();
        for (var shard : shards) {
            kinesis.subscribeToShard(
                    r -> r.consumerARN(consumer.consumerARN()).shardId(shard.shardId())
                            .startingPosition(p -> p.type(ShardIteratorType.TRIM_HORIZON)),
                    SubscribeToShardResponseHandler.builder()
                            .onError(whole::completeExceptionally)
                            .subscriber(event -> {
                                if (event instanceof SubscribeToShardEvent records) {
                                    records.records().forEach(each -> found.put(each.sequenceNumber(), text(each)));
                                    if (found.size() >= count) whole.complete(null);
                                }
                            }).build());
        }
        whole.get(60, TimeUnit.SECONDS);
        kinesis.deregisterStreamConsumer(r -> r.consumerARN(consumer.consumerARN())).get();
        return found;
    }

    /** Errors arrive as the SDK's own exceptions. */
    private void refusals() throws Exception {
        try {
            kinesis.putRecord(r -> r.streamName("no-such-stream").partitionKey("k").data(SdkBytes.fromUtf8String("x"))).get();
            check(false, "a stream that is not there took a record");
        } catch (java.util.concurrent.ExecutionException error) {
            check(error.getCause() instanceof ResourceNotFoundException, "not ResourceNotFoundException: " + error.getCause());
        }
        System.out.println("refused as it should be");
    }

    private static String text(software.amazon.awssdk.services.kinesis.model.Record record) {
        return record.partitionKey() + " " + record.data().asUtf8String();
    }

    private static void compare(String by, Map<String, String> put, Map<String, String> found) {
        check(put.equals(found), by + ": " + put.size() + " were put, " + found.size() + " came back, not the same");
        System.out.println(by + " gave " + found.size());
    }

    private static void check(boolean holds, String otherwise) {
        if (holds) return;
        System.err.println("FAILED: " + otherwise);
        System.exit(1);
    }
}
