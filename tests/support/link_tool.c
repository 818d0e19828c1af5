/*
 * link_tool: a network link that is as bad as asked.
 *
 * Makes two network namespaces (or one, beside the caller's: --a-here) with a TUN device in each,
 * 10.77.0.1/24 at end a and 10.77.0.2/24 at end b, and carries IPv4 packets between them with
 * delay, long delays, loss and reordering as the options say. The fate of a packet is drawn from
 * the seed and from its number in its direction, so the same traffic meets the same link again.
 *
 *   link_tool [--delay-min 0ms] [--delay-max 20ms] [--spike-share 0.01] [--spike 200ms]
 *             [--loss 0.01] [--reorder] [--seed 1] [--for 300s] [--a-here]
 *
 * Says one JSON object a line: {"event":"ready", …, "a": PATH, "b": PATH}, where the paths are the
 * namespaces' (for nsenter --net=PATH or setns), "black_hole" after SIGUSR1 (drops everything, what
 * is under way included) and SIGUSR2 (carries again), "stats" after SIGHUP, and "end" with the same
 * statistics. Ends by SIGTERM, SIGINT, after --for, or when its parent is gone. The namespaces live
 * as long as it, or as long as a process in them.
 */
#include "sluice/base/clock.h"
#include "sluice/base/heap.h"
#include "sluice/base/json.h"
#include "sluice/base/mem.h"
#include "sluice/base/rng.h"
#include "sluice/base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* More than a jittering link of tests ever holds; what comes beyond is dropped and counted. */
#define PACKETS_MAX      4096
#define PACKET_MAX_BYTES 2048
/* Packets read from one end before the other end and the clock get their turn. */
#define READS_PER_TURN  64
#define PARENT_CHECK_NS NS_PER_S

struct packet {
    struct heap_node due;
    struct packet *next_free;
    mono_ns read_at, due_at;
    int direction;
    size_t len;
    unsigned char bytes[PACKET_MAX_BYTES];
};

/* One way through the link. Direction 0 reads at end a and writes at end b. */
struct direction {
    const char *name;
    int from_fd, to_fd;
    struct rng rng;
    mono_ns last_due; /* order kept: nothing is due before what came before it */
    int64_t packets, delivered, lost, black_holed, overflowed, write_errors, spikes, drawn;
    int64_t drawn_min_ns, drawn_max_ns, drawn_sum_ns;        /* of the packets not lost */
    int64_t carried_sum_ns, carried_max_ns, lateness_max_ns; /* of those delivered */
};

struct options {
    int64_t delay_min_ns, delay_max_ns, spike_ns, run_ns, seed;
    double spike_share, loss;
    bool reorder, a_here;
};

struct net_link {
    struct options options;
    struct direction directions[2];
    struct heap waiting;
    struct packet *packets, *free;
    bool black_hole;
    int signal_fd;
    int namespace_fds[2];
};

static mono_ns now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

_Noreturn static void fail(const char *what)
{
    fprintf(stderr, "link_tool: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- what it says ---- */

static void say(struct buf *out)
{
    buf_addc(out, '\n');
    fwrite(out->ptr, 1, out->len, stdout);
    fflush(stdout);
    buf_done(out);
}

static void say_ready(const struct net_link *link)
{
    struct buf out;
    struct json_writer w;
    char path[64];
    buf_init(&out, 4096);
    json_writer_init(&w, &out);
    json_object_begin(&w);
    json_member_str(&w, "event", STR("ready"));
    json_member_i64(&w, "pid", getpid());
    for (int end = 0; end < 2; end++) {
        snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), link->namespace_fds[end]);
        json_member_str(&w, end ? "b" : "a", str_from(path));
    }
    json_object_end(&w);
    say(&out);
}

static void say_black_hole(const struct net_link *link)
{
    struct buf out;
    struct json_writer w;
    buf_init(&out, 4096);
    json_writer_init(&w, &out);
    json_object_begin(&w);
    json_member_str(&w, "event", STR("black_hole"));
    json_member_bool(&w, "on", link->black_hole);
    json_object_end(&w);
    say(&out);
}

static double ms(int64_t ns)
{
    return (double)ns / (double)NS_PER_MS;
}

static double mean_ms(int64_t sum_ns, int64_t count)
{
    return count ? ms(sum_ns) / (double)count : 0;
}

