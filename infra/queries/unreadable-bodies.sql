-- Which bodies are not JSON, so that the other queries leave them out. None is expected.
SELECT "$path" AS body, length(line) AS characters
FROM bodies
WHERE try(json_parse(line)) IS NULL
ORDER BY body
