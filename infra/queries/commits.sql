-- Every commit of every snapshot: one row per group, topic and partition. A group without commits has one row, without topic.
-- Bodies that are not JSON are left out: unreadable-bodies lists them.
SELECT
  snapshot_id,
  created_at,
  status,
  trigger_name,
  cluster_name,
  group_name,
  regexp_extract(partition_key, '^(.*)-([0-9]+)$', 1) AS topic,
  CAST(regexp_extract(partition_key, '^(.*)-([0-9]+)$', 2) AS integer) AS partition_number,
  CAST(json_extract_scalar(commit_json, '$.offset') AS bigint) AS committed_offset,
  json_extract_scalar(commit_json, '$.metadata') AS metadata,
  CAST(json_extract_scalar(commit_json, '$.leader_epoch') AS integer) AS leader_epoch
FROM (
  SELECT
    snapshot_id,
    created_at,
    status,
    trigger_name,
    cluster_name,
    group_name,
    CAST(json_extract(group_json, '$.partitions') AS map(varchar, json)) AS partitions
  FROM (
    SELECT
      json_extract_scalar(document, '$.snapshot_id') AS snapshot_id,
      json_extract_scalar(document, '$.created_at') AS created_at,
      json_extract_scalar(document, '$.status') AS status,
      json_extract_scalar(document, '$.trigger') AS trigger_name,
      json_extract_scalar(document, '$.cluster.name') AS cluster_name,
      CAST(json_extract(document, '$.consumer_groups') AS map(varchar, json)) AS consumer_groups
    FROM (SELECT try(json_parse(line)) AS document FROM bodies) AS parsed
    WHERE document IS NOT NULL
  ) AS documents
  CROSS JOIN UNNEST(consumer_groups) AS by_group (group_name, group_json)
) AS captured
LEFT JOIN UNNEST(partitions) AS by_partition (partition_key, commit_json) ON true
