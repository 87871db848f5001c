// The kernel's own echo, to compare with: the same server on a kernel socket, with as many datagrams per call.

#define _GNU_SOURCE
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { burst_size = 32, largest = 65507 };

static char room[burst_size][largest];

int main(int count, char** arguments) {
  struct sockaddr_in peers[burst_size];
  struct iovec vectors[burst_size];
  struct mmsghdr messages[burst_size];
  const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(count > 1 ? atoi(arguments[1]) : 7)};
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (fd < 0 || bind(fd, (const struct sockaddr*)&any, sizeof any) != 0) return perror("kernel_echo"), 1;
  printf("kernel_echo: ready\n");
  fflush(stdout);
  for (;;) {
    for (int i = 0; i < burst_size; ++i) {
      vectors[i] = (struct iovec){room[i], largest};
      messages[i].msg_hdr = (struct msghdr){
          .msg_name = &peers[i], .msg_namelen = sizeof peers[i], .msg_iov = &vectors[i], .msg_iovlen = 1};
    }
    const int received = recvmmsg(fd, messages, burst_size, MSG_WAITFORONE, NULL);
    for (int i = 0; i < received; ++i) vectors[i].iov_len = messages[i].msg_len;
    for (int sent = 0; sent < received;) {
      const int n = sendmmsg(fd, messages + sent, (unsigned)(received - sent), 0);
      sent += n > 0 ? n : 1;
    }
  }
}
