-- Which snapshots have a group, newest first, and how many commits of it.
-- Parameters: the group.
SELECT snapshot_id, created_at, status, trigger_name, count(committed_offset) AS offsets
FROM commits
WHERE group_name = ?
GROUP BY snapshot_id, created_at, status, trigger_name
ORDER BY created_at DESC, length(snapshot_id) DESC, snapshot_id DESC
