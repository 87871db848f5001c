/* A stand-in for libfastudp.so, to test the interposer without a network: the fast path is a queue in memory between
 * the sockets of one process (link loop:) or nothing (host:); all else is done on the companion by the kernel. */
#define _GNU_SOURCE
#include <errno.h>
#include <fastudp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { most_sockets = 4096, most_queued = 64 };

struct datagram {
  struct datagram* next;
  fastudp_addr from;
  size_t size;
  char data[];
};

struct fastudp_socket {
  int companion, bell;
  bool handed_over, write_is_shut;
  unsigned queued;
  struct datagram *first, **last;
  fastudp_addr peer;
};

struct fastudp_stack {
  bool has_queues;
  char stats_file[256];
};

static struct fastudp_stack the_stack;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static fastudp_socket* all[most_sockets];
static struct { uint64_t fast, kernel, sockets, counted[3], handed_over[3]; } counts;
static const char* const reasons[] = {"option", "nested", "forked"};

const char* fastudp_version(void) { return "stand-in"; }
const char* fastudp_kernel_reason_name(size_t i) { return i < 3 ? reasons[i] : NULL; }

/* What went which way, for a test to look at. */
static void report(void) {
  FILE* out = the_stack.stats_file[0] ? fopen(the_stack.stats_file, "w") : NULL;
  if (out == NULL) return;
  fprintf(out, "{\"fast\": %lu, \"kernel\": %lu, \"sockets\": %lu, \"open\": ", counts.fast, counts.kernel,
          counts.sockets);
  int open = 0;
  for (int i = 0; i < most_sockets; ++i) open += all[i] != NULL;
  fprintf(out, "%d, \"option\": %lu, \"nested\": %lu, \"forked\": %lu}\n", open, counts.counted[0], counts.counted[1],
          counts.handed_over[2]);
  fclose(out);
}

int fastudp_stack_open(fastudp_stack** stack, const char* uri, const fastudp_stack_config* config, char* why,
                       size_t why_size) {
  if (why_size != 0) why[0] = '\0';
  if (strncmp(uri, "none:", 5) == 0) return -ENODEV;
  the_stack.has_queues = strncmp(uri, "loop:", 5) == 0;
  if (config->stats_file != NULL) {
    snprintf(the_stack.stats_file, sizeof the_stack.stats_file, "%s", config->stats_file);
    atexit(report);
  }
  *stack = &the_stack;
  return 0;
}

static socklen_t to_sockaddr(const fastudp_addr* from, struct sockaddr_in* to) {
  memset(to, 0, sizeof *to);
  to->sin_family = from->family == FASTUDP_IPV4 ? AF_INET : AF_UNSPEC;
  to->sin_port = htons(from->port);
  memcpy(&to->sin_addr, from->bytes, 4);
  return sizeof *to;
}

static void from_sockaddr(const struct sockaddr_in* from, fastudp_addr* to) {
  memset(to, 0, sizeof *to);
  to->family = FASTUDP_IPV4;
  to->port = ntohs(from->sin_port);
  memcpy(to->bytes, &from->sin_addr, 4);
}

static int outcome(int result) { return result < 0 ? -errno : result; }

int fastudp_socket_adopt(fastudp_stack* stack, int fd, fastudp_socket** socket) {
  int family = 0;
  socklen_t size = sizeof family;
  if (stack == NULL || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) != 0) return -ENOTSOCK;
  if (family != AF_INET) return -EAFNOSUPPORT;
  fastudp_socket* made = calloc(1, sizeof *made);
  made->companion = fd;
  made->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  made->last = &made->first;
  pthread_mutex_lock(&mutex);
  ++counts.sockets;
  for (int i = 0; i < most_sockets; ++i) {
    if (all[i] != NULL) continue;
    all[i] = made;
    break;
  }
  pthread_mutex_unlock(&mutex);
  *socket = made;
  return 0;
}

int fastudp_socket_close(fastudp_socket* socket) {
  pthread_mutex_lock(&mutex);
  for (int i = 0; i < most_sockets; ++i) {
    if (all[i] == socket) all[i] = NULL;
  }
  pthread_mutex_unlock(&mutex);
  while (socket->first != NULL) {
    struct datagram* next = socket->first->next;
    free(socket->first);
    socket->first = next;
  }
  close(socket->bell);
  free(socket);
  return 0;
}

int fastudp_socket_hand_over(fastudp_socket* socket, size_t reason) {
  socket->handed_over = true;
  ++counts.handed_over[reason];
  return 0;
}

int fastudp_socket_count(fastudp_socket* socket, uint64_t received, uint64_t sent, size_t reason) {
  (void)socket;
  counts.counted[reason] += received + sent;
  return 0;
}

int fastudp_socket_bind(fastudp_socket* socket, const fastudp_addr* addr) {
  struct sockaddr_in to;
  const socklen_t size = to_sockaddr(addr, &to);
  return outcome(bind(socket->companion, (struct sockaddr*)&to, size));
}

