import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Repartitioned;

/**
 * A Kafka Streams application on the classic protocol that sends each record through a repartition topic, without state
 * stores. Arguments: bootstrap servers, application id, input topic, output topic. It ends when its input ends.
 */
public class Repartitions {
  public static void main(String[] args) throws Exception {
    Properties config = new Properties();
    config.put("bootstrap.servers", args[0]);
    config.put("application.id", args[1]);
    config.put("default.key.serde", Serdes.StringSerde.class);
    config.put("default.value.serde", Serdes.StringSerde.class);
    config.put("auto.offset.reset", "earliest");
    config.put("commit.interval.ms", 100);
    config.put("repartition.purge.interval.ms", 100);
    config.put("replication.factor", 1);
    config.put("state.dir", args[4]);
    StreamsBuilder builder = new StreamsBuilder();
    builder.<String, String>stream(args[2])
        .selectKey((key, value) -> value)
        .repartition(Repartitioned.<String, String>as("by-value").withNumberOfPartitions(1))
        .to(args[3]);
    KafkaStreams streams = new KafkaStreams(builder.build(), config);
    streams.start();
    while (System.in.read() >= 0) {}
    streams.close(new KafkaStreams.CloseOptions().leaveGroup(true));
  }
}
