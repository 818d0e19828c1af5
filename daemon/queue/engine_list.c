/* Which queues there are: ListQueues and ListDeadLetterSourceQueues, in pages. */
#include "engine_internal.h"

#include "sluice/base/digest.h"
#include "sluice/sqs/arn.h"

#include <stdlib.h>

/* What a page may hold and where it begins. */
struct page {
    struct str prefix;
    struct str dead_letter; /* only queues whose dead letters go there; STR_NONE: any */
    struct str next_token;
    struct sqs_int max_results;
};

static int compare_names(const void *a, const void *b)
{
    const struct queue *const *qa = a;
    const struct queue *const *qb = b;
    return str_compare(queue_name(*qa), queue_name(*qb));
}

static bool is_listed(const struct queue *queue, const struct page *page, struct str after)
{
    return str_starts_with(queue_name(queue), page->prefix) &&
           (page->dead_letter.ptr == NULL ||
            str_equal(page->dead_letter, str_from(queue->definition->dead_letter))) &&
           (after.ptr == NULL || str_compare(queue_name(queue), after) > 0);
}

/* In order of name; caller frees. */
static struct queue **sorted_queues(struct engine *engine, const struct page *page,
                                    struct str after, size_t *ret_count)
{
    struct queue **ret = MEM_NEW_ARRAY(engine->queues.count + 1, struct queue *);
    *ret_count = 0;
    LIST_FOR(&engine->queues, node)
    {
        struct queue *queue = LIST_ENTRY(node, struct queue, node);
        if (is_listed(queue, page, after)) {
            ret[(*ret_count)++] = queue;
        }
    }
    qsort(ret, *ret_count, sizeof(struct queue *), compare_names);
    return ret;
}

/* A page's token is the name of its last queue in base64. */
static int read_token(struct store_request *request, struct str token, struct buf *ret_name)
{
    if (token.ptr == NULL || digest_from_base64(ret_name, token) == 0) {
        return 0;
    }
    return sqs_error_set(&request->error, SQS_ERROR_INVALID_PARAMETER_VALUE,
                         "Invalid or expired next token.");
}

static int answer_page(struct engine *engine, struct store_request *request,
                       const struct page *page, struct queue *const *queues, size_t count)
{
    size_t max = page->max_results.set ? (size_t)page->max_results.value : SQS_LIST_MAX;
    size_t shown = count < max ? count : max;
    struct sqs_list_queues_out *out = engine_output(request, sizeof(*out));
    if (out == NULL || shown == 0) {
        return 0;
    }
    out->queue_urls.items = arena_alloc(request->arena, shown * sizeof(struct str));
    if (out->queue_urls.items == NULL) {
        return engine_out_of_memory(request);
    }
    for (size_t i = 0; i < shown; i++) {
        struct str url = sqs_queue_url_build(request->arena, request->endpoint,
                                             str_from(engine->account), queue_name(queues[i]));
        if (url.ptr == NULL) {
            return engine_out_of_memory(request);
        }
        out->queue_urls.items[i] = url;
    }
    out->queue_urls.count = (uint32_t)shown;
    out->queue_urls.set = true;
    if (page->max_results.set && count > shown) {
        struct buf token;
        buf_init(&token, (size_t)4 * SQS_QUEUE_NAME_MAX);
        (void)digest_base64(&token, queues[shown - 1]->name, queue_name(queues[shown - 1]).len);
        out->next_token = engine_text(request->arena, "%.*s", STR_FMT(buf_str(&token)));
        buf_done(&token);
    }
    return 0;
}

static int list_page(struct engine *engine, struct store_request *request, const struct page *page)
{
    if (sqs_validate_max_results(page->max_results, &request->error) != 0) {
        return 0;
    }
    struct buf after;
    buf_init(&after, (size_t)4 * SQS_QUEUE_NAME_MAX);
    int rc = 0;
    if (read_token(request, page->next_token, &after) == 0) {
        size_t count = 0;
        struct str from = page->next_token.ptr == NULL ? STR_NONE : buf_str(&after);
        struct queue **queues = sorted_queues(engine, page, from, &count);
        rc = answer_page(engine, request, page, queues, count);
        free(queues);
    }
    buf_done(&after);
    return rc;
}

int engine_list_queues(struct engine *engine, struct store_request *request)
{
    const struct sqs_list_queues_in *in = request->input;
    const struct page page = {
        .prefix = in->prefix,
        .next_token = in->next_token,
        .max_results = in->max_results,
    };
    return list_page(engine, request, &page);
}

int engine_list_dead_letter_source_queues(struct engine *engine, struct store_request *request)
{
    const struct sqs_list_dead_letter_sources_in *in = request->input;
    int rc;
    struct queue *queue = engine_request_queue(engine, request, in->queue_url, &rc);
    if (queue == NULL) {
        return rc;
    }
    const struct page page = {
        .dead_letter = queue_name(queue),
        .next_token = in->next_token,
        .max_results = in->max_results,
    };
    return list_page(engine, request, &page);
}
