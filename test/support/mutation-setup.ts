import fc from "fast-check";

/**
 * What a property may cost when it runs against each of a thousand mutants: the same examples each time, only as many as
 * fit into a moment, and no search for a smaller example once one has failed.
 */
fc.configureGlobal({ seed: 1, endOnFailure: true, interruptAfterTimeLimit: 100 });
