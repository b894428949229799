import { type Deadline, deadlineIn } from "../../functions/shared/core/deadline.ts";

/** A deadline that is far enough away not to matter, or this near. */
export const within = (ms = 25_000): Deadline => deadlineIn(ms);