int fastudp_socket_connect(fastudp_socket* socket, const fastudp_addr* addr) {
  struct sockaddr_in to;
  const socklen_t size = to_sockaddr(addr, &to);
  const int done = outcome(connect(socket->companion, (struct sockaddr*)&to, size));
  if (done == 0) socket->peer = *addr;
  return done;
}

int fastudp_socket_local_addr(fastudp_socket* socket, fastudp_addr* addr) {
  struct sockaddr_in name;
  socklen_t size = sizeof name;
  if (getsockname(socket->companion, (struct sockaddr*)&name, &size) != 0) return -errno;
  from_sockaddr(&name, addr);
  return 0;
}

int fastudp_socket_peer_addr(fastudp_socket* socket, fastudp_addr* addr) {
  struct sockaddr_in name;
  socklen_t size = sizeof name;
  if (getpeername(socket->companion, (struct sockaddr*)&name, &size) != 0) return -errno;
  from_sockaddr(&name, addr);
  return 0;
}

int fastudp_socket_shutdown(fastudp_socket* socket, int how) {
  if (how == SHUT_WR || how == SHUT_RDWR) socket->write_is_shut = true;
  return outcome(shutdown(socket->companion, how));
}

int fastudp_socket_set_option(fastudp_socket* socket, int level, int name, const void* value, size_t size) {
  return outcome(setsockopt(socket->companion, level, name, value, (socklen_t)size));
}

int fastudp_socket_get_option(fastudp_socket* socket, int level, int name, void* value, size_t* size) {
  socklen_t length = (socklen_t)*size;
  const int done = outcome(getsockopt(socket->companion, level, name, value, &length));
  *size = length;
  return done;
}

/* The socket of this process that a datagram to `to` is for; the mutex is held. */
static fastudp_socket* find(const fastudp_addr* to) {
  for (int i = 0; i < most_sockets; ++i) {
    fastudp_addr local;
    if (all[i] == NULL || all[i]->handed_over || to->bytes[0] != 127) continue;
    if (fastudp_socket_local_addr(all[i], &local) != 0 || local.port == 0 || local.port != to->port) continue;
    if (local.bytes[0] == 0 || memcmp(local.bytes, to->bytes, 4) == 0) return all[i];
  }
  return NULL;
}

static bool deliver(fastudp_socket* to, const fastudp_addr* from, const fastudp_msg* m) {
  struct datagram* made = malloc(sizeof *made + m->size);
  made->next = NULL;
  made->from = *from;
  made->size = m->size;
  memcpy(made->data, m->data, m->size);
  *to->last = made;
  to->last = &made->next;
  const uint64_t one = 1;
  if (to->queued++ == 0 && write(to->bell, &one, sizeof one) < 0) return false;
  return true;
}

static bool send_by_queue(fastudp_socket* socket, const fastudp_msg* m) {
  const fastudp_addr* to = m->peer.family != 0 ? &m->peer : &socket->peer;
  if (!the_stack.has_queues || socket->handed_over || socket->write_is_shut || m->control_len != 0 || m->size > 65507)
    return false;
  fastudp_addr local;
  fastudp_socket_local_addr(socket, &local);
  if (local.port == 0) {
    local.family = FASTUDP_IPV4;
    fastudp_socket_bind(socket, &local);
    fastudp_socket_local_addr(socket, &local);
  }
  if (local.bytes[0] == 0) memcpy(local.bytes, "\x7f\0\0\x01", 4);
  pthread_mutex_lock(&mutex);
  fastudp_socket* found = find(to);
  const bool is_full = found != NULL && found->queued >= most_queued;
  const bool is_mine = found != NULL && (found->peer.family == 0 || memcmp(&found->peer, &local, sizeof local) == 0);
  const bool done = is_mine && (is_full || deliver(found, &local, m));
  counts.fast += done;
  pthread_mutex_unlock(&mutex);
  return done;
}

int fastudp_send(fastudp_socket* socket, const fastudp_msg* msgs, size_t count, int flags) {
  for (size_t i = 0; i < count; ++i) {
    if (send_by_queue(socket, &msgs[i])) continue;
    struct sockaddr_in to;
    struct iovec data = {msgs[i].data, msgs[i].size};
    struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1};
    m.msg_control = msgs[i].control_len != 0 ? msgs[i].control : NULL;
    m.msg_controllen = msgs[i].control_len;
    if (msgs[i].peer.family != 0) m.msg_namelen = to_sockaddr(&msgs[i].peer, &to);
    if (msgs[i].peer.family != 0) m.msg_name = &to;
    if (sendmsg(socket->companion, &m, flags) < 0) return i == 0 ? -errno : (int)i;
    ++counts.kernel;
  }
  return (int)count;
}

