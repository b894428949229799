-- Where a group stood at a time: its commits in the newest snapshot that has it, at or before that time.
-- Parameters: the group; the time, as 2025-01-15T10:30:00Z.
SELECT
  snapshot_id,
  created_at,
  status,
  topic,
  partition_number,
  committed_offset,
  metadata,
  log_end_offset,
  log_end_offset - committed_offset AS lag_offsets
FROM (
  SELECT
    commits.*,
    rank() OVER (ORDER BY created_at DESC, length(snapshot_id) DESC, snapshot_id DESC) AS age
  FROM commits
  WHERE trigger_name NOT IN ('imported', 'computed', 'recovered') AND group_name = ? AND created_at <= ?
) AS with_age
LEFT JOIN log_ranges USING (snapshot_id, topic, partition_number)
WHERE age = 1
ORDER BY topic, partition_number
