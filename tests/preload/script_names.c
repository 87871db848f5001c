/* Addresses, options, shutdown, and how descriptors come and go. */
#include "script.h"

static char room[100];

static void names(void) {
  const int a = udp(0), b = udp(SOCK_NONBLOCK | SOCK_CLOEXEC);
  struct sockaddr_in name;
  socklen_t size = sizeof name;
  printf("descriptors %d %d\n", a, b);
  SHOW(getsockname(a, (struct sockaddr*)&name, &size));
  show_address(&name, size);
  SHOW(getpeername(a, (struct sockaddr*)&name, &size));
  SHOW(bind(a, LOCAL(5101)));
  SHOW(bind(a, LOCAL(5102)));
  SHOW(bind(b, LOCAL(5101)));
  SHOW(bind(b, LOCAL(5101) - 8));
  struct sockaddr_in other = at("192.0.2.1", 5103);
  SHOW(bind(b, (struct sockaddr*)&other, sizeof other));
  other.sin_family = AF_UNSPEC;
  SHOW(bind(b, (struct sockaddr*)&other, sizeof other));
  other.sin_addr.s_addr = 0;
  SHOW(bind(b, (struct sockaddr*)&other, sizeof other));
  SHOW(getsockname(b, (struct sockaddr*)&name, &size));
  show_address(&name, size);
  size = 6;
  SHOW(getsockname(a, (struct sockaddr*)&name, &size));
  printf("  length %u\n", size);
  SHOW(getsockname(a, NULL, &size));
  SHOW(connect(b, LOCAL(5101)));
  size = sizeof name;
  SHOW(getpeername(b, (struct sockaddr*)&name, &size));
  show_address(&name, size);
  SHOW(getsockname(b, (struct sockaddr*)&name, &size));
  show_address(&name, size);
  other.sin_family = AF_UNSPEC;
  SHOW(connect(b, (struct sockaddr*)&other, sizeof other));
  SHOW(getpeername(b, (struct sockaddr*)&name, &size));
  SHOW(connect(b, LOCAL(5101) - 9));
  other.sin_family = AF_INET6;
  SHOW(connect(b, (struct sockaddr*)&other, sizeof other));
  SHOW(listen(b, 1));
  SHOW(accept(b, NULL, NULL));
  SHOW(close(a));
  SHOW(close(a));
  SHOW(close(b));
  SHOW(bind(bound(5101), LOCAL(5101)));
}

static void options(void) {
  const int a = udp(0);
  int value = 0;
  socklen_t size = sizeof value;
  const int names_of_socket[] = {SO_TYPE,      SO_DOMAIN,    SO_PROTOCOL,  SO_RCVBUF, SO_SNDBUF,
                                 SO_REUSEADDR, SO_REUSEPORT, SO_BROADCAST, SO_ERROR,  SO_ACCEPTCONN,
                                 SO_PRIORITY,  SO_MARK,      SO_KEEPALIVE, 9999};
  for (size_t i = 0; i < sizeof names_of_socket / sizeof(int); ++i) {
    SHOW(getsockopt(a, SOL_SOCKET, names_of_socket[i], &value, &size));
    printf("  value %d size %u\n", value, size);
  }
  const int names_of_ip[] = {
      IP_TTL, IP_TOS, IP_MTU_DISCOVER, IP_PKTINFO, IP_RECVERR, IP_MULTICAST_TTL, IP_MULTICAST_LOOP, IP_MTU, 9999};
  for (size_t i = 0; i < sizeof names_of_ip / sizeof(int); ++i) {
    size = sizeof value;
    SHOW(getsockopt(a, IPPROTO_IP, names_of_ip[i], &value, &size));
    printf("  value %d size %u\n", value, size);
  }
  value = 5000;
  SHOW(setsockopt(a, SOL_SOCKET, SO_RCVBUF, &value, sizeof value));
  SHOW(setsockopt(a, SOL_SOCKET, SO_RCVBUF, &value, 2));
  SHOW(setsockopt(a, SOL_SOCKET, SO_RCVBUF, NULL, 4));
  SHOW(setsockopt(a, SOL_SOCKET, SO_RCVBUF, &value, (socklen_t)-1));
  SHOW(getsockopt(a, SOL_SOCKET, SO_RCVBUF, &value, &size));
  printf("  value %d\n", value);
  value = 300;
  SHOW(setsockopt(a, IPPROTO_IP, IP_TTL, &value, sizeof value));
  value = 9;
  SHOW(setsockopt(a, IPPROTO_IP, IP_TTL, &value, sizeof value));
  SHOW(setsockopt(a, IPPROTO_IP, IP_TTL, &value, 1));
  SHOW(setsockopt(a, SOL_SOCKET, SO_PRIORITY, &value, sizeof value));
  SHOW(setsockopt(a, SOL_UDP, UDP_CORK, &(int){0}, sizeof(int)));
  SHOW(setsockopt(a, 77, 1, &value, sizeof value));
  SHOW(getsockopt(a, 77, 1, &value, &size));
  SHOW(getsockopt(a, SOL_SOCKET, SO_TYPE, &value, NULL));
  const struct timeval bad = {0, 2000000}, short_time = {0, 20000};
  SHOW(setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &bad, sizeof bad));
  SHOW(setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &short_time, sizeof short_time));
  SHOW(recv(a, room, 1, 0));
}