static bool take_from_queue(fastudp_socket* socket, fastudp_msg* m, int flags) {
  pthread_mutex_lock(&mutex);
  struct datagram* first = flags & FASTUDP_ERRQUEUE ? NULL : socket->first;
  if (first != NULL) {
    const size_t room = m->size;
    m->length = (uint32_t)first->size;
    m->size = (uint32_t)(first->size < room ? first->size : room);
    m->flags = first->size > room ? FASTUDP_TRUNC : 0;
    m->peer = first->from;
    m->control_len = 0;
    memcpy(m->data, first->data, m->size);
  }
  if (first != NULL && !(flags & FASTUDP_PEEK)) {
    socket->first = first->next;
    if (socket->first == NULL) socket->last = &socket->first;
    uint64_t count;
    if (--socket->queued == 0 && read(socket->bell, &count, sizeof count) < 0) abort();
    free(first);
  }
  pthread_mutex_unlock(&mutex);
  return first != NULL;
}

static int take_from_kernel(fastudp_socket* socket, fastudp_msg* m, int flags) {
  struct sockaddr_in from = {0};
  struct iovec data = {m->data, m->size};
  struct msghdr h = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &data, .msg_iovlen = 1};
  h.msg_control = m->control;
  h.msg_controllen = m->control_len;
  const ssize_t length = recvmsg(socket->companion, &h, flags | MSG_TRUNC | MSG_DONTWAIT);
  if (length < 0) return -errno;
  memset(&m->peer, 0, sizeof m->peer);
  if (h.msg_namelen == 0) return 0;
  from_sockaddr(&from, &m->peer);
  m->length = (uint32_t)length;
  m->size = (uint32_t)length < m->size ? (uint32_t)length : m->size;
  m->control_len = (uint32_t)h.msg_controllen;
  m->flags = (uint32_t)(h.msg_flags & (MSG_TRUNC | MSG_CTRUNC));
  return 1;
}

static int take(fastudp_socket* socket, fastudp_msg* m, int flags) {
  return take_from_queue(socket, m, flags) ? 1 : take_from_kernel(socket, m, flags);
}

static int receive_timeout(fastudp_socket* socket) {
  struct timeval value = {0, 0};
  socklen_t size = sizeof value;
  getsockopt(socket->companion, SOL_SOCKET, SO_RCVTIMEO, &value, &size);
  return value.tv_sec == 0 && value.tv_usec == 0 ? -1 : (int)(value.tv_sec * 1000 + value.tv_usec / 1000);
}

static int receive(fastudp_socket* socket, fastudp_msg* msgs, size_t count, int flags) {
  const bool blocks = !(flags & (FASTUDP_DONTWAIT | FASTUDP_ERRQUEUE));
  int n = take(socket, &msgs[0], flags & ~FASTUDP_DONTWAIT);
  while (n == -EAGAIN && blocks) {
    struct pollfd both[] = {{socket->companion, POLLIN | POLLRDHUP, 0}, {socket->bell, POLLIN, 0}};
    const int ready = poll(both, 2, receive_timeout(socket));
    if (ready <= 0) return ready == 0 ? -EAGAIN : -errno;
    n = take(socket, &msgs[0], flags & ~FASTUDP_DONTWAIT);
    if (n == -EAGAIN && (both[0].revents & POLLRDHUP)) return 0; /* shut down */
  }
  while (n > 0 && (size_t)n < count && !(flags & FASTUDP_PEEK) && take(socket, &msgs[n], 0) == 1) ++n;
  return n;
}

int fastudp_recv(fastudp_socket* socket, fastudp_msg* msgs, size_t count, int flags) {
  const int error = errno, n = receive(socket, msgs, count, flags);
  errno = error;
  return n;
}

int fastudp_socket_poll(fastudp_socket* socket) {
  struct pollfd companion = {socket->companion, POLLIN | POLLOUT, 0};
  poll(&companion, 1, 0);
  return companion.revents | (socket->first != NULL ? POLLIN : 0);
}

static int look(fastudp_wait_item* items, size_t count, struct pollfd* fds) {
  int ready = 0;
  for (size_t i = 0; i < count; ++i) {
    items[i].revents = fds[2 * i].revents;
    if ((fds[2 * i + 1].revents & POLLIN) && (items[i].events & POLLIN)) items[i].revents |= POLLIN;
    ready += items[i].revents != 0;
  }
  return ready;
}

int fastudp_wait(fastudp_stack* stack, fastudp_wait_item* items, size_t count, int64_t timeout_ns,
                 const void* signal_mask) {
  if (stack == NULL) return -EFAULT;
  struct pollfd* fds = calloc(2 * count, sizeof *fds);
  for (size_t i = 0; i < count; ++i) {
    fds[2 * i].fd = items[i].socket != NULL ? items[i].socket->companion : items[i].fd;
    fds[2 * i].events = items[i].events;
    fds[2 * i + 1].fd = items[i].socket != NULL && (items[i].events & POLLIN) ? items[i].socket->bell : -1;
    fds[2 * i + 1].events = POLLIN;
  }
  const struct timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};
  int ready = ppoll(fds, 2 * count, timeout_ns < 0 ? NULL : &timeout, signal_mask);
  ready = ready < 0 ? -errno : look(items, count, fds);
  free(fds);
  return ready;
}
