import { describe, expect, test } from "vitest";
import { examples } from "../../../functions/examples.ts";
import { textOf } from "../../../functions/shared/report/text.ts";
import { dryRun, history, listed, partlyRolledBack } from "./samples.ts";

const plain = (result: unknown, width: number) => textOf(result, { width, color: false });
const shown = (result: unknown, width: number) => `\n${plain(result, width)}`;

describe("a dry run", () => {
  test("that is blocked, at 120 columns", () => {
    expect(shown(dryRun, 120)).toMatchInlineSnapshot(`
      "
      ! totals.blockers: group_not_empty 1, topic_missing 1
      ! blockers: 2
      ! - [group_not_empty] orders-streams has 2 active members (state Stable): stop them, or send wait_for_empty_seconds.
      ! - [topic_missing] group billing: topic payments: partition 0: The topic does not exist.
      dry_run: true
      totals.groups: 3
      totals.partitions: 3
      totals.replayed: -
      totals.skipped: 3
      totals.actions: rewind 2, create 1
      snapshot_id: snapshot-2025-01-15T10:30:00Z
      plan_digest: b5a2c96250612366ea272ffac6d9744aaf4b45aacd96aa7cfcb931ee3b558259
      left_out: none
      extra: none
      warnings: 1
      - Consumers that assign partitions themselves are never members: Kafka cannot report whether they are running.

      groups (3 rows)
        group           type     state   replayed  skipped
        billing         -        -              0        3
        empty           classic  Empty          0        0
        orders-streams  classic  Stable         -        0

      groups.partitions (4 rows)
                                                                     from.                        to.
                                                            from.  leader_     to.  to.       leader_
        group           topic     partition  action        offset    epoch  offset  metadata    epoch  replayed  skipped
        billing         payments          0  fast_forward      25        3      28  m               4         0        3
        empty
        orders-streams  orders            2  create             -               17                  4         -        -
        orders-streams  orders           10  rewind            25        4      17                  4         8        0
      "
    `);
  });
  test("that is blocked, at 80 columns", () => {
    expect(shown(dryRun, 80)).toMatchInlineSnapshot(`
      "
      ! totals.blockers: group_not_empty 1, topic_missing 1
      ! blockers: 2
      ! - [group_not_empty] orders-streams has 2 active members (state Stable):
          stop them, or send wait_for_empty_seconds.
      ! - [topic_missing] group billing: topic payments: partition 0: The topic
          does not exist.
      dry_run: true
      totals.groups: 3
      totals.partitions: 3
      totals.replayed: -
      totals.skipped: 3
      totals.actions: rewind 2, create 1
      snapshot_id: snapshot-2025-01-15T10:30:00Z
      plan_digest: b5a2c96250612366ea272ffac6d9744aaf4b45aacd96aa7cfcb931ee3b558259
      left_out: none
      extra: none
      warnings: 1
      - Consumers that assign partitions themselves are never members: Kafka cannot
        report whether they are running.

      groups (3 rows)
        group           type     state   replayed  skipped
        billing         -        -              0        3
        empty           classic  Empty          0        0
        orders-streams  classic  Stable         -        0

      groups.partitions (4 rows)
                                           from.
                                  from.  leader_     to.  to.
        partition  action        offset    epoch  offset  metadata  replayed  skipped
      group: billing  topic: payments
                0  fast_forward      25        3      28  m                0        3
          to.leader_epoch: 4
      group: empty
        none
      group: orders-streams  topic: orders
                2  create             -               17                   -        -
          to.leader_epoch: 4
               10  rewind            25        4      17                   8        0
          to.leader_epoch: 4
      "
    `);
  });
  test("that is blocked, at 40 columns", () => {
    expect(shown(dryRun, 40)).toMatchInlineSnapshot(`
      "
      ! totals.blockers: group_not_empty 1,
        topic_missing 1
      ! blockers: 2
      ! - [group_not_empty] orders-streams
          has 2 active members (state Stable):
          stop them, or send
          wait_for_empty_seconds.
      ! - [topic_missing] group billing:
          topic payments: partition 0: The
          topic does not exist.
      dry_run: true
      totals.groups: 3
      totals.partitions: 3
      totals.replayed: -
      totals.skipped: 3
      totals.actions: rewind 2, create 1
      snapshot_id:
        snapshot-2025-01-15T10:30:00Z
      plan_digest:
        b5a2c96250612366ea272ffac6d9744aaf4b45
        aacd96aa7cfcb931ee3b558259
      left_out: none
      extra: none
      warnings: 1
      - Consumers that assign partitions
        themselves are never members: Kafka
        cannot report whether they are
        running.

      groups (3 rows)
        group           type     state
        billing         -        -
          replayed: 0  skipped: 3
        empty           classic  Empty
          replayed: 0  skipped: 0
        orders-streams  classic  Stable
          replayed: -  skipped: 0

      groups.partitions (4 rows)
                                  from.
        partition  action        offset
      group: billing  topic: payments
                0  fast_forward      25
          from.leader_epoch: 3  to.offset: 28
          to.metadata: m  to.leader_epoch: 4
          replayed: 0  skipped: 3
      group: empty
        none
      group: orders-streams  topic: orders
                2  create             -
          to.offset: 17  to.leader_epoch: 4
          replayed: -  skipped: -
               10  rewind            25
          from.leader_epoch: 4  to.offset: 17
          to.leader_epoch: 4  replayed: 8
          skipped: 0

      ! see the top: totals.blockers
        group_not_empty 1, topic_missing 1,
        blockers 2
      "
    `);
  });
  test("that would run, at 80 columns", () => {
    expect(shown(examples.rollback.result, 80)).toMatchInlineSnapshot(`
      "
      dry_run: true
      totals.groups: 1
      totals.partitions: 1
      totals.replayed: 8
      totals.skipped: 0
      totals.actions: rewind 1
      totals.blockers: none
      snapshot_id: snapshot-2025-01-15T10:30:00Z
      plan_digest: b5a2c96250612366ea272ffac6d9744aaf4b45aacd96aa7cfcb931ee3b558259
      blockers: none
      left_out: none
      warnings: none
      extra: none

      groups (1 row)
        group           type     state  replayed  skipped
        orders-streams  classic  Empty         8        0

      groups.partitions (1 row)
        in every row:
          from.leader_epoch: 4  to.leader_epoch: 4
                                                    from.     to.
        group           topic   partition  action  offset  offset  replayed  skipped
        orders-streams  orders          0  rewind      25      17         8        0
      "
    `);
  });
});

