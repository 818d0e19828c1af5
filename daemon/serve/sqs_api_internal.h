/*
 * sqs_api_internal: what the files of the SQS API share.
 *   sqs_api.c         a request from its bytes to its answer, both protocols
 *   sqs_api_access.c  who may call what
 *   sqs_api_peek.c    GET /_aws/sqs/messages
 */
#ifndef SLUICE_SERVE_SQS_API_INTERNAL_H
#define SLUICE_SERVE_SQS_API_INTERNAL_H

#include "sluice/serve/sqs_api.h"
#include "sluice/sqs/actions.h"
#include "sluice/sqs/error.h"
#include "sluice/sqs/validate.h"

enum protocol { PROTOCOL_JSON, PROTOCOL_QUERY };

/* One request, from the handler to its answer. */
struct call {
    struct list_node node;
    struct sqs_api *api;
    struct http_exchange *exchange;
    const struct http_request_view *http;
    enum protocol protocol;
    enum sqs_action action;        /* SQS_ACTION_NONE until known */
    bool is_peek, is_gone;         /* of a peek: its client left */
    bool wants_json;               /* of a peek: XML's structure as JSON */
    struct str action_name;        /* as sent */
    const struct sqs_api_key *key; /* it is signed with; NULL: there are no keys */
    char request_id[37];
    struct arena arena;
    struct sqs_error error;
    struct store_request store;
    struct store_peek peek;
};

/* ---- sqs_api.c ---- */
/* The arena shrinks to what can be written out, whatever becomes of the characters. */
void sqs_call_bound_answer(struct call *call);
/* Either ends the call. */
void sqs_call_answer(struct call *call); /* call->store.output */
void sqs_call_refuse(struct call *call); /* call->error */
const struct sqs_access *sqs_api_access(const struct sqs_api *api);
struct store *sqs_api_store(const struct sqs_api *api);
bool sqs_api_is_draining(const struct sqs_api *api);

/* ---- sqs_api_peek.c ---- */
bool sqs_peek_is_meant(struct str path);
/* Of a caller that was let in. form: the parameters of a Query request. */
void sqs_peek_begin(struct call *call, struct str form);
/* The answer, or call->error, as JSON in the structure of the XML. */
void sqs_peek_write_json(const struct call *call, const struct sqs_receive_out *out,
                         struct buf *body);
void sqs_peek_write_json_error(const struct call *call, struct buf *body);

/* ---- sqs_api_access.c ---- */
struct sqs_access {
    struct sqs_api_key *keys; /* owned copies */
    uint32_t key_count;
    bool allow_anonymous;
    struct str region, account; /* owned copies */
};

void sqs_access_init(struct sqs_access *access, const struct sqs_api_config *config);
void sqs_access_done(struct sqs_access *access);
/* Who calls. SQS_OK, with the key it was signed with (NULL: there are no keys); else the error with
 * its message. action: its name as sent, for the message. */
SL_MUST_CHECK int sqs_access_check(const struct sqs_access *access,
                                   const struct http_request_view *request, struct str action,
                                   wall_ms now, const struct sqs_api_key **ret_key,
                                   struct sqs_error *e);
/* The region in the request's credential scope, verified or not; STR_NONE when it names none. */
struct str sqs_access_region(const struct http_request_view *request);
/* What is called: may the holder of this key do this with that queue? queue: STR_NONE when the
 * action is about none, SQS_ACCESS_EVERY_QUEUE when it may be any. */
#define SQS_ACCESS_EVERY_QUEUE STR("*")
SL_MUST_CHECK int sqs_access_authorize(const struct sqs_access *access,
                                       const struct sqs_api_key *key, enum sqs_action action,
                                       struct str queue, struct sqs_error *e);

#endif
