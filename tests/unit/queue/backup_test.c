/*
 * The online backup: consistent while senders and receivers go on, bounded, refused where it would
 * destroy something, ended by a close. Under TSan this is the test of its two sides.
 */
#include "support/queue_kit.h"

#include "sluice/queue/verify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define DEADLINE_NS (60 * NS_PER_S)
#define SENDERS     16

struct fixture {
    struct loop *loop;
    struct store *store;
    char directory[64], path[96], target[112];
    bool closed;
    struct loop_timer timer;
};

struct sender {
    struct fixture *fixture;
    struct store_request request;
    struct sqs_send_message_in in;
    struct arena arena;
    uint32_t left, *sent;
    bool running;
    char body[4096];
};

static void on_timer(void *context, mono_ns now)
{
    (void)context;
    (void)now;
}

static void turn(struct fixture *f, mono_ns end)
{
    assert_true(loop_now() < end);
    loop_timer_set(f->loop, &f->timer, loop_now() + 10 * NS_PER_MS);
    uv_run(loop_uv(f->loop), UV_RUN_ONCE);
    loop_timer_clear(f->loop, &f->timer);
}

static void open_store(struct fixture *f, const char *path)
{
    const struct store_config config = {
        .path = path, .region = STR(KIT_REGION), .account = STR(KIT_ACCOUNT)};
    struct error e = {.code = 0};
    assert_int_equal(store_open(f->loop, &config, &f->store, &e), 0);
    f->closed = false;
}

static void on_closed(void *context)
{
    ((struct fixture *)context)->closed = true;
}

static void close_store(struct fixture *f)
{
    store_close(f->store, on_closed, f);
    for (mono_ns end = loop_now() + DEADLINE_NS; !f->closed;) {
        turn(f, end);
    }
}

static void on_sent(void *context, struct store_request *request);

static void send_next(struct sender *sender)
{
    sender->running = sender->left > 0;
    if (!sender->running) {
        return;
    }
    sender->left--;
    arena_done(&sender->arena);
    arena_init(&sender->arena, (size_t)1 << 20);
    sender->request = (struct store_request){.action = SQS_SEND_MESSAGE,
                                             .input = &sender->in,
                                             .endpoint = STR(KIT_ENDPOINT),
                                             .arena = &sender->arena,
                                             .wall = loop_wall(),
                                             .done = on_sent,
                                             .context = sender};
    store_submit(sender->fixture->store, &sender->request);
}

static void on_sent(void *context, struct store_request *request)
{
    struct sender *sender = context;
    assert_int_equal(request->error.code, SQS_OK);
    ++*sender->sent;
    send_next(sender);
}

static void senders_start(struct fixture *f, struct sender *senders, uint32_t each, uint32_t *sent)
{
    for (uint32_t i = 0; i < SENDERS; i++) {
        struct sender *sender = &senders[i];
        memset(sender->body, 'x', sizeof(sender->body));
        sender->fixture = f;
        sender->sent = sent;
        sender->left = each;
        sender->in = (struct sqs_send_message_in){
            .queue_url = STR("jobs"), .entry = {.body = {sender->body, sizeof(sender->body)}}};
        send_next(sender);
    }
}

static void senders_finish(struct fixture *f, struct sender *senders)
{
    mono_ns end = loop_now() + DEADLINE_NS;
    for (uint32_t i = 0; i < SENDERS; i++) {
        senders[i].left = 0;
        while (senders[i].running) {
            turn(f, end);
        }
        arena_done(&senders[i].arena);
    }
}

static void wait_for_visible(struct fixture *f, uint64_t count)
{
    struct store_queue_stats stats = {.visible = 0};
    for (mono_ns end = loop_now() + DEADLINE_NS; stats.visible != count;) {
        turn(f, end);
        (void)store_queue_stats(f->store, &stats, 1);
    }
}

static enum store_backup_state wait_for_end(struct fixture *f, struct store_backup_status *status)
{
    mono_ns end = loop_now() + DEADLINE_NS;
    do {
        turn(f, end);
        store_backup_status(f->store, status);
    } while (status->state == STORE_BACKUP_RUNNING);
    return status->state;
}