static void ends(void) {
  const int a = bound(5110), b = connected(5111, 5110);
  SHOW(shutdown(a, SHUT_RD));
  SHOW(shutdown(a, 7));
  SHOW(shutdown(b, SHUT_WR));
  SHOW(send(b, "x", 1, 0));
  SHOW(recv(b, room, 1, MSG_DONTWAIT));
  SHOW(shutdown(b, SHUT_RD));
  struct sockaddr_in from;
  socklen_t size = sizeof from;
  SHOW(recvfrom(b, room, 1, 0, (struct sockaddr*)&from, &size));
  printf("  length %u\n", size);
  struct pollfd p = {b, POLLIN | POLLOUT | POLLRDHUP, 0};
  SHOW(poll(&p, 1, 0));
  printf("  events %x\n", p.revents);
}

static void blocking(void) {
  const int a = bound(5120), b = udp(0);
  int on = 1, bytes = -1;
  SHOW(ioctl(a, FIONBIO, &on));
  SHOW(recv(a, room, 1, 0));
  SHOW(fcntl(a, F_GETFL));
  SHOW(fcntl(a, F_SETFL, 0));
  SHOW(fcntl64(a, F_SETFL, O_NONBLOCK));
  SHOW(recv(a, room, 1, 0));
  SHOW(ioctl(a, FIONREAD, &bytes));
  printf("  bytes %d\n", bytes);
  SHOW(sendto(b, "12345", 5, 0, LOCAL(5120)));
  SHOW(sendto(b, "678", 3, 0, LOCAL(5120)));
  SHOW(ioctl(a, FIONREAD, &bytes));
  printf("  bytes %d\n", bytes);
  SHOW(recv(a, room, 10, 0));
  SHOW(ioctl(a, FIONREAD, &bytes));
  printf("  bytes %d\n", bytes);
  SHOW(ioctl(a, FIONREAD, NULL));
  SHOW(ioctl(a, TIOCOUTQ, &bytes));
  SHOW(fcntl(a, 999));
}

static void duplicates(void) {
  const int a = bound(5130), b = udp(0);
  const int c = dup(a), d = fcntl(a, F_DUPFD, 50), e = fcntl(a, F_DUPFD_CLOEXEC, 50);
  printf("descriptors %d %d %d\n", c, d, e);
  SHOW(dup2(a, 60));
  SHOW(dup3(a, 61, O_CLOEXEC));
  SHOW(dup3(a, a, 0));
  SHOW(dup2(a, a));
  SHOW(close(a));
  SHOW(sendto(b, "x", 1, 0, LOCAL(5130)));
  SHOW(recv(c, room, 10, 0));
  SHOW(dup2(b, c));
  SHOW(sendto(c, "y", 1, 0, LOCAL(5130)));
  SHOW(recv(d, room, 10, 0));
  SHOW(close(d));
  SHOW(close(e));
  SHOW(close(60));
  const int again = udp(0);
  SHOW(bind(again, LOCAL(5130)));
  SHOW(close(61));
  SHOW(bind(again, LOCAL(5130)));
  const int pipe_end = open("/dev/null", O_RDWR);
  SHOW(dup2(pipe_end, again));
  SHOW(send(again, "x", 1, 0));
  SHOW(write(again, "x", 1));
  SHOW(bind(udp(0), LOCAL(5130)));
}

