import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsOptions;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;

/**
 * Runs Java's AdminClient, with the largest batches that its API allows. `Rivals SERVERS` reads commands from its standard
 * input, one per line, and answers each with a line `milliseconds count sum`. `Rivals SERVERS COMMAND…` runs one command.
 * Commands begin with a verb, and use the topics and groups that bed.ts created.
 */
public final class Rivals {
  /** The number of offsets that were read or written, and their sum, which the bench checks. */
  private record Done(long count, long sum) {}

  private final Admin admin;

  private Rivals(String servers) {
    Properties properties = new Properties();
    properties.put(AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG, servers);
    // Altering the offsets of many groups takes longer than the default timeout of one minute.
    properties.put(AdminClientConfig.DEFAULT_API_TIMEOUT_MS_CONFIG, "900000");
    properties.put(AdminClientConfig.REQUEST_TIMEOUT_MS_CONFIG, "900000");
    admin = Admin.create(properties);
  }

  public static void main(String[] args) throws Exception {
    Rivals rivals = new Rivals(args[0]);
    if (args.length > 1) {
      rivals.answer(List.of(args).subList(1, args.length));
      // The time is already measured; closing the client is not part of it.
      Runtime.getRuntime().halt(0);
    }
    BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
    for (String line = commands.readLine(); line != null; line = commands.readLine()) {
      rivals.answer(List.of(line.split(" ")));
    }
    rivals.admin.close();
  }

  private void answer(List<String> command) throws Exception {
    long started = System.nanoTime();
    Done done = run(command);
    double milliseconds = (System.nanoTime() - started) / 1e6;
    System.out.println(milliseconds + " " + done.count + " " + done.sum);
    System.out.flush();
  }

  private Done run(List<String> command) throws Exception {
    return switch (command.get(0)) {
      case "list" -> new Done(list().size(), 0);
      case "offsets" -> totalOf(offsets(groups(number(command, 1))));
      case "members" -> members(groups(number(command, 1)));
      case "ranges" -> ranges(number(command, 1));
      case "snapshot" -> {
        Map<String, Map<TopicPartition, OffsetAndMetadata>> offsets =
            offsets(list().stream().map(GroupListing::groupId).toList());
        ranges(number(command, 1));
        yield totalOf(offsets);
      }
      case "alter" -> alter(number(command, 1), number(command, 2), number(command, 3), number(command, 4), number(command, 5));
      default -> throw new IllegalArgumentException("There is no " + command);
    };
  }

  private static int number(List<String> command, int at) {
    return Integer.parseInt(command.get(at));
  }

  private static List<String> groups(int count) {
    return java.util.stream.IntStream.range(0, count).mapToObj(i -> "bench-" + i).toList();
  }

  private Collection<GroupListing> list() throws Exception {
    return admin.listGroups().all().get();
  }

  private Map<String, Map<TopicPartition, OffsetAndMetadata>> offsets(Collection<String> groups) throws Exception {
    Map<String, ListConsumerGroupOffsetsSpec> all =
        groups.stream().collect(Collectors.toMap(group -> group, group -> new ListConsumerGroupOffsetsSpec()));
    return admin.listConsumerGroupOffsets(all, new ListConsumerGroupOffsetsOptions().requireStable(true)).all().get();
  }

  private static Done totalOf(Map<String, Map<TopicPartition, OffsetAndMetadata>> groups) {
    long count = 0;
    long sum = 0;
    for (Map<TopicPartition, OffsetAndMetadata> offsets : groups.values()) {
      for (OffsetAndMetadata offset : offsets.values()) {
        count++;
        sum += offset.offset();
      }
    }
    return new Done(count, sum);
  }

  private Done members(Collection<String> groups) throws Exception {
    long members = 0;
    Map<String, ConsumerGroupDescription> described = admin.describeConsumerGroups(groups).all().get();
    for (ConsumerGroupDescription group : described.values()) members += group.members().size();
    return new Done(described.size(), members);
  }

  private Done ranges(int topics) throws Exception {
    List<String> names = java.util.stream.IntStream.range(0, topics).mapToObj(i -> "bench-topic-" + i).toList();
    Map<TopicPartition, OffsetSpec> earliest = new HashMap<>();
    Map<TopicPartition, OffsetSpec> latest = new HashMap<>();
    for (TopicDescription topic : admin.describeTopics(names).allTopicNames().get().values()) {
      topic.partitions().forEach(partition -> {
        TopicPartition key = new TopicPartition(topic.name(), partition.partition());
        earliest.put(key, OffsetSpec.earliest());
        latest.put(key, OffsetSpec.latest());
      });
    }
    KafkaFuture<Map<TopicPartition, ListOffsetsResultInfo>> starts = admin.listOffsets(earliest).all();
    KafkaFuture<Map<TopicPartition, ListOffsetsResultInfo>> ends = admin.listOffsets(latest).all();
    long sum = 0;
    for (ListOffsetsResultInfo end : ends.get().values()) sum += end.offset();
    return new Done(starts.get().size(), sum);
  }

  /** All groups at once: the API has one call per group, and the client schedules the requests. */
  private Done alter(int groups, int partitions, int topics, int span, int generation) throws Exception {
    long sum = 0;
    List<KafkaFuture<Void>> altered = new java.util.ArrayList<>();
    for (int group = 0; group < groups; group++) {
      Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
      for (int partition = 0; partition < partitions; partition++) {
        // The same offsets as `offsetOf` in bed.ts.
        long offset = (((long) group * partitions + partition) * 2_654_435_761L + generation) % span;
        offsets.put(new TopicPartition("bench-topic-" + group % topics, partition), new OffsetAndMetadata(offset));
        sum += offset;
      }
      altered.add(admin.alterConsumerGroupOffsets("bench-" + group, offsets).all());
    }
    for (KafkaFuture<Void> one : altered) one.get();
    return new Done((long) groups * partitions, sum);
  }
}
