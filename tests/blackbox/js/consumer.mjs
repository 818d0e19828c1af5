// npm's sqs-consumer, unmodified, as its README shows it. consumer.mjs ENDPOINT QUEUE_URL MODE: events as lines of JSON.
//   single: "poison" fails its first time, "slow" outlives its visibility timeout by heartbeats until stdin says "done slow"
//   batch: handleMessageBatch acknowledges all but those whose body begins with "no"
// Ends in good order when stdin closes.
import { SQSClient } from "@aws-sdk/client-sqs";
import { Consumer } from "sqs-consumer";
import { createInterface } from "node:readline";

const [endpoint, queueUrl, mode] = process.argv.slice(2);
const say = (event, more) => process.stdout.write(`${JSON.stringify({ event, ...more })}\n`);
const sqs = new SQSClient({ endpoint, region: "us-east-1", credentials: { accessKeyId: "test", secretAccessKey: "test" }, maxAttempts: 1 });
let slowIsDone;
const slow = new Promise((resolve) => { slowIsDone = resolve; });
const count = (message) => message.Attributes.ApproximateReceiveCount;

const single = async (message) => {
  say("handle", { body: message.Body, count: count(message), color: message.MessageAttributes?.color?.StringValue });
  if (message.Body === "poison" && count(message) === "1") throw new Error("not today");
  if (message.Body === "slow") await slow;
  return message;
};
const batch = async (messages) => {
  say("batch", { bodies: messages.map((m) => m.Body), counts: messages.map(count) });
  return messages.filter((m) => !(m.Body.startsWith("no") && count(m) === "1"));
};

const consumer = Consumer.create({
  queueUrl, sqs, batchSize: 10, waitTimeSeconds: 20, visibilityTimeout: 4, heartbeatInterval: 1, messageAttributeNames: ["All"],
  attributeNames: ["ApproximateReceiveCount"], messageSystemAttributeNames: ["All"], terminateVisibilityTimeout: mode === "single",
  ...(mode === "single" ? { handleMessage: single } : { handleMessageBatch: batch }),
});
consumer.on("message_processed", (message) => say("processed", { body: message.Body }));
consumer.on("processing_error", (error, message) => say("processing_error", { text: error.message, body: message.Body }));
consumer.on("error", (error) => say("error", { text: error.message }));
consumer.on("timeout_error", (error) => say("error", { text: error.message }));
consumer.on("stopped", () => say("stopped"));
consumer.start();
for await (const line of createInterface({ input: process.stdin })) if (line === "done slow") slowIsDone();
consumer.stop({ abort: true });
sqs.destroy();
