/*
 * identity_tool: what the aws room makes of the environment it is started in, as one JSON object:
 * region, endpoints and where credentials come from. For comparing it with an AWS SDK; secrets are
 * printed, so never with real ones.
 *
 *   identity_tool [--profile NAME] [--region NAME] [--endpoint URL] [--fips] [--dualstack]
 */
#include "sluice/aws/credential_source.h"
#include "sluice/aws/endpoint.h"
#include "sluice/base/buf.h"
#include "sluice/base/clock.h"
#include "sluice/base/json.h"

#include <getopt.h>
#include <stdio.h>

static void member(struct json_writer *w, const char *key, struct str value)
{
    if (value.ptr != NULL) {
        json_member_str(w, key, value);
    }
}

static void write_role(struct json_writer *w, const struct credential_source *s)
{
    member(w, "role_arn", s->role.arn);
    member(w, "session_name", s->role.session_name);
    member(w, "external_id", s->role.external_id);
    member(w, "token_file", s->role.token_file);
    json_member_i64(w, "duration_s", s->role.duration_s);
    member(w, "sts_endpoint", str_from(s->role.endpoint));
    member(w, "sts_region", str_from(s->role.region));
}

static void write_kind(struct json_writer *w, const struct credential_source *s)
{
    switch (s->kind) {
    case CREDENTIAL_SOURCE_STATIC:
        member(w, "access_key", s->keys.access_key_id);
        member(w, "secret_key", s->keys.secret_access_key);
        member(w, "token", s->keys.session_token);
        member(w, "expires", s->keys.expires);
        break;
    case CREDENTIAL_SOURCE_SSO:
        member(w, "account_id", s->sso.account_id);
        member(w, "role_name", s->sso.role_name);
        member(w, "sso_region", s->sso.region);
        member(w, "cache_path", str_from(s->sso.cache_path));
        break;
    case CREDENTIAL_SOURCE_PROCESS:
        member(w, "command", s->command);
        break;
    case CREDENTIAL_SOURCE_CONTAINER:
        member(w, "url", str_from(s->container.url));
        member(w, "authorization", s->container.token);
        break;
    case CREDENTIAL_SOURCE_INSTANCE:
        member(w, "instance_endpoint", str_from(s->instance.endpoint));
        json_member_i64(w, "timeout_s", s->instance.timeout_ns / NS_PER_S);
        json_member_i64(w, "attempts", s->instance.attempts);
        break;
    default:
        write_role(w, s);
    }
}

static void write_chain(struct json_writer *w, const struct aws_environment *environment,
                        const char *region)
{
    struct arena arena;
    struct credential_chain chain = {0};
    struct error e = {0};

    arena_init(&arena, (size_t)1 << 20);
    if (credential_chain_find(environment, region, &arena, &chain, &e) != 0) {
        member(w, "credentials_error", str_from(e.text));
    }
    json_key_write(w, STR("sources"));
    json_array_begin(w);
    for (const struct credential_source *s = chain.source; s != NULL; s = s->role.signs) {
        json_object_begin(w);
        member(w, "kind", str_from(credential_source_name(s->kind)));
        member(w, "said_by", str_from(s->said_by));
        write_kind(w, s);
        json_object_end(w);
    }
    json_array_end(w);
    json_key_write(w, STR("passed_over"));
    json_array_begin(w);
    for (uint32_t i = 0; i < chain.note_count; i++) {
        json_write_str(w, str_from(chain.notes[i].provider));
    }
    json_array_end(w);
    arena_done(&arena);
}

static void write_all(struct json_writer *w, const struct aws_environment *environment)
{
    char region[AWS_REGION_MAX] = "", endpoint[AWS_ENDPOINT_MAX] = "";
    struct error e = {0};

    member(w, "profile", aws_profile_name(environment));
    if (aws_region_find(environment, STR_NONE, region, &e) != 0) {
        member(w, "region_error", str_from(e.text));
    } else if (aws_endpoint_find(environment, AWS_SQS, region, endpoint, &e) != 0) {
        member(w, "endpoint_error", str_from(e.text));
    } else {
        member(w, "endpoint", str_from(endpoint));
    }
    member(w, "region", region[0] == '\0' ? STR_NONE : str_from(region));
    write_chain(w, environment, region[0] == '\0' ? NULL : region);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"profile", 1, NULL, 'p'},   {"region", 1, NULL, 'r'},
                                            {"endpoint", 1, NULL, 'e'},  {"fips", 0, NULL, 'f'},
                                            {"dualstack", 0, NULL, 'd'}, {NULL, 0, NULL, 0}};
    struct aws_overrides overrides = {0};
    struct aws_environment *environment = NULL;
    struct json_writer w;
    struct error e = {0};
    struct buf out;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'p':
            overrides.profile = optarg;
            break;
        case 'r':
            overrides.region = optarg;
            break;
        case 'e':
            overrides.endpoint = optarg;
            break;
        case 'f':
            overrides.use_fips = true;
            break;
        case 'd':
            overrides.use_dualstack = true;
            break;
        default:
            return 2;
        }
    }
    buf_init(&out, (size_t)1 << 20);
    json_writer_init(&w, &out);
    json_object_begin(&w);
    if (aws_environment_read(&overrides, NULL, &environment, &e) != 0) {
        member(&w, "error", str_from(e.text));
    } else {
        write_all(&w, environment);
    }
    json_object_end(&w);
    puts(buf_str(&out).ptr);
    buf_done(&out);
    aws_environment_free(environment);
    return 0;
}
