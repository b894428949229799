import java.net.URI;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import javax.security.auth.callback.Callback;
import javax.security.auth.callback.UnsupportedCallbackException;
import javax.security.auth.login.AppConfigurationEntry;
import org.apache.kafka.common.security.auth.AuthenticateCallbackHandler;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerToken;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallback;

/**
 * Checks a token of MSK IAM as MSK documents it: base64url of a URL that is presigned (SigV4) for kafka-cluster:Connect.
 * Only tokens of the access key in the options of the login module are accepted.
 */
public class IamTokenValidator implements AuthenticateCallbackHandler {
    private static final DateTimeFormatter DATE =
        DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss'Z'").withZone(ZoneOffset.UTC);
    private static final Set<String> NAMES = Set.of("Action", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date",
        "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature", "User-Agent");
    private Map<String, ?> key;

    @Override
    public void configure(Map<String, ?> configs, String mechanism, List<AppConfigurationEntry> entries) {
        key = entries.get(0).getOptions();
    }

    @Override
    public void close() {
    }

    @Override
    public void handle(Callback[] callbacks) throws UnsupportedCallbackException {
        for (Callback callback : callbacks) {
            if (!(callback instanceof OAuthBearerValidatorCallback asked)) throw new UnsupportedCallbackException(callback);
            try {
                asked.token(check(asked.tokenValue()));
            } catch (Exception e) {
                System.err.println("IamTokenValidator: " + e);
                asked.error("invalid_token", null, null);
            }
        }
    }

    private OAuthBearerToken check(String token) throws Exception {
        String region = (String) key.get("region");
        String host = "kafka." + region + ".amazonaws.com";
        URI url = new URI(new String(Base64.getUrlDecoder().decode(token), StandardCharsets.UTF_8));
        require("https".equals(url.getScheme()) && host.equals(url.getHost()) && "/".equals(url.getPath()), "the address");
        TreeMap<String, String> query = new TreeMap<>();
        for (String pair : url.getRawQuery().split("&")) {
            String[] halves = pair.split("=", 2);
            require(query.put(halves[0], halves[1]) == null, "a parameter that occurs twice");
        }
        require(query.keySet().equals(NAMES), "the parameters");
        String date = query.get("X-Amz-Date");
        String scope = date.substring(0, 8) + "/" + region + "/kafka-cluster/aws4_request";
        Instant signed = Instant.from(DATE.parse(date));
        long seconds = Long.parseLong(query.get("X-Amz-Expires"));
        require(decoded(query, "Action").equals("kafka-cluster:Connect"), "the action");
        require(decoded(query, "X-Amz-Algorithm").equals("AWS4-HMAC-SHA256"), "the algorithm");
        require(decoded(query, "X-Amz-Credential").equals(key.get("accessKeyId") + "/" + scope), "the credential");
        require(decoded(query, "X-Amz-SignedHeaders").equals("host"), "the headers");
        require(seconds > 0 && seconds <= 900, "the lifetime");
        require(!signed.isAfter(Instant.now().plusSeconds(60)), "a date in the future");
        require(signed.plusSeconds(seconds).isAfter(Instant.now()), "a token that has expired");
        String parameters = query.entrySet().stream()
            .filter(it -> !it.getKey().equals("X-Amz-Signature") && !it.getKey().equals("User-Agent"))
            .map(it -> it.getKey() + "=" + it.getValue())
            .collect(Collectors.joining("&"));
        String request = String.join("\n", "GET", "/", parameters, "host:" + host, "", "host", sha256(""));
        byte[] derived = ("AWS4" + key.get("secretAccessKey")).getBytes(StandardCharsets.UTF_8);
        for (String part : scope.split("/")) derived = hmac(derived, part);
        byte[] signature = hmac(derived, String.join("\n", "AWS4-HMAC-SHA256", date, scope, sha256(request)));
        require(HexFormat.of().formatHex(signature).equals(query.get("X-Amz-Signature")), "the signature");
        return new Accepted(token, (String) key.get("principal"), signed.toEpochMilli(), seconds * 1000);
    }

    private static void require(boolean holds, String what) {
        if (!holds) throw new IllegalArgumentException("wrong: " + what);
    }

    private static String decoded(Map<String, String> query, String name) {
        return URLDecoder.decode(query.get(name), StandardCharsets.UTF_8);
    }

    private static String sha256(String text) throws Exception {
        byte[] digest = MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
        return HexFormat.of().formatHex(digest);
    }

    private static byte[] hmac(byte[] secret, String text) throws Exception {
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(secret, "HmacSHA256"));
        return mac.doFinal(text.getBytes(StandardCharsets.UTF_8));
    }

    private record Accepted(String value, String principalName, Long startTimeMs, long milliseconds)
            implements OAuthBearerToken {
        @Override
        public Set<String> scope() {
            return Set.of();
        }

        @Override
        public long lifetimeMs() {
            return startTimeMs + milliseconds;
        }
    }
}