static void write_direction(struct json_writer *w, const struct direction *d)
{
    json_key_write(w, str_from(d->name));
    json_object_begin(w);
    json_member_i64(w, "packets", d->packets);
    json_member_i64(w, "delivered", d->delivered);
    json_member_i64(w, "lost", d->lost);
    json_member_i64(w, "black_holed", d->black_holed);
    json_member_i64(w, "overflowed", d->overflowed);
    json_member_i64(w, "write_errors", d->write_errors);
    json_member_i64(w, "spikes", d->spikes);
    json_member_double(w, "drawn_min_ms", ms(d->drawn_min_ns));
    json_member_double(w, "drawn_mean_ms", mean_ms(d->drawn_sum_ns, d->drawn));
    json_member_double(w, "drawn_max_ms", ms(d->drawn_max_ns));
    json_member_double(w, "carried_mean_ms", mean_ms(d->carried_sum_ns, d->delivered));
    json_member_double(w, "carried_max_ms", ms(d->carried_max_ns));
    json_member_double(w, "lateness_max_ms", ms(d->lateness_max_ns));
    json_object_end(w);
}

/* reason: why it ended, NULL when it did not. */
static void say_stats(const struct net_link *link, const char *reason)
{
    struct buf out;
    struct json_writer w;
    buf_init(&out, 16384);
    json_writer_init(&w, &out);
    json_object_begin(&w);
    json_member_str(&w, "event", reason ? STR("end") : STR("stats"));
    if (reason) {
        json_member_str(&w, "reason", str_from(reason));
    }
    json_member_i64(&w, "seed", link->options.seed);
    json_member_i64(&w, "under_way", (int64_t)link->waiting.count);
    for (int i = 0; i < 2; i++) {
        write_direction(&w, &link->directions[i]);
    }
    json_object_end(&w);
    say(&out);
}

/* ---- the ends ---- */

static void set_interface(int fd, const char *name, const char *address)
{
    struct ifreq request = {0};
    struct sockaddr_in in = {.sin_family = AF_INET};
    str_copy(request.ifr_name, sizeof(request.ifr_name), str_from(name));
    if (address) {
        inet_pton(AF_INET, address, &in.sin_addr);
        memcpy(&request.ifr_addr, &in, sizeof(in));
        if (ioctl(fd, SIOCSIFADDR, &request) < 0) {
            fail("SIOCSIFADDR");
        }
        inet_pton(AF_INET, "255.255.255.0", &in.sin_addr);
        memcpy(&request.ifr_netmask, &in, sizeof(in));
        if (ioctl(fd, SIOCSIFNETMASK, &request) < 0) {
            fail("SIOCSIFNETMASK");
        }
    }
    if (ioctl(fd, SIOCGIFFLAGS, &request) < 0) {
        fail("SIOCGIFFLAGS");
    }
    request.ifr_flags = (short)(request.ifr_flags | IFF_UP);
    if (ioctl(fd, SIOCSIFFLAGS, &request) < 0) {
        fail("SIOCSIFFLAGS");
    }
}

/* A TUN device in the namespace of the caller; the device goes when the descriptor is closed. */
static int open_tun(const char *name, const char *address)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    str_copy(request.ifr_name, sizeof(request.ifr_name), str_from(name));
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        fail("/dev/net/tun");
    }
    if (ioctl(fd, TUNSETIFF, &request) < 0) {
        fail("TUNSETIFF");
    }
    int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (control < 0) {
        fail("socket");
    }
    set_interface(control, "lo", NULL);
    set_interface(control, name, address);
    close(control);
    return fd;
}

static int open_namespace(void)
{
    int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fail("/proc/self/ns/net");
    }
    return fd;
}

static void open_ends(struct net_link *link)
{
    static const char *const names[] = {"link-a", "link-b"};
    static const char *const addresses[] = {"10.77.0.1", "10.77.0.2"};
    int home = open_namespace();
    int tuns[2];
    for (int end = 0; end < 2; end++) {
        if (!(end == 0 && link->options.a_here) && unshare(CLONE_NEWNET) < 0) {
            fail("unshare");
        }
        tuns[end] = open_tun(names[end], addresses[end]);
        link->namespace_fds[end] = open_namespace();
    }
    if (setns(home, CLONE_NEWNET) < 0) {
        fail("setns");
    }
    close(home);
    for (int i = 0; i < 2; i++) {
        struct direction *d = &link->directions[i];
        d->name = i ? "b_to_a" : "a_to_b";
        d->from_fd = tuns[i];
        d->to_fd = tuns[1 - i];
        rng_init(&d->rng, (uint64_t)link->options.seed * 2 + (uint64_t)i);
    }
}

