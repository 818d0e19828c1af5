/*
 * Our HTTP server with nothing behind it: the same answers for ever, those of a SendMessage, of a
 * SendMessageBatch and a DeleteMessageBatch of ten, and of a ReceiveMessage of ten with bodies of
 * 512 bytes. A yardstick of the SQS API.
 *
 *   http_constant_bench [--listen 127.0.0.1:9424]
 *
 * Says {"ready":true} when it listens; ends by SIGTERM or SIGINT.
 */
#include "sluice/base/buf.h"
#include "sluice/net/http_server.h"
#include "sluice/runtime/loop.h"

#include <stdio.h>
#include <string.h>

struct bench {
    struct loop *loop;
    struct http_server *server;
    uv_signal_t signals[2];
};

struct answers {
    struct buf batch, deleted, received;
};
static struct answers answers;

static const char sent[] = "{\"MD5OfMessageBody\":\"7d793037a0760186574b0282f2f435e7\","
                           "\"MessageId\":\"00000000-0000-4000-8000-000000000000\"}";

static void make_answers(void)
{
    static const char id[] = "00000000-0000-4000-8000-000000000000";
    static const char md5[] = "7d793037a0760186574b0282f2f435e7";
    char body[513];
    memset(body, 'x', sizeof(body) - 1);
    body[sizeof(body) - 1] = '\0';
    struct buf *all[] = {&answers.batch, &answers.deleted, &answers.received};
    for (size_t i = 0; i < SL_COUNT(all); i++) {
        buf_init(all[i], 65536);
        (void)buf_adds(all[i], i < 2 ? "{\"Successful\":[" : "{\"Messages\":[");
    }
    for (int i = 0; i < 10; i++) {
        const char *comma = i == 0 ? "" : ",";
        (void)buf_addf(&answers.batch,
                       "%s{\"Id\":\"%d\",\"MessageId\":\"%s\",\"MD5OfMessageBody\":\"%s\"}", comma,
                       i, id, md5);
        (void)buf_addf(&answers.deleted, "%s{\"Id\":\"%d\"}", comma, i);
        (void)buf_addf(&answers.received,
                       "%s{\"MessageId\":\"%s\",\"ReceiptHandle\":\"%s\",\"MD5OfBody\":\"%s\","
                       "\"Body\":\"%s\"}",
                       comma, id, id, md5, body);
    }
    for (size_t i = 0; i < SL_COUNT(all); i++) {
        (void)buf_adds(all[i], "]}");
    }
}

static struct str answer_to(const struct http_request_view *request)
{
    struct str target = http_request_header(request, "x-amz-target");
    if (str_equal(target, STR("AmazonSQS.SendMessageBatch"))) {
        return buf_str(&answers.batch);
    }
    if (str_equal(target, STR("AmazonSQS.DeleteMessageBatch"))) {
        return buf_str(&answers.deleted);
    }
    if (str_equal(target, STR("AmazonSQS.ReceiveMessage"))) {
        return buf_str(&answers.received);
    }
    return (struct str){sent, sizeof(sent) - 1};
}

static void answer(void *context, struct http_exchange *exchange,
                   const struct http_request_view *request)
{
    const struct http_response response = {
        .status = 200,
        .content_type = "application/x-amz-json-1.0",
        .body = answer_to(request),
    };
    (void)context;
    http_respond(exchange, &response);
}

static void end(uv_signal_t *handle, int number)
{
    struct bench *bench = handle->data;
    (void)number;
    for (size_t i = 0; i < SL_COUNT(bench->signals); i++) {
        uv_close((uv_handle_t *)&bench->signals[i], NULL);
    }
    http_server_close(bench->server);
    loop_stop(bench->loop);
}

int main(int argc, char **argv)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    struct bench bench = {0};
    struct error e = {0};
    const char *address = "127.0.0.1:9424";

    if (argc == 3 && strcmp(argv[1], "--listen") == 0) {
        address = argv[2];
    } else if (argc != 1) {
        fprintf(stderr, "usage: http_constant_bench [--listen 127.0.0.1:9424]\n");
        return 2;
    }
    make_answers();
    bench.loop = loop_new();
    bench.server = http_server_new(bench.loop, &(struct http_server_config){0}, answer, NULL);
    if (http_server_listen(bench.server, str_from(address), 0600, &e) != 0) {
        fprintf(stderr, "http_constant_bench: %s: %s\n", address, e.text);
        return 1;
    }
    for (size_t i = 0; i < SL_COUNT(numbers); i++) {
        uv_signal_init(loop_uv(bench.loop), &bench.signals[i]);
        bench.signals[i].data = &bench;
        uv_signal_start(&bench.signals[i], end, numbers[i]);
    }
    printf("{\"ready\":true}\n");
    fflush(stdout);
    int leaked = loop_run(bench.loop);
    loop_free(bench.loop);
    buf_done(&answers.batch);
    buf_done(&answers.deleted);
    buf_done(&answers.received);
    return leaked != 0;
}
