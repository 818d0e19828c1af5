// The stock JavaScript client behind a pipe: a line of JSON in ({number, action, members}), a line out. Binary values are base64.
import * as sqs from "@aws-sdk/client-sqs";
import { createInterface } from "node:readline";

const client = new sqs.SQSClient({
  endpoint: process.argv[2], region: "us-east-1", credentials: { accessKeyId: "test", secretAccessKey: "test" }, maxAttempts: 1,
});
const change = (value, binary) => {
  if (Array.isArray(value)) return value.map((v) => change(v, binary));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, k === "BinaryValue" ? binary(v) : change(v, binary)]));
};
const run = async ({ number, action, members }) => {
  try {
    const { $metadata, ...answer } = await client.send(new sqs[`${action}Command`](change(members, (v) => Buffer.from(v, "base64"))));
    return { number, answer: change(answer, (v) => Buffer.from(v).toString("base64")) };
  } catch (e) {
    const error = { code: e.Error?.Code ?? e.Code ?? e.name, message: e.message, status: e.$metadata?.httpStatusCode ?? 0 };
    return { number, error };
  }
};
for await (const line of createInterface({ input: process.stdin })) {
  run(JSON.parse(line)).then((answer) => process.stdout.write(`${JSON.stringify(answer)}\n`));
}
client.destroy();
