/*
 * A bad network: relays Ethernet frames between two interfaces with faults from a seed, each direction with its own random stream.
 *
 *   bad-link A B [--loss %] [--delay ms] [--jitter ms] [--reorder %] [--duplicate %] [--corrupt %] [--queue frames] [--seed n]
 *
 * Prints "ready"; on SIGTERM one line of JSON with what it did. A reordered frame overtakes: it leaves without the delay, and
 * where there is none the others wait for REORDER_MS instead. Both far ends must send plain frames (no segmentation, no
 * checksum offload). It waits with a precision of tens of microseconds and does not spin.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FRAME 9216
#define BATCH 64
#define MAX_QUEUE 65536
#define ETHERNET_HEADER 14
#define SOCKET_BUFFER (32 << 20)
/* How far a frame overtakes where nothing is delayed: a few frames of a fast sender. */
#define REORDER_MS 1.0

static double loss, delay_ms, jitter, reorder, duplicate, corrupt;
static int limit = 4000;
static long relayed, lost, reordered, duplicated, corrupted, overrun;

struct frame {
  uint64_t due;
  uint64_t serial; /* those that are due at once leave as they came */
  uint32_t len;
  unsigned char *bytes;
};

struct direction {
  int source, sink;
  uint64_t random;
  uint64_t serial;
  int count; /* of a heap: the next that is due is the first */
  struct frame *heap;
  unsigned char **spare;
  int spares;
};

static volatile sig_atomic_t ending;
static void end(int signal) { ending = signal; }

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* splitmix64 */
static uint64_t next_random(struct direction *d) {
  uint64_t z = d->random += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}
static double unit(struct direction *d) { return (double)(next_random(d) >> 11) / 9007199254740992.0; }
static int hit(struct direction *d, double percent) { return percent > 0 && unit(d) * 100 < percent; }

static int before(const struct frame *a, const struct frame *b) {
  return a->due != b->due ? a->due < b->due : a->serial < b->serial;
}

static void push(struct direction *d, struct frame f) {
  int i = d->count++;
  for (int up; i > 0 && before(&f, &d->heap[up = (i - 1) / 2]); i = up) d->heap[i] = d->heap[up];
  d->heap[i] = f;
}

static struct frame pop(struct direction *d) {
  struct frame first = d->heap[0], last = d->heap[--d->count];
  int i = 0;
  for (;;) {
    int child = 2 * i + 1;
    if (child >= d->count) break;
    if (child + 1 < d->count && before(&d->heap[child + 1], &d->heap[child])) child++;
    if (!before(&d->heap[child], &last)) break;
    d->heap[i] = d->heap[child];
    i = child;
  }
  d->heap[i] = last;
  return first;
}

static void keep(struct direction *d, uint64_t now, const unsigned char *bytes, uint32_t len) {
  if (d->count >= limit) {
    overrun++;
    return;
  }
  struct frame f = {now, d->serial++, len, d->spares > 0 ? d->spare[--d->spares] : malloc(FRAME)};
  memcpy(f.bytes, bytes, len);
  if (len > ETHERNET_HEADER && hit(d, corrupt)) {
    f.bytes[ETHERNET_HEADER + next_random(d) % (len - ETHERNET_HEADER)] ^= 1u << (next_random(d) & 7);
    corrupted++;
  }
  double wait = reorder > 0 && delay_ms == 0 ? REORDER_MS : delay_ms;
  if (hit(d, reorder)) reordered++;
  else if ((wait += (2 * unit(d) - 1) * jitter) > 0) f.due += (uint64_t)(wait * 1e6);
  push(d, f);
}

static void take(struct direction *d) {
  static unsigned char buffers[BATCH][FRAME];
  static struct iovec pieces[BATCH];
  static struct mmsghdr messages[BATCH];
  for (int i = 0; i < BATCH; i++) {
    pieces[i] = (struct iovec){buffers[i], FRAME};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &pieces[i], .msg_iovlen = 1};
  }
  int n = recvmmsg(d->source, messages, BATCH, MSG_DONTWAIT, NULL);
  uint64_t now = now_ns();
  for (int i = 0; i < n; i++) {
    if (hit(d, loss)) {
      lost++;
      continue;
    }
    keep(d, now, buffers[i], messages[i].msg_len);
    if (hit(d, duplicate)) {
      duplicated++;
      keep(d, now, buffers[i], messages[i].msg_len);
    }
  }
}