static void turn_until_sent(struct fixture *f, const uint32_t *sent, uint32_t count)
{
    mono_ns end = loop_now() + DEADLINE_NS;
    while (*sent < count) {
        turn(f, end);
    }
}

static int setup(void **state)
{
    static const struct sqs_create_queue_in create = {.queue_name = {"jobs", 4}};
    struct fixture *f = MEM_NEW(struct fixture);
    struct sender sender = {.fixture = f};
    uint32_t sent = 0;
    f->loop = loop_new();
    f->timer = (struct loop_timer){.callback = on_timer};
    kit_directory(f->directory, sizeof(f->directory));
    (void)snprintf(f->path, sizeof(f->path), "%s/queue.db", f->directory);
    (void)snprintf(f->target, sizeof(f->target), "%s/backup.db", f->directory);
    open_store(f, f->path);
    sender.sent = &sent;
    arena_init(&sender.arena, (size_t)1 << 20);
    sender.request = (struct store_request){.action = SQS_CREATE_QUEUE,
                                            .input = &create,
                                            .endpoint = STR(KIT_ENDPOINT),
                                            .arena = &sender.arena,
                                            .done = on_sent,
                                            .context = &sender};
    store_submit(f->store, &sender.request);
    turn_until_sent(f, &sent, 1);
    arena_done(&sender.arena);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (!f->closed) {
        close_store(f);
    }
    loop_stop(f->loop);
    (void)loop_run(f->loop);
    loop_free(f->loop);
    kit_remove_directory(f->directory);
    free(f);
    return 0;
}

/* I3: what was answered before the backup began is in it, though senders never pause. */
static void test_under_load(void **state)
{
    struct fixture *f = *state;
    struct sender *senders = MEM_NEW_ARRAY(SENDERS, struct sender);
    struct store_backup_status status;
    struct queue_verify verify = {.problem = NULL};
    struct error e = {.code = 0};
    uint32_t sent = 0;
    senders_start(f, senders, 100000, &sent);
    turn_until_sent(f, &sent, 2000);
    uint32_t before = sent;
    assert_int_equal(store_backup_start(f->store, f->target, false), 0);
    assert_int_equal(store_backup_start(f->store, f->target, false), ERR_BUSY);
    assert_int_equal(wait_for_end(f, &status), STORE_BACKUP_DONE);
    uint32_t after = sent;
    assert_true(after > before); /* nobody was starved */
    assert_true(status.messages >= before);
    assert_true(status.pages_done == status.pages_total && status.pages_total > 1000);
    senders_finish(f, senders);
    free(senders);
    close_store(f);
    assert_int_equal(queue_file_verify(f->target, &verify, &e), 0);
    assert_int_equal(verify.messages, status.messages);
    assert_int_equal(verify.bytes, status.bytes);
    open_store(f, f->target);
    wait_for_visible(f, status.messages);
}

static void test_refusals(void **state)
{
    struct fixture *f = *state;
    struct store_backup_status status;
    struct stat st;
    char other[160];
    assert_int_equal(store_backup_start(f->store, "relative.db", false), ERR_INVALID);
    assert_int_equal(store_backup_start(f->store, "", false), ERR_INVALID);
    store_backup_status(f->store, &status);
    assert_int_equal(status.state, STORE_BACKUP_NONE);

    assert_int_equal(store_backup_start(f->store, f->target, false), 0);
    assert_int_equal(wait_for_end(f, &status), STORE_BACKUP_DONE);
    assert_int_equal(store_backup_start(f->store, f->target, false), 0);
    assert_int_equal(wait_for_end(f, &status), STORE_BACKUP_FAILED);
    assert_int_equal(status.error.code, ERR_DUPLICATE);
    assert_int_equal(store_backup_start(f->store, f->target, true), 0);
    assert_int_equal(wait_for_end(f, &status), STORE_BACKUP_DONE);

    /* Never the file itself or its log, nor what is no queue. */
    assert_int_equal(store_backup_start(f->store, f->path, true), 0);
    assert_int_equal(wait_for_end(f, &status), STORE_BACKUP_FAILED);
    (void)snprintf(other, sizeof(other), "%s-wal", f->path);
    assert_int_equal(store_backup_start(f->store, other, true), 0);
    assert_int_equal(wait_for_end(f, &status), STORE_BACKUP_FAILED);
    (void)snprintf(other, sizeof(other), "%s/linked.db", f->directory);
    assert_int_equal(link(f->path, other), 0);
    assert_int_equal(store_backup_start(f->store, other, true), 0);
    assert_int_equal(wait_for_end(f, &status), STORE_BACKUP_FAILED);
    assert_non_null(strstr(status.error.text, "the queue file itself"));
    (void)snprintf(other, sizeof(other), "%s/letter", f->directory);
    FILE *letter = fopen(other, "w");
    assert_non_null(letter);
    assert_int_equal(fputs("dear reader", letter) >= 0, true);
    assert_int_equal(fclose(letter), 0);
    assert_int_equal(store_backup_start(f->store, other, true), 0);
    assert_int_equal(wait_for_end(f, &status), STORE_BACKUP_FAILED);
    assert_int_equal(stat(other, &st), 0);
    assert_int_equal(st.st_size, 11);

    (void)snprintf(other, sizeof(other), "%s/nowhere/backup.db", f->directory);
    assert_int_equal(store_backup_start(f->store, other, false), 0);
    assert_int_equal(wait_for_end(f, &status), STORE_BACKUP_FAILED);
    assert_int_equal(status.error.code, ERR_NOT_FOUND);
}