describe("a rollback that failed in part", () => {
  test("at 80 columns", () => {
    expect(shown(partlyRolledBack, 80)).toMatchInlineSnapshot(`
      "
      ! status: partial_success
      ! groups_failed: 1
      ! groups: "!" in 1 of 2 rows
      ! groups.partitions: "!" in 2 of 3 rows
      rollback_id: rollback-2025-01-15T11:00:00Z-1f0c9a2b
      snapshot_id: snapshot-2025-01-15T10:30:00Z
      left_out: none
      warnings: none
      extra: none
      safety_snapshot_id: snapshot-2025-01-15T11:00:00Z
      groups_rolled_back: 1
      groups_skipped: 0
      offsets_restored: 1
      offsets_deleted: 0
      duration_ms: 412

      groups (2 rows)
        group  status   error
        a      success
      ! b      failed   Kafka rejected the commit: GROUP_AUTHORIZATION_FAILED

      groups.partitions (3 rows)
        in every row:
          from.leader_epoch: 4  to.leader_epoch: 4
                                                                          actual.
                                                  from.     to.  actual.  leader_
        group  topic   partition  outcome        offset  offset   offset    epoch
        a      orders          0  restored           25      17
      ! b      orders          0  failed             25      17       25        4
      ! b      orders          1  not_attempted      30      17       30        4
      "
    `);
  });
  test("at 40 columns", () => {
    expect(shown(partlyRolledBack, 40)).toMatchInlineSnapshot(`
      "
      ! status: partial_success
      ! groups_failed: 1
      ! groups: "!" in 1 of 2 rows
      ! groups.partitions: "!" in 2 of 3 rows
      rollback_id:
        rollback-2025-01-15T11:00:00Z-1f0c9a2b
      snapshot_id:
        snapshot-2025-01-15T10:30:00Z
      left_out: none
      warnings: none
      extra: none
      safety_snapshot_id:
        snapshot-2025-01-15T11:00:00Z
      groups_rolled_back: 1
      groups_skipped: 0
      offsets_restored: 1
      offsets_deleted: 0
      duration_ms: 412

      groups (2 rows)
        group  status
        a      success
      ! b      failed
          error: Kafka rejected the commit:
            GROUP_AUTHORIZATION_FAILED

      groups.partitions (3 rows)
        in every row:
          from.leader_epoch: 4  to.offset: 17
          to.leader_epoch: 4
                                   from.
        partition  outcome        offset
      group: a  topic: orders
                0  restored           25
      group: b  topic: orders
      !         0  failed             25
          actual.offset: 25
          actual.leader_epoch: 4
      !         1  not_attempted      30
          actual.offset: 30
          actual.leader_epoch: 4

      ! see the top: status partial_success,
        groups_failed 1, groups 1,
        groups.partitions 2
      "
    `);
  });
});

