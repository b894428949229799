/** Who asked, as answers and logs show it. */
export interface ShownCaller {
  readonly arn: string | null;
  /** Whether API Gateway has established the ARN. What a request says of its sender is only claimed. */
  readonly proven: boolean;
}

/** @param arn the IAM ARN that API Gateway has established; null in a direct invocation */
export const shownCaller = (arn: string | null): ShownCaller => ({ arn, proven: arn !== null });