/* ---- carrying ---- */

static void release(struct net_link *link, struct packet *packet)
{
    heap_remove(&link->waiting, &packet->due);
    packet->next_free = link->free;
    link->free = packet;
}

/* Always three draws a packet, so that one packet's fate does not shift the next one's. */
static void draw(const struct options *options, struct direction *d, bool *ret_lost,
                 int64_t *ret_delay_ns)
{
    *ret_lost = rng_unit(&d->rng) < options->loss;
    bool spike = rng_unit(&d->rng) < options->spike_share;
    *ret_delay_ns = rng_between(&d->rng, options->delay_min_ns, options->delay_max_ns);
    if (spike && !*ret_lost) {
        *ret_delay_ns += options->spike_ns;
        d->spikes++;
    }
}

static void accept_packet(struct net_link *link, int direction, const unsigned char *bytes,
                          size_t len)
{
    struct direction *d = &link->directions[direction];
    struct packet *packet = link->free;
    int64_t delay_ns;
    bool lost;
    d->packets++;
    draw(&link->options, d, &lost, &delay_ns);
    if (link->black_hole) {
        d->black_holed++;
        return;
    }
    if (lost) {
        d->lost++;
        return;
    }
    if (!packet) {
        d->overflowed++;
        return;
    }
    d->drawn_min_ns = d->drawn && d->drawn_min_ns < delay_ns ? d->drawn_min_ns : delay_ns;
    d->drawn_sum_ns += delay_ns;
    d->drawn++;
    d->drawn_max_ns = delay_ns > d->drawn_max_ns ? delay_ns : d->drawn_max_ns;
    link->free = packet->next_free;
    packet->direction = direction;
    packet->read_at = now_ns();
    packet->due_at = packet->read_at + delay_ns;
    if (!link->options.reorder) {
        packet->due_at = mono_max(packet->due_at, d->last_due);
        d->last_due = packet->due_at;
    }
    packet->len = len;
    memcpy(packet->bytes, bytes, len);
    heap_add(&link->waiting, &packet->due, packet->due_at);
}

static void read_end(struct net_link *link, int direction)
{
    unsigned char bytes[PACKET_MAX_BYTES];
    for (int i = 0; i < READS_PER_TURN; i++) {
        ssize_t len = read(link->directions[direction].from_fd, bytes, sizeof(bytes));
        if (len <= 0) {
            return;
        }
        /* IPv6's own chatter (router solicitation) would consume fates. */
        if (bytes[0] >> 4 == 4) {
            accept_packet(link, direction, bytes, (size_t)len);
        }
    }
}

static void deliver_due(struct net_link *link)
{
    struct heap_node *node;
    while ((node = heap_first(&link->waiting)) && node->key <= now_ns()) {
        struct packet *packet = SL_CONTAINER_OF(node, struct packet, due);
        struct direction *d = &link->directions[packet->direction];
        ssize_t written = write(d->to_fd, packet->bytes, packet->len);
        mono_ns now = now_ns();
        if (written == (ssize_t)packet->len) {
            d->delivered++;
            d->carried_sum_ns += now - packet->read_at;
            d->carried_max_ns = mono_max(d->carried_max_ns, now - packet->read_at);
            d->lateness_max_ns = mono_max(d->lateness_max_ns, now - packet->due_at);
        } else {
            d->write_errors++;
        }
        release(link, packet);
    }
}

static void set_black_hole(struct net_link *link, bool on)
{
    struct heap_node *node;
    link->black_hole = on;
    while (on && (node = heap_first(&link->waiting))) {
        struct packet *packet = SL_CONTAINER_OF(node, struct packet, due);
        link->directions[packet->direction].black_holed++;
        release(link, packet);
    }
    say_black_hole(link);
}

/* Handles what came; true when the end was asked for. */
static bool read_signals(struct net_link *link)
{
    struct signalfd_siginfo info;
    while (read(link->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) {
            return true;
        }
        if (info.ssi_signo == SIGHUP) {
            say_stats(link, NULL);
        } else {
            set_black_hole(link, info.ssi_signo == SIGUSR1);
        }
    }
    return false;
}

