import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { examples } from "../../../functions/examples.ts";
import { readSpreadsheet } from "../../../functions/shared/core/csv.ts";
import { csvOf } from "../../../functions/shared/report/csv.ts";
import { tablesOf } from "../../../functions/shared/report/tables.ts";
import { dryRun, history, listed, partlyRolledBack, results } from "./samples.ts";

const lines = (result: unknown) => csvOf(result).split("\r\n").slice(0, -1);

describe("CSV of a result", () => {
  test("of a list has a row for each snapshot", () => {
    expect(lines(listed)).toEqual([
      "snapshot_id,created_at,description,status,groups,offsets,trigger,schedule,labels,held,expires_at",
      'snapshot-2025-01-15T10:45:00Z,2025-01-15T10:45:00Z,"Before the deployment of the new pricing service, ticket OPS-1234",complete,12,340,invoke,,,,',
      'snapshot-2025-01-15T10:30:00Z,2025-01-15T10:30:00Z,"",partial,11,338,schedule,hourly,"env=prod, status=""failed, twice""",true,2025-02-14T10:30:00Z',
    ]);
  });

  test("of a snapshot has a row for each commit, with its lag", () => {
    expect(lines(examples.show.result)).toEqual([
      "group,topic,partition,offset,metadata,leader_epoch,lag,log_start_offset,log_end_offset,snapshot_id,status,errors",
      'orders-streams,orders,0,17,"",4,8,0,25,snapshot-2025-01-15T10:30:00Z,complete,0',
    ]);
  });

  test("of a comparison has a row for each change", () => {
    expect(lines(examples.diff.result)).toEqual([
      "group,topic,partition,change,from.offset,from.metadata,from.leader_epoch,to.offset,to.metadata,to.leader_epoch,offset_delta,from,to",
      'orders-streams,orders,0,advanced,17,"",4,25,"",4,8,snapshot-2025-01-15T10:30:00Z,live',
    ]);
  });

  test("of a verification has a row for each mismatch", () => {
    expect(lines(examples.verify.result)[1]).toBe(
      'orders-streams,orders,0,offset,17,"",4,25,"",4,snapshot-2025-01-15T10:30:00Z,false',
    );
  });

  test("of a dry run has a row for each partition, and for a group without any", () => {
    expect(lines(dryRun)).toEqual([
      "group,topic,partition,action,from.offset,from.metadata,from.leader_epoch,to.offset,to.metadata,to.leader_epoch,replayed,skipped,group.type,group.state,snapshot_id,dry_run,blockers,left_out",
      'billing,payments,0,fast_forward,25,"",3,28,m,4,0,3,,,snapshot-2025-01-15T10:30:00Z,true,2,0',
      "empty,,,,,,,,,,,,classic,Empty,snapshot-2025-01-15T10:30:00Z,true,2,0",
      'orders-streams,orders,2,create,,,,17,"",4,,,classic,Stable,snapshot-2025-01-15T10:30:00Z,true,2,0',
      'orders-streams,orders,10,rewind,25,"",4,17,"",4,8,0,classic,Stable,snapshot-2025-01-15T10:30:00Z,true,2,0',
    ]);
  });

  test("of a rollback says in each row how the rollback and the group ended", () => {
    const [head = "", ...rows] = lines(partlyRolledBack);
    expect(head).toMatch(/,group\.status,group\.error,snapshot_id,rollback_id,safety_snapshot_id,status,left_out$/);
    expect(rows).toHaveLength(3);
    for (const row of rows)
      expect(row).toContain(",rollback-2025-01-15T11:00:00Z-1f0c9a2b,snapshot-2025-01-15T11:00:00Z,partial_success,");
    expect(rows[2]).toContain("b,orders,1,not_attempted,");
  });

  test("of a recorded rollback has the rows of its result, behind which its plan stands back", () => {
    const record = { rollback_id: "r", status: "failed", plan: dryRun, result: partlyRolledBack };
    expect(lines(record).map((line) => line.split(",")[3])).toEqual(["outcome", "restored", "failed", "not_attempted"]);
  });

  test("of a history has its points, for a chart", () => {
    expect(lines(history)).toEqual([
      "group,topic,partition,snapshot_id,created_at,offset,log_end_offset,group.status",
      "g,orders,0,snapshot-2025-01-15T10:30:00Z,2025-01-15T10:30:00Z,16,,ERR",
      "g,orders,1,snapshot-2025-01-15T10:15:00Z,2025-01-15T10:15:00Z,10,20,ERR",
      "g,orders,1,snapshot-2025-01-15T10:30:00Z,2025-01-15T10:30:00Z,16,25,ERR",
    ]);
  });

  test("of a history has a row for a group without points", () => {
    const groups = { ...history.groups, idle: { status: "NOTFOUND", partitions: {} } };
    expect(lines({ ...history, groups }).slice(1)).toEqual([...lines(history).slice(1), "idle,,,,,,,NOTFOUND"]);
  });

  test("of a result without a table is a row of its values", () => {
    expect(lines(examples.snapshot.result)).toEqual([
      "snapshot_id,created_at,description,status,groups,offsets,errors,warnings,labels",
      "snapshot-2025-01-15T10:30:00Z,2025-01-15T10:30:00Z,Before consuming remaining messages,complete,12,340,0,0,env=production",
    ]);
    expect(lines({ snapshots: [], warnings: ["one cannot be read"] })).toEqual(["snapshots,warnings", "0,1"]);
  });

  test("has no formula, and exact numbers", () => {
    const row = { group: "=1+1", topic: "@x", partition: 0, commit: { offset: 9223372036854775807n, metadata: "-1" } };
    expect(lines({ extra: [row] })[1]).toBe("'=1+1,'@x,0,9223372036854775807,'-1");
  });

  test("has the cells of the main table, whatever is in them", () => {
    fc.assert(
      fc.property(results, (result) => {
        const main = tablesOf(result).tables.find(({ path }) => path === "groups.partitions");
        fc.pre(main !== undefined);
        const { rows, problems } = readSpreadsheet(csvOf(result));
        expect(problems).toEqual([]);
        const width = main?.columns.length ?? 0;
        expect(rows.map(({ cells }) => cells.slice(0, width))).toEqual([
          main?.columns,
          ...(main?.rows ?? []).map((row) => row.map((cell) => String(cell ?? ""))),
        ]);
      }),
    );
  });
});
