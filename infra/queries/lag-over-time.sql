-- The lag of every group in every snapshot, over all its partitions. Where the log end was not known, the partition is counted
-- in partitions_with_unknown_lag, and the lag is that of the others. A commit above the log end has no lag: it counts as 0.
-- Parameters: since; until, as 2025-01-15T10:30:00Z.
SELECT
  created_at,
  snapshot_id,
  group_name,
  sum(CASE WHEN committed_offset > log_end_offset THEN 0 ELSE log_end_offset - committed_offset END) AS lag_offsets,
  count(committed_offset) AS partitions,
  count(committed_offset) - count(log_end_offset) AS partitions_with_unknown_lag
FROM commits
LEFT JOIN log_ranges USING (snapshot_id, topic, partition_number)
WHERE trigger_name NOT IN ('imported', 'computed', 'recovered') AND created_at >= ? AND created_at <= ?
GROUP BY created_at, snapshot_id, group_name
ORDER BY created_at, length(snapshot_id), snapshot_id, group_name
