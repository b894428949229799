-- Where the log of every partition began and ended when a snapshot was taken. Null is not known.
SELECT
  snapshot_id,
  topic,
  CAST(partition_key AS integer) AS partition_number,
  CAST(json_extract_scalar(log_json, '$.log_start_offset') AS bigint) AS log_start_offset,
  CAST(json_extract_scalar(log_json, '$.log_end_offset') AS bigint) AS log_end_offset
FROM (
  SELECT snapshot_id, topic, CAST(json_extract(topic_json, '$.partitions') AS map(varchar, json)) AS partitions
  FROM (
    SELECT
      json_extract_scalar(document, '$.snapshot_id') AS snapshot_id,
      CAST(json_extract(document, '$.observed.topics') AS map(varchar, json)) AS topics
    FROM (SELECT try(json_parse(line)) AS document FROM bodies) AS parsed
    WHERE document IS NOT NULL
  ) AS documents
  CROSS JOIN UNNEST(topics) AS by_topic (topic, topic_json)
) AS observed
CROSS JOIN UNNEST(partitions) AS by_partition (partition_key, log_json)
