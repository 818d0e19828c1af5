// The stock JavaScript client: create, send, receive, extend, delete; wrong requests. Prints one JSON line.
import {
  SQSClient, CreateQueueCommand, GetQueueUrlCommand, SendMessageCommand, SendMessageBatchCommand, ReceiveMessageCommand,
  ChangeMessageVisibilityCommand, DeleteMessageCommand, DeleteMessageBatchCommand, GetQueueAttributesCommand, ListQueuesCommand,
  SetQueueAttributesCommand, PurgeQueueCommand, DeleteQueueCommand, ChangeMessageVisibilityBatchCommand,
} from "@aws-sdk/client-sqs";

const client = new SQSClient({ endpoint: process.argv[2], region: "us-east-1", credentials: { accessKeyId: "test", secretAccessKey: "test" }, maxAttempts: 1 });
const run = (command) => client.send(command);
const fails = async (command) => {
  try { await run(command); return null; } catch (e) {
    return { name: e.name, code: e.Code ?? e.Error?.Code, status: e.$metadata?.httpStatusCode, message: e.message };
  }
};
const out = {};
const { QueueUrl } = await run(new CreateQueueCommand({ QueueName: "js-queue", Attributes: { VisibilityTimeout: "20" } }));
out.url = QueueUrl;
out.found = (await run(new GetQueueUrlCommand({ QueueName: "js-queue" }))).QueueUrl;
out.listed = (await run(new ListQueuesCommand({ QueueNamePrefix: "js-" }))).QueueUrls;
const sent = await run(new SendMessageCommand({
  QueueUrl, MessageBody: "grüß dich, 世界",
  MessageAttributes: { color: { DataType: "String", StringValue: "blue" }, blob: { DataType: "Binary", BinaryValue: new Uint8Array([1, 2, 3]) } },
}));
const batch = await run(new SendMessageBatchCommand({ QueueUrl, Entries: [1, 2, 3].map((i) => ({ Id: `m${i}`, MessageBody: `body ${i}` })) }));
out.batch = batch.Successful.length;
const got = [];
while (got.length < 4) {
  const answer = await run(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 2, MessageAttributeNames: ["All"], AttributeNames: ["All"] }));
  got.push(...(answer.Messages ?? []));
}
const first = got.find((m) => m.MessageId === sent.MessageId);
out.body = first.Body;
out.attributes = { color: first.MessageAttributes.color.StringValue, blob: Array.from(first.MessageAttributes.blob.BinaryValue) };
out.receive_count = first.Attributes.ApproximateReceiveCount;
await run(new ChangeMessageVisibilityCommand({ QueueUrl, ReceiptHandle: first.ReceiptHandle, VisibilityTimeout: 60 }));
out.extended = (await run(new ChangeMessageVisibilityBatchCommand({ QueueUrl, Entries: got.slice(0, 2).map((m, i) => ({ Id: `e${i}`, ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: 30 })) }))).Successful.length;
await run(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: first.ReceiptHandle }));
const rest = got.filter((m) => m !== first);
out.deleted = (await run(new DeleteMessageBatchCommand({ QueueUrl, Entries: rest.map((m, i) => ({ Id: `d${i}`, ReceiptHandle: m.ReceiptHandle })) }))).Successful.length;
await run(new SetQueueAttributesCommand({ QueueUrl, Attributes: { DelaySeconds: "1" } }));
out.after = (await run(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["All"] }))).Attributes;
out.errors = {
  no_queue: await fails(new SendMessageCommand({ QueueUrl: QueueUrl + "-none", MessageBody: "x" })),
  empty_body: await fails(new SendMessageCommand({ QueueUrl, MessageBody: "" })),
  bad_handle: await fails(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: "garbage" })),
  too_many: await fails(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 11 })),
  too_long_wait: await fails(new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 21 })),
  empty_batch: await fails(new SendMessageBatchCommand({ QueueUrl, Entries: [] })),
  same_ids: await fails(new SendMessageBatchCommand({ QueueUrl, Entries: [{ Id: "a", MessageBody: "1" }, { Id: "a", MessageBody: "2" }] })),
  bad_name: await fails(new CreateQueueCommand({ QueueName: "no spaces allowed" })),
  other_attributes: await fails(new CreateQueueCommand({ QueueName: "js-queue", Attributes: { VisibilityTimeout: "21" } })),
  unknown_attribute: await fails(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["Nonsense"] })),
  bad_characters: await fails(new SendMessageCommand({ QueueUrl, MessageBody: "a\u0001b" })),
};
await run(new PurgeQueueCommand({ QueueUrl }));
await run(new DeleteQueueCommand({ QueueUrl }));
out.gone = await fails(new GetQueueUrlCommand({ QueueName: "js-queue" }));
console.log(JSON.stringify(out));