static void give(struct direction *d) {
  static struct iovec pieces[BATCH];
  static struct mmsghdr messages[BATCH];
  uint64_t now = now_ns();
  while (d->count > 0 && d->heap[0].due <= now) {
    int n = 0;
    for (; n < BATCH && d->count > 0 && d->heap[0].due <= now; n++) {
      struct frame f = pop(d);
      pieces[n] = (struct iovec){f.bytes, f.len};
      messages[n].msg_hdr = (struct msghdr){.msg_iov = &pieces[n], .msg_iovlen = 1};
    }
    for (int done = 0; done < n;) {
      int sent = sendmmsg(d->sink, messages + done, n - done, MSG_DONTWAIT);
      if (sent > 0) {
        relayed += sent;
        done += sent;
      } else {
        overrun++;
        done++;
      }
    }
    for (int i = 0; i < n; i++) d->spare[d->spares++] = pieces[i].iov_base;
  }
}

static int port(const char *name) {
  int fd = socket(AF_PACKET, SOCK_RAW, 0), one = 1, size = SOCKET_BUFFER;
  struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(name)};
  struct packet_mreq promiscuous = {.mr_ifindex = address.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
  if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) < 0 ||
      setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous) < 0) {
    perror(name);
    exit(1);
  }
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
    perror(name);
    exit(1);
  }
  return fd;
}

int main(int argc, char **argv) {
  long seed = 1;
  for (int i = 3; i + 1 < argc; i += 2) {
    const char *name = argv[i];
    double value = atof(argv[i + 1]);
    if (!strcmp(name, "--loss")) loss = value;
    else if (!strcmp(name, "--delay")) delay_ms = value;
    else if (!strcmp(name, "--jitter")) jitter = value;
    else if (!strcmp(name, "--reorder")) reorder = value;
    else if (!strcmp(name, "--duplicate")) duplicate = value;
    else if (!strcmp(name, "--corrupt")) corrupt = value;
    else if (!strcmp(name, "--queue")) limit = value > 0 && value < MAX_QUEUE ? (int)value : MAX_QUEUE;
    else if (!strcmp(name, "--seed")) seed = (long)value;
    else {
      fprintf(stderr, "bad-link: %s: unknown\n", name);
      return 2;
    }
  }
  if (argc < 3) return 2;
  prctl(PR_SET_TIMERSLACK, 1);
  signal(SIGTERM, end);
  signal(SIGINT, end);
  int a = port(argv[1]), b = port(argv[2]);
  struct direction ways[2] = {{.source = a, .sink = b, .random = (uint64_t)seed}, {.source = b, .sink = a, .random = ~(uint64_t)seed}};
  for (int i = 0; i < 2; i++) {
    ways[i].heap = malloc((MAX_QUEUE + 1) * sizeof *ways[i].heap);
    ways[i].spare = malloc((MAX_QUEUE + 1) * sizeof *ways[i].spare);
  }
  printf("ready\n");
  fflush(stdout);
  while (!ending) {
    uint64_t due = UINT64_MAX, now = now_ns();
    for (int i = 0; i < 2; i++)
      if (ways[i].count > 0 && ways[i].heap[0].due < due) due = ways[i].heap[0].due;
    uint64_t wait = due == UINT64_MAX ? 20000000 : due > now ? due - now : 0;
    if (wait > 20000000) wait = 20000000;
    struct timespec timeout = {0, (long)wait};
    struct pollfd polled[2] = {{.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}};
    ppoll(polled, 2, &timeout, NULL);
    for (int i = 0; i < 2; i++) {
      if (polled[i].revents) take(&ways[i]);
      give(&ways[i]);
    }
  }
  printf("{\"relayed\":%ld,\"lost\":%ld,\"reordered\":%ld,\"duplicated\":%ld,\"corrupted\":%ld,\"overrun\":%ld}\n", relayed, lost, reordered,
         duplicated, corrupted, overrun);
  return 0;
}
