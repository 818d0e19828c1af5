#include "sluice/aws/region.h"

#include "sluice/aws/credential_source.h"
#include "sluice/net/http_client.h"

#include <stdio.h>

/* A loop of its own: nobody else's runs yet. */
struct asking {
    struct loop *loop;
    struct http_client *http;
    const struct credential_source *instance;
    char token[1024];
    char *ret;
    int error;
};

static void ask(struct asking *a, const char *method, const char *path,
                const struct http_header *header,
                void (*on_done)(void *context, const struct http_result *result, mono_ns now));

static void end(struct asking *a, int error)
{
    a->error = error;
    http_client_close(a->http);
    loop_stop(a->loop);
}

static void on_region(void *context, const struct http_result *result, mono_ns now)
{
    struct asking *a = context;
    struct str region = str_trim(result->body);

    (void)now;
    if (result->error != 0 || result->status != 200 || region.len == 0 ||
        region.len >= AWS_REGION_MAX) {
        end(a, ERR_NOT_FOUND);
        return;
    }
    (void)str_copy(a->ret, AWS_REGION_MAX, region);
    end(a, 0);
}

static void on_token(void *context, const struct http_result *result, mono_ns now)
{
    struct asking *a = context;

    (void)now;
    if (result->error != 0 || result->status != 200 || result->body.len >= sizeof(a->token)) {
        end(a, ERR_NOT_FOUND);
        return;
    }
    (void)str_copy(a->token, sizeof(a->token), result->body);
    const struct http_header header = {STR("X-aws-ec2-metadata-token"), str_from(a->token)};
    ask(a, "GET", "/latest/meta-data/placement/region", &header, on_region);
}

static void ask(struct asking *a, const char *method, const char *path,
                const struct http_header *header,
                void (*on_done)(void *context, const struct http_result *result, mono_ns now))
{
    const struct http_call_events events = {NULL, on_done};
    char url[640];
    struct http_call *call;
    const struct http_call_request request = {.method = method,
                                              .url = url,
                                              .headers = header,
                                              .header_count = 1,
                                              .connect_timeout_ns =
                                                  a->instance->instance.timeout_ns,
                                              .timeout_ns = a->instance->instance.timeout_ns};

    (void)snprintf(url, sizeof(url), "%s%s", a->instance->instance.endpoint, path);
    if (http_client_submit(a->http, &request, &events, a, &call) != 0) {
        end(a, ERR_NOT_FOUND);
    }
}

static int run(const struct credential_source *instance, char ret[AWS_REGION_MAX])
{
    const struct http_header header = {STR("X-aws-ec2-metadata-token-ttl-seconds"), STR("60")};
    struct asking a = {.loop = loop_new(), .instance = instance, .ret = ret};

    a.http = http_client_new(a.loop, &(struct http_client_config){0});
    ask(&a, "PUT", "/latest/api/token", &header, on_token);
    (void)loop_run(a.loop);
    loop_free(a.loop);
    return a.error;
}

int aws_region_of_instance(const struct aws_environment *environment, char ret[AWS_REGION_MAX])
{
    const struct credential_source *instance = NULL;
    struct arena arena;
    int error = ERR_NOT_FOUND;

    arena_init(&arena, (size_t)64 << 10);
    if (credential_source_instance(environment, &arena, &instance, NULL) == 0 && instance != NULL) {
        error = run(instance, ret);
    }
    arena_done(&arena);
    return error;
}
