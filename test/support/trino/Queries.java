import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.trino.plugin.memory.MemoryConnectorFactory;
import io.trino.testing.LocalQueryRunner;
import io.trino.testing.MaterializedRow;
import io.trino.testing.TestingSession;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.StreamSupport;

/**
 * Reads {"bodies": [[path, line], …], "queries": [{"sql", "parameters": […]}, …]}, and writes the rows of each query: a list of
 * lists of lists.
 */
public class Queries {
  public static void main(String[] args) throws Exception {
    ObjectMapper json = new ObjectMapper();
    JsonNode asked = json.readTree(System.in);
    var session = TestingSession.testSessionBuilder().setCatalog("memory").setSchema("default").build();
    try (LocalQueryRunner runner = LocalQueryRunner.create(session)) {
      runner.createCatalog("memory", new MemoryConnectorFactory(), Map.of());
      String bodies = StreamSupport.stream(asked.get("bodies").spliterator(), false)
          .map(body -> "(" + text(body.get(0)) + ", CAST(" + text(body.get(1)) + " AS varchar))")
          .collect(Collectors.joining(", "));
      runner.execute("CREATE TABLE bodies AS SELECT * FROM (VALUES " + bodies + ") AS t (\"$path\", line)");
      List<List<List<Object>>> answers = new ArrayList<>();
      for (JsonNode query : asked.get("queries")) {
        String parameters = StreamSupport.stream(query.get("parameters").spliterator(), false)
            .map(Queries::text)
            .collect(Collectors.joining(", "));
        String sql = query.get("sql").textValue();
        String statement = parameters.isEmpty() ? sql : "EXECUTE IMMEDIATE " + quoted(sql) + " USING " + parameters;
        answers.add(runner.execute(statement).getMaterializedRows().stream()
            .map(MaterializedRow::getFields)
            .collect(Collectors.toList()));
      }
      System.out.write(json.writeValueAsBytes(answers)); // UTF-8 in any locale
      System.out.flush();
    }
    System.exit(0);
  }

  private static String text(JsonNode value) {
    return quoted(value.textValue());
  }

  private static String quoted(String text) {
    return "'" + text.replace("'", "''") + "'";
  }
}