static void ranges(void) {
  const int a = bound(5140), b = bound(5141);
  SHOW(close_range((unsigned)a, (unsigned)b, 0));
  SHOW(recv(a, room, 1, MSG_DONTWAIT));
  SHOW(recv(b, room, 1, MSG_DONTWAIT));
  SHOW(close_range(9, 8, 0));
  const int c = bound(5140), d = bound(5141);
  printf("descriptors %d %d\n", c, d);
  closefrom(3);
  SHOW(recv(c, room, 1, MSG_DONTWAIT));
  const int e = bound(5140);
  SHOW(sendto(e, "still", 5, 0, LOCAL(5140)));
  SHOW(recv(e, room, 10, 0));
  for (int fd = 3; fd < 1024; ++fd) close(fd);
  const int f = bound(5140);
  SHOW(sendto(f, "still", 5, 0, LOCAL(5140)));
  SHOW(recv(f, room, 10, 0));
}

static void unseen(void) {
  FILE* const stream = fdopen(bound(5150), "r+");
  const int number = fileno(stream);
  fclose(stream);
  const int file = open("/dev/null", O_RDWR);
  printf("same number %d\n", number == file);
  SHOW(write(file, "x", 1));
  SHOW(recv(file, room, 1, 0));
  close(file);
  SHOW(bind(udp(0), LOCAL(5150)));
  const long raw = syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0);
  SHOW(bind((int)raw, LOCAL(5151)));
  SHOW(syscall(SYS_sendto, raw, "raw", 3, 0, LOCAL(5151)));
  SHOW(syscall(SYS_recvfrom, raw, room, 10, 0, NULL, NULL));
  SHOW(syscall(SYS_close, raw));
  SHOW(syscall(SYS_close, raw));
  SHOW(bind(udp(0), LOCAL(5151)));
  SHOW(syscall(SYS_getppid) == getppid());
}

/* libc makes socket options of them. */
static void source_filters(void) {
  const int fd = bound(5160);
  const struct in_addr lo = at("127.0.0.1", 0).sin_addr, group = at("239.1.2.3", 0).sin_addr;
  struct sockaddr_in where = at("239.1.2.3", 0);
  struct sockaddr_storage sources[2] = {{0}}, found[2];
  memcpy(&sources[0], (struct sockaddr_in[]){at("10.1.1.1", 0)}, sizeof(struct sockaddr_in));
  memcpy(&sources[1], (struct sockaddr_in[]){at("10.1.1.2", 0)}, sizeof(struct sockaddr_in));
  uint32_t mode = 0, count = 2;
  struct in_addr addresses[2];
  SHOW(setsourcefilter(fd, 1, (struct sockaddr*)&where, sizeof where, MCAST_INCLUDE, 2, sources));
  SHOW(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &(struct ip_mreq){group, lo}, sizeof(struct ip_mreq)));
  SHOW(setsourcefilter(fd, 1, (struct sockaddr*)&where, sizeof where, MCAST_EXCLUDE, 2, sources));
  SHOW(getsourcefilter(fd, 1, (struct sockaddr*)&where, sizeof where, &mode, &count, found));
  printf("  mode %u, %u sources\n", mode, count);
  count = 1;
  SHOW(getipv4sourcefilter(fd, lo, group, &mode, &count, addresses));
  printf("  mode %u, %u sources, %s\n", mode, count, inet_ntoa(addresses[0]));
  SHOW(setipv4sourcefilter(fd, lo, group, MCAST_INCLUDE, 1, addresses));
  SHOW(setipv4sourcefilter(fd, lo, group, 7, 1, addresses));
  SHOW(setipv4sourcefilter(-1, lo, group, MCAST_INCLUDE, 1, addresses));
  close(fd);
}

static void others(void) {
  SHOW(socket(AF_INET6, SOCK_DGRAM, 0) >= 0);
  SHOW(socket(AF_INET, SOCK_STREAM, 0) >= 0);
  SHOW(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP + 200));
  SHOW(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP));
  SHOW(socket(999, SOCK_DGRAM, 0));
  int pair[2];
  SHOW(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
  SHOW(send(pair[0], "unix", 4, 0));
  SHOW(recv(pair[1], room, 10, 0));
  SHOW(recv(-1, room, 10, 0));
  SHOW(recv(2000000, room, 10, 0));
  SHOW(send(500, room, 10, 0));
  SHOW(close(-1));
  SHOW(read(500, room, 1));
  SHOW(recv(0, room, 1, 0));
}

int main(void) {
  begin();
  close(0);
  open("/dev/null", O_RDWR);
  names();
  options();
  ends();
  blocking();
  duplicates();
  ranges();
  unseen();
  source_filters();
  others();
  return 0;
}
