import { type Deadline, deadlineIn } from "../../functions/shared/core/deadline.ts";

/** A deadline in this time; by default later than any test needs. */
export const within = (ms = 25_000): Deadline => deadlineIn(ms);