describe("a list of snapshots", () => {
  test("at 120 columns", () => {
    expect(shown(listed, 120)).toMatchInlineSnapshot(`
      "
      ! snapshots: "!" in 1 of 2 rows
      warnings: none

      snapshots (2 rows)
        snapshot_id                    status    groups  offsets  trigger   schedule  labels                            held
        snapshot-2025-01-15T10:45:00Z  complete      12      340  invoke
          description: Before the deployment of the new pricing service, ticket OPS-1234
      ! snapshot-2025-01-15T10:30:00Z  partial       11      338  schedule  hourly    env=prod, status="failed, twice"  true
          expires_at: 2025-02-14T10:30:00Z
      "
    `);
  });
  test("at 80 columns", () => {
    expect(shown(listed, 80)).toMatchInlineSnapshot(`
      "
      ! snapshots: "!" in 1 of 2 rows
      warnings: none

      snapshots (2 rows)
        snapshot_id                    status    groups  offsets  trigger   schedule
        snapshot-2025-01-15T10:45:00Z  complete      12      340  invoke
          description: Before the deployment of the new pricing service, ticket
            OPS-1234
      ! snapshot-2025-01-15T10:30:00Z  partial       11      338  schedule  hourly
          labels: env=prod, status="failed, twice"  held: true
          expires_at: 2025-02-14T10:30:00Z
      "
    `);
  });
  test("at 40 columns", () => {
    expect(shown(listed, 40)).toMatchInlineSnapshot(`
      "
      ! snapshots: "!" in 1 of 2 rows
      warnings: none

      snapshots (2 rows)
        snapshot_id:
            snapshot-2025-01-15T10:45:00Z
          created_at: 2025-01-15T10:45:00Z
          description: Before the deployment
            of the new pricing service, ticket
            OPS-1234
          status: complete
          groups: 12
          offsets: 340
          trigger: invoke

      ! snapshot_id:
            snapshot-2025-01-15T10:30:00Z
          created_at: 2025-01-15T10:30:00Z
          status: partial
          groups: 11
          offsets: 338
          trigger: schedule
          schedule: hourly
          labels: env=prod, status="failed,
            twice"
          held: true
          expires_at: 2025-02-14T10:30:00Z
      "
    `);
  });
  test("without any", () => {
    expect(plain({ snapshots: [], warnings: [] }, 80)).toBe("snapshots: none\nwarnings: none\n");
  });
});

describe("other results at 80 columns", () => {
  test("a snapshot", () => {
    expect(shown(examples.show.result, 80)).toMatchInlineSnapshot(`
      "
      snapshot_id: snapshot-2025-01-15T10:30:00Z
      description: Before consuming remaining messages
      created_at: 2025-01-15T10:30:00Z
      schema_version: 2
      status: complete
      errors: none
      warnings: none
      trigger: invoke
      selection.groups: *
      selection.exclude: none
      cluster.name: production
      cluster.cluster_id: J8nYqPTRQ_aSCnyF5E6a8w

      consumer_groups.partitions (1 row)
                                                                   log_    log_
                                                   leader_       start_    end_
        group           topic   partition  offset    epoch  lag  offset  offset
        orders-streams  orders          0      17        4    8       0      25

      observed.groups (1 row)
                                                 protocol_
        group           type     state  members  type       protocol
        orders-streams  classic  Empty        0  consumer          -
          as_of: 2025-01-15T10:30:00Z
      "
    `);
  });
  test("a comparison", () => {
    expect(shown(examples.diff.result, 80)).toMatchInlineSnapshot(`
      "
      from: snapshot-2025-01-15T10:30:00Z
      to: live
      summary: advanced 1, unchanged 2
      warnings: none

      consumer_groups.partitions (1 row)
        in every row:
          from.leader_epoch: 4
                                                                         to.
                                                      from.     to.  leader_  offset_
        group           topic   partition  change    offset  offset    epoch    delta
        orders-streams  orders          0  advanced      17      25        4        8
      "
    `);
  });
  test("a verification", () => {
    expect(shown(examples.verify.result, 80)).toMatchInlineSnapshot(`
      "
      ! verified: false

      ! mismatches (1 row)
        in every row:
          expected.leader_epoch: 4
                                                                       actual.
                                                   expected.  actual.  leader_
        group           topic   partition  kind       offset   offset    epoch
        orders-streams  orders          0  offset         17       25        4

      snapshot_id: snapshot-2025-01-15T10:30:00Z
      checked: 3
      warnings: none
      "
    `);
  });
  test("a history, without its points", () => {
    expect(shown(history, 80)).toMatchInlineSnapshot(`
      "
      ! groups: "!" in 1 of 1 rows
      ! groups.partitions: "!" in 2 of 2 rows
      warnings: none
      snapshots: 2, from snapshot-2025-01-15T10:15:00Z to
        snapshot-2025-01-15T10:30:00Z

      groups (1 row)
        group  status
      ! g      ERR

      groups.partitions (2 rows)
                                                                    lag_
                                            per_          lag_  seconds_
        group  topic   partition  points  second  lag  seconds     error  status
      ! g      orders          0       1       0    -        -         -  UNKNOWN
      ! g      orders          1       2   0.006    9        -         -  STOP

      groups.partitions.events (1 row)
        in every row:
          from.leader_epoch: 4
                                                                              to.
                                                           from.     to.  leader_
        group  topic   partition  kind     after  before  offset  offset    epoch
        g      orders          1  stopped  10:15  10:30       16      16        4
      "
    `);
  });
});
