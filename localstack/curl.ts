import { shellQuoted } from "../functions/cli/flags.ts";

/** An id as every client can sign it in a path: curl before 8.16 signs `:` and `%3A` there otherwise than API Gateway. */
export const inPath = (id: string): string => id.replaceAll(":", "-");

/**
 * A call of the API as a line for a shell that has `API`, `AWS_REGION`, `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`. It prints
 * the answer, then `HTTP` and the status in a line.
 *
 * @param path begins with a slash; ids in it are written with `inPath`, a query is percent-encoded and sorted by name and value
 */
export function curlLine(method: string, path: string, body?: unknown): string {
  return [
    "curl -sS",
    '--aws-sigv4 "aws:amz:$AWS_REGION:execute-api" --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY"',
    ...(method === "GET" || (method === "POST" && body !== undefined) ? [] : [`-X ${method}`]),
    ...(body === undefined ? [] : ["-H 'content-type: application/json'", `-d ${shellQuoted(JSON.stringify(body))}`]),
    `-w '\\nHTTP %{http_code}\\n' "$API${path}"`,
  ].join(" ");
}
