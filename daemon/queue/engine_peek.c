/* Looking at messages without receiving them: a page of rows in the order they came. */
#include "engine_take.h"

#define MARKS_MAX 2 /* IsVisible, IsDelayed */

/* Columns of STATEMENT_SPACE_AGED. */
enum { PAGE_ID, PAGE_ENQUEUED_AT, PAGE_VISIBLE_AT, PAGE_RECEIVE_COUNT, PAGE_GROUP_KEY };

struct page {
    struct engine *engine;
    struct queue *queue;
    struct store_peek *peek;
};

/* A FIFO group's messages wait for its first. */
static int group_is_locked(struct engine *engine, int64_t group_key, bool *ret)
{
    *ret = false;
    if (group_key <= 0) {
        return 0;
    }
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_LINE_FIRST);
    sqlite3_bind_int64(s, 1, group_key);
    int rc = db_step(s);
    if (rc == 1) {
        *ret = sqlite3_column_int64(s, 0) > engine->now;
        db_reset(s);
        rc = 0;
    }
    return rc;
}

static int mark(struct store_peek *peek, struct sqs_message *message, enum queue_place place)
{
    struct sqs_map *map = &message->system_attributes;
    struct sqs_pair *items =
        arena_alloc(peek->arena, (map->count + MARKS_MAX) * sizeof(struct sqs_pair));
    if (items == NULL) {
        return ERR_NOMEM;
    }
    for (uint32_t i = 0; i < map->count; i++) {
        items[i] = map->items[i];
    }
    map->items = items;
    if (peek->invisible) {
        items[map->count++] = (struct sqs_pair){
            STR("IsVisible"), place == QUEUE_VISIBLE ? STR("true") : STR("false")};
    }
    if (peek->delayed) {
        items[map->count++] = (struct sqs_pair){
            STR("IsDelayed"), place == QUEUE_DELAYED ? STR("true") : STR("false")};
    }
    return 0;
}

/* As a receive copies it, but for the handle. */
static int add_row(struct page *page, sqlite3_stmt *row, enum queue_place place)
{
    static struct str all[] = {{"All", 3}};
    static const struct sqs_strings everything = {all, 1, true};
    struct store_peek *peek = page->peek;
    const struct sqs_receive_in in = {.system_attribute_names = everything,
                                      .message_attribute_names = everything};
    struct sqs_receive_out out = {.messages = {peek->messages, peek->count, true}};
    struct store_request request = {
        .input = &in, .output = &out, .arena = peek->arena, .region = peek->region};
    struct take take = {.engine = page->engine,
                        .queue = page->queue,
                        .max = peek->max,
                        .count = peek->count,
                        .arena = peek->arena,
                        .request = &request};
    const struct taken taken = {
        .row_id = sqlite3_column_int64(row, COLUMN_ID),
        .receive_count = sqlite3_column_int64(row, COLUMN_RECEIVE_COUNT),
        .first_received_at = sqlite3_column_int64(row, COLUMN_FIRST_RECEIVED_AT),
    };
    struct sqs_message *message = &peek->messages[peek->count];
    int rc = engine_answer_add(&take, row, &taken);
    message->receipt_handle = STR_NONE;
    if (rc == 0 && (peek->invisible || peek->delayed)) {
        rc = mark(peek, message, place);
    }
    return rc;
}

static int read_row(struct page *page, int64_t row_id, enum queue_place place)
{
    sqlite3_stmt *s = db_use(&page->engine->db, STATEMENT_MESSAGE_READ);
    sqlite3_bind_int64(s, 1, row_id);
    int rc = db_step(s);
    if (rc == 1) {
        rc = add_row(page, s, place);
        db_reset(s);
        page->peek->full = rc == ERR_NOMEM;
        page->peek->count += rc == 0;
        rc = rc == ERR_NOMEM ? 0 : rc;
    }
    return rc;
}

/* The row that the page is at: shown, or passed over without reading its body. */
static int look_at(struct page *page, sqlite3_stmt *row)
{
    struct engine *engine = page->engine;
    const struct store_peek *peek = page->peek;
    bool locked = false;
    if (engine_is_expired(engine, page->queue, sqlite3_column_int64(row, PAGE_ENQUEUED_AT))) {
        return 0;
    }
    enum queue_place place =
        queue_place_of(sqlite3_column_int64(row, PAGE_VISIBLE_AT),
                       sqlite3_column_int64(row, PAGE_RECEIVE_COUNT), engine->now);
    if (place == QUEUE_VISIBLE) {
        int rc = group_is_locked(engine, sqlite3_column_int64(row, PAGE_GROUP_KEY), &locked);
        if (rc != 0) {
            return rc;
        }
        place = locked ? QUEUE_HELD : QUEUE_VISIBLE;
    }
    bool shown =
        place == QUEUE_VISIBLE || (place == QUEUE_DELAYED ? peek->delayed : peek->invisible);
    return shown ? read_row(page, sqlite3_column_int64(row, PAGE_ID), place) : 0;
}

int engine_peek(struct engine *engine, struct store_peek *peek)
{
    struct page page = {engine, engine_queue(engine, peek->queue), peek};
    peek->count = peek->before;
    peek->next = 0;
    peek->full = false;
    if (page.queue == NULL) {
        peek->error = ERR_NOT_FOUND;
        return 0;
    }
    int64_t first = SCHEMA_ROW_ID(page.queue->space, 0);
    int64_t from = peek->from > first ? peek->from : first; /* purged between two pages */
    int looked_at = 0;
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_SPACE_AGED);
    sqlite3_bind_int64(s, 1, from);
    sqlite3_bind_int64(s, 2, SCHEMA_ROW_ID(page.queue->space + 1, 0));
    sqlite3_bind_int64(s, 3, STORE_PEEK_ROWS);
    int rc = 0;
    while (peek->count < peek->max && !peek->full && (rc = db_step(s)) == 1) {
        int64_t row_id = sqlite3_column_int64(s, PAGE_ID);
        rc = look_at(&page, s);
        if (rc != 0) {
            break;
        }
        looked_at++;
        peek->next = peek->full ? row_id : row_id + 1;
    }
    db_reset(s);
    if (!peek->full && peek->count < peek->max && looked_at < STORE_PEEK_ROWS) {
        peek->next = 0; /* the end of the queue */
    }
    return rc < 0 ? rc : 0;
}