/* A stop in the middle leaves nothing behind, and the queue whole. */
static void test_close_during_backup(void **state)
{
    struct fixture *f = *state;
    struct sender *senders = MEM_NEW_ARRAY(SENDERS, struct sender);
    struct queue_verify verify = {.problem = NULL};
    struct error e = {.code = 0};
    struct stat st;
    char part[128];
    uint32_t sent = 0;
    senders_start(f, senders, 200, &sent);
    turn_until_sent(f, &sent, 200 * SENDERS);
    senders_finish(f, senders);
    free(senders);
    assert_int_equal(store_backup_start(f->store, f->target, false), 0);
    close_store(f);
    (void)snprintf(part, sizeof(part), "%s.part", f->target);
    assert_int_equal(stat(part, &st), -1);
    assert_int_equal(stat(f->target, &st), -1);
    assert_int_equal(queue_file_verify(f->path, &verify, &e), 0);
    assert_int_equal(verify.messages, 200 * SENDERS);
}

/* A disk that fills up costs the backup, not the queue. */
static void test_full_disk(void **state)
{
    struct fixture *f = *state;
    struct sender *senders = MEM_NEW_ARRAY(SENDERS, struct sender);
    struct store_backup_status status;
    char small[128], target[160];
    uint32_t sent = 0;
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        free(senders);
        (void)printf("SKIP: no right to mount a file system\n");
        skip();
    }
    (void)snprintf(small, sizeof(small), "%s-small", f->directory);
    (void)snprintf(target, sizeof(target), "%s/backup.db", small);
    assert_int_equal(mkdir(small, 0700), 0);
    assert_int_equal(mount("tmpfs", small, "tmpfs", 0, "size=1m"), 0);
    close_store(f); /* its thread is of the old namespace */
    open_store(f, f->path);
    senders_start(f, senders, 100, &sent);
    turn_until_sent(f, &sent, 100 * SENDERS);
    assert_int_equal(store_backup_start(f->store, target, false), 0);
    assert_int_equal(wait_for_end(f, &status), STORE_BACKUP_FAILED);
    assert_int_equal(status.error.code, ERR_FULL);
    assert_int_equal(access(target, F_OK), -1);
    (void)snprintf(target, sizeof(target), "%s/backup.db.part", small);
    assert_int_equal(access(target, F_OK), -1);
    assert_int_equal(umount(small), 0);
    assert_int_equal(rmdir(small), 0);
    senders_start(f, senders, 1, &sent);
    turn_until_sent(f, &sent, 101 * SENDERS);
    senders_finish(f, senders);
    free(senders);
    assert_int_equal(store_backup_start(f->store, f->target, false), 0);
    assert_int_equal(wait_for_end(f, &status), STORE_BACKUP_DONE);
    assert_int_equal(status.messages, 101 * SENDERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_under_load, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_close_during_backup, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