static const char *run(struct net_link *link)
{
    struct pollfd fds[3] = {{.fd = link->directions[0].from_fd, .events = POLLIN},
                            {.fd = link->directions[1].from_fd, .events = POLLIN},
                            {.fd = link->signal_fd, .events = POLLIN}};
    pid_t parent = getppid();
    mono_ns end_at = now_ns() + link->options.run_ns;
    for (;;) {
        mono_ns now = now_ns();
        if (now >= end_at) {
            return "time";
        }
        if (getppid() != parent) {
            return "parent gone";
        }
        const struct heap_node *first = heap_first(&link->waiting);
        mono_ns wake = mono_min(end_at, now + PARENT_CHECK_NS);
        wake = first ? mono_min(wake, first->key) : wake;
        int64_t wait_ns = mono_max(wake - now, 0);
        struct timespec timeout = {wait_ns / NS_PER_S, wait_ns % NS_PER_S};
        if (ppoll(fds, SL_COUNT(fds), &timeout, NULL) < 0 && errno != EINTR) {
            fail("ppoll");
        }
        if (read_signals(link)) {
            return "signal";
        }
        deliver_due(link);
        read_end(link, 0);
        read_end(link, 1);
    }
}

/* ---- start ---- */

static int parse_option(struct options *options, int option, struct str value)
{
    switch (option) {
    case 'm':
        return str_to_duration(value, &options->delay_min_ns);
    case 'M':
        return str_to_duration(value, &options->delay_max_ns);
    case 'p':
        return str_to_double(value, &options->spike_share);
    case 'P':
        return str_to_duration(value, &options->spike_ns);
    case 'l':
        return str_to_double(value, &options->loss);
    case 's':
        return str_to_i64(value, 0, INT64_MAX / 2, &options->seed);
    case 'f':
        return str_to_duration(value, &options->run_ns);
    case 'r':
        options->reorder = true;
        return 0;
    case 'a':
        options->a_here = true;
        return 0;
    default:
        return ERR_INVALID;
    }
}

static int parse_options(struct options *options, int argc, char **argv)
{
    static const struct option names[] = {{"delay-min", required_argument, NULL, 'm'},
                                          {"delay-max", required_argument, NULL, 'M'},
                                          {"spike-share", required_argument, NULL, 'p'},
                                          {"spike", required_argument, NULL, 'P'},
                                          {"loss", required_argument, NULL, 'l'},
                                          {"seed", required_argument, NULL, 's'},
                                          {"for", required_argument, NULL, 'f'},
                                          {"reorder", no_argument, NULL, 'r'},
                                          {"a-here", no_argument, NULL, 'a'},
                                          {NULL, 0, NULL, 0}};
    int option;
    *options = (struct options){.delay_max_ns = 20 * NS_PER_MS,
                                .spike_ns = 200 * NS_PER_MS,
                                .spike_share = 0.01,
                                .loss = 0.01,
                                .seed = 1,
                                .run_ns = 300 * NS_PER_S};
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option == '?' || parse_option(options, option, str_from(optarg)) != 0) {
            return ERR_INVALID;
        }
    }
    bool sound = optind == argc && options->delay_min_ns <= options->delay_max_ns &&
                 options->loss >= 0 && options->loss <= 1 && options->spike_share >= 0 &&
                 options->spike_share <= 1;
    return sound ? 0 : ERR_INVALID;
}

static int open_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) {
        fail("signalfd");
    }
    return fd;
}

int main(int argc, char **argv)
{
    struct net_link link = {0};
    if (parse_options(&link.options, argc, argv) != 0) {
        fprintf(stderr, "usage: link_tool [--delay-min 0ms] [--delay-max 20ms] [--spike-share S] "
                        "[--spike 200ms] [--loss S] [--reorder] [--seed N] [--for 300s] "
                        "[--a-here]\n");
        return 2;
    }
    link.signal_fd = open_signals();
    heap_init(&link.waiting);
    heap_reserve(&link.waiting, PACKETS_MAX);
    link.packets = MEM_NEW_ARRAY(PACKETS_MAX, struct packet);
    for (size_t i = 0; i < PACKETS_MAX; i++) {
        link.packets[i].next_free = link.free;
        link.free = &link.packets[i];
    }
    /* A link does not slow down because its users work; without the right it stays as it is. */
    (void)setpriority(PRIO_PROCESS, 0, -10);
    open_ends(&link);
    say_ready(&link);
    say_stats(&link, run(&link));
    heap_done(&link.waiting);
    free(link.packets);
    return 0;
}
