-- When a group last moved: for each partition, the two snapshots between which its offset last changed, and by how much.
-- A partition that never changed since the first snapshot that has it is not in the result.
-- Parameters: the group.
SELECT topic, partition_number, moved_after, moved_by, from_offset, to_offset, to_offset - from_offset AS moved_offsets
FROM (
  SELECT
    steps.*,
    row_number() OVER (PARTITION BY topic, partition_number ORDER BY moved_by DESC, length(snapshot_id) DESC, snapshot_id DESC) AS age
  FROM (
    SELECT
      topic,
      partition_number,
      snapshot_id,
      created_at AS moved_by,
      committed_offset AS to_offset,
      lag(created_at) OVER (PARTITION BY topic, partition_number ORDER BY created_at, length(snapshot_id), snapshot_id) AS moved_after,
      lag(committed_offset) OVER (PARTITION BY topic, partition_number ORDER BY created_at, length(snapshot_id), snapshot_id) AS from_offset
    FROM commits
    WHERE trigger_name NOT IN ('imported', 'computed', 'recovered') AND topic IS NOT NULL AND group_name = ?
  ) AS steps
  WHERE to_offset <> from_offset
) AS moves
WHERE age = 1
ORDER BY topic, partition_number
